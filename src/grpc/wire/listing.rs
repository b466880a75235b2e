//! Writes what is listed: accounts, reservations, journal entries.

use super::render::{credit, instant, mode, money};
use crate::domain::account::{Account, Category, NonUsageBilling, Reservation};
use crate::domain::entry::{Entry, EntryKind};
use crate::grpc::v1;
use crate::ledger::{EntryPosition, ListedAccount};
use crate::service::decisions::AccountDeclines;
use crate::service::search::SearchMethod;

/// Declined commands of an account.
#[must_use]
pub fn declines(found: AccountDeclines) -> v1::ListDeclinesResponse {
    let AccountDeclines { account, declines, kept_since } = found;
    let declines = declines.into_iter().map(|declined| v1::DeclinedCommand {
        declined_at: Some(instant(declined.at)),
        command: declined.command.to_owned(),
        request_id: declined.request_id.into(),
        reason: declined.reason.to_owned(),
        usable: declined.credit.map(|(usable, _)| money(&account, usable)),
        shortfall: declined.credit.map(|(_, shortfall)| money(&account, shortfall)),
        caller: declined.caller.into(),
        trace_id: declined.trace_id.map_or_else(String::new, |id| format!("{id:032x}")),
    });
    v1::ListDeclinesResponse { declines: declines.collect(), kept_since: Some(instant(kept_since)) }
}

/// A number for people. Bills and reservations are far fewer than an `i32` counts.
fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// An account, with its settings and its credit.
#[must_use]
pub fn account(listed: ListedAccount) -> v1::Account {
    let ListedAccount { id, account, profile, now } = listed;
    let account = &account;
    let non_usage_billing = match account.non_usage_billing {
        NonUsageBilling::Consolidated => v1::NonUsageBilling::Consolidated,
        NonUsageBilling::OneByOne => v1::NonUsageBilling::OneByOne,
    };
    let is_temporary_running = now < account.temporary_until;
    v1::Account {
        account_id: id.into(),
        name: profile.name,
        decimals: i32::from(account.decimals),
        non_usage_billing: non_usage_billing.into(),
        low_credit_threshold: profile.low_credit_threshold.map(|threshold| money(account, threshold)),
        permanent_limit: Some(money(account, account.permanent_limit)),
        temporary_limit: is_temporary_running.then(|| money(account, account.temporary_limit)),
        temporary_limit_expires_at: is_temporary_running.then(|| instant(account.temporary_until)),
        open_reservations: count(account.open_reservations),
        bill_number: count(account.open_bill),
        sequence: i64::try_from(account.sequence).unwrap_or(i64::MAX),
        created_at: Some(instant(profile.created_at)),
        credit: Some(credit(account, now)),
    }
}

/// An open reservation.
#[must_use]
pub fn reservation(account: &Account, reservation: &Reservation) -> v1::Reservation {
    v1::Reservation {
        reservation_id: reservation.request_id.to_string(),
        amount: Some(money(account, reservation.amount)),
        report_by: Some(instant(reservation.report_by)),
        expires_at: Some(instant(reservation.expires_at)),
        final_unit: false,
    }
}

/// A journal entry.
#[must_use]
pub fn entry(account: &Account, place: EntryPosition, entry: Entry) -> v1::Entry {
    let (recorded, amount, moved) = (entry.kind(), entry.amount(), entry.data.movement());
    let money = |units| Some(money(account, units));
    let is_by_hand = !entry.metadata.actor.is_empty() || !entry.metadata.reason.is_empty();
    let is_usage = entry.kind().is_charge() || matches!(entry.kind(), EntryKind::Reserved);
    let taken_off = entry.kind().is_refund().then(|| money(entry.data.taken_off())).flatten();
    let metadata = entry.metadata;
    v1::Entry {
        entry_id: format!("{}-{}", place.partition, place.sequence),
        kind: kind(recorded).into(),
        request_id: entry.request_id.into(),
        account_sequence: i64::try_from(entry.account_sequence).unwrap_or(i64::MAX),
        accepted_at: Some(instant(entry.time)),
        mode: mode(entry.mode).into(),
        bill_number: count(entry.bill),
        amount: money(amount),
        balance_before: money(entry.balance - moved.balance),
        balance_after: money(entry.balance),
        unbilled_before: money(entry.unbilled - moved.unbilled),
        unbilled_after: money(entry.unbilled),
        reserved_after: money(entry.reserved),
        refers_to: entry.refers_to.into(),
        taken_off,
        operator: is_by_hand.then_some(v1::Operator { actor: metadata.actor, reason: metadata.reason }),
        on_behalf_of: metadata.on_behalf_of,
        usage: is_usage.then_some(v1::Usage {
            item: metadata.item,
            description: metadata.description,
            quantity: metadata.quantity,
            unit: metadata.unit,
            category: category(metadata.category).into(),
            occurred_at: metadata.occurred_at.map(instant),
            attributes: metadata.attributes.into_iter().collect(),
        }),
    }
}

