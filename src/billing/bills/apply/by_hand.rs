//! What operators do with credits by hand, in the one way in which the aggregator allocates: read, worked out, and written in one
//! transaction, which waits for a step of the partition that is under way, and lets none begin meanwhile.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row};

use super::{LoadPlan, LoadedAccount, NewAllocation, load, write};
use crate::audit;
use crate::bills::allocate::Allocation;
use crate::bills::allocate::by_hand::NotAllocated;
use crate::record::narrow;
use crate::store::Columns;
use crate::{Billing, BillingError};
use domain::ids::{AccountId, RequestId};
use domain::money::{Units, format_units};
use domain::origin::Origin;
use domain::time::UnixMillis;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The credit pays an invoice.
    Allocate,
    /// The credit no longer pays an invoice, and is set aside.
    TakeOff,
    /// What is set aside of the credit pays automatically again.
    SetFree,
}

/// A request of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    pub account: AccountId,
    /// The caller's name for it.
    pub request_id: RequestId,
    /// What to do.
    pub act: Act,
    /// The request id of the payment, or of another credit.
    pub credit: RequestId,
    /// The number of the invoice; empty where none is meant.
    pub invoice: String,
    /// The amount; `None` for as much as possible.
    pub amount: Option<Units>,
    /// Who asks.
    pub actor: String,
    /// For whom; empty if for nobody else.
    pub on_behalf_of: String,
    /// Why.
    pub reason: String,
    /// When it came.
    pub at: UnixMillis,
    /// How it came.
    pub origin: Origin,
}

/// The outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByHandOutcome {
    /// How much was allocated, taken off, or set free.
    pub amount: Units,
    /// It was done before: this is a repetition.
    pub replayed: bool,
}

impl ByHand {
    /// What is asked for, and nothing of who asks or why.
    fn content(&self) -> String {
        let act = match self.act {
            Act::Allocate => "allocate",
            Act::TakeOff => "take off",
            Act::SetFree => "set free",
        };
        let amount = self.amount.map(|amount| amount.to_string()).unwrap_or_default();
        [act, &self.credit, &self.invoice, &amount].join("\n")
    }

    /// The act, for its audit record.
    fn audited(&self, amount: String) -> audit::Act {
        let action = match self.act {
            Act::Allocate => "payment.allocated",
            Act::TakeOff => "payment.taken_off",
            Act::SetFree => "payment.set_free",
        };
        let invoice = (!self.invoice.is_empty()).then(|| self.invoice.clone());
        let act = audit::Act {
            at: self.at,
            actor: self.actor.clone(),
            on_behalf_of: self.on_behalf_of.clone(),
            action: action.to_owned(),
            account: self.account.clone(),
            request_id: self.request_id.clone(),
            origin: self.origin.clone(),
            ..audit::Act::default()
        };
        act.with("payment", self.credit.as_str()).with("invoice", invoice).with("amount", amount).with_reason(&self.reason)
    }
}

impl Billing {
    /// Executes an operator's request, once.
    pub async fn allocate_by_hand(&self, asked: &ByHand) -> Result<Result<ByHandOutcome, NotAllocated>, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        // The first statement of each step is an update of this row.
        let lock = "UPDATE partitions SET fence = fence WHERE partition = (SELECT partition FROM accounts WHERE account = $1)";
        if sqlx::query(lock).bind(asked.account.to_string()).execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(Err(NotAllocated::NoSuchCredit));
        }
        if let Some(done) = repeated(connection, asked).await? {
            return Ok(Ok(done));
        }
        let account = &asked.account;
        let mut load_plan = LoadPlan::default();
        load_plan.accounts.insert(account);
        load_plan.payers.insert(account);
        load_plan.all_open.insert(account);
        load_plan.reversed.insert((account, &asked.credit));
        let mut loaded_bills = load::load(connection, self.store().dialect(), &load_plan).await?;
        let number = next_number(connection, account).await?;
        let before = loaded_bills.accounts.get(account).map(|ledger| ledger.receivables.set_asides()).unwrap_or_default();
        let done = loaded_bills.accounts.get_mut(account).ok_or(NotAllocated::NoSuchCredit).and_then(|ledger| do_it(ledger, asked));
        let Done { credit, document, amount, allocations } = match done {
            Ok(done) => done,
            Err(refused) => return Ok(Err(refused)),
        };
        let made = allocations.into_iter().map(|allocation| {
            let (account, time) = (asked.account.clone(), asked.at);
            NewAllocation { account, sequence: -number, time, allocation }
        });
        loaded_bills.made_allocations.extend(made);
        loaded_bills.set_aside_since(account, -number, &before);
        write::write(connection, self.store().dialect(), &loaded_bills).await?;
        let signed = if asked.act == Act::TakeOff { -amount } else { amount };
        sqlx::query(
            "INSERT INTO allocations_by_hand (account, number, request_id, content, credit, document, amount, at, actor, reason, \
             on_behalf_of, after_entry) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
             (SELECT next_sequence - 1 FROM partitions WHERE partition = (SELECT partition FROM accounts WHERE account = $1)))",
        )
        .bind(asked.account.to_string())
        .bind(number)
        .bind(asked.request_id.to_string())
        .bind(asked.content())
        .bind(credit)
        .bind(document)
        .bind(signed.get())
        .bind(asked.at.get())
        .bind(asked.actor.clone())
        .bind(asked.reason.clone())
        .bind(asked.on_behalf_of.clone())
        .execute(&mut *connection)
        .await?;
        let amount_text = text_of(connection, account, amount).await?;
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[asked.audited(amount_text)]).await?;
        transaction.commit().await?;
        Ok(Ok(ByHandOutcome { amount, replayed: false }))
    }
}

