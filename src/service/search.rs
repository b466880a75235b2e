//! Finds accounts by what people know of them, in pages.
//!
//! The billing store finds which; the ledger says how they are. Without a billing store, or while it is away or still takes in accounts
//! from before there was search, the ledger finds how names begin. Each page says how it was found, and all pages of a search are found
//! alike: where that is not possible any more, the next is refused instead of leaving something out.

use std::time::Duration;

use tokio::time::timeout;

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::scope::Scope;
use billing::search::Comparison;
use billing::search::fold::fold;
use billing::{Billing, BillingError, JournalPosition};
use ledger::{AccountFilter, Ledger, ListedAccount, NamePlace};

/// How long the billing store may take to say whether it can search, before the ledger does.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most words of a search.
pub const MAX_WORDS: usize = 10;

/// How accounts are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All words are parts of names, id or tax id.
    Parts,
    /// The id or a name begins so.
    Beginning,
    /// The name begins so, in the ledger.
    Ledger,
}

/// Where a search goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// How it was found so far.
    pub way: Way,
    /// Behind which account.
    pub after: NamePlace,
}

/// A page of accounts.
#[derive(Clone, Debug)]
pub struct Page {
    /// The accounts as they are now, in the order of their names.
    pub accounts: Vec<ListedAccount>,
    /// How they were found.
    pub way: Way,
    /// What the billing store knew; empty if it was not asked.
    pub position: JournalPosition,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<Cursor>,
}

impl UseCases {
    /// The accounts of a caller that is bound to some, by name.
    pub async fn own_accounts(&self, context: &RequestContext, after: Option<Cursor>, count: usize) -> Result<Page, Error> {
        let scope = context.scope(Permission::ReadAccounts, None)?;
        if scope.is_none() {
            return Err(Error::invalid_field("query", "must be given by a caller that may read all accounts"));
        }
        let billing = self.billing(context).await?;
        searchable(billing).await?;
        in_store(&self.ledger, billing, "", Comparison::Beginning, scope.as_ref(), after.map(|cursor| cursor.after), count).await
    }

    /// The accounts that a text finds.
    pub async fn search_accounts(&self, context: &RequestContext, text: &str, after: Option<Cursor>, count: usize) -> Result<Page, Error> {
        let scope = context.scope(Permission::ReadAccounts, None)?;
        let folded = fold(text);
        if folded.is_empty() || folded.split(' ').count() > MAX_WORDS {
            return Err(Error::invalid_field("query", format!("must be 1 to {MAX_WORDS} words")));
        }
        let ledger = &self.ledger;
        let scope = scope.as_ref();
        match (&self.billing, after) {
            // The ledger finds by names, of any account.
            (None, _) | (_, Some(Cursor { way: Way::Ledger, .. })) if scope.is_some() => {
                Err(Error::not_permitted(Permission::ReadAccounts))
            }
            (_, Some(Cursor { way: Way::Ledger, after })) => in_ledger(ledger, text, Some(after), count).await,
            (Some(billing), after) => {
                let Cursor { way, after } = match (after, searchable(billing).await) {
                    (None, Ok(comparison)) => return in_store(ledger, billing, text, comparison, scope, None, count).await,
                    (None, Err(error)) if scope.is_some() => return Err(error.into()),
                    (None, Err(_)) => return in_ledger(ledger, text, None, count).await,
                    (Some(_), Err(error)) => return Err(error.into()),
                    (Some(cursor), Ok(_)) => cursor,
                };
                let comparison = if way == Way::Parts { Comparison::Parts } else { Comparison::Beginning };
                in_store(ledger, billing, text, comparison, scope, Some(after), count).await
            }
            (None, Some(_)) => Err(BillingError::unavailable("this service runs without the billing store that began the search").into()),
            (None, None) => in_ledger(ledger, text, None, count).await,
        }
    }
}

/// How the billing store can search.
async fn searchable(billing: &Billing) -> Result<Comparison, BillingError> {
    let asked = timeout(PATIENCE, async {
        billing.ready().await?;
        billing.searchable().await
    });
    match asked.await {
        Ok(Ok(Some(comparison))) => Ok(comparison),
        Ok(Ok(None)) => Err(BillingError::unavailable("it still takes in accounts from before there was search")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(BillingError::unavailable("it does not answer")),
    }
}

async fn in_store(
    ledger: &Ledger,
    billing: &Billing,
    text: &str,
    comparison: Comparison,
    scope: Option<&Scope>,
    after: Option<NamePlace>,
    count: usize,
) -> Result<Page, Error> {
    let found = billing.search(text, comparison, scope, after.as_ref(), count + 1).await?;
    let way = match found.comparison {
        Comparison::Parts => Way::Parts,
        Comparison::Beginning => Way::Beginning,
    };
    let mut places = found.places;
    let has_more = places.len() > count;
    places.truncate(count);
    let ids = places.iter().map(|place| place.account.clone()).collect();
    // What the ledger does not have (it may have lost it) is not shown.
    let accounts = ledger.listed(ids).await?;
    let next = places.pop().filter(|_| has_more).map(|after| Cursor { way, after });
    Ok(Page { accounts, way, position: found.position, next })
}

async fn in_ledger(ledger: &Ledger, text: &str, after: Option<NamePlace>, count: usize) -> Result<Page, Error> {
    let page = ledger.accounts(text.trim(), &AccountFilter::default(), after, count).await?;
    let next = page.next.map(|after| Cursor { way: Way::Ledger, after });
    Ok(Page { accounts: page.accounts, way: Way::Ledger, position: JournalPosition::new(), next })
}
