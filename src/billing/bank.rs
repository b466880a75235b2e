//! Which lines of bank statements are booked: each is claimed for an account before its payment is recorded, so that no other account
//! gets it, and a repetition asks for the same payment under the same request id. And what the invoices are that lines name.

use std::collections::{HashMap, HashSet};

use sqlx::Row;
use sqlx::any::AnyRow;

use super::document::Party;
use super::record::narrow;
use super::store::rows::{Table, Type};
use super::{Billing, BillingError};
use crate::store::Columns;
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::time::UnixMillis;

/// A line that is booked, or about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedLine {
    pub account: AccountId,
    /// Which invoice it was said to pay; empty for the oldest ones.
    pub invoice: String,
    /// When that began.
    pub at: UnixMillis,
}

/// The result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookingClaim {
    /// It is tried now.
    Tried(BookingAttempt),
    /// It was claimed for another account before.
    Elsewhere(BookedLine),
}

/// A try to book a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookingAttempt {
    /// As it was claimed first.
    pub line: BookedLine,
    /// How many tries there were, with this one.
    pub number: i64,
    /// When the last one before was; 0 for none.
    pub last_at: UnixMillis,
}

/// An invoice of which something is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInvoice {
    pub number: String,
    pub account: AccountId,
    /// The recipient.
    pub customer: String,
    /// ISO 4217.
    pub currency: String,
    /// What is open of it, in units.
    pub open: Units,
    /// Digits behind the point of a unit.
    pub decimals: u8,
    /// Digits behind the point of the currency's minor unit.
    pub minor_digits: u8,
}

const LINES: Table = Table { name: "bank_lines", columns: &[("digest", Type::Text)], on_conflict: "" };

const MOVEMENTS: Table = Table { name: "bank_lines", columns: &[("movement", Type::Text)], on_conflict: "" };

const CREDITS: Table = Table { name: "credits", columns: &[("account", Type::Text), ("request_id", Type::Text)], on_conflict: "" };

const OPEN: Table = Table {
    name: "(SELECT issued.number, issued.customer, documents.account, accounts.currency, accounts.decimals, accounts.minor_digits, \
           payables.open_amount FROM issued JOIN payables ON payables.document = issued.document AND payables.open_amount > 0 \
           JOIN documents ON documents.id = issued.document JOIN accounts ON accounts.account = documents.account) AS open_invoices",
    columns: &[("number", Type::Text)],
    on_conflict: "",
};

impl Billing {
    /// Which of these lines are claimed.
    pub async fn booked_lines(&self, digests: &[&str]) -> Result<HashMap<String, BookedLine>, BillingError> {
        let rows = self.find(&LINES, "*", digests).await?;
        rows.iter().map(|row| Ok((row.try_get("digest")?, read(row)?))).collect()
    }

    /// Which lines of these movements are claimed, with their digests: a movement is a day, an amount and a currency.
    pub async fn booked_movements(&self, movements: &[&str]) -> Result<HashMap<String, Vec<(String, BookedLine)>>, BillingError> {
        let mut found: HashMap<String, Vec<_>> = HashMap::new();
        for row in self.find(&MOVEMENTS, "*", movements).await? {
            found.entry(row.try_get("movement")?).or_default().push((row.try_get("digest")?, read(&row)?));
        }
        Ok(found)
    }

    /// Which of these payments are there, by account and request id.
    pub async fn recorded(&self, payments: &[(AccountId, RequestId)]) -> Result<HashSet<(AccountId, RequestId)>, BillingError> {
        let keys: Vec<_> = payments.iter().map(|(account, request_id)| vec![account.into(), request_id.into()]).collect();
        let mut connection = self.store().pool().acquire().await?;
        let rows = CREDITS.find(&mut connection, self.store().dialect(), "account, request_id", &keys).await?;
        rows.iter().map(|row| Ok((row.account_id("account")?, row.request_id("request_id")?))).collect()
    }

    /// The open invoices with these numbers.
    pub async fn open_invoices(&self, numbers: &[&str]) -> Result<HashMap<String, OpenInvoice>, BillingError> {
        self.find(&OPEN, "*", numbers).await?.iter().map(|row| open_invoice(row).map(|found| (found.number.clone(), found))).collect()
    }

