//! What documents call items: the list of an issuer.

use crate::billing::items::ItemName;
use crate::billing::{Billing, BillingError};

/// A page of names, and the place of its last one if there are more.
pub type Page = (Vec<ItemName>, Option<(String, String)>);

/// A page of an issuer's list, after an item and language.
pub async fn list(billing: &Billing, issuer: &str, after: Option<&(String, String)>, count: usize) -> Result<Page, BillingError> {
    let mut names = billing.item_names(issuer, after, count + 1).await?;
    let has_more = names.len() > count;
    names.truncate(count);
    let next = names.last().filter(|_| has_more).map(|last| (last.item.clone(), last.language.clone()));
    Ok((names, next))
}
