//! What is not yet paid, in pages: each of one position of the journal, at which it ties to the ledger.

use super::error::Error;
use crate::billing::{AccountReceivables, Billing, JournalPosition};
use crate::domain::account::Millis;

/// A page of receivables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivablesPage {
    /// By account.
    pub receivables: Vec<AccountReceivables>,
    /// The account after which the next page begins; None: there is none.
    pub next_after: Option<String>,
    /// The position of the journal that it is of.
    pub position: JournalPosition,
}

/// What accounts owe after the given one: of one account, or of all.
pub async fn page(
    billing: &Billing,
    now: Millis,
    account: Option<&str>,
    after: Option<&str>,
    count: usize,
) -> Result<ReceivablesPage, Error> {
    let (mut receivables, position) = billing.receivables(now, account, after, count + 1).await.map_err(|error| Error::from(&error))?;
    let has_more = receivables.len() > count;
    receivables.truncate(count);
    let next_after = receivables.last().filter(|_| has_more).map(|last| last.account.clone());
    Ok(ReceivablesPage { receivables, next_after, position })
}
