//! Writes decisions as answers. Amounts are shown with the account's decimals, as of the ledger's time.

use prost_types::Timestamp;

use crate::domain::account::{Account, Mode, Status};
use crate::domain::command::{Action, RemainderPolicy};
use crate::domain::money::{Units, format_units};
use crate::domain::outcome::{Grant, Outcome, ReserveVerdict, Verdict};
use crate::domain::time::UnixMillis;
use crate::grpc::v1;
use crate::service::advice::{Advice, Advised, Topic};
use crate::service::commands::Decided;
use crate::service::credit::Credit;
use crate::service::payments::Recorded;
use crate::service::watch::{CreditChange, Crossing};

#[must_use]
pub fn instant(at: UnixMillis) -> Timestamp {
    let millis = at.get();
    Timestamp { seconds: millis.div_euclid(1000), nanos: i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000 }
}

/// An amount, as text.
#[must_use]
pub fn amount(account: &Account, units: Units) -> String {
    format_units(units, account.decimals, account.minor_digits)
}

/// An amount, with its currency.
#[must_use]
pub fn money(account: &Account, units: Units) -> v1::Money {
    v1::Money { amount: amount(account, units), currency_code: account.currency.code().to_owned() }
}

/// A payment mode.
#[must_use]
pub fn mode(mode: Mode) -> v1::PaymentMode {
    match mode {
        Mode::Prepaid => v1::PaymentMode::Prepaid,
        Mode::Postpaid => v1::PaymentMode::Postpaid,
    }
}

#[must_use]
pub fn status(status: Status) -> v1::AccountStatus {
    match status {
        Status::Active => v1::AccountStatus::Active,
        Status::Suspended => v1::AccountStatus::Suspended,
        Status::Closed => v1::AccountStatus::Closed,
    }
}

/// An account's credit at `now`.
#[must_use]
pub fn credit(account: &Account, now: UnixMillis) -> v1::Credit {
    credit_of(&Credit::at(account, now))
}

/// An account's credit.
#[must_use]
pub fn credit_of(credit: &Credit) -> v1::Credit {
    let amount = |units| credit.unit.amount(units);
    v1::Credit {
        mode: mode(credit.mode).into(),
        status: status(credit.status).into(),
        currency_code: credit.unit.currency.code().to_owned(),
        balance: amount(credit.balance),
        unbilled: amount(credit.unbilled),
        amount_due: amount(credit.amount_due),
        reserved: amount(credit.reserved),
        credit_limit: amount(credit.limit),
        credit_limit_expires_at: credit.limit_expires_at.map(instant),
        usable: amount(credit.usable),
        current_balance: amount(credit.current_balance),
    }
}

/// A change of an account's credit.
#[must_use]
pub fn credit_change(change: CreditChange) -> v1::WatchUsableCreditResponse {
    let crossing = match change.crossing {
        Some(Crossing::FellBelow) => v1::ThresholdCrossing::FellBelow,
        Some(Crossing::RoseAbove) => v1::ThresholdCrossing::RoseAbove,
        None => v1::ThresholdCrossing::Unspecified,
    };
    v1::WatchUsableCreditResponse { credit: Some(credit_of(&change.credit)), crossing: crossing.into(), is_low: change.is_low }
}

/// Writes parts of a decision in the terms of its account.
trait Render {
    fn account(&self) -> &Account;
    fn money(&self, units: Units) -> Option<v1::Money>;
    fn decline(&self, reason: v1::DeclineReason, usable: Units, shortfall: Units) -> v1::Decline;
    fn no_credit(&self, shortfall: Units) -> v1::Decline;
    fn reservation(&self, name: &str, grant: &Grant) -> v1::Reservation;
    fn credit(&self) -> Option<v1::Credit>;
}

impl Render for Decided {
    fn account(&self) -> &Account {
        &self.outcome.account
    }

    fn money(&self, units: Units) -> Option<v1::Money> {
        Some(money(self.account(), units))
    }

    fn credit(&self) -> Option<v1::Credit> {
        Some(credit(self.account(), self.outcome.now))
    }

    fn decline(&self, reason: v1::DeclineReason, usable: Units, shortfall: Units) -> v1::Decline {
        v1::Decline { reason: reason.into(), usable: self.money(usable), shortfall: self.money(shortfall) }
    }

    fn no_credit(&self, shortfall: Units) -> v1::Decline {
        self.decline(v1::DeclineReason::InsufficientCredit, self.account().usable_credit(self.outcome.now), shortfall)
    }