    async fn find(&self, table: &Table, selected: &str, keys: &[&str]) -> Result<Vec<AnyRow>, BillingError> {
        let keys: Vec<_> = keys.iter().map(|key| vec![(*key).into()]).collect();
        let mut connection = self.store().pool().acquire().await?;
        table.find(&mut connection, self.store().dialect(), selected, &keys).await
    }

    /// Claims a line for an account, and counts the try: that it is made is known before it is, so that no other try frees the line meanwhile.
    pub async fn claim_line(&self, digest: &str, movement: &str, line: &BookedLine, actor: &str) -> Result<BookingClaim, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let sql = "INSERT INTO bank_lines (digest, movement, account, invoice, begun_at, tried_at, actor, attempts) \
                   VALUES ($1, $2, $3, $4, $5, 0, $6, 0) ON CONFLICT (digest) DO NOTHING";
        sqlx::query(sql)
            .bind(digest.to_owned())
            .bind(movement.to_owned())
            .bind(line.account.to_string())
            .bind(line.invoice.clone())
            .bind(line.at.get())
            .bind(actor.to_owned())
            .execute(&mut *connection)
            .await?;
        let sql = "UPDATE bank_lines SET attempts = attempts + 1 WHERE digest = $1 AND account = $2 \
                   RETURNING account, invoice, begun_at, attempts, tried_at";
        let query = sqlx::query(sql).bind(digest.to_owned()).bind(line.account.to_string());
        let claim = match query.fetch_optional(&mut *connection).await? {
            Some(row) => {
                let sql = "UPDATE bank_lines SET tried_at = $1 WHERE digest = $2";
                sqlx::query(sql).bind(line.at.get()).bind(digest.to_owned()).execute(&mut *connection).await?;
                BookingClaim::Tried(BookingAttempt {
                    line: read(&row)?,
                    number: row.try_get("attempts")?,
                    last_at: row.instant("tried_at")?,
                })
            }
            None => {
                let query = sqlx::query("SELECT * FROM bank_lines WHERE digest = $1").bind(digest.to_owned());
                BookingClaim::Elsewhere(read(&query.fetch_one(&mut *connection).await?)?)
            }
        };
        transaction.commit().await?;
        Ok(claim)
    }

    /// Releases a line whose claim led to no payment, unless it has been claimed again since.
    pub async fn free_claim(&self, digest: &str, claimed: &BookedLine) -> Result<(), BillingError> {
        let sql = "DELETE FROM bank_lines WHERE digest = $1 AND account = $2 AND begun_at = $3";
        let query = sqlx::query(sql).bind(digest.to_owned()).bind(claimed.account.to_string()).bind(claimed.at.get());
        query.execute(self.store().pool()).await?;
        Ok(())
    }

    /// Frees a line whose try was refused, unless it was tried again meanwhile.
    pub async fn free_line(&self, digest: &str, tried: &BookingAttempt) -> Result<(), BillingError> {
        let sql = "DELETE FROM bank_lines WHERE digest = $1 AND attempts = $2";
        sqlx::query(sql).bind(digest.to_owned()).bind(tried.number).execute(self.store().pool()).await?;
        Ok(())
    }
}

fn read(row: &AnyRow) -> Result<BookedLine, BillingError> {
    Ok(BookedLine { account: row.account_id("account")?, invoice: row.try_get("invoice")?, at: row.instant("begun_at")? })
}

fn open_invoice(row: &AnyRow) -> Result<OpenInvoice, BillingError> {
    // What was erased of a customer is empty.
    let customer: String = row.try_get("customer")?;
    let customer: Party = serde_json::from_str(&customer).unwrap_or_default();
    Ok(OpenInvoice {
        number: row.try_get("number")?,
        account: row.account_id("account")?,
        customer: customer.name,
        currency: row.try_get("currency")?,
        open: row.units("open_amount")?,
        decimals: narrow(row, "decimals")?,
        minor_digits: narrow(row, "minor_digits")?,
    })
}
