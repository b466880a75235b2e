//! `ExportUsage`: usage records in the order of the journal, resumable after each message.

use std::collections::HashMap;

use futures_util::{Stream, TryStreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::read::optional_account;
use super::render;
use crate::billing::{Billing, BillingError, Places, Record};
use crate::domain::account::{Account, Millis};
use crate::grpc::front::Front;
use crate::grpc::wire::Position;
use crate::grpc::{page_token, status, v1};

/// How many records a message holds.
const RECORDS: usize = 500;

/// How many accounts are remembered, to write amounts with their decimals.
const MOST_ACCOUNTS: usize = 10_000;

/// What tokens are bound to: the order of the records, which is always the same.
const QUERY: [&str; 1] = ["usage"];

/// One export.
struct Export {
    front: Front,
    billing: Billing,
    account: Option<String>,
    from: Millis,
    to: Millis,
    after: Option<(u16, u64)>,
    /// Of one account: where its records are, once they were looked for.
    places: Option<Places>,
    accounts: HashMap<String, Account>,
    _permit: OwnedSemaphorePermit,
}

/// Exports usage records. Fails at once if the request is none, or there is no billing store.
pub async fn usage(
    front: Front,
    request: v1::ExportUsageRequest,
) -> Result<impl Stream<Item = Result<v1::ExportUsageResponse, Status>> + Send + use<>, Status> {
    let permit = front.gate.stream()?;
    let (account, from, to, after) = front.read(request, Position::default(), |reader, request| {
        let from = reader.instant("from", request.from).unwrap_or(0);
        let to = reader.instant("to", request.to).unwrap_or(Millis::MAX);
        if from > to {
            reader.refuse("to", "must not lie before from");
        }
        let after: Option<(u64, u64)> = page_token::read(reader, "resume_token", &QUERY, &request.resume_token);
        (optional_account(reader, request.account_id), from, to, after)
    })?;
    let after = after.map(|(partition, sequence)| (u16::try_from(partition).unwrap_or(u16::MAX), sequence));
    let billing = front.billing().await?.clone();
    let export = Export { front, billing, account, from, to, after, places: None, accounts: HashMap::new(), _permit: permit };
    Ok(stream::try_unfold(export, |mut export| async move { Ok(export.next().await?.map(|message| (message, export))) }).into_stream())
}

impl Export {
    /// The next records; none: that was all.
    async fn next(&mut self) -> Result<Option<v1::ExportUsageResponse>, Status> {
        if self.front.stopping.is_cancelled() {
            return Err(status::stopping());
        }
        let records = self.records().await.map_err(|error| status::no_bills(&error, ""))?;
        let Some(last) = records.last() else { return Ok(None) };
        let place = (last.partition, last.sequence);
        self.after = Some(place);
        let mut message = v1::ExportUsageResponse {
            records: Vec::with_capacity(records.len()),
            resume_token: page_token::encode(&QUERY, &(u64::from(place.0), place.1)),
        };
        for record in records {
            message.records.push(self.write(record).await?);
        }
        Ok(Some(message))
    }

    async fn records(&mut self) -> Result<Vec<Record>, BillingError> {
        let Some(account) = &self.account else { return self.billing.usage(self.from, self.to, self.after, RECORDS).await };
        if self.places.is_none() {
            let mut places = self.billing.usage_of(account, self.from, self.to).await?;
            places.skip_to(self.after.unwrap_or_default());
            self.places = Some(places);
        }
        match &mut self.places {
            Some(places) => self.billing.records(places, RECORDS).await,
            None => Ok(Vec::new()),
        }
    }

    async fn write(&mut self, record: Record) -> Result<v1::UsageRecord, Status> {
        let id = &record.entry.account;
        let account = match self.accounts.get(id) {
            Some(account) => *account,
            None => {
                let account = self.front.observe(id, false).await?.account;
                if self.accounts.len() >= MOST_ACCOUNTS {
                    self.accounts.clear();
                }
                self.accounts.insert(id.clone(), account);
                account
            }
        };
        Ok(render::usage_record(record, &account))
    }
}
