//! An account as the domain's rules have it, moved on entry by entry.

use std::collections::BTreeMap;

use rust_decimal::{Decimal, RoundingStrategy};

use super::evidence::{Ask, Credit, Entry, Kind, Then, What};

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub is_postpaid: bool,
    pub is_suspended: bool,
    pub balance: Decimal,
    pub unbilled: Decimal,
    pub limit: Decimal,
    /// Name -> what is left, and when it is gone.
    pub reservations: BTreeMap<String, (Decimal, i64)>,
}

impl Model {
    pub fn reserved(&self) -> Decimal {
        self.reservations.values().map(|(left, _)| *left).sum()
    }

    /// What the next transaction may cost at most.
    pub fn usable(&self) -> Decimal {
        if self.is_postpaid {
            self.limit + self.balance.max(Decimal::ZERO) - self.unbilled - self.reserved()
        } else {
            self.balance + self.limit - self.reserved()
        }
    }

    /// What may be paid out at most.
    pub fn own_money(&self) -> Decimal {
        (self.balance - self.unbilled - self.reserved()).max(Decimal::ZERO)
    }

    pub fn credit(&self) -> Credit {
        Credit {
            is_postpaid: self.is_postpaid,
            balance: self.balance,
            unbilled: self.unbilled,
            reserved: self.reserved(),
            limit: self.limit,
            usable: self.usable(),
        }
    }

    /// Gives back what has expired.
    pub fn pass_to(&mut self, at: i64) {
        self.reservations.retain(|_, (_, expires)| *expires > at);
    }

    /// What is wrong with an entry as the answer to a request, for lack of credit or because the account is suspended. To be asked before
    /// the entry is applied.
    pub fn objection(&self, entry: &Entry, ask: &Ask) -> Option<String> {
        let (needed, there, is_new) = match (&ask.what, entry.kind) {
            (What::Authorize { .. }, Kind::Reserved) => (entry.amount, self.usable(), true),
            (What::Debit(debit), kind) if kind.is_charge() => {
                let left = debit.against.as_ref().and_then(|name| self.reservations.get(name)).map_or(Decimal::ZERO, |(left, _)| *left);
                let is_direct = debit.against.is_none();
                // A report is taken though the account is suspended, and what was consumed is charged in any case.
                let excess = if debit.is_consumed { Decimal::ZERO } else { taken(entry) - left };
                (excess, self.usable(), is_direct && !debit.is_consumed)
            }
            (What::Debit(_), Kind::ReservationExtended) => (entry.amount, self.usable(), true),
            (What::Withdraw(_), Kind::Withdrawn) => (entry.amount, self.own_money(), true),
            _ => return None,
        };
        if is_new && self.is_suspended {
            return Some("the account is suspended".into());
        }
        (needed > there && needed > Decimal::ZERO).then(|| format!("{needed} was approved of {there}"))
    }

    /// Moves on by an entry, as what was asked says.
    pub fn apply(&mut self, entry: &Entry, ask: Option<&Ask>) {
        let amount = entry.amount;
        match entry.kind {
            Kind::Created => {
                self.limit = amount;
                self.is_postpaid = matches!(ask.map(|ask| &ask.what), Some(What::Create { is_postpaid: true, .. }));
            }
            Kind::ChargedBalance | Kind::ChargedOwnBill => self.balance -= amount,
            Kind::ChargedUnbilled => self.unbilled += amount,
            Kind::RefundedUnbilled => self.unbilled -= amount,
            Kind::Withdrawn => self.balance -= amount,
            Kind::RefundedBalance | Kind::ToppedUp | Kind::PaymentRecorded => self.balance += amount,
            Kind::Adjusted | Kind::Rounded | Kind::AmountDueRounded => self.balance += amount,
            Kind::PeriodClosed | Kind::FinalBilled => {
                self.balance -= amount;
                self.unbilled -= amount;
            }
            Kind::LimitSet => self.limit = amount,
            Kind::Converted => self.is_postpaid = !self.is_postpaid,
            Kind::Suspended => self.is_suspended = true,
            Kind::Resumed => self.is_suspended = false,
            Kind::Released => {
                self.reservations.remove(&entry.refers_to);
            }
            Kind::Reserved | Kind::ReservationExtended => self.reserve(entry, ask),
            Kind::Other => {}
        }
        if entry.kind.is_charge() {
            self.consume(entry, ask);
        }
    }

    fn reserve(&mut self, entry: &Entry, ask: Option<&Ask>) {
        let (name, lasts) = match ask.map(|ask| &ask.what) {
            Some(What::Authorize { lasts, .. }) => (entry.request.clone(), *lasts),
            Some(What::Debit(debit)) => match &debit.then {
                Then::Reserve { lasts, .. } => (entry.refers_to.clone(), *lasts),
                _ => return,
            },
            _ => return,
        };
        self.reservations.insert(name, (entry.amount, entry.at + lasts));
    }

    fn consume(&mut self, entry: &Entry, ask: Option<&Ask>) {
        let keeps = matches!(ask.map(|ask| &ask.what), Some(What::Debit(debit)) if debit.then == Then::Keep);
        let Some((left, expires)) = self.reservations.remove(&entry.refers_to) else { return };
        if keeps {
            self.reservations.insert(entry.refers_to.clone(), ((left - taken(entry)).max(Decimal::ZERO), expires));
        }
    }
}

/// What a charge takes of the credit: a bill of its own is owed in minor units.
fn taken(entry: &Entry) -> Decimal {
    match entry.kind {
        Kind::ChargedOwnBill => entry.amount.max(entry.amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)),
        _ => entry.amount,
    }
}
