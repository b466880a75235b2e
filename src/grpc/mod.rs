//! The gRPC services.

/// The messages and services of `proto/tollgate/v1`.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("tollgate.v1");
}
