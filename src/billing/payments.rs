//! Payments and top-ups, as they are looked at: lists by index, and one with all that it pays and that took it back.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::record::{coded, narrow};
use super::scope::Scope;
use super::{Billing, BillingError};
use crate::kinds::{GIVING_BACK, PAYMENTS, REVERSED_PAYMENTS};
use crate::store::Columns;
use domain::entry::EntryKind;
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::payment::PaymentDetails;
use domain::time::UnixMillis;

/// How many allocations, and how many reversals, are shown of a payment: an answer with both is within what clients take.
const MOST_PARTS: i64 = 500;

/// Which payments to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentFilter {
    /// Of this account; `None` for all.
    pub account: Option<AccountId>,
    /// Received at or after this.
    pub received_from: Option<UnixMillis>,
    /// Received before this.
    pub received_to: Option<UnixMillis>,
    /// Paid in this way; `None` for any.
    pub method: Option<String>,
    /// Only what does not pay invoices as a whole.
    pub unallocated_only: bool,
    /// Only accounts in this scope; `None` for all accounts.
    pub scope: Option<Scope>,
}

/// Where a list of payments goes on: when the last one was received, and its place in the journal.
pub type PaymentCursor = (UnixMillis, i64);

/// A payment, or a top-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub account: AccountId,
    /// ISO 4217.
    pub currency: String,
    /// Digits behind the point of a unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
    /// The account's number of its entry.
    pub sequence: i64,
    /// The place of its entry in the journal, as of a document's id.
    pub entry: i64,
    /// Whether it was recorded as a payment, or topped up.
    pub kind: EntryKind,
    /// The request id under which it was recorded.
    pub request_id: RequestId,
    /// When it was recorded.
    pub accepted_at: UnixMillis,
    /// When the money was received.
    pub received_at: UnixMillis,
    /// What is said of it.
    pub details: PaymentDetails,
    /// Who recorded it, and why; empty if not said.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// How much.
    pub amount: Units,
    /// The part that pays invoices.
    pub allocated: Units,
    /// What of it was taken back.
    pub reversed: Units,
    /// The part that an operator has set aside.
    pub set_aside: Units,
}

/// A part of a payment that pays an invoice, or no longer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentPart {
    /// The invoice's number; empty if it has none yet.
    pub invoice: String,
    /// When.
    pub at: UnixMillis,
    /// How much; below zero: it no longer pays it.
    pub amount: Units,
    /// Who allocated it by hand, and why; empty if nobody did.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// The reversal of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentReversal {
    pub request_id: RequestId,
    /// When.
    pub at: UnixMillis,
    /// How much.
    pub amount: Units,
    /// Who, and why.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// A payment, with all that there is to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentInFull {
    pub payment: Payment,
    /// What it pays and no longer pays, in order: the first thousand.
    pub parts: Vec<PaymentPart>,
    /// The reversals of it, in order: the first thousand.
    pub reversals: Vec<PaymentReversal>,
}

impl Payment {
    /// The part that pays no invoice, and was not taken back. In prepaid, charges may have used it up.
    #[must_use]
    pub fn unallocated(&self) -> Units {
        self.amount - self.allocated - self.reversed
    }

    /// The id of its entry: unique in the store, and the same for ever.
    #[must_use]
    pub fn entry_id(&self) -> String {
        format!("{}-{}", self.entry & 0xffff, self.entry >> 16)
    }
}

fn select() -> String {
    format!(
        "SELECT credits.*, accounts.currency, accounts.decimals, accounts.minor_digits FROM credits \
         JOIN accounts ON accounts.account = credits.account WHERE credits.kind IN ({PAYMENTS})"
    )
}

impl Billing {
    /// Payments, those received last first, behind a place.
    pub async fn payments(&self, filter: &PaymentFilter, after: Option<PaymentCursor>, count: usize) -> Result<Vec<Payment>, BillingError> {
        let mut sql = select();
        let (received_at, entry) = after.unwrap_or((UnixMillis::MAX, i64::MAX));
        sql += " AND (credits.received_at, credits.entry) < ($1, $2) AND credits.received_at >= $3 AND credits.received_at < $4";
        let mut texts = Vec::new();
        for (column, text) in [("account", filter.account.as_deref()), ("method", filter.method.as_deref())] {
            if let Some(text) = text {
                texts.push(text.to_owned());
                sql += &format!(" AND credits.{column} = ${}", 5 + texts.len());
            }
        }
        if let Some(scope) = &filter.scope {
            let condition = scope.condition("credits.account", |account| {
                texts.push(account);
                format!("${}", 5 + texts.len())
            });
            sql += &format!(" AND {condition}");
        }
        if filter.unallocated_only {
            sql += " AND credits.amount > credits.allocated + credits.reversed";
        }
        sql += " ORDER BY credits.received_at DESC, credits.entry DESC LIMIT $5";
        let query = sqlx::query(AssertSqlSafe(sql)).bind(received_at.get()).bind(entry);
        let query =
            query.bind(filter.received_from.unwrap_or(UnixMillis::MIN).get()).bind(filter.received_to.unwrap_or(UnixMillis::MAX).get());
        let mut query = query.bind(i64::try_from(count).unwrap_or(i64::MAX));
        for text in texts {
            query = query.bind(text);
        }
        query.fetch_all(self.store().pool()).await?.iter().map(read).collect()
    }

