//! Texts that a document gets at its issue, and keeps: the parties, the tax, the time zone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::BillingError;
use crate::document::{Document, DocumentKind, Exemption, Issuer, OpenInvoice, Party};
use crate::tax::TaxLine;
use crate::tax::TaxRate;
use domain::money::Units;
use domain::time::UnixMillis;

/// Texts that a document keeps from its issue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Frozen {
    /// Empty: it was issued when there was only one.
    #[serde(default)]
    pub issuer_id: String,
    pub issuer: Issuer,
    /// Of documents that were issued when it did not stand beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Party>,
    /// The one rate of documents that were issued before rates had days and categories.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tax_rate: String,
    #[serde(default)]
    pub taxes: Vec<TaxLine>,
    #[serde(default)]
    pub deducted_taxes: Vec<TaxLine>,
    #[serde(default)]
    pub exemption: Option<Exemption>,
    /// The start of the period covered; `None` for documents issued when that was the time of the first entry.
    #[serde(default)]
    pub period_from: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_invoices: Vec<OpenInvoice>,
    /// What the issuer's list of items calls them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
    pub time_zone: String,
    /// The number of the invoice that a credit note refers to.
    pub refers_to: String,
}

impl Frozen {
    pub fn read(text: &str) -> Result<Self, BillingError> {
        serde_json::from_str(text).map_err(BillingError::corrupt)
    }

    /// Completes a document. Beside it are stored the two sums of tax, and the customer; empty if that was erased, or stands here.
    pub fn thaw(self, document: &mut Document, tax_contained: Units, tax_on_deducted: Units, customer: &str) -> Result<(), BillingError> {
        document.customer = match customer {
            "" => self.customer.unwrap_or_default(),
            text => serde_json::from_str(text).map_err(BillingError::corrupt)?,
        };
        (document.taxes, document.deducted_taxes) = (self.taxes, self.deducted_taxes);
        if !self.tax_rate.is_empty() {
            let rate: TaxRate = self.tax_rate.parse().map_err(BillingError::corrupt)?;
            let line = |gross, tax| TaxLine { rate, categories: Vec::new(), gross, tax };
            let deducted = document.deducted_total();
            let charged = if document.kind == DocumentKind::Statement { deducted } else { document.charged() };
            document.taxes = vec![line(charged, tax_contained)];
            if !tax_on_deducted.is_zero() {
                document.deducted_taxes = vec![line(deducted, tax_on_deducted)];
            }
        }
        document.period_from = self.period_from.unwrap_or(document.period_from);
        for item in document.items.iter_mut().chain(&mut document.deducted) {
            item.name = self.names.get(&item.item).cloned().unwrap_or_default();
        }
        document.open_invoices = self.open_invoices;
        document.exemption = self.exemption;
        document.issuer = self.issuer;
        document.time_zone = self.time_zone;
        document.refers_to = self.refers_to;
        Ok(())
    }
}
