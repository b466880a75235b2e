//! Allocation of credits: the open invoices of one account, and the credits that pay them. Pure.
//!
//! At every instant `balance = set aside + free - open`: what operators took off invoices and no automatic allocation uses, and what else
//! was paid in beyond all invoices, less what the invoices lack. A debt that no invoice holds (a prepaid account living on its limit) makes
//! `free` negative. Credits pay in whole minor units of the currency, so what is open of an invoice always is one; what a credit has beyond
//! them is free while an invoice is open. What operators do by hand is in [`by_hand`].

pub mod by_hand;

use std::collections::BTreeMap;

use domain::ids::RequestId;
use domain::money::Units;
use domain::time::UnixMillis;

/// A credit that stands for what was paid in before anything was known of credits.
pub const UNKNOWN_CREDIT: i64 = 0;

/// An invoice, with what it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payable {
    pub document: i64,
    /// Its number, if it has one by now.
    pub number: String,
    /// When its bill was cut: older ones are paid first.
    pub cut_at: UnixMillis,
    /// What there was to pay.
    pub total: Units,
    /// What is not paid yet.
    pub open: Units,
    /// What the store has as not paid yet; `None` for nothing at all.
    pub stored: Option<Units>,
}

/// A credit: a payment, a top-up, a refund, a correction in the customer's favour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    /// The account's number of its entry.
    pub sequence: i64,
    pub request_id: RequestId,
    /// When it was accepted.
    pub time: UnixMillis,
    /// How much it is.
    pub amount: Units,
    /// The part that has paid invoices.
    pub allocated: Units,
    /// What of it was taken back.
    pub reversed: Units,
    /// The part that an operator took off invoices: only an operator lets it pay again.
    pub set_aside: Units,
    /// Whether the store does not have it so yet.
    pub is_changed: bool,
}

impl Credit {
    /// The part that has paid nothing yet.
    #[must_use]
    pub fn rest(&self) -> Units {
        self.amount - self.allocated - self.reversed
    }

    /// How much of it may pay invoices automatically.
    fn free(&self) -> Units {
        self.rest() - self.set_aside
    }
}

/// A part of a credit that pays an invoice; negative: no longer pays it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The credit's number.
    pub credit: i64,
    /// The invoice.
    pub document: i64,
    /// How much.
    pub amount: Units,
}

/// The invoices and credits of one account, as far as they matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receivables {
    /// Invoices: the open ones, as far as they may be paid, the oldest of them; and those that a credit to be reversed has paid.
    pub invoices: Vec<Payable>,
    /// What those lack that are not among them.
    pub open_elsewhere: Units,
    /// Credits with something left, and those to be reversed; oldest first.
    pub credits: Vec<Credit>,
    /// How many units the currency's minor unit is; 0 for one.
    pub minor_unit: Units,
    /// What each credit has paid so far, of those to be reversed, and of all that happens here.
    pub paid: Vec<Allocation>,
}

impl Receivables {
    /// What all invoices lack.
    #[must_use]
    pub fn open(&self) -> Units {
        self.open_elsewhere + self.invoices.iter().map(|invoice| invoice.open).sum::<Units>()
    }

    /// What operators have set aside.
    #[must_use]
    pub fn set_aside(&self) -> Units {
        self.credits.iter().map(|credit| credit.set_aside).sum()
    }

    /// What is set aside of each credit of which anything is.
    #[must_use]
    pub fn set_asides(&self) -> BTreeMap<i64, Units> {
        self.credits.iter().filter(|credit| !credit.set_aside.is_zero()).map(|credit| (credit.sequence, credit.set_aside)).collect()
    }

    /// What was paid in beyond all invoices and may pay the next ones; below zero: a debt that no invoice holds.
    #[must_use]
    pub fn free(&self, balance: Units) -> Units {
        balance + self.open() - self.set_aside()
    }

    /// Takes in a credit: it pays its own invoice first, if it has one, then the named ones, then the oldest.
    pub fn credit(&mut self, credit: Credit, own: Option<i64>, named: &[String]) -> Vec<Allocation> {
        let mut order: Vec<usize> = Vec::new();
        order.extend(own.and_then(|own| self.invoices.iter().position(|invoice| invoice.document == own)));
        for number in named.iter().filter(|number| !number.is_empty()) {
            order.extend(self.invoices.iter().position(|invoice| invoice.number == *number));
        }
        order.extend(self.oldest_first());
        let mut left = credit.amount;
        self.credits.push(Credit { is_changed: true, ..credit });
        let place = self.credits.len() - 1;
        let mut allocations = Vec::new();
        for invoice in order {
            let mut part = self.payable(left, self.invoices.get(invoice).map_or(Units::ZERO, |invoice| invoice.open));
            let paid = self.pay(place, invoice, &mut part);
            left -= paid.map_or(Units::ZERO, |paid| paid.amount);
            allocations.extend(paid);
        }
        allocations
    }

