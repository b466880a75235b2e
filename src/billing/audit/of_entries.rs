//! What the journal tells of acts: each entry that somebody asked for by hand, or that moves money other than by charging, is one.

use serde_json::{Map, Value as Json, json};

use super::{Act, Outcome};
use crate::digest::Fields;
use crate::projection::AccountState;
use crate::record::{Record, number};
use crate::words::words;
use domain::account::{Account, NonUsageBilling};
use domain::entry::EntryKind;
use domain::money::format_units;
use domain::origin::Origin;
use domain::time::UnixMillis;

/// Whether an entry is an act. Charges are not, nor what follows automatically: cuts and roundings.
#[must_use]
pub fn is_act(kind: EntryKind) -> bool {
    match kind {
        EntryKind::Created
        | EntryKind::Updated
        | EntryKind::RefundedBalance
        | EntryKind::RefundedUnbilled
        | EntryKind::ToppedUp
        | EntryKind::PaymentReversed
        | EntryKind::Withdrawn
        | EntryKind::Adjusted
        | EntryKind::LimitSet
        | EntryKind::Converted
        | EntryKind::Suspended
        | EntryKind::Resumed
        | EntryKind::Closed
        | EntryKind::Reopened
        | EntryKind::PaymentRecorded
        | EntryKind::WrittenOff
        | EntryKind::WriteOffReversed => true,
        EntryKind::ChargedBalance
        | EntryKind::ChargedUnbilled
        | EntryKind::ChargedOwnBill
        | EntryKind::Reserved
        | EntryKind::ReservationExtended
        | EntryKind::Released
        | EntryKind::PeriodClosed
        | EntryKind::FinalBilled
        | EntryKind::Rounded
        | EntryKind::AmountDueRounded
        | EntryKind::NotItemized
        | EntryKind::NotItemizedUnbilled => false,
    }
}

/// The action of an entry: "account.limit_set".
#[must_use]
pub fn action_of(kind: EntryKind) -> String {
    format!("account.{}", words(&kind).replace(' ', "_"))
}

/// The act that an entry records; `before` is the account as it was, unless the entry creates it, and `after` as it is then.
#[must_use]
pub fn act(record: &Record, before: Option<&AccountState>, after: &AccountState) -> Act {
    let entry = &record.entry;
    let account = &after.account;
    let act = Act {
        at: entry.time,
        actor: entry.metadata.actor.clone(),
        on_behalf_of: entry.metadata.on_behalf_of.clone(),
        action: action_of(entry.kind()),
        account: entry.account.clone(),
        outcome: Outcome::Done,
        request_id: entry.request_id.clone(),
        sequence: number(record.sequence),
        origin: Origin::read(&entry.metadata.origin),
        ..Act::default()
    };
    let act = act.with_reason(&entry.metadata.reason);
    if entry.kind().moves_money() {
        let amount = format_units(entry.amount(), account.decimals, account.minor_digits);
        let refers_to = (!entry.refers_to.is_empty()).then_some(entry.refers_to.as_str());
        return act.with("amount", amount).with("currency", account.currency.code()).with("refers_to", refers_to);
    }
    let (before_of, after_of) = (before.map(|state| settings(state, entry.time)), settings(after, entry.time));
    let (mut was, mut is) = (Map::new(), Map::new());
    for (name, value) in after_of {
        let old = before_of.as_ref().and_then(|before| before.get(&name)).cloned().unwrap_or_default();
        if old != value {
            is.insert(name.clone(), value);
            if before.is_some() {
                was.insert(name, old);
            }
        }
    }
    let object = |map: Map<String, Json>| if map.is_empty() { Json::Null } else { Json::Object(map) };
    let name = |state: Option<&AccountState>| state.map(|state| state.name.clone());
    let is_renamed = name(before).as_ref() != Some(&after.name);
    let act = act.with("before", object(was)).with("after", object(is));
    match (is_renamed, name(before)) {
        (false, _) => act,
        (true, None) => act.with_personal("after", json!({ "name": after.name })),
        (true, Some(was)) => act.with_personal("before", json!({ "name": was })).with_personal("after", json!({ "name": after.name })),
    }
}

/// What operators set of an account, but for its name.
fn settings(state: &AccountState, at: UnixMillis) -> Map<String, Json> {
    let Account { currency, decimals, minor_digits, mode, status, non_usage_billing, .. } = state.account;
    let amount = |units| format_units(units, decimals, minor_digits);
    let temporary = (state.account.temporary_until > at).then_some(state.account.temporary_until);
    let billing = match non_usage_billing {
        NonUsageBilling::Consolidated => "consolidated",
        NonUsageBilling::OneByOne => "one_by_one",
    };
    let settings = json!({
        "currency": currency.code(),
        "mode": words(&mode),
        "status": words(&status),
        "non_usage_billing": billing,
        "permanent_limit": amount(state.account.permanent_limit),
        "temporary_limit": temporary.map(|_| amount(state.account.temporary_limit)),
        "temporary_limit_until": temporary.and_then(|until| jiff::Timestamp::from_millisecond(until.get()).ok()).map(|until| until.to_string()),
        "low_credit_threshold": state.low_credit_threshold.map(amount),
    });
    if let Json::Object(settings) = settings { settings } else { Map::new() }
}

/// The digest of what an act and its entry must have in common.
#[must_use]
pub fn in_common(sequence: i64, at: UnixMillis, action: &str, texts: [&str; 5]) -> [u8; 32] {
    let mut fields = Fields::of("act");
    fields.number(sequence).number(at.get()).text(action);
    for text in texts {
        fields.text(text);
    }
    fields.bytes()
}

/// The same of an entry, if it is an act.
#[must_use]
pub fn of_entry(record: &Record) -> Option<[u8; 32]> {
    let entry = &record.entry;
    let metadata = &entry.metadata;
    let texts = [entry.account.as_str(), &entry.request_id, &metadata.actor, &metadata.on_behalf_of, &metadata.origin];
    is_act(entry.kind()).then(|| in_common(number(record.sequence), entry.time, &action_of(entry.kind()), texts))
}
