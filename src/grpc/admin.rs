//! AdminService: care for the stores.

use std::fs::File;
use std::io::Read;
use std::pin::Pin;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::front::Front;
use super::v1;
use super::v1::admin_service_server::AdminService;
use crate::service::backup::{self, Stored};
use crate::service::error::Error;

/// How large a part is.
const PART_BYTES: u64 = 256 * 1024;

/// How many parts are read ahead.
const PARTS_AHEAD: usize = 4;

/// The service.
#[derive(Clone)]
pub struct Admin {
    front: Front,
}

impl Admin {
    /// The service on the stores of this process.
    #[must_use]
    pub fn new(front: Front) -> Self {
        Self { front }
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    type BackupStream = Pin<Box<dyn Stream<Item = Result<v1::BackupResponse, Status>> + Send>>;

    async fn backup(&self, request: Request<v1::BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        let permit = self.front.gate.stream()?;
        let (front, ledger_only) = (self.front.clone(), request.into_inner().ledger_only);
        let parts = async move {
            let billing = front.billing.as_ref().filter(|_| !ledger_only);
            backup::take(&front.ledger, billing).await.map(|copies| read(copies, permit)).map_err(Status::from)
        };
        // The answer begins at once: nobody knows beforehand how long the copies take.
        let parts = stream::once(parts).try_flatten();
        Ok(Response::new(parts.boxed()))
    }
}

/// Reads copies on a thread of their own.
fn read(copies: Vec<(Stored, File)>, permit: impl Send + 'static) -> ReceiverStream<Result<v1::BackupResponse, Status>> {
    let (sender, parts) = mpsc::channel(PARTS_AHEAD);
    let failed = sender.clone();
    let reading = move || {
        let _permit = permit;
        for (stored, mut file) in copies {
            loop {
                let part = match next_part(&mut file, stored) {
                    Ok(None) => break,
                    Ok(Some(part)) => Ok(part),
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

/// None: that was all.
fn next_part(file: &mut File, stored: Stored) -> std::io::Result<Option<v1::BackupResponse>> {
    let store = match stored {
        Stored::Billing => v1::BackupStore::Billing,
        Stored::Ledger => v1::BackupStore::Ledger,
    };
    let mut content = Vec::new();
    file.by_ref().take(PART_BYTES).read_to_end(&mut content)?;
    Ok((!content.is_empty()).then(|| v1::BackupResponse { store: store.into(), content }))
}

fn broken(error: &std::io::Error) -> Status {
    tracing::error!(%error, "a backup cannot be read");
    Error::store_unavailable().into()
}
