//! AuditService: who did what.

use serde_json::{Map, Value};
use tonic::{Request, Response, Status};

use super::call::{read as taken, unary};
use super::v1::audit_service_server::AuditService;
use super::wire::reader::FieldReader;
use super::wire::render::instant;
use super::{page_token, pages, v1};
use crate::billing::audit::list::{AuditCursor, AuditFilter};
use crate::billing::audit::{AuditRecord, Outcome, SERVICE};
use crate::domain::time::UnixMillis;
use crate::service::UseCases;
use crate::service::audit::AuditPage;

/// The service.
#[derive(Clone)]
pub struct Audit {
    use_cases: UseCases,
}

impl Audit {
    /// The service.
    #[must_use]
    pub fn new(use_cases: UseCases) -> Self {
        Self { use_cases }
    }
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit_records(
        &self,
        request: Request<v1::ListAuditRecordsRequest>,
    ) -> Result<Response<v1::ListAuditRecordsResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let Listing { filter, count, after, query } = taken(use_cases, request, listing)?;
            let AuditPage { records, next } = use_cases.list_audit_records(context, &filter, after, count).await?;
            let token = |(at, chain, place): AuditCursor| {
                let place = (at.get().cast_unsigned(), (chain.cast_unsigned(), place.cast_unsigned()));
                page_token::encode(&query.each_ref().map(String::as_str), &place)
            };
            let places: Vec<AuditCursor> = records.iter().map(|found| (found.act.at, found.chain, found.place)).collect();
            let (records, next) = pages::page(records.into_iter().map(record).collect(), &places, next);
            Ok(v1::ListAuditRecordsResponse { records, next_page_token: next.map(token).unwrap_or_default() })
        })
        .await
    }
}

/// Which records to list.
struct Listing {
    filter: AuditFilter,
    count: usize,
    after: Option<AuditCursor>,
    /// The request fields that page tokens are bound to.
    query: [String; 7],
}

fn listing(reader: &mut FieldReader, request: v1::ListAuditRecordsRequest) -> Listing {
    let v1::ListAuditRecordsRequest { account_id, actor, action, outcome, from, to, page_size, page_token: token } = request;
    let query = ["audit".to_owned(), account_id.clone(), actor.clone(), action.clone(), outcome.to_string(), stamp(from), stamp(to)];
    let after: Option<(u64, (u64, u64))> = page_token::read(reader, "page_token", &query.each_ref().map(String::as_str), &token);
    let given = |text: String| (!text.is_empty()).then_some(text);
    let filter = AuditFilter {
        account: (!account_id.is_empty()).then(|| reader.account_id(account_id)),
        actor: given(reader.text("actor", actor, 0..=128)),
        action: given(reader.text("action", action, 0..=64)),
        outcome: reader.choice("outcome", outcome).and_then(read_outcome),
        from: reader.instant("from", from),
        to: reader.instant("to", to),
        scope: None,
    };
    let after = after.map(|(at, (chain, place))| (UnixMillis::new(at.cast_signed()), chain.cast_signed(), place.cast_signed()));
    Listing { filter, count: reader.page_size(page_size), after, query }
}

fn stamp(instant: Option<prost_types::Timestamp>) -> String {
    instant.map_or_else(String::new, |instant| format!("{}.{}", instant.seconds, instant.nanos))
}

fn read_outcome(outcome: v1::AuditOutcome) -> Option<Outcome> {
    match outcome {
        v1::AuditOutcome::Unspecified => None,
        v1::AuditOutcome::Done => Some(Outcome::Done),
        v1::AuditOutcome::Refused => Some(Outcome::Refused),
        v1::AuditOutcome::Failed => Some(Outcome::Failed),
    }
}

fn record(AuditRecord { chain, place, act, is_erased }: AuditRecord) -> v1::AuditRecord {
    let outcome = match act.outcome {
        Outcome::Done => v1::AuditOutcome::Done,
        Outcome::Refused => v1::AuditOutcome::Refused,
        Outcome::Failed => v1::AuditOutcome::Failed,
    };
    let text = |map: Map<String, Value>| if map.is_empty() { String::new() } else { Value::Object(map).to_string() };
    let of = if chain == SERVICE { "service".to_owned() } else { chain.to_string() };
    v1::AuditRecord {
        record_id: format!("{of}-{place}"),
        at: Some(instant(act.at)),
        actor: act.actor,
        on_behalf_of: act.on_behalf_of,
        action: act.action,
        account_id: act.account.into(),
        outcome: outcome.into(),
        request_id: act.request_id.into(),
        entry_id: if act.sequence == 0 { String::new() } else { format!("{chain}-{}", act.sequence) },
        protocol: act.origin.protocol,
        address: act.origin.address,
        trace_id: act.origin.trace_id,
        details: text(act.content),
        personal: text(act.personal),
        is_erased,
        authenticated_by: act.origin.authenticated_by,
    }
}
