//! What can be answered: a decision that is remembered, or a refusal that is not.

use super::account::Account;
use super::command::Kind;
use super::entry::EntryKind;
use super::time::UnixMillis;
use crate::money::Units;

/// A decision on a command: remembered under its request id, and returned again when it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The command's kind.
    pub kind: Kind,
    /// Whether it was done.
    pub verdict: Verdict,
    /// What was charged, granted, released, refunded, credited, taken, in units. Of a decline: what was missing. Of a conversion: the
    /// usable credit before it.
    pub amount: Units,
    /// By how much an already consumed charge went beyond usable credit.
    pub overdraft: Units,
    /// The reservation as it stands after the command, if it is open.
    pub reservation: Option<Grant>,
    /// The outcome of the reservation after a report.
    pub reserve: ReserveVerdict,
    /// What the balance moved beyond the amount: a refund of a billed charge is credited in minor units. Signed.
    pub credit_rounding: Units,
    /// Of a charge: how it was charged, and the bill that it fell into.
    pub charged: Option<Charged>,
    /// The partition's sequence of the first entry that it wrote; 0 for none.
    pub sequence: u64,
}

/// Where a charge went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// The kind of its entry: from the balance, to the unbilled amount, or as a bill of its own.
    pub kind: EntryKind,
    /// The bill that it fell into.
    pub bill: u32,
}

/// Whether a command was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It was.
    Done = 1,
    /// There is not enough credit (or own money, for a withdrawal). Nothing changed.
    Declined = 2,
    /// It was so already. Nothing changed.
    Unchanged = 3,
}

/// An open reservation, as the client needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What is reserved.
    pub amount: Units,
    /// When the client must report.
    pub report_by: UnixMillis,
    /// From this instant on it is gone.
    pub expires_at: UnixMillis,
    /// Whether it is all that there was: less than what was asked for.
    pub is_final_unit: bool,
}

/// The second outcome of a report-and-reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveVerdict {
    /// None was asked for.
    NotAsked,
    /// The new amount is reserved.
    Granted,
    /// There is not enough credit; the reservation is settled.
    Declined {
        /// The missing amount, in units.
        shortfall: Units,
    },
    /// The account is suspended; the reservation is settled.
    Suspended,
    /// The account has as many open reservations as it may; the reservation is settled.
    TooMany,
}

/// Why a command was refused. Nothing changed, and its request id is free.
///
/// In the order of precedence: of several reasons, the first is given. The rules, the script and the tests keep the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Refusal {
    /// The request id was used for something else.
    RequestIdReused = 401,
    /// `first_sent_at` is older than the window in which ids are remembered.
    RequestTooOld = 402,
    /// The account to create exists.
    AccountExists = 403,
    /// There is no such account.
    AccountNotFound = 404,
    /// The account is in another currency.
    CurrencyMismatch = 405,
    /// An amount has more decimals than the account.
    TooManyDecimals = 406,
    /// An amount is larger than an account can hold.
    AmountOutOfRange = 407,
    AccountClosed = 408,
    AccountSuspended = 409,
    /// There is no such reservation.
    ReservationNotFound = 410,
    /// The reservation was settled by a final debit.
    ReservationSettled = 411,
    ReservationReleased = 412,
    ReservationExpired = 413,
    /// The account has as many open reservations as it may.
    TooManyReservations = 414,
    /// More than what is left of the charge (or payment).
    ExceedsOriginal = 415,
    /// A temporary limit would end before it begins.
    LimitEndsInPast = 416,
    /// A postpaid account would be left without limit and overpayment.
    WouldBeUnusable = 417,
    /// The account to close has a balance, or an unbilled amount.
    AccountNotEmpty = 418,
    /// The account to close has open reservations.
    ReservationsOpen = 419,
    /// An amount of the account would leave the range that is kept exactly.
    BalanceOutOfRange = 420,
    /// More is to be written off than is due.
    ExceedsAmountDue = 421,
    /// An amount of money that is paid in, paid out or given up has a fraction of the currency's minor unit.
    NotInMinorUnits = 422,
    /// `first_sent_at` is ahead of the clock.
    SentInFuture = 423,
    /// What is stored of the account, or of what the command names, cannot be read.
    StoreCorrupt = 424,
    /// The step must be given the facts of the charge or payment that the command refers to. The service looks them up and asks again.
    OriginalNeeded = 425,
    /// The step must be given the sums of the bill that the charge fell into. The service looks them up and asks again.
    BillNeeded = 426,
    /// The account has no such charge, or payment.
    ChargeNotFound = 427,
    /// The account to open again is not closed.
    AccountNotClosed = 428,
    /// The store has no memory left. What was decided before is still told.
    StoreFull = 429,
    /// The accounts of the step have so much due that this one's turn comes with a later step: the batcher sends the command again.
    Deferred = 430,
}

