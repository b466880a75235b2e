//! What operators do with a credit: have it pay an invoice, take it off one, or let it pay automatically again. Pure.

use super::{Allocation, Receivables};
use domain::money::Units;

/// Why it is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAllocated {
    /// The account has no such credit.
    NoSuchCredit,
    /// The account has no such invoice.
    NoSuchInvoice,
    /// The amount is not in whole minor units.
    NotInMinorUnits,
    /// It is more than the credit has left.
    ExceedsUnallocated {
        /// What it has left.
        unallocated: Units,
    },
    /// It is more than the invoice lacks.
    ExceedsOpen {
        /// What it lacks.
        open: Units,
    },
    /// It is more than what the credit pays of the invoice.
    ExceedsAllocated {
        /// What it pays.
        allocated: Units,
    },
}

impl Receivables {
    /// What of a credit may pay an invoice: what is set aside of it, and what charges and debts have left of the rest.
    #[must_use]
    pub fn unallocated(&self, credit: i64, balance: Units) -> Units {
        let found = self.credits.iter().find(|found| found.sequence == credit);
        found.map_or(Units::ZERO, |found| found.set_aside + found.free().min(self.free(balance)).or_zero())
    }

    /// Allocates a credit to an invoice: an amount of it, or all that it can.
    pub fn allocate(&mut self, credit: i64, document: i64, amount: Option<Units>, balance: Units) -> Result<Vec<Allocation>, NotAllocated> {
        let unallocated = self.unallocated(credit, balance);
        let place = self.credits.iter().position(|found| found.sequence == credit).ok_or(NotAllocated::NoSuchCredit)?;
        let invoice = self.invoices.iter().position(|found| found.document == document).ok_or(NotAllocated::NoSuchInvoice)?;
        let open = self.invoices.get(invoice).map_or(Units::ZERO, |invoice| invoice.open);
        let amount = match amount {
            Some(amount) => self.in_minor_units(amount)?,
            None => self.whole(unallocated.min(open)),
        };
        if open.is_zero() || amount > open {
            return Err(NotAllocated::ExceedsOpen { open });
        }
        if amount.is_zero() || amount > unallocated {
            return Err(NotAllocated::ExceedsUnallocated { unallocated });
        }
        if let Some(credit) = self.credits.get_mut(place) {
            credit.set_aside -= credit.set_aside.min(amount);
        }
        Ok(self.pay(place, invoice, &mut { amount }).into_iter().collect())
    }

    /// Takes a credit off an invoice, so much or all of it in whole minor units, and sets it aside. What else is free pays what is open.
    pub fn take_off(&mut self, credit: i64, document: i64, amount: Option<Units>, balance: Units) -> Result<Vec<Allocation>, NotAllocated> {
        let of_both = |paid: &&Allocation| paid.credit == credit && paid.document == document;
        let allocated: Units = self.paid.iter().filter(of_both).map(|paid| paid.amount).sum();
        let amount = match amount {
            Some(amount) => self.in_minor_units(amount)?,
            None => self.whole(allocated),
        };
        let credit = self.credits.iter_mut().find(|found| found.sequence == credit).ok_or(NotAllocated::NoSuchCredit)?;
        let invoice = self.invoices.iter_mut().find(|found| found.document == document).ok_or(NotAllocated::NoSuchInvoice)?;
        if amount.is_zero() || amount > allocated {
            return Err(NotAllocated::ExceedsAllocated { allocated });
        }
        credit.allocated -= amount;
        credit.set_aside += amount;
        credit.is_changed = true;
        invoice.open += amount;
        let allocation = Allocation { credit: credit.sequence, document, amount: -amount };
        self.paid.push(allocation);
        let mut allocations = vec![allocation];
        allocations.extend(self.settle(self.free(balance)));
        Ok(allocations)
    }

    /// Frees what is set aside of a credit: it pays open invoices at once, the oldest first.
    pub fn set_free(&mut self, credit: i64, balance: Units) -> Result<Vec<Allocation>, NotAllocated> {
        let credit = self.credits.iter_mut().find(|found| found.sequence == credit).ok_or(NotAllocated::NoSuchCredit)?;
        if credit.set_aside.is_zero() {
            return Err(NotAllocated::ExceedsUnallocated { unallocated: Units::ZERO });
        }
        let freed = credit.set_aside;
        (credit.set_aside, credit.is_changed) = (Units::ZERO, true);
        // As a new credit: a debt that no invoice holds waits until the invoices are paid.
        Ok(self.settle(self.free(balance).max(freed)))
    }

    fn whole(&self, amount: Units) -> Units {
        amount - amount.rem_euclid(self.minor_unit.max(Units::ONE))
    }

    fn in_minor_units(&self, amount: Units) -> Result<Units, NotAllocated> {
        if self.whole(amount) == amount { Ok(amount) } else { Err(NotAllocated::NotInMinorUnits) }
    }
}
