//! Who may call, beside the access files: reads requests, writes responses.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::billing::settings::change;
use super::call::read as taken;
use super::wire::reader::FieldReader;
use super::wire::render::instant;
use super::{page_token, pages, v1};
use crate::billing::callers::CallerKind;
use crate::billing::change::Applied;
use crate::domain::money::DecimalAmount;
use crate::domain::time::UnixMillis;
use crate::service::UseCases;
use crate::service::callers::{Caller, CallerPage, MadeKey, NewCaller};
use crate::service::context::RequestContext;
use crate::service::error::Error;
use access::file::GrantEntry;

/// The request fields that page tokens are bound to.
const QUERY: [&str; 1] = ["callers"];

/// What stands between kind and name in a page token; no name has it.
const BETWEEN: char = '\u{1f}';

/// Creates a key.
pub async fn create_key(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::CreateKeyRequest,
) -> Result<v1::CreateKeyResponse, Error> {
    let (new, change) = taken(use_cases, request, |reader, request| {
        let v1::CreateKeyRequest { request_id, name, grant, expires_at, operator, first_sent_at } = request;
        let expires_at = reader.instant("expires_at", expires_at);
        (NewCaller { name, grant: read_grant(reader, grant), expires_at }, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let MadeKey { caller, text } = use_cases.create_key(context, new, &change).await?;
    Ok(v1::CreateKeyResponse { caller: Some(rendered(caller)), replayed: text.is_none(), key: text.unwrap_or_default() })
}

/// Revokes one.
pub async fn revoke_key(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::RevokeKeyRequest,
) -> Result<v1::RevokeKeyResponse, Error> {
    let (name, change) = taken(use_cases, request, |reader, request| {
        let v1::RevokeKeyRequest { request_id, name, operator, first_sent_at } = request;
        (name, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.revoke_caller(context, CallerKind::Key, &name, &change).await?;
    Ok(v1::RevokeKeyResponse { replayed: applied == Applied::Before })
}

/// Admits the holders of a certificate.
pub async fn grant_certificate(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::GrantCertificateRequest,
) -> Result<v1::GrantCertificateResponse, Error> {
    let (new, change) = taken(use_cases, request, |reader, request| {
        let v1::GrantCertificateRequest { request_id, name, grant, operator, first_sent_at } = request;
        let new = NewCaller { name, grant: read_grant(reader, grant), expires_at: None };
        (new, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let (caller, applied) = use_cases.grant_certificate(context, new, &change).await?;
    Ok(v1::GrantCertificateResponse { caller: Some(rendered(caller)), replayed: applied == Applied::Before })
}

/// Revokes them.
pub async fn revoke_certificate(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::RevokeCertificateRequest,
) -> Result<v1::RevokeCertificateResponse, Error> {
    let (name, change) = taken(use_cases, request, |reader, request| {
        let v1::RevokeCertificateRequest { request_id, name, operator, first_sent_at } = request;
        (name, change(reader, request_id, None, operator, first_sent_at))
    })?;
    let applied = use_cases.revoke_caller(context, CallerKind::Certificate, &name, &change).await?;
    Ok(v1::RevokeCertificateResponse { replayed: applied == Applied::Before })
}

/// Who may call.
pub async fn list(
    use_cases: &UseCases,
    context: &RequestContext,
    request: v1::ListCallersRequest,
) -> Result<v1::ListCallersResponse, Error> {
    let (after, count) = taken(use_cases, request, |reader, request| {
        let place: Option<String> = page_token::read(reader, "page_token", &QUERY, &request.page_token);
        let after = place.as_deref().and_then(|place| place.split_once(BETWEEN));
        let after = after.and_then(|(kind, name)| Some((CallerKind::named(kind)?, name.to_owned())));
        (after, reader.page_size(request.page_size))
    })?;
    let CallerPage { callers, next } = use_cases.list_callers(context, after.as_ref(), count).await?;
    let token = |(kind, name): (CallerKind, String)| page_token::encode(&QUERY, &format!("{}{BETWEEN}{name}", kind.name()));
    let places: Vec<_> = callers.iter().map(|found| (found.stored.kind, found.stored.name.clone())).collect();
    let (callers, next) = pages::page(callers.into_iter().map(rendered).collect(), &places, next);
    Ok(v1::ListCallersResponse { callers, next_page_token: next.map(token).unwrap_or_default() })
}

/// Whether roles, accounts and amounts make sense, the use case says.
fn read_grant(reader: &mut FieldReader, grant: Option<v1::Grant>) -> GrantEntry {
    if grant.is_none() {
        reader.refuse("grant", "must be given");
    }
    let v1::Grant { roles, account_ids, acts_for_others, most, requests_per_second, concurrent_calls } = grant.unwrap_or_default();
    reader.within("grant", |reader| {
        let mut count = |field: &str, number: i32| {
            if number < 0 {
                reader.refuse(field, "must not be below 0");
            }
            u32::try_from(number).ok().and_then(NonZeroU32::new)
        };
        let (requests_per_second, concurrent_calls) =
            (count("requests_per_second", requests_per_second), count("concurrent_calls", concurrent_calls));
        let mut bounds: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for v1::MostAllowed { permission, amount } in most {
            let v1::Money { amount, currency_code } = amount.unwrap_or_default();
            if DecimalAmount::parse(&amount).is_err() {
                reader.refuse("most", "must have amounts such as 100.00, with their currency_code");
            }
            bounds.entry(permission).or_default().insert(currency_code, amount);
        }
        let accounts = (!account_ids.is_empty()).then_some(account_ids);
        GrantEntry { roles, accounts, acts_for_others, most: bounds, requests_per_second, concurrent_calls }
    })
}

fn rendered(Caller { stored, grant }: Caller) -> v1::Caller {
    let at = |at: UnixMillis| at.known().map(instant);
    let (kind, key_prefix) = match stored.kind {
        CallerKind::Key => (v1::CallerKind::Key, format!("tg_{}", stored.id)),
        CallerKind::Certificate => (v1::CallerKind::Certificate, String::new()),
    };
    let count = |count: Option<NonZeroU32>| count.map_or(0, |count| i32::try_from(count.get()).unwrap_or(i32::MAX));
    let most = grant.most.into_iter().flat_map(|(permission, amounts)| {
        amounts.into_iter().map(move |(currency_code, amount)| v1::MostAllowed {
            permission: permission.clone(),
            amount: Some(v1::Money { amount, currency_code }),
        })
    });
    v1::Caller {
        kind: kind.into(),
        name: stored.name,
        key_prefix,
        grant: Some(v1::Grant {
            roles: grant.roles,
            account_ids: grant.accounts.unwrap_or_default(),
            acts_for_others: grant.acts_for_others,
            most: most.collect(),
            requests_per_second: count(grant.requests_per_second),
            concurrent_calls: count(grant.concurrent_calls),
        }),
        created_at: at(stored.created_at),
        created_by: stored.created_by,
        expires_at: at(stored.expires_at),
        revoked_at: at(stored.revoked_at),
        last_used_at: at(stored.last_used_at),
    }
}
