//! Works out a customer's expected balance on the client's side, from nothing but the responses.
//!
//! It is on purpose no copy of the service's rules: it only adds up.

use std::collections::BTreeMap;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::grpc::v1::{Money, PaymentMode};

/// The account, added up.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Payment mode: prepaid or postpaid.
    pub mode: PaymentMode,
    /// Prepaid: money left. Postpaid: minus the amount due.
    pub balance: Decimal,
    /// Postpaid charges since the last bill.
    pub unbilled: Decimal,
    reservations: BTreeMap<String, Decimal>,
    /// The bill and mode of each charge.
    charges: BTreeMap<String, (u32, PaymentMode)>,
    bill: u32,
}

impl Tally {
    /// A new account.
    pub fn new(mode: PaymentMode) -> Self {
        let (balance, unbilled) = (Decimal::ZERO, Decimal::ZERO);
        Self { mode, balance, unbilled, reservations: BTreeMap::new(), charges: BTreeMap::new(), bill: 1 }
    }

    /// The sum of open reservations.
    pub fn reserved(&self) -> Decimal {
        self.reservations.values().sum()
    }

    /// An amount is reserved, instead of what was under that name.
    pub fn reserve(&mut self, name: &str, amount: Decimal) {
        self.reservations.insert(name.to_owned(), amount);
    }

    /// A reservation is gone.
    pub fn end(&mut self, name: &str) {
        self.reservations.remove(name);
    }

    /// A charge was made.
    pub fn charge(&mut self, name: &str, amount: Decimal) {
        self.charges.insert(name.to_owned(), (self.bill, self.mode));
        match self.mode {
            PaymentMode::Postpaid => self.unbilled += amount,
            _ => self.balance -= amount,
        }
    }

    /// A charge was given back.
    pub fn refund(&mut self, charge: &str, amount: Decimal) {
        if self.charges.get(charge) == Some(&(self.bill, PaymentMode::Postpaid)) {
            self.unbilled -= amount;
        } else {
            self.balance += amount;
        }
    }

    /// Money came in, or went out.
    pub fn pay(&mut self, amount: Decimal) {
        self.balance += amount;
    }

    /// The mode has changed. To prepaid, the final bill was cut.
    pub fn convert(&mut self, mode: PaymentMode) {
        if mode == PaymentMode::Prepaid {
            self.cut_bill();
        }
        self.mode = mode;
    }

    /// A month is over.
    pub fn cut_bill(&mut self) {
        self.balance -= self.unbilled.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        self.unbilled = Decimal::ZERO;
        self.bill += 1;
    }
}

/// The amount of an answer.
pub fn amount_of(money: Option<&Money>) -> anyhow::Result<Decimal> {
    decimal(money.map_or("", |money| &money.amount))
}

/// A decimal as the service writes it.
pub fn decimal(text: &str) -> anyhow::Result<Decimal> {
    text.parse().map_err(|_| anyhow::anyhow!("the service answered {text:?} where an amount belongs"))
}

/// An amount to send.
pub fn money(amount: Decimal) -> Money {
    Money { amount: amount.to_string(), currency_code: String::new() }
}
