//! A backup: copies of the ledger's file and of the billing store's that belong together, taken while charging goes on.
//!
//! The billing store comes first. So the ledger's copy has at least what the billing store's has taken in; and since nothing is dropped
//! from the journal meanwhile, it still has what that has not. Both are copied beside the ledger's file, under names that they lose at
//! once: nothing is left of them when they were read, or when the process ends.

use std::fs::{File, remove_file};
use std::io::{self, Read};
use std::path::Path;

use futures_util::{Stream, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::Billing;
use billing::audit::Act;
use billing::store::Dialect;
use ledger::Ledger;

/// How large a part is.
const PART_BYTES: u64 = 256 * 1024;

/// How many parts are read ahead.
const PARTS_AHEAD: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The billing store.
    Billing,
    Ledger,
}

/// A part of a store's copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub store: Stored,
    /// The next bytes of its copy.
    pub content: Vec<u8>,
}

impl UseCases {
    /// Takes a backup, as parts of one store's copy after the other's. The stream begins at once: how long copying takes is not known.
    pub fn backup(
        &self,
        context: &RequestContext,
        is_ledger_only: bool,
    ) -> Result<impl Stream<Item = Result<Part, Error>> + Send + use<>, Error> {
        self.telling(context, context.require_everywhere(Permission::Backup))?;
        let permit = self.admission.stream(context)?;
        let access = self.stream_access(context.clone())?;
        let (ledger, billing, trail) = (self.ledger.clone(), self.billing.clone().filter(|_| !is_ledger_only), self.trail.clone());
        let act = Act::of("backup.taken", &context.change_at(self.clock().now())).with("ledger_only", is_ledger_only);
        let parts = async move {
            let copies = copy(&ledger, billing.as_ref()).await?;
            trail.record(act);
            Ok::<_, Error>(read(copies, permit))
        };
        Ok(access.hold(stream::once(parts).try_flatten(), |context| context.require_everywhere(Permission::Backup)))
    }
}

/// Copies each store; the copies are to be read from their beginnings.
async fn copy(ledger: &Ledger, billing: Option<&Billing>) -> Result<Vec<(Stored, File)>, Error> {
    let engine = ledger.engine();
    let Some(path) = engine.file() else {
        return Err(not_supported(
            "the ledger is in Redis: take a backup of the billing store first (pg_dump), then a snapshot of Redis (BGSAVE). They belong \
             together as long as the journal reaches back to the first (--journal-keep)",
        ));
    };
    if billing.is_some_and(|billing| billing.store().dialect() == Dialect::Postgres) {
        return Err(not_supported(
            "the billing store is in PostgreSQL: take its backup first (pg_dump), then one of the ledger only (--ledger-only). They belong \
             together as long as the journal reaches back to the first (--journal-keep)",
        ));
    }
    let Some(_hold) = engine.hold_journal() else { return Err(Error::overloaded("another backup is under way")) };
    let mut copies = Vec::new();
    if let Some(billing) = billing {
        let copy = path.with_extension("billing.backup");
        clear(&copy).map_err(|error| failed(&error))?;
        let copied = billing.store().copy_to(&copy).await;
        let file = take_over(&copy);
        copied?;
        copies.push((Stored::Billing, file.map_err(|error| failed(&error))?));
    }
    let copy = path.with_extension("backup");
    clear(&copy).map_err(|error| failed(&error))?;
    let copied = engine.copy_to(copy.clone()).await;
    let file = take_over(&copy);
    copied?;
    copies.push((Stored::Ledger, file.map_err(|error| failed(&error))?));
    Ok(copies)
}

/// Reads copies on a thread of their own.
fn read(copies: Vec<(Stored, File)>, permit: impl Send + 'static) -> ReceiverStream<Result<Part, Error>> {
    let (sender, parts) = mpsc::channel(PARTS_AHEAD);
    let failed = sender.clone();
    let reading = move || {
        let _permit = permit;
        for (store, mut file) in copies {
            loop {
                let part = match next_part(&mut file) {
                    Ok(content) if content.is_empty() => break,
                    Ok(content) => Ok(Part { store, content }),
                    Err(error) => Err(broken(&error)),
                };
                let is_last = part.is_err();
                if sender.blocking_send(part).is_err() || is_last {
                    return;
                }
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("backup".into()).spawn(reading) {
        let _ = failed.try_send(Err(broken(&error)));
    }
    ReceiverStream::new(parts)
}

/// The next bytes of a copy; empty at its end.
fn next_part(file: &mut File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.by_ref().take(PART_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

fn not_supported(text: &str) -> Error {
    Error::precondition("BACKUP_NOT_SUPPORTED", "stores", text)
}

/// Removes what an earlier process left.
fn clear(path: &Path) -> io::Result<()> {
    match remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens a file, and takes its name away.
fn take_over(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    remove_file(path)?;
    Ok(file)
}

fn failed(error: &io::Error) -> Error {
    tracing::error!(%error, "a backup cannot be written beside the ledger");
    Error::store_unavailable()
}

fn broken(error: &io::Error) -> Error {
    tracing::error!(%error, "a backup cannot be read");
    Error::store_unavailable()
}
