//! Payments looked at, and what operators do with them by hand.

use super::error::{Error, Kind, Violation};
use crate::billing::bills::allocate::by_hand::NotAllocated;
use crate::billing::document::DocumentKind;
use crate::billing::payments::{Payment, PaymentFilter, PaymentInFull, PaymentPlace};
use crate::billing::{Act, Billing, BillingError, ByHand, DocumentState, Handled};
use crate::domain::account::Account;
use crate::domain::money::format_units;

/// A page of payments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentPage {
    /// Those received last first.
    pub payments: Vec<Payment>,
    /// Where the next page begins; None: there is none.
    pub next: Option<PaymentPlace>,
}

/// Payments behind a place.
pub async fn page(billing: &Billing, filter: &PaymentFilter, after: Option<PaymentPlace>, count: usize) -> Result<PaymentPage, Error> {
    let mut payments = billing.payments(filter, after, count + 1).await.map_err(|error| Error::from(&error))?;
    let has_more = payments.len() > count;
    payments.truncate(count);
    let next = payments.last().filter(|_| has_more).map(|last| (last.received_at, last.entry));
    Ok(PaymentPage { payments, next })
}

/// A payment, with what it pays and what took it back.
pub async fn payment(billing: &Billing, account: &str, id: &str) -> Result<PaymentInFull, Error> {
    let found = billing.payment(account, id).await.map_err(|error| Error::from(&error))?;
    found.ok_or_else(|| not_found(account, id))
}

fn not_found(account: &str, id: &str) -> Error {
    let error = Error::not_found("PAYMENT_NOT_FOUND", "payment", id, "the account has no such payment");
    error.with("account_id", account).with("payment_id", id)
}

/// Does what an operator asks for; returns what came of it, and the payment afterwards, if it is one.
pub async fn by_hand(billing: &Billing, account: &Account, asked: &ByHand) -> Result<(Handled, Option<PaymentInFull>), Error> {
    let mut done = billing.allocate_by_hand(asked).await.map_err(|error| Error::from(&error))?;
    if done == Err(NotAllocated::NoSuchInvoice) {
        // Invoices that are paid, by others, are not looked at to allocate.
        let found = match billing.document(&asked.invoice).await {
            Ok(found) => found,
            Err(BillingError::NotFound(_)) => return Err(Error::invoice_not_found(&asked.invoice)),
            Err(error) => return Err(Error::from(&error)),
        };
        let is_invoice = found.document.kind == DocumentKind::Invoice && found.state == DocumentState::Issued;
        if !is_invoice || found.document.account != asked.account {
            return Err(Error::invoice_not_found(&asked.invoice));
        }
        done = Err(match asked.act {
            Act::TakeOff => NotAllocated::ExceedsAllocated { allocated: 0 },
            Act::Allocate | Act::SetFree => NotAllocated::ExceedsOpen { open: 0 },
        });
    }
    let handled = done.map_err(|refused| not_allocated(refused, account, asked))?;
    Ok((handled, billing.payment(&asked.account, &asked.credit).await.map_err(|error| Error::from(&error))?))
}

fn not_allocated(refused: NotAllocated, account: &Account, asked: &ByHand) -> Error {
    let show = |units| format!("{} {}", format_units(units, account.decimals, account.minor_digits), account.currency.code());
    let state = |reason, key: &'static str, units, text: &str| {
        let units = show(units);
        Error::precondition(reason, format!("accounts/{}", asked.account), format!("{text}: {units}")).with(key, units)
    };
    let error = match refused {
        NotAllocated::NoSuchCredit => return not_found(&asked.account, &asked.credit),
        NotAllocated::NoSuchInvoice => return Error::invoice_not_found(&asked.invoice),
        NotAllocated::NotInMinorUnits => {
            let rule = format!("must be in whole minor units of the currency: {}", show(account.minor_unit()));
            return Error { kind: Kind::Invalid, ..Error::invalid_because("NOT_IN_MINOR_UNITS", vec![violation(rule)]) };
        }
        NotAllocated::ExceedsUnallocated { unallocated } => {
            state("EXCEEDS_UNALLOCATED", "unallocated", unallocated, "it is more than what the payment has left to pay invoices with")
        }
        NotAllocated::ExceedsOpen { open } => {
            state("EXCEEDS_OPEN_AMOUNT", "open_amount", open, "it is more than what is open of the invoice")
        }
        NotAllocated::ExceedsAllocated { allocated } => {
            state("EXCEEDS_ALLOCATED", "allocated", allocated, "it is more than what the payment pays of the invoice")
        }
    };
    error.with("account_id", &asked.account).with("payment_id", &asked.credit)
}

fn violation(rule: String) -> Violation {
    Violation { field: "amount".to_owned(), rule }
}
