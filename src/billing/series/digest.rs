//! What the digest of a document covers, so that it can be worked out again from the rows.
//!
//! A digest is the SHA-256 of fields, each written as its length in bytes, a colon, and itself: "5:hello". Texts are covered as they are
//! stored, byte by byte; numbers in decimal. The customer is covered by a digest of its own with a random salt: text and salt can be
//! erased, and the chain still holds.

use sha2::{Digest as _, Sha256};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::BillingError;

/// All that the digest of an issued document covers, but for the digest before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    pub prefix: String,
    pub place: i64,
    pub number: String,
    pub document: i64,
    pub account: String,
    pub bill: i64,
    pub kind: String,
    pub cause: String,
    pub cut_at: i64,
    pub total: i64,
    pub amount_to_pay: i64,
    pub refers_to: i64,
    pub content: String,
    pub issued_at: i64,
    pub due_at: i64,
    pub tax_contained: i64,
    pub tax_on_deducted: i64,
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
            account: row.try_get("account")?,
            bill: row.try_get("bill")?,
            kind: row.try_get("kind")?,
            cause: row.try_get("cause")?,
            cut_at: row.try_get("cut_at")?,
            total: row.try_get("total")?,
            amount_to_pay: row.try_get("amount_to_pay")?,
            refers_to: row.try_get("refers_to")?,
            content,
            issued_at: row.try_get("issued_at")?,
            due_at: row.try_get("due_at")?,
            tax_contained: row.try_get("tax_contained")?,
            tax_on_deducted: row.try_get("tax_on_deducted")?,
            frozen: row.try_get("frozen")?,
            customer_digest: row.try_get("customer_digest")?,
        }))
    }

    /// The digest, behind that of the document before it in its series; empty if it is the first.
    #[must_use]
    pub fn digest(&self, previous: &str) -> String {
        let mut fields = Fields::of("tollgate document 1");
        fields.text(&self.prefix).number(self.place).text(&self.number).number(self.document);
        fields.text(&self.account).number(self.bill).text(&self.kind).text(&self.cause).number(self.cut_at);
        fields.number(self.total).number(self.amount_to_pay).number(self.refers_to).text(&self.content);
        fields.number(self.issued_at).number(self.due_at).number(self.tax_contained).number(self.tax_on_deducted);
        fields.text(&self.frozen).text(&self.customer_digest).text(previous);
        fields.hex()
    }
}

/// Whom a document is for, and what its digest is made with.
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

/// Fields that a digest covers.
pub struct Fields(Sha256);

impl Fields {
    /// Of something of this name and version.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let mut fields = Self(Sha256::new());
        fields.text(name);
        fields
    }

    /// One more.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.0.update(text.len().to_string());
        self.0.update(":");
        self.0.update(text);
        self
    }

    /// One more, in decimal.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.text(&number.to_string())
    }

    /// The digest.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }

    /// The digest as hexadecimal text.
    #[must_use]
    pub fn hex(&self) -> String {
        to_hex(&self.bytes())
    }
}

/// How many things there are, and the sum of their digests: modulo 2^256, the first byte the lowest. It knows no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestSum {
    /// How many.
    pub count: i64,
    sum: [u8; 32],
}

impl DigestSum {
    /// One that was kept.
    pub fn read(count: i64, text: &str) -> Result<Self, BillingError> {
        let mut sum = [0; 32];
        for (place, byte) in sum.iter_mut().enumerate() {
            let pair = text.get(2 * place..2 * place + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
            *byte = pair.ok_or_else(|| BillingError::corrupt(format!("the sum of digests {text:?}")))?;
        }
        Ok(Self { count, sum })
    }

    /// Takes in one more.
    pub fn add(&mut self, digest: [u8; 32]) {
        self.count += 1;
        let mut carry = 0;
        for (byte, other) in self.sum.iter_mut().zip(digest) {
            let sum = u16::from(*byte) + u16::from(other) + carry;
            [*byte, _] = sum.to_le_bytes();
            carry = sum >> 8;
        }
    }

    /// Takes one out again.
    pub fn remove(&mut self, digest: [u8; 32]) {
        self.count -= 1;
        let mut borrow = 0;
        for (byte, other) in self.sum.iter_mut().zip(digest) {
            let rest = 256 + u16::from(*byte) - u16::from(other) - borrow;
            [*byte, _] = rest.to_le_bytes();
            borrow = 1 - (rest >> 8);
        }
    }

    /// As hexadecimal text.
    #[must_use]
    pub fn hex(&self) -> String {
        to_hex(&self.sum)
    }
}

/// Bytes as hexadecimal text.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
            Covered { due_at: 1, ..document.clone() },
            Covered { issued_at: 1, ..document.clone() },
            Covered { tax_contained: 1, ..document.clone() },
            Covered { content: "1".into(), ..document.clone() },
            Covered { frozen: "1".into(), ..document.clone() },
            Covered { customer_digest: "1".into(), ..document.clone() },
            Covered { prefix: "INV-I".into(), number: "NV-000001".into(), ..document.clone() },
        ];
        assert!(changed.iter().all(|other| other.digest("") != digest));
        assert_ne!(document.digest("a"), digest);
    }

    #[test]
    fn a_sum_knows_no_order_and_what_is_taken_out_is_gone() {
        let digest = |number: i64| Fields::of("test").number(number).bytes();
        let mut sum = DigestSum::default();
        (1..=100).for_each(|number| sum.add(digest(number)));
        let mut other = DigestSum::default();
        (1..=101).rev().for_each(|number| other.add(digest(number)));
        assert_ne!(sum, other);
        other.remove(digest(101));
        assert_eq!(sum, other);
        assert_eq!(DigestSum::read(100, &sum.hex()).unwrap(), sum);
        (1..=100).for_each(|number| other.remove(digest(number)));
        assert_eq!(other, DigestSum::default());
    }
}