/// An amount of an account, as a decimal.
async fn text_of(connection: &mut AnyConnection, account: &AccountId, amount: Units) -> Result<String, BillingError> {
    let sql = "SELECT decimals, minor_digits FROM accounts WHERE account = $1";
    let row = sqlx::query(sql).bind(account.to_string()).fetch_one(connection).await?;
    Ok(format_units(amount, narrow(&row, "decimals")?, narrow(&row, "minor_digits")?))
}

/// What was done under the request's id before.
async fn repeated(connection: &mut AnyConnection, asked: &ByHand) -> Result<Option<ByHandOutcome>, BillingError> {
    let sql = "SELECT content, amount FROM allocations_by_hand WHERE account = $1 AND request_id = $2";
    let query = sqlx::query(sql).bind(asked.account.to_string()).bind(asked.request_id.to_string());
    let Some(row) = query.fetch_optional(connection).await? else { return Ok(None) };
    if row.try_get::<String, _>("content")? != asked.content() {
        return Err(BillingError::RequestIdReused);
    }
    Ok(Some(ByHandOutcome { amount: row.units("amount")?.abs(), replayed: true }))
}

async fn next_number(connection: &mut AnyConnection, account: &AccountId) -> Result<i64, BillingError> {
    let sql = "SELECT CAST(COALESCE(MAX(number), 0) + 1 AS BIGINT) FROM allocations_by_hand WHERE account = $1";
    Ok(sqlx::query(sql).bind(account.to_string()).fetch_one(connection).await?.try_get(0)?)
}

/// The result.
struct Done {
    credit: i64,
    /// 0 if no invoice is meant.
    document: i64,
    amount: Units,
    allocations: Vec<Allocation>,
}

fn do_it(ledger: &mut LoadedAccount, asked: &ByHand) -> Result<Done, NotAllocated> {
    let (balance, receivables) = (ledger.balance, &mut ledger.receivables);
    // An id may be used again when it was forgotten; the last one is meant.
    let found = receivables.credits.iter().rev().find(|credit| credit.request_id == asked.credit);
    let (credit, set_aside) = found.map(|credit| (credit.sequence, credit.set_aside)).ok_or(NotAllocated::NoSuchCredit)?;
    let document = match asked.act {
        Act::SetFree => 0,
        Act::Allocate | Act::TakeOff => {
            let invoice = receivables.invoices.iter().find(|invoice| !asked.invoice.is_empty() && invoice.number == asked.invoice);
            invoice.map(|invoice| invoice.document).ok_or(NotAllocated::NoSuchInvoice)?
        }
    };
    let allocations = match asked.act {
        Act::Allocate => receivables.allocate(credit, document, asked.amount, balance)?,
        Act::TakeOff => receivables.take_off(credit, document, asked.amount, balance)?,
        Act::SetFree => receivables.set_free(credit, balance)?,
    };
    let amount = match asked.act {
        Act::SetFree => set_aside,
        Act::Allocate | Act::TakeOff => allocations.first().map_or(Units::ZERO, |first| first.amount.abs()),
    };
    Ok(Done { credit, document, amount, allocations: summed(allocations) })
}

/// One allocation for each credit and invoice.
fn summed(allocations: Vec<Allocation>) -> Vec<Allocation> {
    let mut sums: BTreeMap<(i64, i64), Units> = BTreeMap::new();
    for Allocation { credit, document, amount } in allocations {
        *sums.entry((credit, document)).or_default() += amount;
    }
    let summed = sums.into_iter().filter(|(_, amount)| !amount.is_zero());
    summed.map(|((credit, document), amount)| Allocation { credit, document, amount }).collect()
}
