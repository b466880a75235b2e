//! The kinds of command, by the numbers that are stored.

/// The kind of a command; see [`super::Action`] for what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Observe = 1,
    Authorize = 2,
    Debit = 3,
    Release = 4,
    Refund = 5,
    Convert = 6,
    Create = 7,
    Update = 8,
    TopUp = 9,
    ReversePayment = 10,
    Withdraw = 11,
    Adjust = 12,
    SetCreditLimit = 13,
    Suspend = 14,
    Resume = 15,
    Close = 16,
    RecordPayment = 17,
    ClosePeriod = 18,
    WriteOff = 19,
    ReverseWriteOff = 20,
    Reopen = 21,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Kind; 21] = [
        Kind::Observe,
        Kind::Authorize,
        Kind::Debit,
        Kind::Release,
        Kind::Refund,
        Kind::Convert,
        Kind::Create,
        Kind::Update,
        Kind::TopUp,
        Kind::ReversePayment,
        Kind::Withdraw,
        Kind::Adjust,
        Kind::SetCreditLimit,
        Kind::Suspend,
        Kind::Resume,
        Kind::Close,
        Kind::RecordPayment,
        Kind::ClosePeriod,
        Kind::WriteOff,
        Kind::ReverseWriteOff,
        Kind::Reopen,
    ];

    /// The kind with that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Observe => "observe",
            Kind::Authorize => "authorize",
            Kind::Debit => "debit",
            Kind::Release => "release",
            Kind::Refund => "refund",
            Kind::Convert => "convert",
            Kind::Create => "create",
            Kind::Update => "update",
            Kind::TopUp => "top_up",
            Kind::ReversePayment => "reverse_payment",
            Kind::Withdraw => "withdraw",
            Kind::Adjust => "adjust",
            Kind::SetCreditLimit => "set_credit_limit",
            Kind::Suspend => "suspend",
            Kind::Resume => "resume",
            Kind::Close => "close",
            Kind::RecordPayment => "record_payment",
            Kind::ClosePeriod => "close_period",
            Kind::WriteOff => "write_off",
            Kind::ReverseWriteOff => "reverse_write_off",
            Kind::Reopen => "reopen",
        }
    }
}
