//! `tollgate backup`: copies of ledger and billing store that belong together, from a running service that goes on meanwhile.
//!
//! FILE is the ledger's, as `serve --store FILE` takes it; the billing store's is beside it, under the name by which that finds it. Both
//! are there only when they are whole, and on disk.

use std::fs::{File, rename};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::client::{Client, ServerOptions};
use super::failure::Failure;
use crate::cli::failure::explain;
use crate::grpc::v1::{BackupRequest, BackupStore};

/// Where to write to.
#[derive(Args, Debug)]
pub struct BackupOptions {
    /// The file to write the ledger to; the billing store goes to the one beside it that ends with ".billing.db".
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take only the ledger: where billing is in PostgreSQL, after its own backup.
    #[arg(long)]
    ledger_only: bool,
    #[command(flatten)]
    server: ServerOptions,
}

/// Takes the backup.
pub async fn run(options: BackupOptions) -> anyhow::Result<ExitCode> {
    let mut ledger = Target::new(&options.file)?;
    let mut billing = Target::new(&options.file.with_extension("billing.db"))?;
    let mut client = Client::connect(&options.server).await?;
    let request = BackupRequest { ledger_only: options.ledger_only };
    let mut parts = client.admin.backup(request).await.map_err(explain)?.into_inner();
    while let Some(part) = parts.message().await.map_err(explain)? {
        match part.store() {
            BackupStore::Ledger => ledger.write(&part.content)?,
            BackupStore::Billing => billing.write(&part.content)?,
            BackupStore::Unspecified => return Err(Failure::refused("the service sends what this tollgate does not know").into()),
        }
    }
    for target in [billing, ledger] {
        target.finish()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that has its name only when it is whole.
struct Target {
    path: PathBuf,
    part: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Target {
    fn new(path: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(!path.exists(), "{} is there already", path.display());
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        Ok(Self { path: path.to_owned(), part: part.into(), file: None, bytes: 0 })
    }

    fn write(&mut self, content: &[u8]) -> anyhow::Result<()> {
        let in_words = || format!("cannot write {}", self.part.display());
        if self.file.is_none() {
            self.file = Some(File::create(&self.part).with_context(in_words)?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(content).with_context(in_words)?;
        }
        self.bytes += content.len() as u64;
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        let Some(file) = self.file else { return Ok(()) };
        file.sync_all().with_context(|| format!("cannot write {}", self.part.display()))?;
        rename(&self.part, &self.path).with_context(|| format!("cannot write {}", self.path.display()))?;
        println!("{} ({} bytes)", self.path.display(), self.bytes);
        Ok(())
    }
}
