//! `ExportUsage`: usage records in the order of the journal, resumable after each message.

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::read::optional_account;
use super::render;
use crate::billing::UsageRecord;
use crate::domain::account::Millis;
use crate::grpc::front::Front;
use crate::grpc::wire::Position;
use crate::grpc::{page_token, status, v1};
use crate::service::export::{UsageExport, Wanted};

/// How large a message is at most, but for one record.
const MESSAGE_BYTES: usize = 512 * 1024;

/// What tokens are bound to: the order of the records, which is always the same.
const QUERY: [&str; 1] = ["usage"];

/// An export that a client takes.
struct Taken {
    export: UsageExport,
    stopping: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// Exports usage records. Fails at once if the request is none, or there is no billing store.
pub async fn usage(
    front: Front,
    request: v1::ExportUsageRequest,
) -> Result<impl Stream<Item = Result<v1::ExportUsageResponse, Status>> + Send + use<>, Status> {
    let permit = front.gate.stream()?;
    let wanted = front.read(request, Position::default(), |reader, request| {
        let from = reader.instant("from", request.from).unwrap_or(0);
        let to = reader.instant("to", request.to).unwrap_or(Millis::MAX);
        if from > to {
            reader.refuse("to", "must not lie before from");
        }
        let after: Option<(u64, u64)> = page_token::read(reader, "resume_token", &QUERY, &request.resume_token);
        let after = after.map(|(partition, sequence)| (u16::try_from(partition).unwrap_or(u16::MAX), sequence));
        Wanted { account: optional_account(reader, request.account_id), from, to, after }
    })?;
    let billing = front.billing().await?.clone();
    let export = UsageExport::begin(billing, wanted).await.map_err(|error| status::no_bills(&error, ""))?;
    let taken = Taken { export, stopping: front.stopping, _permit: permit };
    let pages = stream::try_unfold(taken, Taken::next);
    Ok(pages.map_ok(|messages| stream::iter(messages).map(Ok)).try_flatten())
}

impl Taken {
    /// The messages of the next page, and what is left; None: that was all.
    async fn next(mut self) -> Result<Option<(Vec<v1::ExportUsageResponse>, Self)>, Status> {
        if self.stopping.is_cancelled() {
            return Err(status::stopping());
        }
        let records = self.export.next().await.map_err(|error| status::no_bills(&error, ""))?;
        Ok(if records.is_empty() { None } else { Some((messages(records), self)) })
    }
}

/// Records as messages, none of which is too large for a client.
fn messages(records: Vec<UsageRecord>) -> Vec<v1::ExportUsageResponse> {
    let mut messages: Vec<v1::ExportUsageResponse> = Vec::new();
    let (mut free, mut last) = (0, (0, 0));
    let token = |last| page_token::encode(&QUERY, &last);
    for record in records {
        let place = (u64::from(record.partition), record.sequence);
        let record = render::usage_record(record);
        let size = record.encoded_len();
        match messages.last_mut() {
            Some(message) if size <= free => {
                message.records.push(record);
                free -= size;
            }
            full => {
                if let Some(full) = full {
                    full.resume_token = token(last);
                }
                messages.push(v1::ExportUsageResponse { records: vec![record], resume_token: String::new() });
                free = MESSAGE_BYTES.saturating_sub(size);
            }
        }
        last = place;
    }
    if let Some(message) = messages.last_mut() {
        message.resume_token = token(last);
    }
    messages
}
