//! Reads the filters of lists from requests.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use prost_types::Timestamp;

use super::listing;
use super::reader::FieldReader;
use crate::billing::search::filtered::{Filter, Order, OrderBy};
use crate::domain::account::{Currency, Mode, Status};
use crate::domain::entry::EntryKind;
use crate::grpc::v1;
use crate::ledger::{AccountFilter, EntryFilter};
use crate::service::search::AccountSearch;

/// How many kinds may be named.
const MOST_KINDS: usize = 30;

/// The kinds of entries by their numbers in the API.
static KINDS: LazyLock<BTreeMap<i32, EntryKind>> =
    LazyLock::new(|| EntryKind::ALL.into_iter().map(|kind| (listing::kind(kind).into(), kind)).collect());

/// Which accounts are listed.
pub fn accounts(reader: &mut FieldReader, mode: i32, status: i32, currency_code: &str) -> AccountFilter {
    let mode = match reader.choice("mode", mode) {
        Some(v1::PaymentMode::Prepaid) => Some(Mode::Prepaid),
        Some(v1::PaymentMode::Postpaid) => Some(Mode::Postpaid),
        Some(v1::PaymentMode::Unspecified) | None => None,
    };
    let status = match reader.choice("status", status) {
        Some(v1::AccountStatus::Active) => Some(Status::Active),
        Some(v1::AccountStatus::Suspended) => Some(Status::Suspended),
        Some(v1::AccountStatus::Closed) => Some(Status::Closed),
        Some(v1::AccountStatus::Unspecified) | None => None,
    };
    let currency = Currency::parse(currency_code);
    if currency.is_none() && !currency_code.is_empty() {
        reader.refuse("currency_code", "must be empty, or an ISO 4217 code such as EUR");
    }
    AccountFilter { mode, status, currency }
}

/// Which accounts are searched for, and in which order.
pub fn account_search(reader: &mut FieldReader, request: &v1::SearchAccountsRequest) -> AccountSearch {
    let v1::SearchAccountsRequest { query, mode, status, currency_code, low_credit, owing, order_by, .. } = request;
    reader.text("query", query.clone(), 0..=200);
    let AccountFilter { mode, status, currency } = accounts(reader, *mode, *status, currency_code);
    let filter = Filter { mode, status, currency, is_low: *low_credit, is_owing: *owing };
    AccountSearch { text: query.clone(), filter, order: account_order(reader, order_by) }
}

/// What accounts are ordered by, as AIP-132 writes it.
fn account_order(reader: &mut FieldReader, order_by: &str) -> Order {
    let mut words = order_by.split_ascii_whitespace();
    let by = match words.next() {
        None | Some("name") => Some(OrderBy::Name),
        Some("usable_credit") => Some(OrderBy::UsableCredit),
        Some("balance") => Some(OrderBy::Balance),
        Some("amount_due") => Some(OrderBy::AmountDue),
        Some(_) => None,
    };
    let is_descending = words.next().map_or(Some(false), |word| (word == "desc").then_some(true));
    match (by, is_descending, words.next()) {
        (Some(by), Some(is_descending), None) => Order { by, is_descending },
        _ => {
            reader.refuse("order_by", "must be empty, or one of name, usable_credit, balance and amount_due, with \" desc\" or without");
            Order::default()
        }
    }
}

/// Which entries are listed.
pub fn entries(reader: &mut FieldReader, kinds: &[i32], from: Option<Timestamp>, to: Option<Timestamp>) -> EntryFilter {
    if kinds.len() > MOST_KINDS {
        reader.refuse("kinds", format!("must have at most {MOST_KINDS} elements"));
    }
    let mut found = Vec::new();
    for (index, number) in kinds.iter().take(MOST_KINDS).enumerate() {
        match KINDS.get(number) {
            Some(kind) => found.push(*kind),
            None => reader.refuse(&format!("kinds[{index}]"), "must be one of the values that the API names"),
        }
    }
    let (from, to) = (reader.instant("accepted_from", from), reader.instant("accepted_to", to));
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        reader.refuse("accepted_to", "must not lie before accepted_from");
    }
    EntryFilter { kinds: found, from, to }
}
