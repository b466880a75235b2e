//! Compiles `proto/` with protox, so that no protoc is needed.

use std::path::{Path, PathBuf};

#[allow(clippy::disallowed_methods, reason = "cargo tells a build script where to write by its environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The package of the generated code is src/proto; cargo runs its build script there.
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", protos.display());
    let files = [
        "tollgate/v1/charging.proto",
        "tollgate/v1/account.proto",
        "tollgate/v1/billing.proto",
        "tollgate/v1/admin.proto",
        "tollgate/v1/approvals.proto",
        "tollgate/v1/audit.proto",
    ];
    let descriptors = protox::compile(files, [&protos])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut names = tonic_prost_build::Config::new();
    names.enable_type_names();
    tonic_prost_build::configure()
        .file_descriptor_set_path(out.join("tollgate.v1.bin"))
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .btree_map(".")
        // Large and rare: what a debit mostly is, is moved about a lot.
        .boxed(".tollgate.v1.DebitRequest.remainder.reserve")
        .boxed(".tollgate.v1.Charged.reservation")
        .boxed(".tollgate.v1.Charged.reserve_refused.reserve_declined")
        .compile_fds_with_config(descriptors, names)?;
    // Reflection serves these too, and with them what the details of errors are; their code is tonic-types's.
    // Written by the compiler itself, which keeps the options of methods that are not protobuf's own.
    let mut served = protox::Compiler::new([&protos])?;
    served.include_imports(true).include_source_info(true);
    served.open_files(files.into_iter().chain(["google/rpc/error_details.proto"]))?;
    std::fs::write(out.join("tollgate.v1.bin"), served.encode_file_descriptor_set())?;
    Ok(())
}
