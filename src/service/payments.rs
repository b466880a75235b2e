//! Payments: recorded in the ledger, so that usable credit and the amount due change in one step; looked at, and allocated by hand, in the
//! billing store.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::UseCases;
use super::commands::{Decided, observation};
use super::context::RequestContext;
use super::credit::Unit;
use super::error::{Error, Violation};
use super::permissions::not_ahead;
use access::Permission;
use billing::bills::allocate::by_hand::NotAllocated;
use billing::document::DocumentKind;
use billing::payments::{Payment, PaymentCursor, PaymentFilter, PaymentInFull};
use billing::scope::Scope;
use billing::{Act, Billing, BillingError, ByHand, ByHandOutcome, DocumentState};
use domain::account::{Account, Currency};
use domain::command::Command;
use domain::ids::{AccountId, RequestId};
use domain::money::{DecimalAmount, Units};
use domain::outcome::Refusal;
use domain::time::UnixMillis;

/// How long to wait for the billing store to have a payment.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often to look whether it has.
const PAUSE: Duration = Duration::from_millis(25);

/// How many of an account's allocations are looked through.
const ALLOCATIONS: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentPage {
    /// Those received last first.
    pub payments: Vec<Payment>,
    /// Where the next page begins; `None` if there is none.
    pub next: Option<PaymentCursor>,
}

/// A recorded payment.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub decided: Decided,
    /// The invoices that it pays, and how much of each; `None` if the billing store did not have it soon.
    pub allocations: Option<Vec<(String, Units)>>,
}

/// What an operator does by hand, the amount as it was sent.
#[derive(Clone, Debug)]
pub struct AllocateByHand {
    /// What to do. Its amount is set once the account's decimals are known.
    pub by_hand: ByHand,
    /// How much; `None` means as much as there is.
    pub amount: Option<DecimalAmount>,
    /// The currency that the caller believes the account to have, if it said so.
    pub currency: Option<Currency>,
    /// When the caller first sent it, if it said so.
    pub first_sent_at: Option<UnixMillis>,
}

/// The outcome.
#[derive(Clone, Debug)]
pub struct AllocatedByHand {
    pub account: Account,
    /// What was done.
    pub handled: ByHandOutcome,
    /// The payment afterwards, if it is one.
    pub payment: Option<PaymentInFull>,
}

impl UseCases {
    /// Records a payment, and says which invoices it pays, if the billing store has it soon.
    pub async fn record_payment(&self, context: &RequestContext, command: Command) -> Result<Recorded, Error> {
        let decided = self.record_payment_at_once(context, command).await?;
        let allocations = match &self.billing {
            Some(billing) => context.addition(PATIENCE, allocations(billing, &decided.command)).await.flatten(),
            None => None,
        };
        Ok(Recorded { decided, allocations })
    }

    /// The same for those who do not need to know which invoices it pays.
    pub(super) async fn record_payment_at_once(&self, context: &RequestContext, mut command: Command) -> Result<Decided, Error> {
        self.admit(context, &mut command).await?;
        let invoices = command.action.invoices();
        // A repetition is answered as the first time, whatever has become of what it refers to.
        if !invoices.is_empty() && !self.ledger.is_remembered(&command.account, &command.request_id).await? {
            let missing = self.billing(context).await?.not_invoices_of(&command.account, invoices).await?;
            if let Some(number) = missing.first() {
                return Err(Error::invoice_not_found(number));
            }
        }
        self.decide_admitted(context, Arc::new(command)).await
    }

    /// Payments behind a place.
    pub async fn list_payments(
        &self,
        context: &RequestContext,
        filter: &PaymentFilter,
        after: Option<PaymentCursor>,
        count: usize,
    ) -> Result<PaymentPage, Error> {
        let scope = context.scope(Permission::ReadDocuments, filter.account.as_deref())?;
        let filter = &PaymentFilter { scope, ..filter.clone() };
        let mut payments = self.billing(context).await?.payments(filter, after, count + 1).await?;
        let has_more = payments.len() > count;
        payments.truncate(count);
        let next = payments.last().filter(|_| has_more).map(|last| (last.received_at, last.entry));
        Ok(PaymentPage { payments, next })
    }

    /// A payment, with what it pays and what took it back.
    pub async fn payment(&self, context: &RequestContext, account: &AccountId, id: &RequestId) -> Result<PaymentInFull, Error> {
        context.require(Permission::ReadDocuments, account)?;
        payment(self.billing(context).await?, account, id).await
    }

