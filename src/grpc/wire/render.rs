//! Writes decisions as answers. Amounts are shown with the account's decimals, as of the ledger's time.

use prost_types::Timestamp;

use super::Decided;
use crate::domain::account::{Account, Millis, Mode, Status};
use crate::domain::command::{Action, Then};
use crate::domain::money::format_units;
use crate::domain::outcome::{Grant, Outcome, ReserveVerdict, Verdict};
use crate::grpc::{advice, v1};

/// An instant.
#[must_use]
pub fn instant(at: Millis) -> Timestamp {
    Timestamp { seconds: at.div_euclid(1000), nanos: i32::try_from(at.rem_euclid(1000)).unwrap_or(0) * 1_000_000 }
}

/// An amount, as text.
#[must_use]
pub fn amount(account: &Account, units: i64) -> String {
    format_units(units, account.decimals, account.minor_digits)
}

/// An amount, with its currency.
#[must_use]
pub fn money(account: &Account, units: i64) -> v1::Money {
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

/// An account's credit at `now`.
#[must_use]
pub fn credit(account: &Account, now: Millis) -> v1::Credit {
    let status = match account.status {
        Status::Active => v1::AccountStatus::Active,
        Status::Suspended => v1::AccountStatus::Suspended,
        Status::Closed => v1::AccountStatus::Closed,
    };
    let is_temporary = now < account.temporary_until && account.temporary_limit > account.permanent_limit;
    v1::Credit {
        mode: mode(account.mode).into(),
        status: status.into(),
        currency_code: account.currency.code().to_owned(),
        balance: amount(account, account.balance),
        unbilled: amount(account, account.unbilled),
        amount_due: amount(account, account.amount_due()),
        reserved: amount(account, account.reserved),
        credit_limit: amount(account, account.credit_limit(now)),
        credit_limit_expires_at: is_temporary.then(|| instant(account.temporary_until)),
        usable: amount(account, account.usable_credit(now)),
        current_balance: amount(account, account.current_balance()),
    }
}

impl Decided {
    fn account(&self) -> &Account {
        &self.outcome.account
    }

    fn money(&self, units: i64) -> Option<v1::Money> {
        Some(money(self.account(), units))
    }

    /// The account's credit afterwards.
    #[must_use]
    pub fn credit(&self) -> Option<v1::Credit> {
        Some(credit(self.account(), self.now))
    }

    fn decline(&self, reason: v1::DeclineReason, usable: i64, shortfall: i64) -> v1::Decline {
        v1::Decline { reason: reason.into(), usable: self.money(usable), shortfall: self.money(shortfall) }
    }

    fn no_credit(&self, shortfall: i64) -> v1::Decline {
        self.decline(v1::DeclineReason::InsufficientCredit, self.account().usable_credit(self.now), shortfall)
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
        Some(grant) => Outcome::Granted(decided.reservation(&decided.subject.command.request_id, grant)),
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
    let (name, is_reserving) = match &decided.subject.command.action {
        Action::Debit(debit) => (debit.reservation.as_deref().unwrap_or_default(), matches!(debit.then, Then::Reserve(_))),
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
pub fn refund(decided: &Decided) -> v1::RefundResponse {
    v1::RefundResponse {
        refunded: decided.money(decided.decision.amount),
        credited: decided.money(decided.decision.amount + decided.decision.credit_rounding),
        credit: decided.credit(),
        replayed: decided.outcome.replayed,
        advice: Vec::new(),
    }
}

/// The answer to a Convert, with advice by what is known besides.
#[must_use]
pub fn convert(decided: &Decided, known: &advice::Known) -> v1::ConvertResponse {
    let converted = decided.decision.verdict == Verdict::Done;
    let after = decided.account().usable_credit(decided.now);
    let advice = if converted { advice::after_conversion(decided, known) } else { Vec::new() };
    v1::ConvertResponse {
        converted,
        usable_before: decided.money(decided.decision.amount),
        usable_after: decided.money(after),
        advice,
        credit: decided.credit(),
        replayed: decided.outcome.replayed,
    }
}

/// The answer to a GetUsableCredit.
#[must_use]
pub fn usable_credit(outcome: &Outcome, now: Millis) -> v1::GetUsableCreditResponse {
    v1::GetUsableCreditResponse { credit: Some(credit(&outcome.account, now)) }
}

/// The answer to a TopUp.
#[must_use]
pub fn top_up(decided: &Decided) -> v1::TopUpResponse {
    v1::TopUpResponse { credit: decided.credit(), replayed: decided.outcome.replayed }
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