impl Refusal {
    /// All refusals, in the order of precedence.
    pub const ALL: [Refusal; 30] = [
        Refusal::Deferred,
        Refusal::StoreCorrupt,
        Refusal::RequestIdReused,
        Refusal::StoreFull,
        Refusal::RequestTooOld,
        Refusal::SentInFuture,
        Refusal::AccountExists,
        Refusal::AccountNotFound,
        Refusal::CurrencyMismatch,
        Refusal::TooManyDecimals,
        Refusal::AmountOutOfRange,
        Refusal::NotInMinorUnits,
        Refusal::AccountClosed,
        Refusal::AccountNotClosed,
        Refusal::AccountSuspended,
        Refusal::ReservationNotFound,
        Refusal::ReservationSettled,
        Refusal::ReservationReleased,
        Refusal::ReservationExpired,
        Refusal::TooManyReservations,
        Refusal::OriginalNeeded,
        Refusal::ChargeNotFound,
        Refusal::ExceedsOriginal,
        Refusal::BillNeeded,
        Refusal::ExceedsAmountDue,
        Refusal::LimitEndsInPast,
        Refusal::WouldBeUnusable,
        Refusal::AccountNotEmpty,
        Refusal::ReservationsOpen,
        Refusal::BalanceOutOfRange,
    ];

    /// The refusal with that number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| *refusal as u16 == number)
    }

    /// The reason in error details, metrics and logs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::RequestIdReused => "REQUEST_ID_REUSED",
            Refusal::RequestTooOld => "REQUEST_TOO_OLD",
            Refusal::AccountExists => "ACCOUNT_EXISTS",
            Refusal::AccountNotFound => "ACCOUNT_NOT_FOUND",
            Refusal::CurrencyMismatch => "CURRENCY_MISMATCH",
            Refusal::TooManyDecimals => "TOO_MANY_DECIMALS",
            Refusal::AmountOutOfRange => "AMOUNT_OUT_OF_RANGE",
            Refusal::AccountClosed => "ACCOUNT_CLOSED",
            Refusal::AccountSuspended => "ACCOUNT_SUSPENDED",
            Refusal::ReservationNotFound => "RESERVATION_NOT_FOUND",
            Refusal::ReservationSettled => "RESERVATION_SETTLED",
            Refusal::ReservationReleased => "RESERVATION_RELEASED",
            Refusal::ReservationExpired => "RESERVATION_EXPIRED",
            Refusal::TooManyReservations => "TOO_MANY_RESERVATIONS",
            Refusal::ExceedsOriginal => "EXCEEDS_ORIGINAL",
            Refusal::LimitEndsInPast => "LIMIT_ENDS_IN_PAST",
            Refusal::WouldBeUnusable => "WOULD_BE_UNUSABLE",
            Refusal::AccountNotEmpty => "ACCOUNT_NOT_EMPTY",
            Refusal::ReservationsOpen => "RESERVATIONS_OPEN",
            Refusal::BalanceOutOfRange => "BALANCE_OUT_OF_RANGE",
            Refusal::ExceedsAmountDue => "EXCEEDS_AMOUNT_DUE",
            Refusal::NotInMinorUnits => "NOT_IN_MINOR_UNITS",
            Refusal::SentInFuture => "SENT_IN_FUTURE",
            Refusal::StoreCorrupt => "STORE_CORRUPT",
            Refusal::OriginalNeeded => "ORIGINAL_NEEDED",
            Refusal::BillNeeded => "BILL_NEEDED",
            Refusal::ChargeNotFound => "CHARGE_NOT_FOUND",
            Refusal::AccountNotClosed => "ACCOUNT_NOT_CLOSED",
            Refusal::StoreFull => "STORE_FULL",
            Refusal::Deferred => "DEFERRED",
        }
    }

    /// Whether it only tells the service to ask again, and so never reaches a caller.
    #[must_use]
    pub fn is_internal(self) -> bool {
        matches!(self, Refusal::OriginalNeeded | Refusal::BillNeeded | Refusal::Deferred)
    }
}

/// The ledger's answer to a command that it did not refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was decided. `None` if the command has no request id, as a look at the credit has none.
    pub decision: Option<Decision>,
    /// Whether it was decided before, and is only told again.
    pub replayed: bool,
    /// The account as it stands after the command (of a replay: now), due events applied.
    pub account: Account,
    /// The instant by which it was decided: the account is to be shown as it is then, whatever clocks say meanwhile.
    pub now: UnixMillis,
}

/// The ledger's reply to a command.
pub type Answer = Result<Outcome, Refusal>;
