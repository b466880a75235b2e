//! Actions on an organization: who may, when there is a button for it, and the command that its form makes.

use super::fields::{FieldError, FieldReader, Fields, Sign};
use super::locale::Locale;
use super::visitor::Visitor;
use access::Permission;
use domain::account::Status;
use domain::command::{Action, Command, LimitChange, Metadata, Reversal, TemporaryChange, Until};
use domain::ids::AccountId;
use domain::payment::PaymentDetails;
use domain::time::Millis;

const DAY: Millis = 24 * 60 * 60 * 1000;

/// For how many days a limit may be raised at most.
const MOST_DAYS: i64 = 3_650;

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Add what the customer paid in advance.
    TopUp,
    /// Record what the customer paid for invoices.
    RecordPayment,
    /// Set the credit limit.
    SetLimit,
    /// Pay out the customer's own money.
    Withdraw,
    /// Correct the balance.
    Adjust,
    /// Give up a debt.
    WriteOff,
    /// Let nothing new happen.
    Suspend,
    /// Let it happen again.
    Resume,
    /// Close the account.
    Close,
    /// Open it again.
    Reopen,
    /// Give a charge back.
    Refund,
    /// Give a reservation back.
    Release,
}

impl Act {
    /// Those that have a button of their own, in this order.
    pub const BUTTONS: [Self; 10] = [
        Self::TopUp,
        Self::RecordPayment,
        Self::SetLimit,
        Self::Withdraw,
        Self::Adjust,
        Self::WriteOff,
        Self::Suspend,
        Self::Resume,
        Self::Close,
        Self::Reopen,
    ];

    /// Its name in addresses, and the key of its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TopUp => "top-up",
            Self::RecordPayment => "record-payment",
            Self::SetLimit => "set-limit",
            Self::Withdraw => "withdraw",
            Self::Adjust => "adjust",
            Self::WriteOff => "write-off",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Close => "close",
            Self::Reopen => "reopen",
            Self::Refund => "refund",
            Self::Release => "release",
        }
    }

    /// The permission that it needs.
    #[must_use]
    pub const fn permission(self) -> Permission {
        match self {
            Self::TopUp => Permission::TopUp,
            Self::RecordPayment => Permission::RecordPayments,
            Self::SetLimit => Permission::SetCreditLimit,
            Self::Withdraw => Permission::Withdraw,
            Self::Adjust => Permission::Adjust,
            Self::WriteOff => Permission::WriteOff,
            Self::Suspend | Self::Resume => Permission::Suspend,
            Self::Close | Self::Reopen => Permission::Close,
            Self::Refund => Permission::Refund,
            Self::Release => Permission::Charge,
        }
    }

    /// Whether there is a button for it: the visitor may, and the account's status allows it. The ledger decides.
    #[must_use]
    pub fn is_possible(self, visitor: &Visitor, account: &AccountId, status: Status) -> bool {
        let is_allowed = match (self, status) {
            (Self::Reopen, _) => status == Status::Closed,
            (_, Status::Closed) => false,
            (Self::Resume, _) => status == Status::Suspended,
            (Self::Suspend | Self::Withdraw, _) => status == Status::Active,
            _ => true,
        };
        is_allowed && visitor.may_on(self.permission(), account)
    }

    /// Whether its form has an amount.
    #[must_use]
    pub fn has_amount(self) -> bool {
        self.is_amount_needed() || matches!(self, Self::WriteOff | Self::Refund)
    }

    /// Whether it must be filled in.
    #[must_use]
    pub fn is_amount_needed(self) -> bool {
        matches!(self, Self::TopUp | Self::RecordPayment | Self::Withdraw | Self::Adjust)
    }

    /// Whether a customer paid, so that the bank has a reference for it.
    #[must_use]
    pub fn is_payment(self) -> bool {
        matches!(self, Self::TopUp | Self::RecordPayment)
    }

    /// Whether it must be said why.
    #[must_use]
    pub fn is_reason_needed(self) -> bool {
        !matches!(self, Self::TopUp | Self::Refund | Self::Release)
    }

    /// Whether it takes something from the customer's reach.
    #[must_use]
    pub fn is_dangerous(self) -> bool {
        matches!(self, Self::Suspend | Self::Close | Self::WriteOff)
    }

    /// The command of its form.
    pub fn command(self, account: &AccountId, fields: &Fields, locale: &Locale) -> Result<Command, Vec<FieldError>> {
        let mut reader = FieldReader::new(fields, locale);
        let request = reader.request();
        let reason = match self.is_reason_needed() {
            true => reader.text("reason"),
            false => reader.optional_text("reason"),
        };
        let mut metadata = Metadata { reason, ..Metadata::default() };
        if self.is_payment() {
            let reference = reader.optional_text("reference");
            if reference.chars().count() > 140 {
                reader.refuse("reference", "wrong-reference");
            }
            PaymentDetails { reference, ..PaymentDetails::default() }.write_to(&mut metadata);
        }
        let action = self.action(&mut reader);
        reader.finish()?;
        let (request_id, first_sent_at) = (request.id, request.first_sent_at);
        Ok(Command { account: account.to_owned(), request_id: request_id.into(), first_sent_at, currency: None, action, metadata })
    }

    fn action(self, reader: &mut FieldReader) -> Action {
        match self {
            Self::TopUp => Action::TopUp { amount: reader.amount("amount", Sign::Positive) },
            Self::RecordPayment => {
                Action::RecordPayment { amount: reader.amount("amount", Sign::Positive), invoices: reader.chosen("invoice") }
            }
            Self::Withdraw => Action::Withdraw { amount: reader.amount("amount", Sign::Positive), is_paid_out: false },
            Self::Adjust => Action::Adjust { amount: reader.amount("amount", Sign::NotZero) },
            Self::WriteOff => Action::WriteOff { amount: reader.optional_amount("amount", Sign::Positive) },
            Self::SetLimit => {
                let limit = limit(reader);
                if limit.is_none() {
                    reader.refuse("limit", "wrong-nothing-changed");
                }
                Action::SetCreditLimit { limit, allow_unusable: reader.is_ticked("allow-unusable") }
            }
            Self::Refund => {
                let amount = reader.optional_amount("amount", Sign::Positive);
                Action::Refund(Reversal::of(reader.id("of").into(), amount))
            }
            Self::Release => Action::Release { reservation: reader.id("of").into() },
            Self::Suspend => Action::Suspend,
            Self::Resume => Action::Resume,
            Self::Close => Action::Close,
            Self::Reopen => Action::Reopen,
        }
    }
}

/// A change of the credit limit, as the form has it.
pub fn limit(reader: &mut FieldReader) -> LimitChange {
    let permanent = reader.optional_amount("limit", Sign::NotNegative);
    let increased = reader.optional_amount("temporary", Sign::Positive);
    let days = reader.optional_number("days", 1, MOST_DAYS);
    let temporary = match (increased, days) {
        (Some(amount), Some(days)) => TemporaryChange::Set { amount, until: Until::After(days * DAY) },
        (Some(_), None) => {
            reader.refuse("days", "wrong-missing");
            TemporaryChange::Keep
        }
        (None, Some(_)) => {
            reader.refuse("temporary", "wrong-missing");
            TemporaryChange::Keep
        }
        (None, None) if reader.is_ticked("remove-temporary") => TemporaryChange::Remove,
        (None, None) => TemporaryChange::Keep,
    };
    LimitChange { permanent, temporary }
}
