//! Receivables, in pages: each of one position of the journal, at which it ties to the ledger.

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::{AccountReceivables, JournalPosition};
use domain::ids::AccountId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivablesPage {
    /// By account.
    pub receivables: Vec<AccountReceivables>,
    /// The account after which the next page begins; `None` if there is none.
    pub next_after: Option<String>,
    /// The position of the journal that it is of.
    pub position: JournalPosition,
}

impl UseCases {
    /// What accounts owe after the given one: of one account, or of all.
    pub async fn list_receivables(
        &self,
        context: &RequestContext,
        account: Option<&AccountId>,
        after: Option<&str>,
        count: usize,
    ) -> Result<ReceivablesPage, Error> {
        let scope = context.scope(Permission::ReadDocuments, account.map(AccountId::as_str))?;
        let now = self.clock().now();
        let (mut receivables, position) = self.billing(context).await?.receivables(now, account, after, count + 1, scope.as_ref()).await?;
        let has_more = receivables.len() > count;
        receivables.truncate(count);
        let next_after = receivables.last().filter(|_| has_more).map(|last| last.account.clone());
        Ok(ReceivablesPage { receivables, next_after: next_after.map(String::from), position })
    }
}