    /// The payment of an account with that number; `None` if it is not there.
    pub async fn payment_of_sequence(&self, account: &AccountId, sequence: i64) -> Result<Option<PaymentInFull>, BillingError> {
        let sql = "SELECT request_id FROM credits WHERE account = $1 AND sequence = $2";
        let row = sqlx::query(sql).bind(account.to_string()).bind(sequence).fetch_optional(self.store().pool()).await?;
        match row {
            Some(row) => self.payment(account, &row.request_id(0)?).await,
            None => Ok(None),
        }
    }

    /// The payment that was recorded under a request id: the last one, as an id may be used again when it was forgotten.
    pub async fn payment(&self, account: &AccountId, request_id: &RequestId) -> Result<Option<PaymentInFull>, BillingError> {
        let mut transaction = self.store().begin_reading().await?;
        let connection = &mut *transaction;
        let sql = format!("{} AND credits.account = $1 AND credits.request_id = $2 ORDER BY credits.sequence DESC LIMIT 1", select());
        let query = sqlx::query(AssertSqlSafe(sql)).bind(account.to_string()).bind(request_id.to_string());
        let Some(row) = query.fetch_optional(&mut *connection).await? else { return Ok(None) };
        let payment = read(&row)?;
        let sql = "SELECT COALESCE(issued.number, '') AS invoice, allocations.time AS at, allocations.amount, \
                          COALESCE(hand.actor, '') AS actor, COALESCE(hand.reason, '') AS reason \
                   FROM allocations LEFT JOIN issued ON issued.document = allocations.document \
                   LEFT JOIN allocations_by_hand AS hand ON hand.account = allocations.account AND hand.number = -allocations.sequence \
                   WHERE allocations.account = $1 AND allocations.credit = $2 \
                   ORDER BY allocations.time, CASE WHEN allocations.sequence < 0 THEN 1 ELSE 0 END, ABS(allocations.sequence), \
                   allocations.document LIMIT $3";
        let query = sqlx::query(sql).bind(account.to_string()).bind(payment.sequence).bind(MOST_PARTS);
        let parts = query.fetch_all(&mut *connection).await?;
        // Both lists of kinds: that of the index, and what is wanted.
        let sql = format!(
            "SELECT request_id, time AS at, amount, actor, reason FROM entries WHERE account = $1 AND refers_to = $2 \
             AND kind IN ({GIVING_BACK}) AND kind = {REVERSED_PAYMENTS} AND sequence > $3 ORDER BY sequence LIMIT $4"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(account.to_string())
            .bind(request_id.to_string())
            .bind(payment.entry >> 16)
            .bind(MOST_PARTS);
        let reversals = query.fetch_all(&mut *connection).await?;
        transaction.commit().await?;
        let part = |row: &AnyRow| {
            Ok(PaymentPart {
                invoice: row.try_get("invoice")?,
                at: row.instant("at")?,
                amount: row.units("amount")?,
                actor: row.try_get("actor")?,
                reason: row.try_get("reason")?,
            })
        };
        let reversal = |row: &AnyRow| {
            Ok(PaymentReversal {
                request_id: row.request_id("request_id")?,
                at: row.instant("at")?,
                amount: row.units("amount")?,
                actor: row.try_get("actor")?,
                reason: row.try_get("reason")?,
            })
        };
        Ok(Some(PaymentInFull {
            payment,
            parts: parts.iter().map(part).collect::<Result<_, BillingError>>()?,
            reversals: reversals.iter().map(reversal).collect::<Result<_, BillingError>>()?,
        }))
    }
}

fn read(row: &AnyRow) -> Result<Payment, BillingError> {
    let received_at = row.instant("received_at")?;
    Ok(Payment {
        account: row.account_id("account")?,
        currency: row.try_get("currency")?,
        decimals: narrow(row, "decimals")?,
        minor_digits: narrow(row, "minor_digits")?,
        sequence: row.try_get("sequence")?,
        entry: row.try_get("entry")?,
        kind: coded(row, "kind", EntryKind::from_number)?,
        request_id: row.request_id("request_id")?,
        accepted_at: row.instant("time")?,
        received_at,
        details: PaymentDetails {
            received_at: Some(received_at),
            method: row.try_get("method")?,
            reference: row.try_get("reference")?,
            remark: row.try_get("remark")?,
        },
        actor: row.try_get("actor")?,
        reason: row.try_get("reason")?,
        amount: row.units("amount")?,
        allocated: row.units("allocated")?,
        reversed: row.units("reversed")?,
        set_aside: row.units("set_aside")?,
    })
}
