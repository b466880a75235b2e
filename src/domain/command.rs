//! A command to the ledger: one account, one action.
//!
//! Its shape was checked at the edge. What needs the account (decimals, currency, state, credit) is checked by [`super::rules`].

mod kind;

use super::account::{Category, Currency, ERASED_NAME, Mode, NonUsageBilling};
use super::entry::{EntryKind, Settings};
pub use super::metadata::Metadata;
use super::money::DecimalAmount;
use super::time::{Millis, UnixMillis};
use crate::ids::{AccountId, RequestId};
use crate::money::Units;
pub use kind::Kind;

/// A command, as the ledger takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The id of the account that it concerns.
    pub account: AccountId,
    /// The caller's name for this mutation; empty for a read.
    pub request_id: RequestId,
    /// When the caller first sent it, if it said so: a guard against retries that come after the id was forgotten.
    pub first_sent_at: Option<UnixMillis>,
    /// The currency that the caller believes the account to have, if it said so.
    pub currency: Option<Currency>,
    /// What to do.
    pub action: Action,
    /// Metadata from the caller, for the journal. The rules never look into it.
    pub metadata: Metadata,
}

impl Command {
    /// A command that says nothing but what to do.
    pub fn new(account: impl Into<AccountId>, request_id: impl Into<RequestId>, action: Action) -> Self {
        let (account, request_id) = (account.into(), request_id.into());
        Self { account, request_id, first_sent_at: None, currency: None, action, metadata: Metadata::default() }
    }

    /// Has it repeat what is remembered under its request id, and never be done anew: if the id is forgotten before it is decided, it is
    /// too old.
    pub fn only_repeat(&mut self) {
        self.first_sent_at = Some(UnixMillis::new(1));
    }
}

/// The action on the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at its credit. Changes nothing.
    Observe {
        /// Whether to have changes of the account announced for a while.
        watch: bool,
    },
    /// Set an amount aside.
    Authorize(Reserve),
    /// Charge, directly or against a reservation.
    Debit(Debit),
    /// Give a reservation back.
    Release {
        /// The reservation's name.
        reservation: RequestId,
    },
    /// Give a charge back, whole or in part.
    Refund(Reversal),
    /// Change the payment mode.
    Convert {
        /// The mode to have afterwards.
        mode: Mode,
        /// A limit to set in the same step.
        limit: LimitChange,
        /// Whether a postpaid account may be left without limit and overpayment.
        allow_unusable: bool,
    },
    /// Open the account.
    Create(Create),
    /// Change settings; what is None stays.
    Update {
        name: Option<String>,
        /// The low-credit threshold; `Some(None)` removes it.
        low_credit_threshold: Option<Option<DecimalAmount>>,
        /// How charges other than usage are billed.
        non_usage_billing: Option<NonUsageBilling>,
    },
    /// Replace the name of a closed account by [`ERASED_NAME`]: nothing else of a closed one can be changed.
    EraseName,
    /// Add money that the customer paid.
    TopUp {
        /// How much.
        amount: DecimalAmount,
    },
    /// Add money that the customer paid, on invoices.
    RecordPayment {
        /// How much.
        amount: DecimalAmount,
        /// The numbers of the invoices that it pays; `None` for the oldest first.
        invoices: Vec<String>,
    },
    /// Take back a top-up or a payment that bounced or was charged back.
    ReversePayment(Reversal),
    /// Give up a debt.
    WriteOff {
        /// How much; `None` for all that is due, to the last decimal.
        amount: Option<DecimalAmount>,
    },
    /// Take back a write-off.
    ReverseWriteOff(Reversal),
    /// Pay out the customer's own money.
    Withdraw {
        /// How much.
        amount: DecimalAmount,
        /// It was paid out already, so that nobody asks whether the account may have it.
        is_paid_out: bool,
    },
    /// Correct the balance, up or down.
    Adjust {
        /// By how much; signed, not zero.
        amount: DecimalAmount,
    },
    /// Change the credit limit.
    SetCreditLimit {
        /// To what.
        limit: LimitChange,
        /// Whether a postpaid account may be left without limit and overpayment.
        allow_unusable: bool,
    },
    /// Let nothing new happen.
    Suspend,
    /// Let it happen again.
    Resume,
    /// Let nothing happen any more.
    Close,
    /// Let a closed account be used again.
    Reopen,
    /// Write the close of the billing period, if it is due. It has no request id: repeated, it changes nothing.
    ClosePeriod,
}