    /// Allocates a payment to an invoice, takes it off one, or frees what is set aside of it.
    pub async fn allocate_by_hand(&self, context: &RequestContext, asked: AllocateByHand) -> Result<AllocatedByHand, Error> {
        let AllocateByHand { mut by_hand, amount, currency, first_sent_at } = asked;
        context.require(Permission::RecordPayments, &by_hand.account)?;
        not_ahead(first_sent_at, by_hand.at, &by_hand.request_id)?;
        context.sign_fields(true, &mut by_hand.actor, &mut by_hand.on_behalf_of)?;
        by_hand.origin = context.origin();
        let account = self.look_at(&by_hand.account).await?.account;
        if currency.is_some_and(|currency| currency != account.currency) {
            let command = Command { request_id: by_hand.request_id, ..observation(by_hand.account) };
            return Err(Error::refused(Refusal::CurrencyMismatch, &command));
        }
        if let Some(amount) = amount {
            let rule = "must have at most as many decimals as the account, and be within what it can hold";
            by_hand.amount = Some(amount.to_units(account.decimals).map_err(|_| Error::invalid_field("amount", rule))?);
        }
        let billing = self.billing(context).await?;
        let handled = allocate(billing, &account, &by_hand).await?;
        let payment = billing.payment(&by_hand.account, &by_hand.credit).await?;
        Ok(AllocatedByHand { account, handled, payment })
    }
}

/// What a payment has paid, once the billing store has it.
async fn allocations(billing: &Billing, command: &Command) -> Option<Vec<(String, Units)>> {
    while billing.entry_of_request(&command.account, &command.request_id).await.ok()?.is_none() {
        sleep(PAUSE).await;
    }
    let found = billing.allocations(&command.account, ALLOCATIONS).await.ok()?;
    let own = found.into_iter().filter(|allocation| allocation.credit == command.request_id && allocation.amount > Units::ZERO);
    Some(own.map(|allocation| (allocation.invoice, allocation.amount)).collect())
}

/// A payment of an account.
pub(super) async fn payment(billing: &Billing, account: &AccountId, id: &RequestId) -> Result<PaymentInFull, Error> {
    billing.payment(account, id).await?.ok_or_else(|| not_found(account, id))
}

fn not_found(account: &AccountId, id: &RequestId) -> Error {
    let error = Error::not_found("PAYMENT_NOT_FOUND", "payment", id, "the account has no such payment");
    error.with("account_id", account).with("payment_id", id)
}

async fn allocate(billing: &Billing, account: &Account, asked: &ByHand) -> Result<ByHandOutcome, Error> {
    let mut done = billing.allocate_by_hand(asked).await?;
    if done == Err(NotAllocated::NoSuchInvoice) {
        // Invoices that are paid, by others, are not looked at to allocate.
        let own = Scope::new([asked.account.as_str()]);
        let found = match billing.document(&asked.invoice, Some(&own)).await {
            Ok(found) => found,
            Err(BillingError::NotFound(_)) => return Err(Error::invoice_not_found(&asked.invoice)),
            Err(error) => return Err(error.into()),
        };
        let is_invoice = found.document.kind == DocumentKind::Invoice && found.state == DocumentState::Issued;
        if !is_invoice || found.document.account != asked.account {
            return Err(Error::invoice_not_found(&asked.invoice));
        }
        done = Err(match asked.act {
            Act::TakeOff => NotAllocated::ExceedsAllocated { allocated: Units::ZERO },
            Act::Allocate | Act::SetFree => NotAllocated::ExceedsOpen { open: Units::ZERO },
        });
    }
    done.map_err(|refused| not_allocated(refused, account, asked))
}

fn not_allocated(refused: NotAllocated, account: &Account, asked: &ByHand) -> Error {
    let show = |units| Unit::of(account).show(units);
    let state = |reason, key: &'static str, units, text: &str| {
        let units = show(units);
        Error::precondition(reason, format!("accounts/{}", asked.account), format!("{text}: {units}")).with(key, units)
    };
    let error = match refused {
        NotAllocated::NoSuchCredit => return not_found(&asked.account, &asked.credit),
        NotAllocated::NoSuchInvoice => return Error::invoice_not_found(&asked.invoice),
        NotAllocated::NotInMinorUnits => {
            let rule = format!("must be in whole minor units of the currency: {}", show(account.minor_unit()));
            return Error::invalid_because("NOT_IN_MINOR_UNITS", vec![Violation { field: "amount".to_owned(), rule }]);
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
