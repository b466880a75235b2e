//! When drafts are issued, who approves them, and what is held back: reads requests, writes responses.

use super::super::call::read as taken;
use super::read;
use super::settings::{change, issuer_id};
use crate::billing::change::Applied;
use crate::billing::name_of;
use crate::billing::review::{Approved, DraftFilter, MOST_HOURS, MOST_NAMED, Review};
use crate::grpc::wire::reader::FieldReader;
use crate::grpc::wire::render::instant;
use crate::grpc::{page_token, v1};
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::error::Error;

/// The request fields that page tokens of held documents are bound to.
const HELD: [&str; 1] = ["held documents"];

/// When drafts are issued, and what waits.
pub async fn get(use_cases: &UseCases, context: &RequestContext, request: v1::GetIssuingRequest) -> Result<v1::GetIssuingResponse, Error> {
    let id = taken(use_cases, request.issuer_id, issuer_id)?;
    let (review, standing) = use_cases.issuing(context, id).await?;
    let (review, hours) = match review {
        Review::AtOnce => (v1::IssuingReview::AtOnce, 0),
        Review::AfterHours(hours) => (v1::IssuingReview::AfterHours, hours),
        Review::OnApproval => (v1::IssuingReview::OnApproval, 0),
    };
    let waiting = standing.drafts.iter().map(|(waits_for, queue)| v1::WaitingDrafts {
        waits_for: waits_for.name().to_owned(),
        count: queue.count,
        since: Some(instant(queue.since)),
    });
    Ok(v1::GetIssuingResponse {
        review: review.into(),
        grace_hours: hours.into(),
        waiting: waiting.collect(),
        held_documents: standing.held.count,
        held_since: (standing.held.count > 0).then(|| instant(standing.held.since)),
        warnings: standing.warnings(),
    })
}

/// Sets when drafts are issued.
pub async fn set(use_cases: &UseCases, context: &RequestContext, request: v1::SetIssuingRequest) -> Result<v1::SetIssuingResponse, Error> {
    let (id, review, change) = taken(use_cases, request, |reader, request| {
        let v1::SetIssuingRequest { issuer_id: id, request_id, review, grace_hours, operator, first_sent_at } = request;
        (issuer_id(reader, id), read_review(reader, review, grace_hours), change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.set_issuing(context, id, review, &change).await?;
    Ok(v1::SetIssuingResponse { replayed: applied == Applied::Before })
}

fn read_review(reader: &mut FieldReader, review: i32, hours: i32) -> Review {
    let grace = u16::try_from(hours).ok().filter(|hours| (1..=MOST_HOURS).contains(hours));
    let review = reader.choice("review", review).unwrap_or(v1::IssuingReview::Unspecified);
    match (review, grace) {
        (v1::IssuingReview::AfterHours, Some(hours)) => return Review::AfterHours(hours),
        (v1::IssuingReview::AfterHours, None) => reader.refuse("grace_hours", format!("must be from 1 to {MOST_HOURS}")),
        (v1::IssuingReview::Unspecified, _) => {
            reader.refuse("review", "must be ISSUING_REVIEW_AT_ONCE, _AFTER_HOURS or _ON_APPROVAL");
        }
        _ if hours != 0 => reader.refuse("grace_hours", "must be 0, unless review is ISSUING_REVIEW_AFTER_HOURS"),
        (v1::IssuingReview::OnApproval, _) => return Review::OnApproval,
        (v1::IssuingReview::AtOnce, _) => {}
    }
    Review::AtOnce
}

/// Approves drafts.
pub async fn approve(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::ApproveInvoicesRequest,
) -> Result<v1::ApproveInvoicesResponse, Error> {
    let (approved, change) = taken(use_cases, request, |reader, request| {
        let v1::ApproveInvoicesRequest { request_id, document_ids, filter, operator, first_sent_at } = request;
        (read_approved(reader, &document_ids, filter), change(reader, request_id, None, operator, first_sent_at))
    })?;
    let (applied, approved) = use_cases.approve_drafts(context, &approved, &change).await?;
    let approved = i64::try_from(approved).unwrap_or(i64::MAX);
    Ok(v1::ApproveInvoicesResponse { approved, replayed: applied == Applied::Before })
}

fn read_approved(reader: &mut FieldReader, ids: &[String], filter: Option<v1::DraftFilter>) -> Approved {
    let Some(filter) = filter else {
        if !(1..=MOST_NAMED).contains(&ids.len()) {
            reader.refuse("document_ids", format!("must be 1 to {MOST_NAMED}, or filter must be given"));
        }
        return Approved::Named(ids.iter().take(MOST_NAMED).map(|id| read::document_id(reader, "document_ids", id)).collect());
    };
    if !ids.is_empty() {
        reader.refuse("document_ids", "must be empty if filter is given");
    }
    reader.within("filter", |reader| {
        let v1::DraftFilter { account_id, kind, cut_before } = filter;
        Approved::Matching(DraftFilter {
            account: read::optional_account(reader, account_id),
            kind: reader.choice("kind", kind).and_then(read::document_kind),
            cut_before: reader.instant("cut_before", cut_before),
        })
    })
}

/// Works documents out again that are held back.
pub async fn retry(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::RetryHeldInvoicesRequest,
) -> Result<v1::RetryHeldInvoicesResponse, Error> {
    let (one, after) = taken(use_cases, request, |reader, request| {
        let v1::RetryHeldInvoicesRequest { document_id, page_token } = request;
        let one = (!document_id.is_empty()).then(|| read::document_id(reader, "document_id", &document_id));
        let after = page_token::read::<u64>(reader, "page_token", &HELD, &page_token).and_then(|id| i64::try_from(id).ok());
        (one, after.unwrap_or(0))
    })?;
    let (retried, next) = use_cases.retry_held(context, one, after).await?;
    let retried = retried.into_iter().map(|one| v1::RetriedInvoice {
        document_id: name_of(one.id),
        account_id: one.account.into(),
        held_reason: one.held_reason,
    });
    let next = next.and_then(|id| u64::try_from(id).ok());
    Ok(v1::RetryHeldInvoicesResponse {
        retried: retried.collect(),
        next_page_token: next.map(|id| page_token::encode(&HELD, &id)).unwrap_or_default(),
    })
}