/// An amount to set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// How much.
    pub amount: DecimalAmount,
    /// The least that is of use, if less than the amount is.
    pub minimum: Option<DecimalAmount>,
    /// How long until the client must report.
    pub validity: Millis,
    /// How long the reservation outlives that.
    pub grace: Millis,
}

/// A charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debit {
    /// How much; may be zero.
    pub amount: DecimalAmount,
    /// What for.
    pub category: Category,
    /// The reservation to charge against; `None` for a direct charge.
    pub reservation: Option<RequestId>,
    /// What is left of the reservation afterwards.
    pub then: RemainderPolicy,
    /// Whether the amount beyond the reservation must be within usable credit.
    pub excess: ExcessPolicy,
}

/// Whether the rest of a reservation is kept after a debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemainderPolicy {
    /// It is given back, and the reservation is settled.
    Settle,
    /// It stays reserved.
    Keep,
    /// It is given back, and a new amount is reserved under the same name.
    Reserve(Reserve),
}

/// What may be charged beyond a reservation (or without one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExcessPolicy {
    /// At most the usable credit; else the debit is declined.
    WithinUsableCredit = 1,
    /// Everything: it was consumed already, and an overdraft is marked.
    AlreadyConsumed = 2,
}

/// Giving back what an earlier entry took or gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reversal {
    /// The `request_id` of the earlier command.
    pub original: RequestId,
    /// How much; `None` for all that is left of it.
    pub amount: Option<DecimalAmount>,
    /// What was looked up of the earlier entry, because the step asked for it.
    pub facts: Option<OriginalEntry>,
    /// What was looked up of the bill of a charge, because the step asked for it.
    pub bill: Option<OriginalBill>,
}

impl Reversal {
    /// Of an earlier command, nothing being looked up.
    #[must_use]
    pub fn of(original: RequestId, amount: Option<DecimalAmount>) -> Self {
        Self { original, amount, facts: None, bill: None }
    }
}

/// Facts of an earlier entry. But for what was given back, they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalEntry {
    /// The partition's sequence of it.
    pub sequence: u64,
    pub kind: EntryKind,
    /// What it took or gave, in units.
    pub amount: Units,
    /// The bill that it fell into.
    pub bill: u32,
    /// What was given back of it, in units.
    pub given_back: Units,
    /// All entries up to this sequence were looked at to say so.
    pub known_until: u64,
}

/// Facts of a bill that was cut. But for what was refunded, they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalBill {
    /// Its number.
    pub bill: u32,
    /// What moved from unbilled to the balance, before it was rounded.
    pub billed: Units,
    /// What was refunded of its charges since, in units, measured by the charges.
    pub refunded: Units,
    /// All entries up to this sequence were looked at to say so.
    pub known_until: u64,
}

/// The settings of a new account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// Name of the customer.
    pub name: String,
    /// Of all its amounts.
    pub currency: Currency,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
    /// Digits behind the point of a unit.
    pub decimals: u8,
    /// Payment mode: prepaid or postpaid.
    pub mode: Mode,
    /// The limit to begin with.
    pub limit: LimitChange,
    /// Below this, credit is low.
    pub low_credit_threshold: Option<DecimalAmount>,
    /// How charges other than usage are billed.
    pub non_usage_billing: NonUsageBilling,
    /// Whether a postpaid account may start without a limit.
    pub allow_unusable: bool,
}

/// A change of the credit limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitChange {
    /// The permanent limit to set; `None` if it stays.
    pub permanent: Option<DecimalAmount>,
    /// What to do with the temporary one.
    pub temporary: TemporaryChange,
}

impl LimitChange {
    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.permanent.is_none() && self.temporary == TemporaryChange::Keep
    }
}

/// A change of the temporary credit limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemporaryChange {
    /// It stays as it is.
    #[default]
    Keep,
    /// It ends now.
    Remove,
    /// It is replaced.
    Set {
        /// How far the account may borrow while it runs.
        amount: DecimalAmount,
        /// Until when.
        until: Until,
    },
}

/// An end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Instant(UnixMillis),
    /// So long after the step that accepts it.
    After(Millis),
}

