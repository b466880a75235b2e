//! What a use case says when the ledger, the billing store, or the threads for long work give no answer.

use std::time::Duration;

use super::{Error, Kind, RETRY_STORE, text_of};
use billing::BillingError;
use billing::lookup::LookUpError;
use domain::outcome::Refusal;
use ledger::LedgerError;
use platform::lanes::offload::NotRun;

const RETRY_JOURNAL: Duration = Duration::from_secs(5);

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        match &error {
            LedgerError::NotDone(reason) => Self::store_unavailable().because("the store is unavailable", reason),
            LedgerError::Unknown(reason) => Self::outcome_unknown().because("the outcome of a command is unknown", reason),
            LedgerError::NotDurable(reason) => {
                let text = "it is not proved yet that what was decided is as durable as it must be: repeat the request with the same \
                            request_id to learn the decision";
                Self::unavailable("DURABILITY_UNKNOWN", text, RETRY_STORE).because("the durability of a command is unknown", reason)
            }
            LedgerError::Busy => Self::overloaded("too many commands are waiting"),
            LedgerError::JournalFull => {
                let text = "the journal is full, because the billing store has not taken it in: nothing was done, and nothing new is \
                            approved until it has; what is under way may be settled";
                Self::unavailable("JOURNAL_FULL", text, RETRY_JOURNAL)
            }
            LedgerError::Full => Self::unavailable("STORE_FULL", text_of(Refusal::StoreFull), RETRY_STORE),
            LedgerError::Corrupt(reason) => {
                let error = Self::new(Kind::Internal, "STORE_CORRUPT", text_of(Refusal::StoreCorrupt));
                error.because("the store holds what this version cannot read", reason)
            }
        }
    }
}

impl From<BillingError> for Error {
    fn from(error: BillingError) -> Self {
        match error {
            BillingError::Unavailable(reason) => {
                let text = "the billing store is unavailable; charging goes on, and repeating the request is safe";
                Self::unavailable("BILLING_UNAVAILABLE", text, RETRY_STORE).because("the billing store is unavailable", &reason)
            }
            BillingError::NotFound(_) => Self::invoice_not_found(""),
            BillingError::Invalid { field, problem } => Self::invalid_field(field, problem),
            BillingError::Foreign(reason) => {
                let text = "the billing store is another ledger's; charging goes on";
                Self::precondition("BILLING_OF_ANOTHER_LEDGER", "billing", text).because("the billing store is another ledger's", &reason)
            }
            BillingError::RequestIdReused => {
                let refusal = Refusal::RequestIdReused;
                Self::new(Kind::Precondition, refusal.reason(), text_of(refusal))
            }
            BillingError::Corrupt(reason) => {
                let text = "the billing store holds what this version cannot read";
                Self::new(Kind::Internal, "BILLING_CORRUPT", text).because(text, &reason)
            }
        }
    }
}

impl From<NotRun> for Error {
    fn from(reason: NotRun) -> Self {
        match reason {
            NotRun::Overloaded => Self::overloaded("too much work of this kind is waiting"),
            NotRun::GivenUp => Self::outcome_unknown(),
        }
    }
}

impl From<LookUpError> for Error {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Ledger(error) => error.into(),
            LookUpError::Billing(error) => error.into(),
        }
    }
}
