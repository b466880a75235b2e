//! A rebuilt partition put into a new file: what `restore` does.
//!
//! It is written beside its place, and put there once the billing store goes on from it: so a restoration that was interrupted leaves no file
//! that a service could take for a ledger, and is simply done again.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::store::Store;
use crate::model::PartitionState;
use crate::{LedgerId, Opening, Purpose, Sizes, StoreSettings};

/// What SQLite may have beside a file.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// A file that is being restored.
#[derive(Debug)]
pub struct Installation {
    path: PathBuf,
    /// Where it is until it is whole.
    half: PathBuf,
    settings: StoreSettings,
    purpose: Purpose,
}

impl Installation {
    /// Begins anew, whatever one that was interrupted has left. A ledger that holds anything is refused.
    pub fn begin(path: &Path, settings: &StoreSettings) -> anyhow::Result<Self> {
        let mut purpose = Purpose::default();
        if path.exists() {
            let (store, found) = Store::open(path, settings, Opening::Creating(purpose))?;
            ensure!(store.load()?.sizes() == Sizes::default(), "{found} is not empty: a ledger is only restored into an empty store");
            purpose = found.purpose;
            store.close().with_context(|| format!("cannot close {}", path.display()))?;
            remove(path)?;
        }
        let half = with_suffix(path, ".restoring");
        remove(&half)?;
        Ok(Self { path: path.to_owned(), half, settings: settings.clone(), purpose })
    }

    /// Writes the partition.
    pub fn install(&self, id: LedgerId, partition_state: &PartitionState) -> anyhow::Result<()> {
        let (store, _) = Store::open(&self.half, &self.settings, Opening::Creating(self.purpose))?;
        store.set_id(id)?;
        store.write(partition_state, &[partition_state.everything()])?;
        store.close().with_context(|| format!("cannot close {}", self.half.display()))
    }

    /// Puts the file in its place: services may use it.
    pub fn finish(self) -> anyhow::Result<()> {
        let Self { path, half, .. } = self;
        ensure!(!path.exists(), "{} was made meanwhile: the ledger that was restored is in {}", path.display(), half.display());
        fs::rename(&half, &path).with_context(|| format!("cannot rename {} to {}", half.display(), path.display()))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("cannot sync {}", folder.display()))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Removes a file, and what SQLite has beside it.
fn remove(path: &Path) -> anyhow::Result<()> {
    for suffix in BESIDE {
        let path = with_suffix(path, suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
