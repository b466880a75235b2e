//! Renders a refusal as an error: its kind, its subject, and its text.

use super::{Error, Kind, RETRY_STORE, Subject, Violation};
use crate::fields;
use domain::account::Account;
use domain::command::{Action, Command};
use domain::ids::RequestId;
use domain::money::format_units;
use domain::outcome::Refusal;

/// The original of a refund or of a reversal, which is not there (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There never was one.
    NeverWas,
    /// It was not found as far back as the journal is searched.
    NoLongerKnown,
}

impl Error {
    /// A command was refused.
    #[must_use]
    pub fn refused(refusal: Refusal, command: &Command) -> Self {
        let (reason, text) = (refusal.reason(), text_of(refusal));
        let error = match refusal {
            Refusal::AccountNotFound => Self::not_found(reason, "account", &command.account, text),
            Refusal::AccountExists => {
                Self::new(Kind::AlreadyExists, reason, text).of(Subject::Resource("account", command.account.to_string()))
            }
            Refusal::ReservationNotFound => {
                Self::not_found(reason, "reservation", command.action.refers_to().map_or("", RequestId::as_str), text)
            }
            Refusal::TooManyReservations => Self::new(Kind::Exhausted, reason, text),
            Refusal::TooManyDecimals | Refusal::AmountOutOfRange | Refusal::NotInMinorUnits => {
                let least_scale = if refusal == Refusal::TooManyDecimals { 1 } else { 0 };
                let suspects = fields::amounts(&command.action).into_iter().filter(|(_, amount)| amount.scale() >= least_scale);
                let violations = suspects.map(|(field, _)| Violation { field: field.to_owned(), rule: text.to_owned() });
                Self::invalid_because(reason, violations.collect())
            }
            Refusal::StoreFull => Self::unavailable(reason, text, RETRY_STORE),
            Refusal::ChargeNotFound => return Self::missing_original(Missing::NeverWas, command),
            Refusal::StoreCorrupt | Refusal::OriginalNeeded | Refusal::BillNeeded | Refusal::Deferred => {
                Self::new(Kind::Internal, reason, text)
            }
            _ => Self::precondition(reason, format!("accounts/{}", command.account), text),
        };
        error.about(command)
    }

    /// The same with what the account says of it: what is due, or which its minor unit is. The account is read after the decision.
    #[must_use]
    pub fn explained_by(mut self, account: &Account) -> Self {
        let show = |units| format!("{} {}", format_units(units, account.decimals, account.minor_digits), account.currency.code());
        match self.reason {
            "EXCEEDS_AMOUNT_DUE" => {
                let due = show(account.debt());
                self.text = format!("{}: {due}", self.text);
                self.with("amount_due", due)
            }
            "NOT_IN_MINOR_UNITS" => {
                let minor_unit = show(account.minor_unit());
                for violation in &mut self.violations {
                    violation.rule = format!("{}: {minor_unit}", violation.rule);
                }
                self.text = format!("{}: {minor_unit}", self.text);
                self.with("minor_unit", minor_unit)
            }
            _ => self,
        }
    }

    /// The original of a refund, or of a reversal, is not there.
    #[must_use]
    pub fn missing_original(missing: Missing, command: &Command) -> Self {
        let name = command.action.refers_to().map_or("", RequestId::as_str);
        let (found, forgotten, resource) = match command.action {
            Action::ReversePayment(_) => ("PAYMENT_NOT_FOUND", "PAYMENT_NO_LONGER_KNOWN", "payment"),
            Action::ReverseWriteOff(_) => ("WRITE_OFF_NOT_FOUND", "WRITE_OFF_NO_LONGER_KNOWN", "write-off"),
            _ => ("CHARGE_NOT_FOUND", "CHARGE_NO_LONGER_KNOWN", "charge"),
        };
        let error = match missing {
            Missing::NeverWas => Self::not_found(found, resource, name, format!("the account has no such {resource}")),
            Missing::NoLongerKnown => {
                let text = format!("the {resource} was not found as far back as the journal is searched");
                Self::precondition(forgotten, format!("accounts/{}", command.account), text)
            }
        };
        error.about(command)
    }

    /// The names of account, request and original, for programs.
    fn about(self, command: &Command) -> Self {
        let mut error = self.with("account_id", &command.account);
        if !command.request_id.is_empty() {
            error = error.with("request_id", &command.request_id);
        }
        let key = match command.action {
            Action::Refund(_) => "charge_id",
            Action::ReversePayment(_) => "payment_id",
            Action::ReverseWriteOff(_) => "write_off_id",
            _ => "reservation_id",
        };
        match command.action.refers_to() {
            Some(original) => error.with(key, original),
            None => error,
        }
    }
}

/// A refusal, for people.
#[must_use]
pub fn text_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::RequestIdReused => "the request_id was used for something else",
        Refusal::RequestTooOld => "the request was first sent before the window in which request ids are remembered",
        Refusal::AccountExists => "the account exists",
        Refusal::AccountNotFound => "there is no such account",
        Refusal::CurrencyMismatch => "the account is in another currency",
        Refusal::TooManyDecimals => "must have at most as many decimals as the account",
        Refusal::AmountOutOfRange => "must be within what the account can hold: at most 2^51 of its smallest units",
        Refusal::AccountClosed => "the account is closed",
        Refusal::AccountSuspended => "the account is suspended",
        Refusal::ReservationNotFound => "there is no such reservation",
        Refusal::ReservationSettled => "the reservation was settled by a final debit",
        Refusal::ReservationReleased => "the reservation was released",
        Refusal::ReservationExpired => "the reservation has expired",
        Refusal::TooManyReservations => "the account has as many open reservations as it may",
        Refusal::ExceedsOriginal => "more than what is left of the original",
        Refusal::LimitEndsInPast => "the temporary limit would end before it begins",
        Refusal::WouldBeUnusable => {
            "a postpaid account with no limit and no overpayment can make no transaction; set a limit, or allow_unusable"
        }
        Refusal::AccountNotEmpty => "the account has a balance or an unbilled amount",
        Refusal::ReservationsOpen => "the account has open reservations",
        Refusal::BalanceOutOfRange => "an amount of the account would leave the range that is kept exactly",
        Refusal::ExceedsAmountDue => "no more can be written off than is due",
        Refusal::NotInMinorUnits => "must be a whole number of the currency's minor units",
        Refusal::SentInFuture => "first_sent_at is ahead of the service's clock",
        Refusal::StoreCorrupt => "the store holds what this version cannot read: nothing was done",
        Refusal::OriginalNeeded => "the service did not look up what the request refers to: nothing was done",
        Refusal::Deferred => "the service did not ask again after what was due of other accounts: nothing was done",
        Refusal::BillNeeded => "the service did not look up the bill of the charge: nothing was done",
        Refusal::ChargeNotFound => "the account has no such charge",
        Refusal::AccountNotClosed => "the account is not closed",
        Refusal::StoreFull => "the ledger's store has no memory left: nothing was done",
    }
}
