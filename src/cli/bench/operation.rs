//! One command of the load: small and plain, so that it can be kept while it is under way and built again, the same to the byte, when
//! its outcome is unknown.
//!
//! Amounts are whole cents: no bill has to be rounded, so what was charged and what the accounts hold must agree exactly.

use std::sync::Arc;

use super::mix::{Kind, Sequence};
use crate::grpc::v1::charge_command::Command;
use crate::grpc::v1::debit_request::Remainder;
use crate::grpc::v1::{
    AuthorizeRequest, ChargeCommand, ConvertRequest, CreateAccountRequest, CreditLimitChange, DebitRequest, Money, PaymentMode,
    RefundRequest, ReleaseRequest, Reserve, Usage,
};

/// How far an account may go: more than any run can charge.
const LIMIT: &str = "100000000";

/// More than any account can pay.
const TOO_MUCH: &str = "1000000000";

/// What is reserved for each session; its final debit charges less.
pub const RESERVED_CENTS: u32 = 150;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which.
    pub kind: Kind,
    /// On which account.
    pub account: u32,
    /// Its number in this run: its request id.
    pub number: u64,
    /// How much; of a conversion, nothing.
    pub cents: u32,
    /// The number of the command that its sequence began with: of the reservation, or of the charge that is given back.
    pub first: u64,
    /// The mode that it converts to.
    pub to_postpaid: bool,
    /// The next record of the same account.
    pub rest: Sequence,
}

impl Operation {
    /// The next one of its sequence, if there is one.
    pub fn then(self, number: impl FnOnce() -> u64) -> Option<Self> {
        let (kind, rest) = self.rest.split_first()?;
        Some(Self { kind: *kind, number: number(), rest, ..self })
    }
}

/// Writes operations as requests.
#[derive(Clone, Debug)]
pub struct Writer {
    prefix: Arc<str>,
    run: Arc<str>,
}

impl Writer {
    /// For the accounts of a prefix; `run` names this run's requests.
    pub fn new(prefix: &str, run: &str) -> Self {
        Self { prefix: prefix.into(), run: run.into() }
    }

    /// An account's id.
    pub fn account_id(&self, account: u32) -> String {
        named(&self.prefix, account.into())
    }

    fn request_id(&self, number: u64) -> String {
        named(&self.run, number)
    }

    /// A direct debit, one that is declined, or one on a reservation.
    pub fn debit(&self, operation: &Operation) -> DebitRequest {
        let is_report = matches!(operation.kind, Kind::Report | Kind::Settle);
        let amount = if operation.kind == Kind::Decline { plain(TOO_MUCH) } else { money(operation.cents) };
        DebitRequest {
            account_id: self.account_id(operation.account),
            request_id: self.request_id(operation.number),
            amount: Some(amount),
            reservation_id: if is_report { self.request_id(operation.first) } else { String::new() },
            remainder: (operation.kind == Kind::Report).then(|| Remainder::Reserve(Box::new(reserve()))),
            usage: Some(usage()),
            ..Default::default()
        }
    }

    /// A reservation.
    pub fn authorize(&self, operation: &Operation) -> AuthorizeRequest {
        AuthorizeRequest {
            account_id: self.account_id(operation.account),
            request_id: self.request_id(operation.number),
            reserve: Some(reserve()),
            usage: Some(usage()),
            ..Default::default()
        }
    }

    /// A reservation is given back.
    pub fn release(&self, operation: &Operation) -> ReleaseRequest {
        ReleaseRequest {
            account_id: self.account_id(operation.account),
            request_id: self.request_id(operation.number),
            reservation_id: self.request_id(operation.first),
            ..Default::default()
        }
    }

    /// A charge is given back, whole.
    pub fn refund(&self, operation: &Operation) -> RefundRequest {
        RefundRequest {
            account_id: self.account_id(operation.account),
            request_id: self.request_id(operation.number),
            charge_id: self.request_id(operation.first),
            ..Default::default()
        }
    }

