//! `BatchConvert`: reads the request, and writes the outcome for each account as a message.

use std::collections::BTreeSet;

use futures_util::{Stream, StreamExt};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::super::call::read as taken;
use crate::domain::account::Currency;
use crate::domain::command::Metadata;
use crate::domain::ids::AccountId;
use crate::grpc::v1::batch_convert_request::{Accounts, Limit as AskedLimit};
use crate::grpc::v1::batch_convert_response::Outcome;
use crate::grpc::wire::charging::needed_mode;
use crate::grpc::wire::reader::{FieldReader, Sign};
use crate::grpc::wire::render::{mode, money};
use crate::grpc::{page_token, status, v1};
use crate::ledger::NamePlace;
use crate::service::UseCases;
use crate::service::context::RequestContext;
use crate::service::conversions::{Conversion, ConvertedAccount, Cursor, Limit, Plan, Selection};
use crate::service::error::Error;

/// How many accounts a list may have.
const MOST_LISTED: usize = 10_000;

/// Converts accounts. Fails at once if the request is wrong.
pub async fn convert(
    use_cases: &UseCases,
    context: RequestContext,
    request: v1::BatchConvertRequest,
) -> Result<impl Stream<Item = Result<v1::BatchConvertResponse, Status>> + Send + use<>, Error> {
    let query = query_of(&request);
    let (plan, selection, from) = taken(use_cases, request, |reader, request| {
        let from: Option<(u64, String)> = page_token::read(reader, "resume_token", &["batch", &query], &request.resume_token);
        let from = from.map_or_else(Cursor::default, |(done, name)| Cursor { done, after: name_place(&name) });
        let (plan, selection) = read(reader, request);
        (plan, selection, from)
    })?;
    let answers = use_cases.convert_accounts(context, plan, selection, from, CancellationToken::new()).await?;
    Ok(answers.map(move |answer| answer.map(|converted| written(converted, &query)).map_err(status::of)))
}

fn written(converted: ConvertedAccount, query: &str) -> v1::BatchConvertResponse {
    let ConvertedAccount { id, conversion, cursor, total } = converted;
    let outcome = match conversion {
        Conversion::Done { is_mode_changed, before, usable_before, after, now, replayed } => Outcome::Converted(v1::BatchConverted {
            mode_changed: is_mode_changed,
            credit_limit: Some(money(&after, after.credit_limit(now))),
            usable_before: Some(money(&before, usable_before)),
            usable_after: Some(money(&after, after.usable_credit(now))),
            replayed,
        }),
        Conversion::Unchanged { account, now } => Outcome::Unchanged(v1::BatchUnchanged {
            mode: mode(account.mode).into(),
            credit_limit: Some(money(&account, account.credit_limit(now))),
        }),
        Conversion::Refused(error) => Outcome::Error(status::as_outcome(error)),
    };
    let place = cursor.after.map(|place| format!("{}\0{}", place.account, place.folded_name)).unwrap_or_default();
    v1::BatchConvertResponse {
        account_id: id.into(),
        outcome: Some(outcome),
        resume_token: page_token::encode(&["batch", query], &(cursor.done, place)),
        done: i64::try_from(cursor.done).unwrap_or(i64::MAX),
        total: i64::try_from(total).unwrap_or(i64::MAX),
    }
}

/// What tokens are bound to: all of the request but the token.
fn query_of(request: &v1::BatchConvertRequest) -> String {
    let plain = v1::BatchConvertRequest { resume_token: String::new(), ..request.clone() };
    blake3::hash(&plain.encode_to_vec()).to_hex().to_string()
}

/// A place in the order of names, as a token holds it: the account's id, which has no zero byte, and its folded name.
fn name_place(text: &str) -> Option<NamePlace> {
    let (account, folded_name) = text.split_once('\0')?;
    Some(NamePlace { folded_name: folded_name.to_owned(), account: account.into() })
}

