//! The fields that the digest of a document covers, so that it can be worked out again from the rows.
//!
//! A digest is the SHA-256 of fields, each written as its length in bytes, a colon, and itself: "5:hello". Texts are covered as they are
//! stored, byte by byte; numbers in decimal. The customer is covered by a digest of its own with a random salt: text and salt can be
//! erased, and the chain still holds.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::BillingError;
use crate::digest::{Fields, to_hex};
use crate::store::Columns;
use domain::ids::AccountId;
use domain::money::Units;
use domain::time::UnixMillis;

/// The fields that the digest of an issued document covers, but for the digest before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    pub prefix: String,
    pub place: i64,
    pub number: String,
    pub document: i64,
    pub account: AccountId,
    pub bill: i64,
    pub kind: String,
    pub cause: String,
    pub cut_at: UnixMillis,
    pub total: Units,
    pub amount_to_pay: Units,
    pub refers_to: i64,
    pub content: String,
    pub issued_at: UnixMillis,
    pub due_at: UnixMillis,
    pub tax_contained: Units,
    pub tax_on_deducted: Units,
    pub frozen: String,
    pub customer_digest: String,
}

impl Covered {
    /// The columns of `issued` and `documents` that it is read from.
    pub const COLUMNS: &str = "issued.prefix, issued.place, issued.number, issued.document, documents.account, documents.bill, \
                               documents.kind, documents.cause, documents.cut_at, documents.total, documents.amount_to_pay, \
                               documents.refers_to, documents.content, issued.issued_at, issued.due_at, issued.tax_contained, \
                               issued.tax_on_deducted, issued.frozen, issued.customer, issued.customer_salt, issued.customer_digest, \
                               issued.digest";

    /// Reads a row with these columns; `None` means its document's content is not there.
    pub fn from_row(row: &AnyRow) -> Result<Option<Self>, BillingError> {
        let Some(content) = row.try_get::<Option<String>, _>("content")? else { return Ok(None) };
        Ok(Some(Self {
            prefix: row.try_get("prefix")?,
            place: row.try_get("place")?,
            number: row.try_get("number")?,
            document: row.try_get("document")?,
            account: row.account_id("account")?,
            bill: row.try_get("bill")?,
            kind: row.try_get("kind")?,
            cause: row.try_get("cause")?,
            cut_at: row.instant("cut_at")?,
            total: row.units("total")?,
            amount_to_pay: row.units("amount_to_pay")?,
            refers_to: row.try_get("refers_to")?,
            content,
            issued_at: row.instant("issued_at")?,
            due_at: row.instant("due_at")?,
            tax_contained: row.units("tax_contained")?,
            tax_on_deducted: row.units("tax_on_deducted")?,
            frozen: row.try_get("frozen")?,
            customer_digest: row.try_get("customer_digest")?,
        }))
    }

    /// The digest, behind that of the document before it in its series; empty if it is the first.
    #[must_use]
    pub fn digest(&self, previous: &str) -> String {
        let mut fields = Fields::of("tollgate document 1");
        fields.text(&self.prefix).number(self.place).text(&self.number).number(self.document);
        fields.text(&self.account).number(self.bill).text(&self.kind).text(&self.cause).number(self.cut_at.get());
        fields.number(self.total.get()).number(self.amount_to_pay.get()).number(self.refers_to).text(&self.content);
        fields.number(self.issued_at.get()).number(self.due_at.get()).number(self.tax_contained.get()).number(self.tax_on_deducted.get());
        fields.text(&self.frozen).text(&self.customer_digest).text(previous);
        fields.hex()
    }

    /// The digest of what is left of a document that was dropped at an instant, and of the digest that it had before.
    #[must_use]
    pub fn digest_of_rest(&self, digest: &str, dropped_at: UnixMillis) -> [u8; 32] {
        Fields::of("tollgate dropped document 1").text(&self.digest(digest)).number(dropped_at.get()).bytes()
    }
}

/// The recipient of a document, with the salt of its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedCustomer {
    /// As JSON.
    pub text: String,
    /// Random, so that nobody finds an erased text by trying.
    pub salt: String,
    /// The digest of both.
    pub digest: String,
}

impl SealedCustomer {
    /// Seals a text with a salt of its own.
    #[must_use]
    pub fn of(text: String) -> Self {
        let salt = to_hex(&rand::random::<[u8; 16]>());
        let digest = customer_digest(&salt, &text);
        Self { text, salt, digest }
    }
}

/// The digest of whom a document is for.
#[must_use]
pub fn customer_digest(salt: &str, text: &str) -> String {
    Fields::of("tollgate customer 1").text(salt).text(text).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_can_be_worked_out_by_others() {
        // printf '19:tollgate customer 12:ab2:{}' | sha256sum
        assert_eq!(customer_digest("ab", "{}"), "b03fa2303dd65c40e0066018cd84ae4a9e32c34ffd984a68d67365b47c501f7d");
    }

    #[test]
    fn every_field_counts_and_none_runs_into_the_next() {
        let document = Covered { prefix: "INV-".into(), number: "INV-000001".into(), place: 1, ..Covered::default() };
        let digest = document.digest("");
        let changed = [
            Covered { due_at: UnixMillis::new(1), ..document.clone() },
            Covered { issued_at: UnixMillis::new(1), ..document.clone() },
            Covered { tax_contained: Units::new(1), ..document.clone() },
            Covered { content: "1".into(), ..document.clone() },
            Covered { frozen: "1".into(), ..document.clone() },
            Covered { customer_digest: "1".into(), ..document.clone() },
            Covered { prefix: "INV-I".into(), number: "NV-000001".into(), ..document.clone() },
        ];
        assert!(changed.iter().all(|other| other.digest("") != digest));
        assert_ne!(document.digest("a"), digest);
    }
}