    /// A change of the payment mode.
    pub fn convert(&self, operation: &Operation) -> ConvertRequest {
        let mode = if operation.to_postpaid { PaymentMode::Postpaid } else { PaymentMode::Prepaid };
        ConvertRequest {
            account_id: self.account_id(operation.account),
            request_id: self.request_id(operation.number),
            mode: mode.into(),
            ..Default::default()
        }
    }

    /// Any of them, for a stream; what only reads is no command.
    pub fn command(&self, operation: &Operation) -> ChargeCommand {
        let command = match operation.kind {
            Kind::Debit | Kind::Report | Kind::Settle | Kind::Decline => Some(Command::Debit(self.debit(operation))),
            Kind::Authorize | Kind::Reserve => Some(Command::Authorize(self.authorize(operation))),
            Kind::Release => Some(Command::Release(self.release(operation))),
            Kind::Refund => Some(Command::Refund(self.refund(operation))),
            Kind::Convert => Some(Command::Convert(self.convert(operation))),
            Kind::Credit | Kind::Account => None,
        };
        ChargeCommand { command }
    }

    /// A new account. The same for the same account in every run, so that it may be asked for again.
    pub fn create(&self, account: u32) -> CreateAccountRequest {
        CreateAccountRequest {
            account_id: self.account_id(account),
            request_id: "create".to_owned(),
            name: "Bench".to_owned(),
            currency_code: "EUR".to_owned(),
            mode: PaymentMode::Prepaid.into(),
            credit_limit: Some(CreditLimitChange { permanent: Some(plain(LIMIT)), temporary: None }),
            ..Default::default()
        }
    }
}

fn plain(amount: &str) -> Money {
    Money { amount: amount.to_owned(), currency_code: String::new() }
}

fn reserve() -> Reserve {
    Reserve { amount: Some(money(RESERVED_CENTS)), ..Default::default() }
}

fn usage() -> Usage {
    Usage { item: "sms-domestic".to_owned(), ..Default::default() }
}

/// `prefix-number`, in one allocation: this is done for each call.
fn named(prefix: &str, number: u64) -> String {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    let mut name = String::with_capacity(prefix.len() + 1 + digits.len());
    name.push_str(prefix);
    name.push('-');
    name.push_str(digits);
    name
}

fn money(cents: u32) -> Money {
    let mut digits = itoa::Buffer::new();
    let mut amount = String::with_capacity(12);
    amount.push_str(digits.format(cents / 100));
    amount.push('.');
    let rest = cents % 100;
    if rest < 10 {
        amount.push('0');
    }
    amount.push_str(digits.format(rest));
    Money { amount, currency_code: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_full() {
        for (cents, amount) in [(0, "0.00"), (7, "0.07"), (99, "0.99"), (150, "1.50"), (4_000_000_007, "40000000.07")] {
            assert_eq!(money(cents).amount, amount);
        }
    }

    #[test]
    fn an_operation_is_written_the_same_again() {
        let writer = Writer::new("acc", "run");
        let rest = &[Kind::Report, Kind::Settle];
        let authorize = Operation { kind: Kind::Authorize, account: 7, number: 8, cents: 42, first: 8, to_postpaid: false, rest };
        let report = authorize.then(|| 9).unwrap();
        let settle = report.then(|| 10).unwrap();
        assert_eq!(settle.then(|| 11), None);
        for (operation, id, reserves) in [(report, "run-9", true), (settle, "run-10", false)] {
            let debit = writer.debit(&operation);
            assert_eq!(debit, writer.debit(&operation));
            assert_eq!((debit.account_id.as_str(), debit.request_id.as_str(), debit.reservation_id.as_str()), ("acc-7", id, "run-8"));
            assert_eq!(debit.remainder.is_some(), reserves);
        }
        assert_eq!(writer.authorize(&authorize).request_id, "run-8");
    }
}
