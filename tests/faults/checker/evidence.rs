//! What the checker is given: each request with all its attempts, and what the stores hold at the end.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

/// Microseconds since the run began, by one clock that never is set.
pub type Instant = u64;

#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub asks: Vec<Ask>,
    /// By account, oldest first.
    pub journal: BTreeMap<String, Vec<Entry>>,
    pub accounts: BTreeMap<String, AccountAtEnd>,
    /// The ids of the usage records that the billing store exports, as often as it does.
    pub exported: Vec<String>,
    pub documents: Vec<Document>,
    /// By the mail's id: what became of it, and how often it arrived.
    pub mails: BTreeMap<String, (MailEnd, usize)>,
    /// When remembered declines were forgotten, because the ledger was restored from the billing store.
    pub restored: Vec<Instant>,
    /// Whether a reader may see a decision that is not proved yet and that a failover then loses: no caller was told that it was done.
    pub shows_unproved: bool,
}

/// A request: it keeps its id, however often it is sent.
#[derive(Clone, Debug)]
pub struct Ask {
    pub account: String,
    pub request: String,
    pub what: What,
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Create {
        is_postpaid: bool,
        limit: Decimal,
    },
    TopUp(Decimal),
    RecordPayment(Decimal),
    Adjust(Decimal),
    Withdraw(Decimal),
    SetLimit(Decimal),
    Convert {
        to_postpaid: bool,
    },
    Suspend,
    Resume,
    Authorize {
        amount: Decimal,
        minimum: Option<Decimal>,
        /// Milliseconds, with its grace.
        lasts: i64,
    },
    Debit(Debit),
    Release {
        reservation: String,
    },
    Refund {
        charge: String,
        amount: Option<Decimal>,
    },
    /// A look at the credit.
    Look,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Debit {
    pub amount: Decimal,
    pub is_hardware: bool,
    pub against: Option<String>,
    pub then: Then,
    pub is_consumed: bool,
}

/// What is to happen with the rest of a reservation.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    Settle,
    Keep,
    Reserve { amount: Decimal, lasts: i64 },
}

#[derive(Clone, Debug)]
pub struct Attempt {
    pub sent: Instant,
    pub told: Instant,
    pub answer: Answer,
}

#[derive(Clone, Debug)]
pub enum Answer {
    Done {
        replayed: bool,
        outcome: Outcome,
        credit: Option<Credit>,
    },
    /// The request cannot be done. Nothing was.
    Refused(String),
    /// Nothing was done; it may be sent again.
    NotDone(String),
    /// Nobody knows.
    Unclear(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// How much: charged, reserved, released, taken off a charge.
    Amount(Decimal),
    Declined {
        shortfall: Decimal,
    },
    Done,
    /// It was so already.
    Unchanged,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Credit {
    pub is_postpaid: bool,
    pub balance: Decimal,
    pub unbilled: Decimal,
    pub reserved: Decimal,
    pub limit: Decimal,
    pub usable: Decimal,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub partition: u32,
    pub sequence: u64,
    pub kind: Kind,
    pub request: String,
    pub account_sequence: u64,
    /// Milliseconds of the ledger's clock.
    pub at: i64,
    pub bill: u32,
    pub amount: Decimal,
    pub balance: [Decimal; 2],
    pub unbilled: [Decimal; 2],
    pub reserved_after: Decimal,
    pub refers_to: String,
    pub taken_off: Option<Decimal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Created,
    ChargedBalance,
    ChargedUnbilled,
    ChargedOwnBill,
    RefundedBalance,
    RefundedUnbilled,
    ToppedUp,
    PaymentRecorded,
    Withdrawn,
    Adjusted,
    LimitSet,
    Converted,
    PeriodClosed,
    FinalBilled,
    Rounded,
    AmountDueRounded,
    Suspended,
    Resumed,
    Reserved,
    ReservationExtended,
    Released,
    Other,
}

impl Kind {
    pub fn is_charge(self) -> bool {
        matches!(self, Self::ChargedBalance | Self::ChargedUnbilled | Self::ChargedOwnBill)
    }

    /// Whether it cuts a bill.
    pub fn is_cut(self) -> bool {
        matches!(self, Self::PeriodClosed | Self::FinalBilled | Self::ChargedOwnBill)
    }
}

/// An account when all was over.
#[derive(Clone, Debug)]
pub struct AccountAtEnd {
    pub credit: Credit,
    /// By the ledger's clock, about when it was read.
    pub read_at: i64,
    /// Name and amount.
    pub reservations: BTreeMap<String, Decimal>,
}

/// An issued document.
#[derive(Clone, Debug)]
pub struct Document {
    pub number: String,
    pub account: String,
    pub bill: u32,
    pub is_credit_note: bool,
    /// The ids of its usage records.
    pub records: Vec<String>,
    /// What its lines say: how many charges, and their sum.
    pub lines: (u64, Decimal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailEnd {
    Sent,
    Unknown,
    Failed,
}