    fn reservation(&self, name: &str, grant: &Grant) -> v1::Reservation {
        v1::Reservation {
            reservation_id: name.to_owned(),
            amount: self.money(grant.amount),
            report_by: Some(instant(grant.report_by)),
            expires_at: Some(instant(grant.expires_at)),
            final_unit: grant.is_final_unit,
        }
    }
}

/// The answer to an Authorize.
#[must_use]
pub fn authorize(decided: &Decided) -> v1::AuthorizeResponse {
    use v1::authorize_response::Outcome;
    let outcome = match &decided.decision.reservation {
        Some(grant) => Outcome::Granted(decided.reservation(&decided.command.request_id, grant)),
        None => Outcome::Declined(decided.no_credit(decided.decision.amount)),
    };
    v1::AuthorizeResponse { outcome: Some(outcome), credit: decided.credit(), replayed: decided.outcome.replayed }
}

/// The answer to a Debit.
#[must_use]
pub fn debit(decided: &Decided) -> v1::DebitResponse {
    use v1::debit_response::Outcome;
    let outcome = match decided.decision.verdict {
        Verdict::Declined => Outcome::Declined(decided.no_credit(decided.decision.amount)),
        Verdict::Done | Verdict::Unchanged => Outcome::Charged(charged(decided)),
    };
    v1::DebitResponse { outcome: Some(outcome), credit: decided.credit(), replayed: decided.outcome.replayed }
}

fn charged(decided: &Decided) -> v1::Charged {
    use v1::charged::ReserveRefused;
    let decision = &decided.decision;
    let (name, is_reserving) = match &decided.command.action {
        Action::Debit(debit) => (debit.reservation.as_deref().unwrap_or_default(), matches!(debit.then, RemainderPolicy::Reserve(_))),
        _ => ("", false),
    };
    let reserve_refused = match decision.reserve {
        _ if !is_reserving => None,
        ReserveVerdict::NotAsked | ReserveVerdict::Granted => None,
        ReserveVerdict::Declined { shortfall } => Some(ReserveRefused::ReserveDeclined(Box::new(decided.no_credit(shortfall)))),
        ReserveVerdict::Suspended => Some(ReserveRefused::ReserveSuspended(true)),
        ReserveVerdict::TooMany => Some(ReserveRefused::ReserveTooMany(true)),
    };
    v1::Charged {
        amount: decided.money(decision.amount),
        overdraft: decided.money(decision.overdraft),
        reservation: decision.reservation.as_ref().map(|grant| Box::new(decided.reservation(name, grant))),
        reserve_refused,
    }
}

/// The answer to a Release.
#[must_use]
pub fn release(decided: &Decided) -> v1::ReleaseResponse {
    v1::ReleaseResponse { released: decided.money(decided.decision.amount), credit: decided.credit(), replayed: decided.outcome.replayed }
}

/// The answer to a Refund.
#[must_use]
pub fn refund(decided: &Decided, advice: Vec<Advice>) -> v1::RefundResponse {
    v1::RefundResponse {
        refunded: decided.money(decided.decision.amount),
        credited: decided.money(decided.decision.amount + decided.decision.credit_rounding),
        credit: decided.credit(),
        replayed: decided.outcome.replayed,
        advice: advice.into_iter().map(piece).collect(),
    }
}

/// The answer to a Convert.
#[must_use]
pub fn convert(Advised { decided, advice, .. }: Advised) -> v1::ConvertResponse {
    let after = decided.account().usable_credit(decided.outcome.now);
    v1::ConvertResponse {
        converted: decided.decision.verdict == Verdict::Done,
        usable_before: decided.money(decided.decision.amount),
        usable_after: decided.money(after),
        advice: advice.into_iter().map(piece).collect(),
        credit: decided.credit(),
        replayed: decided.outcome.replayed,
    }
}

fn piece(Advice { topic, text }: Advice) -> v1::Advice {
    let topic = match topic {
        Topic::LowLimit => v1::AdviceTopic::LowLimit,
        Topic::Timing => v1::AdviceTopic::Timing,
        Topic::EstimatedLimit => v1::AdviceTopic::EstimatedLimit,
        Topic::AmountDue => v1::AdviceTopic::AmountDue,
        Topic::FinalBill => v1::AdviceTopic::FinalBill,
        Topic::RemoveLimit => v1::AdviceTopic::RemoveLimit,
        Topic::RenewedLimit => v1::AdviceTopic::RenewedLimit,
        Topic::WrittenOff => v1::AdviceTopic::WrittenOff,
    };
    v1::Advice { topic: topic.into(), text }
}