/// How accounts were found.
#[must_use]
pub fn way(way: SearchMethod) -> v1::AccountMatch {
    match way {
        SearchMethod::Parts => v1::AccountMatch::Parts,
        SearchMethod::Beginning => v1::AccountMatch::Beginning,
        SearchMethod::Ledger => v1::AccountMatch::BeginningOfName,
    }
}

/// What a charge is for.
#[must_use]
pub fn category(category: Option<Category>) -> v1::ChargeCategory {
    match category {
        None => v1::ChargeCategory::Unspecified,
        Some(Category::Usage) => v1::ChargeCategory::Usage,
        Some(Category::Subscription) => v1::ChargeCategory::Subscription,
        Some(Category::Hardware) => v1::ChargeCategory::Hardware,
        Some(Category::Service) => v1::ChargeCategory::Service,
    }
}

/// A kind of entry.
#[must_use]
pub fn kind(kind: EntryKind) -> v1::EntryKind {
    match kind {
        EntryKind::Created => v1::EntryKind::Created,
        EntryKind::Updated => v1::EntryKind::Updated,
        EntryKind::ChargedBalance => v1::EntryKind::ChargedBalance,
        EntryKind::ChargedUnbilled => v1::EntryKind::ChargedUnbilled,
        EntryKind::ChargedOwnBill => v1::EntryKind::ChargedOwnBill,
        EntryKind::RefundedBalance => v1::EntryKind::RefundedBalance,
        EntryKind::RefundedUnbilled => v1::EntryKind::RefundedUnbilled,
        EntryKind::ToppedUp => v1::EntryKind::ToppedUp,
        EntryKind::PaymentReversed => v1::EntryKind::PaymentReversed,
        EntryKind::Withdrawn => v1::EntryKind::Withdrawn,
        EntryKind::Adjusted => v1::EntryKind::Adjusted,
        EntryKind::LimitSet => v1::EntryKind::LimitSet,
        EntryKind::Converted => v1::EntryKind::Converted,
        EntryKind::PeriodClosed => v1::EntryKind::PeriodClosed,
        EntryKind::FinalBilled => v1::EntryKind::FinalBilled,
        EntryKind::Rounded => v1::EntryKind::Rounded,
        EntryKind::Suspended => v1::EntryKind::Suspended,
        EntryKind::Resumed => v1::EntryKind::Resumed,
        EntryKind::Closed => v1::EntryKind::Closed,
        EntryKind::Reserved => v1::EntryKind::Reserved,
        EntryKind::ReservationExtended => v1::EntryKind::ReservationExtended,
        EntryKind::Released => v1::EntryKind::Released,
        EntryKind::PaymentRecorded => v1::EntryKind::PaymentRecorded,
        EntryKind::WrittenOff => v1::EntryKind::WrittenOff,
        EntryKind::WriteOffReversed => v1::EntryKind::WriteOffReversed,
        EntryKind::AmountDueRounded => v1::EntryKind::AmountDueRounded,
        EntryKind::Reopened => v1::EntryKind::Reopened,
        EntryKind::NotItemized => v1::EntryKind::NotItemized,
        EntryKind::NotItemizedUnbilled => v1::EntryKind::NotItemizedUnbilled,
    }
}