impl Action {
    /// The settings of an account that it sets.
    #[must_use]
    pub fn settings(&self) -> Settings {
        match self {
            Self::Create(create) => Settings {
                name: Some(create.name.clone()),
                low_credit_threshold: Some(create.low_credit_threshold),
                non_usage_billing: Some(create.non_usage_billing),
                denomination: Some((create.currency, create.decimals, create.minor_digits)),
            },
            Self::Update { name, low_credit_threshold, non_usage_billing } => Settings {
                name: name.clone(),
                low_credit_threshold: *low_credit_threshold,
                non_usage_billing: *non_usage_billing,
                denomination: None,
            },
            Self::EraseName => Settings { name: Some(ERASED_NAME.to_owned()), ..Settings::default() },
            _ => Settings::default(),
        }
    }

    /// The action's number in stores and fingerprints, and its name in metrics. The Lua script uses the same numbers.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Observe { .. } => Kind::Observe,
            Self::Authorize(_) => Kind::Authorize,
            Self::Debit(_) => Kind::Debit,
            Self::Release { .. } => Kind::Release,
            Self::Refund(_) => Kind::Refund,
            Self::Convert { .. } => Kind::Convert,
            Self::Create(_) => Kind::Create,
            Self::Update { .. } | Self::EraseName => Kind::Update,
            Self::TopUp { .. } => Kind::TopUp,
            Self::RecordPayment { .. } => Kind::RecordPayment,
            Self::ReversePayment(_) => Kind::ReversePayment,
            Self::Withdraw { .. } => Kind::Withdraw,
            Self::Adjust { .. } => Kind::Adjust,
            Self::SetCreditLimit { .. } => Kind::SetCreditLimit,
            Self::Suspend => Kind::Suspend,
            Self::Resume => Kind::Resume,
            Self::Close => Kind::Close,
            Self::ClosePeriod => Kind::ClosePeriod,
            Self::WriteOff { .. } => Kind::WriteOff,
            Self::ReverseWriteOff(_) => Kind::ReverseWriteOff,
            Self::Reopen => Kind::Reopen,
        }
    }

    /// Whether it has a request id, under which its decision is remembered.
    #[must_use]
    pub fn has_request_id(&self) -> bool {
        !matches!(self, Self::Observe { .. } | Self::ClosePeriod)
    }

    /// The invoices that it names.
    #[must_use]
    pub fn invoices(&self) -> &[String] {
        match self {
            Self::RecordPayment { invoices, .. } => invoices,
            _ => &[],
        }
    }

    /// The earlier command that this one refers to, and that must be loaded beside the account.
    #[must_use]
    pub fn refers_to(&self) -> Option<&RequestId> {
        match self {
            Self::Debit(debit) => debit.reservation.as_ref(),
            Self::Release { reservation } => Some(reservation),
            Self::Refund(reversal) | Self::ReversePayment(reversal) | Self::ReverseWriteOff(reversal) => Some(&reversal.original),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use crate::outcome::Refusal;
    use crate::rules::{IdempotencyRecord, LoadedState, ReservationEnd, StepTime, decide};

    #[test]
    fn what_only_repeats_is_never_done_anew() {
        let account = Account::opened(Mode::Prepaid, NonUsageBilling::Consolidated, (Currency::parse("EUR").unwrap(), 2, 2));
        let loaded = LoadedState { account: Some(account), next_sequence: 1, ..LoadedState::default() };
        let action = Action::Adjust { amount: DecimalAmount::new(1_000, 0) };
        let mut command = Command::new("acme", "r", action);
        let step_time = StepTime { now: UnixMillis::new(2_000_000), period_end: UnixMillis::new(3_000_000), window: 1_000_000 };
        let done = decide(&loaded, &command, &[7; 8], &step_time);
        let decision = done.answer.unwrap().decision.unwrap();

        command.only_repeat();
        let remembered = IdempotencyRecord { fingerprint: [7; 8], decision, ended: ReservationEnd::Not };
        let repeated = decide(&LoadedState { request: Some(&remembered), ..loaded }, &command, &[7; 8], &step_time);
        assert!(repeated.answer.unwrap().replayed);
        assert_eq!(decide(&loaded, &command, &[7; 8], &step_time).answer, Err(Refusal::RequestTooOld));
    }
}