fn read(reader: &mut FieldReader, request: v1::BatchConvertRequest) -> (Plan, Selection) {
    let batch_id = reader.identifier("batch_id", request.batch_id);
    if batch_id.len() > 100 {
        reader.refuse("batch_id", "must be at most 100 characters");
    }
    let mode = needed_mode(reader, request.mode);
    let (limit, is_suggested) = match request.limit {
        None => (None, false),
        Some(AskedLimit::LimitForAll(money)) => (wanted(reader, "limit_for_all", money), false),
        Some(AskedLimit::SuggestedLimit(true)) => (None, true),
        Some(AskedLimit::SuggestedLimit(false)) => {
            reader.refuse("suggested_limit", "must be true, or absent");
            (None, false)
        }
    };
    let source = match request.accounts {
        None => {
            reader.refuse("", "must say which accounts: list or filter");
            Selection::List(Vec::new())
        }
        Some(Accounts::List(list)) => Selection::List(read_list(reader, list.accounts)),
        Some(Accounts::Filter(filter)) => {
            let prefix = reader.text("filter.name_prefix", filter.name_prefix, 0..=200);
            let currency = read_currency(reader, "filter.currency_code", &filter.currency_code);
            if currency.is_none() && limit.is_some_and(|limit| limit.currency.is_none()) {
                reader.refuse("filter.currency_code", "must be given with limit_for_all");
            }
            Selection::Filter { prefix, currency: currency.or(limit.and_then(|limit| limit.currency)) }
        }
    };
    let mut metadata = Metadata::default();
    reader.operator(request.operator, true, &mut metadata);
    let plan = Plan {
        batch_id,
        mode,
        limit,
        is_suggested,
        limit_if_unchanged: request.limit_if_unchanged,
        allow_unusable: request.allow_unusable,
        is_dry_run: request.dry_run,
        metadata,
    };
    (plan, source)
}

fn read_currency(reader: &mut FieldReader, field: &str, code: &str) -> Option<Currency> {
    if code.is_empty() {
        return None;
    }
    let currency = Currency::parse(code);
    if currency.is_none() {
        reader.refuse(field, "must be an ISO 4217 code: three capital letters");
    }
    currency
}

/// An amount with a currency of its own: accounts of a list may differ in theirs.
fn wanted(reader: &mut FieldReader, field: &str, money: v1::Money) -> Option<Limit> {
    let currency = read_currency(reader, &format!("{field}.currency_code"), &money.currency_code);
    let mut own = FieldReader::new(reader.now());
    let amount = own.optional_amount("limit", Some(v1::Money { currency_code: String::new(), ..money }), Sign::NotNegative);
    match own.finish(amount) {
        Ok(amount) => Some(Limit { amount: amount?, currency }),
        Err(violations) => {
            violations.into_iter().for_each(|violation| reader.refuse(&format!("{field}.amount"), violation.rule));
            None
        }
    }
}

fn read_list(reader: &mut FieldReader, accounts: Vec<v1::BatchAccount>) -> Vec<(AccountId, Option<Limit>)> {
    if accounts.is_empty() || accounts.len() > MOST_LISTED {
        reader.refuse("list.accounts", format!("must be 1 to {MOST_LISTED}"));
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut list = Vec::with_capacity(accounts.len());
    for (index, v1::BatchAccount { account_id, limit }) in accounts.into_iter().enumerate() {
        let mut own = FieldReader::new(reader.now());
        let id = own.account_id(account_id);
        if let Err(violations) = own.finish(()) {
            let field = format!("list.accounts[{index}].account_id");
            violations.into_iter().for_each(|violation| reader.refuse(&field, violation.rule));
        } else if !seen.insert(id.clone()) {
            reader.refuse(&format!("list.accounts[{index}].account_id"), "must not be there twice");
        }
        let limit = limit.and_then(|money| wanted(reader, &format!("list.accounts[{index}].limit"), money));
        list.push((id, limit));
    }
    list
}
