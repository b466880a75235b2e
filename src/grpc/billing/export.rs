//! `ExportUsage`: usage records in the order of the journal, resumable after each message.

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use tonic::Status;

use super::super::call::read as taken;
use super::read::optional_account;
use super::render;
use crate::billing::UsageRecord;
use crate::domain::time::UnixMillis;
use crate::grpc::{page_token, status, v1};
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;
use crate::service::exports::ExportQuery;

/// How large a message is at most, but for one record.
const MESSAGE_BYTES: usize = 512 * 1024;

/// What tokens are bound to: the order of the records, which is always the same.
const QUERY: [&str; 1] = ["usage"];

/// Exports usage records. Fails at once if the request is wrong, or there is no billing store.
pub async fn usage(
    use_cases: &UseCases,
    context: RequestContext,
    request: v1::ExportUsageRequest,
) -> Result<impl Stream<Item = Result<v1::ExportUsageResponse, Status>> + Send + use<>, Error> {
    let wanted = taken(use_cases, request, |reader, request| {
        let from = reader.instant("from", request.from).unwrap_or_default();
        let to = reader.instant("to", request.to).unwrap_or(UnixMillis::MAX);
        if from > to {
            reader.refuse("to", "must not lie before from");
        }
        let after: Option<(u64, u64)> = page_token::read(reader, "resume_token", &QUERY, &request.resume_token);
        let after = after.map(|(partition, sequence)| (u16::try_from(partition).unwrap_or(u16::MAX), sequence));
        ExportQuery { account: optional_account(reader, request.account_id), from, to, after }
    })?;
    let export = use_cases.export_usage(context, wanted).await?;
    let pages = stream::try_unfold(export, |mut export| async move {
        let records = export.next().await?;
        Ok::<_, Error>((!records.is_empty()).then(|| (messages(records), export)))
    });
    Ok(pages.map_ok(|messages| stream::iter(messages).map(Ok)).map_err(status::of).try_flatten())
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