    /// Takes back a part of a payment: first what has paid nothing, then what has paid the newest invoices. `balance` is what is left
    /// after it. A payment that nothing is known of has paid nothing.
    pub fn reverse(&mut self, request_id: &RequestId, amount: Units, balance: Units) -> Vec<Allocation> {
        let mut allocations = Vec::new();
        if let Some(credit) = self.credits.iter_mut().rev().find(|credit| credit.request_id == *request_id) {
            let sequence = credit.sequence;
            let mut left = amount - credit.rest().clamp(Units::ZERO, amount);
            credit.reversed += amount;
            credit.set_aside = credit.set_aside.min(credit.rest().or_zero());
            credit.is_changed = true;
            for place in self.oldest_first().into_iter().rev() {
                let Some(invoice) = self.invoices.get_mut(place) else { continue };
                let of_both = |paid: &&Allocation| paid.credit == sequence && paid.document == invoice.document;
                let paid: Units = self.paid.iter().filter(of_both).map(|paid| paid.amount).sum();
                // In whole minor units, too: what is too much of it is unallocated. No more than the invoice is opened: a part of what this
                // credit has paid may have taken the place of one that was opened with another's.
                let wanted = left + (-left).rem_euclid(self.minor_unit.max(Units::ONE));
                let reopened = paid.min(wanted).min(invoice.total - invoice.open);
                if reopened.is_positive() {
                    left -= reopened;
                    invoice.open += reopened;
                    allocations.push(Allocation { credit: sequence, document: invoice.document, amount: -reopened });
                    // Several credits may have paid one minor unit together.
                    let rest = (-invoice.open).rem_euclid(self.minor_unit.max(Units::ONE)).min(invoice.total - invoice.open);
                    if rest.is_positive() {
                        invoice.open += rest;
                        allocations.push(Allocation { credit: UNKNOWN_CREDIT, document: invoice.document, amount: -rest });
                    }
                }
            }
            let own = allocations.iter().filter(|allocation| allocation.credit == sequence);
            let reopened: Units = own.map(|allocation| allocation.amount).sum();
            if let Some(credit) = self.credits.iter_mut().find(|credit| credit.sequence == sequence) {
                credit.allocated += reopened;
            }
            self.paid.extend_from_slice(&allocations);
        }
        allocations.extend(self.settle(self.free(balance)));
        merged(allocations)
    }

    /// Takes in an invoice. Of its total, `credit_applied` is paid by the newest credits that have something left: older ones may be
    /// spent, in prepaid, which nobody keeps track of.
    pub fn invoice(&mut self, document: i64, cut_at: UnixMillis, total: Units, credit_applied: Units) -> Vec<Allocation> {
        self.invoices.push(Payable { document, number: String::new(), cut_at, total, open: total, stored: None });
        self.pay_by_rests(self.invoices.len() - 1, credit_applied)
    }

    /// Takes in a withdrawal: what was set aside is paid out only where nothing else is left.
    pub fn pay_out(&mut self, amount: Units, balance: Units) {
        let mut left = (-self.free(balance)).clamp(Units::ZERO, amount.or_zero());
        for credit in self.credits.iter_mut().rev() {
            let part = credit.set_aside.min(left);
            if part.is_positive() {
                (credit.set_aside, credit.is_changed) = (credit.set_aside - part, true);
                left -= part;
            }
        }
    }

    /// What is free pays what is open, if there is both.
    fn settle(&mut self, mut free: Units) -> Vec<Allocation> {
        let mut allocations = Vec::new();
        for place in self.oldest_first() {
            let open = self.invoices.get(place).map_or(Units::ZERO, |invoice| invoice.open);
            let payable = self.payable(free, open);
            if payable.is_positive() {
                free -= payable;
                allocations.extend(self.pay_by_rests(place, payable));
            }
        }
        allocations
    }

    fn pay_by_rests(&mut self, invoice: usize, amount: Units) -> Vec<Allocation> {
        let mut allocations = Vec::new();
        let mut left = amount;
        for place in (0..self.credits.len()).rev() {
            allocations.extend(self.pay(place, invoice, &mut left));
        }
        if let Some(invoice) = self.invoices.get_mut(invoice)
            && left.is_positive()
        {
            invoice.open -= left;
            let allocation = Allocation { credit: UNKNOWN_CREDIT, document: invoice.document, amount: left };
            self.paid.push(allocation);
            allocations.push(allocation);
        }
        allocations
    }

    /// Pays an invoice by a credit: as much as the credit has, the invoice lacks, and `left` says.
    fn pay(&mut self, credit: usize, invoice: usize, left: &mut Units) -> Option<Allocation> {
        let (credit, invoice) = (self.credits.get_mut(credit)?, self.invoices.get_mut(invoice)?);
        let amount = credit.free().min(invoice.open).min(*left);
        if !amount.is_positive() {
            return None;
        }
        *left -= amount;
        credit.allocated += amount;
        credit.is_changed = true;
        invoice.open -= amount;
        let allocation = Allocation { credit: credit.sequence, document: invoice.document, amount };
        self.paid.push(allocation);
        Some(allocation)
    }

    /// How much of what is open an amount pays: all of it, or whole minor units.
    fn payable(&self, amount: Units, open: Units) -> Units {
        if amount >= open { open } else { amount - amount.rem_euclid(self.minor_unit.max(Units::ONE)) }
    }

    fn oldest_first(&self) -> Vec<usize> {
        let mut order: Vec<(UnixMillis, i64, usize)> =
            self.invoices.iter().enumerate().map(|(place, invoice)| (invoice.cut_at, invoice.document, place)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, _, place)| place).collect()
    }
}

/// One allocation of each credit to each invoice: what is opened again may be paid at once by what is left of the same credit.
fn merged(allocations: Vec<Allocation>) -> Vec<Allocation> {
    let mut merged: Vec<Allocation> = Vec::with_capacity(allocations.len());
    for allocation in allocations {
        match merged.iter_mut().find(|one| (one.credit, one.document) == (allocation.credit, allocation.document)) {
            Some(one) => one.amount += allocation.amount,
            None => merged.push(allocation),
        }
    }
    merged.retain(|allocation| !allocation.amount.is_zero());
    merged
}

#[cfg(test)]
mod tests;
