//! What an invoice billed, charge by charge, so that an operator can give some of it back: each refund of a billed charge has its credit
//! note, which the billing store drafts of the refund's entry.

use super::UseCases;
use super::context::RequestContext;
use super::documents::DocumentName;
use super::error::Error;
use access::Permission;
use billing::document::DocumentKind;
use billing::{BillingError, DocumentState, Record, StoredDocument};
use domain::ids::RequestId;
use domain::money::Units;
use domain::time::UnixMillis;

/// How many charges are shown of an invoice at most, and read at once to find them.
pub const MOST_CHARGES: usize = 90;
const RECORDS: usize = 1_000;

/// A charge that an invoice billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BilledCharge {
    /// Its id: that of the request that made it.
    pub id: RequestId,
    /// When it was accepted.
    pub at: UnixMillis,
    /// What it was for.
    pub text: String,
    /// How much it was, in units of the account.
    pub amount: Units,
    /// What is left to give back of it; `None` if its id was used again, so that a refund would be of another charge.
    pub left: Option<Units>,
}

/// What an invoice billed.
#[derive(Clone, Debug)]
pub struct BilledCharges {
    pub invoice: StoredDocument,
    /// Its charges, the oldest first; the first [`MOST_CHARGES`] of them.
    pub charges: Vec<BilledCharge>,
    /// Whether there are more.
    pub has_more: bool,
}

impl UseCases {
    /// The charges of an issued invoice, with what is left to give back of each.
    pub async fn billed_charges(&self, context: &RequestContext, name: &DocumentName) -> Result<BilledCharges, Error> {
        context.require_at_all(Permission::ReadDocuments)?;
        let invoice = self.document(context, name).await?;
        if invoice.state != DocumentState::Issued || invoice.document.kind != DocumentKind::Invoice {
            return Err(Error::invoice_not_found(&name.to_string()));
        }
        let (billing, document) = (self.billing(context).await?, &invoice.document);
        let partition = self.ledger.partition_of(&document.account);
        let known_until = billing.known_until(partition).await?;
        let mut places = billing.usage_of(&document.account, document.period_from, document.period_to + 1).await?;
        let layouts = billing.layouts().await?;
        let mut charges: Vec<BilledCharge> = Vec::new();
        loop {
            let records = billing.records(&mut places, RECORDS).await?;
            if records.is_empty() {
                return Ok(BilledCharges { invoice, charges, has_more: false });
            }
            for Record { partition: was_in, sequence, entry, .. } in records {
                if entry.bill != document.bill || !entry.kind().is_charge() || entry.amount() <= Units::ZERO {
                    continue;
                }
                if charges.len() == MOST_CHARGES {
                    return Ok(BilledCharges { invoice, charges, has_more: true });
                }
                let found = billing.original(partition, &document.account, &entry.request_id, |kind| kind.is_charge(), known_until).await?;
                let found = found.ok_or_else(|| BillingError::corrupt("a charge of a bill is not among the entries"))?;
                let texts = [entry.metadata.item.as_str(), entry.metadata.description.as_str()];
                let text = texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" · ");
                let (at, amount) = (entry.time, entry.amount());
                // The ledger, by which a refund goes, may know of another charge of that id which the billing store has still to take in.
                let remembered = self.ledger.remembered_bill(&document.account, &entry.request_id).await?;
                let is_last = found.sequence == layouts.number(was_in, sequence) && remembered.is_none_or(|bill| bill == entry.bill);
                let left = is_last.then_some(amount - found.given_back);
                charges.push(BilledCharge { id: entry.request_id, at, text, amount, left });
            }
        }
    }
}
