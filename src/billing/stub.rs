//! A stand-in for the handle.
#![allow(missing_docs, clippy::unused_async)]

use super::document::{Document, DocumentKind, Party};
use super::{Billing, BillingError};
use crate::domain::account::Millis;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentState {
    Draft,
    Issued,
    Held,
}

#[derive(Clone, Debug, Default)]
pub struct DocumentFilter {
    pub account: Option<String>,
    pub kind: Option<DocumentKind>,
    pub state: Option<DocumentState>,
    pub unpaid_only: bool,
}

#[derive(Clone, Debug)]
pub struct StoredDocument {
    pub id: i64,
    pub state: DocumentState,
    pub held_reason: String,
    pub document: Document,
    pub open_amount: i64,
}

#[derive(Clone, Debug)]
pub struct Allocation {
    pub credit: String,
    pub invoice: String,
    pub amount: i64,
}

#[derive(Clone, Debug)]
pub struct AccountReceivables {
    pub account: String,
    pub name: String,
    pub currency: String,
    pub decimals: u8,
    pub minor_digits: u8,
    pub buckets: [i64; 5],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthOfCharges {
    pub from: Millis,
    pub to: Millis,
    pub by_category: [i64; 4],
}

fn gone<T>() -> Result<T, BillingError> {
    Err(BillingError::unavailable("a stand-in"))
}

impl Billing {
    pub async fn documents(&self, _: DocumentFilter, _: Option<i64>, _: usize) -> Result<Vec<StoredDocument>, BillingError> {
        gone()
    }
    pub async fn document(&self, _: &str) -> Result<StoredDocument, BillingError> {
        gone()
    }
    pub async fn allocations(&self, _: &str, _: usize) -> Result<Vec<Allocation>, BillingError> {
        gone()
    }
    pub async fn receivables(
        &self,
        _: Millis,
        _: Option<&str>,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<AccountReceivables>, BillingError> {
        gone()
    }
    pub async fn customer(&self, _: &str) -> Result<Party, BillingError> {
        gone()
    }
    pub async fn set_customer(&self, _: &str, _: Party) -> Result<(), BillingError> {
        gone()
    }
    pub async fn history(&self, _: &str) -> Result<Vec<MonthOfCharges>, BillingError> {
        gone()
    }
    pub async fn month_is_billed(&self, _: &str, _: Millis) -> Result<Option<bool>, BillingError> {
        gone()
    }
}