/// The answer to a GetUsableCredit.
#[must_use]
pub fn usable_credit(outcome: &Outcome) -> v1::GetUsableCreditResponse {
    v1::GetUsableCreditResponse { credit: Some(credit(&outcome.account, outcome.now)) }
}

/// The answer to a TopUp.
#[must_use]
pub fn top_up(decided: &Decided) -> v1::TopUpResponse {
    v1::TopUpResponse { credit: decided.credit(), replayed: decided.outcome.replayed }
}

/// The answer to a RecordPayment.
#[must_use]
pub fn record_payment(Recorded { decided, allocations }: Recorded) -> v1::RecordPaymentResponse {
    let shown = |(invoice_number, units)| v1::Allocation { invoice_number, amount: decided.money(units) };
    v1::RecordPaymentResponse {
        credit: decided.credit(),
        allocations_known: allocations.is_some(),
        allocations: allocations.unwrap_or_default().into_iter().map(shown).collect(),
        replayed: decided.outcome.replayed,
    }
}

/// The answer to a ReversePayment.
#[must_use]
pub fn reverse_payment(decided: &Decided) -> v1::ReversePaymentResponse {
    v1::ReversePaymentResponse {
        reversed: decided.money(decided.decision.amount),
        credit: decided.credit(),
        replayed: decided.outcome.replayed,
    }
}

/// The answer to a WriteOff.
#[must_use]
pub fn write_off(decided: &Decided) -> v1::WriteOffResponse {
    v1::WriteOffResponse {
        credit: decided.credit(),
        replayed: decided.outcome.replayed,
        written_off: decided.money(decided.decision.amount),
    }
}

/// The answer to a ReverseWriteOff.
#[must_use]
pub fn reverse_write_off(decided: &Decided) -> v1::ReverseWriteOffResponse {
    v1::ReverseWriteOffResponse {
        reversed: decided.money(decided.decision.amount),
        credit: decided.credit(),
        replayed: decided.outcome.replayed,
    }
}

/// The answer to a Withdraw.
#[must_use]
pub fn withdraw(decided: &Decided) -> v1::WithdrawResponse {
    use v1::withdraw_response::Outcome;
    let decision = &decided.decision;
    let outcome = match decision.verdict {
        Verdict::Declined => {
            let own = decided.account().withdrawable();
            Outcome::Declined(decided.decline(v1::DeclineReason::InsufficientFunds, own, decision.amount))
        }
        Verdict::Done | Verdict::Unchanged => Outcome::Withdrawn(money(decided.account(), decision.amount)),
    };
    v1::WithdrawResponse { outcome: Some(outcome), credit: decided.credit(), replayed: decided.outcome.replayed }
}

/// The answer to an AdjustBalance.
#[must_use]
pub fn adjust(decided: &Decided) -> v1::AdjustBalanceResponse {
    v1::AdjustBalanceResponse { credit: decided.credit(), replayed: decided.outcome.replayed }
}

/// The answer to a SetCreditLimit.
#[must_use]
pub fn set_credit_limit(decided: &Decided) -> v1::SetCreditLimitResponse {
    v1::SetCreditLimitResponse { credit: decided.credit(), replayed: decided.outcome.replayed }
}

/// The answer to a SuspendAccount.
#[must_use]
pub fn suspend(decided: &Decided) -> v1::SuspendAccountResponse {
    let changed = decided.decision.verdict == Verdict::Done;
    v1::SuspendAccountResponse { changed, credit: decided.credit(), replayed: decided.outcome.replayed }
}

/// The answer to a ResumeAccount.
#[must_use]
pub fn resume(decided: &Decided) -> v1::ResumeAccountResponse {
    let changed = decided.decision.verdict == Verdict::Done;
    v1::ResumeAccountResponse { changed, credit: decided.credit(), replayed: decided.outcome.replayed }
}

/// The answer to a ReopenAccount.
#[must_use]
pub fn reopen(decided: &Decided) -> v1::ReopenAccountResponse {
    v1::ReopenAccountResponse { credit: decided.credit(), replayed: decided.outcome.replayed }
}

/// The answer to a CloseAccount.
#[must_use]
pub fn close(decided: &Decided) -> v1::CloseAccountResponse {
    v1::CloseAccountResponse { credit: decided.credit(), replayed: decided.outcome.replayed }
}
