//! What lists are limited to, as requests say it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use prost_types::Timestamp;

use super::listing;
use super::reader::Reader;
use crate::domain::account::{Currency, Mode, Status};
use crate::domain::entry::EntryKind;
use crate::grpc::v1;
use crate::ledger::{AccountFilter, EntryFilter};

/// How many kinds may be named.
const MOST_KINDS: usize = 30;

/// The kinds of entries by their numbers in the API.
static KINDS: LazyLock<BTreeMap<i32, EntryKind>> =
    LazyLock::new(|| EntryKind::ALL.into_iter().map(|kind| (listing::kind(kind).into(), kind)).collect());

/// Which accounts are listed.
pub fn accounts(reader: &mut Reader, mode: i32, status: i32, currency_code: &str) -> AccountFilter {
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

/// Which entries are listed.
pub fn entries(reader: &mut Reader, kinds: &[i32], from: Option<Timestamp>, to: Option<Timestamp>) -> EntryFilter {
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
