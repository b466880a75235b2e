//! Finds accounts by what people know of them, in pages.
//!
//! The billing store finds which; the ledger says how they are. Without a billing store, or while it is away or still takes in accounts
//! from before there was search, the ledger finds how names begin. Each page says how it was found, and all pages of a search are found
//! alike: where that is not possible any more, the next is refused instead of leaving something out.

use domain::money::Units;
use std::time::Duration;

use tokio::time::timeout;

use super::UseCases;
use super::context::RequestContext;
use super::credit::Credit;
use super::error::Error;
use access::Permission;
use billing::search::filtered::{Filter, Order, Query};
use billing::search::fold::fold;
use billing::search::{Comparison, Key, Place};
use billing::{Billing, BillingError, JournalPosition};
use ledger::{AccountFilter, Ledger, ListedAccount, NamePlace};

/// How long the billing store may take to say whether it can search, before the ledger does.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most words of a search.
pub const MAX_WORDS: usize = 10;

/// How accounts are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchMethod {
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
    pub way: SearchMethod,
    /// Behind which account.
    pub after: Place,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountSearch {
    /// What people know of them; empty: anything.
    pub text: String,
    /// What they are.
    pub filter: Filter,
    /// In which order they come.
    pub order: Order,
}

/// A page of accounts.
#[derive(Clone, Debug)]
pub struct Page {
    /// The accounts as they are now, in the order that was asked for.
    pub accounts: Vec<ListedAccount>,
    /// How they were found.
    pub way: SearchMethod,
    /// What the billing store knew; empty if it was not asked.
    pub position: JournalPosition,
    /// Where the next page begins; `None` if there is none.
    pub next: Option<Cursor>,
}

impl AccountSearch {
    /// Whether only the billing store knows which these are, and where each comes.
    fn needs_billing(&self) -> bool {
        self.filter.is_low || self.filter.is_owing || self.order != Order::default()
    }

    /// Whether an account is one of these, as it is now.
    fn includes(&self, listed: &ListedAccount) -> bool {
        let Filter { mode, status, currency, is_low, is_owing } = self.filter;
        let account = &listed.account;
        mode.is_none_or(|mode| mode == account.mode)
            && status.is_none_or(|status| status == account.status)
            && currency.is_none_or(|currency| currency == account.currency)
            && (!is_low || Credit::at(account, listed.now).is_low(listed.profile.low_credit_threshold))
            && (!is_owing || account.balance < Units::ZERO)
    }
}

impl UseCases {
    /// The accounts that are searched for. A caller that is bound to some finds those alone, and may ask for all of them.
    pub async fn search_accounts(
        &self,
        context: &RequestContext,
        search: &AccountSearch,
        after: Option<Cursor>,
        count: usize,
    ) -> Result<Page, Error> {
        let scope = context.scope(Permission::ReadAccounts, None)?;
        let folded = fold(&search.text);
        if folded.split(' ').count() > MAX_WORDS {
            return Err(Error::invalid_field("query", format!("must have at most {MAX_WORDS} words")));
        }
        if folded.is_empty() && scope.is_none() && *search == (AccountSearch { text: search.text.clone(), ..AccountSearch::default() }) {
            return Err(Error::invalid_field("query", format!("must be 1 to {MAX_WORDS} words, where no filter and no order is given")));
        }
        if after.as_ref().is_some_and(|cursor| !search.order.has(&cursor.after.key)) {
            return Err(Error::invalid_field("page_token", "must be of this search"));
        }
        let ledger = &self.ledger;
        let scope = scope.as_ref();
        // The ledger finds by names, of any account.
        let falls_back = scope.is_none() && !search.needs_billing();
        if let Some(Cursor { way: SearchMethod::Ledger, after: Place { key, account } }) = after {
            return match key {
                Key::Name(folded_name) if falls_back => in_ledger(ledger, search, Some(NamePlace { folded_name, account }), count).await,
                _ => Err(Error::not_permitted(Permission::ReadAccounts)),
            };
        }
        let Some(billing) = &self.billing else {
            return match after {
                Some(_) => Err(BillingError::unavailable("this service runs without the billing store that began the search").into()),
                None if falls_back => in_ledger(ledger, search, None, count).await,
                // Which alone finds and orders so.
                None if search.needs_billing() => Err(Error::billing_not_configured()),
                None => Err(Error::not_permitted(Permission::ReadAccounts)),
            };
        };
        let comparison = match (after.as_ref(), searchable(billing).await) {
            (None, Ok(comparison)) => comparison,
            (None, Err(_)) if falls_back => return in_ledger(ledger, search, None, count).await,
            (_, Err(error)) => return Err(error.into()),
            (Some(Cursor { way: SearchMethod::Parts, .. }), Ok(_)) => Comparison::Parts,
            (Some(_), Ok(_)) => Comparison::Beginning,
        };
        let now = self.clock().now();
        let query = Query { text: &search.text, comparison, filter: search.filter, order: search.order, scope, now };
        in_store(ledger, billing, search, &query, after.map(|cursor| cursor.after), count).await
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
        Err(_) => Err(BillingError::unavailable(format!("no reply within {PATIENCE:?}"))),
    }
}

async fn in_store(
    ledger: &Ledger,
    billing: &Billing,
    search: &AccountSearch,
    query: &Query<'_>,
    after: Option<Place>,
    count: usize,
) -> Result<Page, Error> {
    let found = billing.find_accounts(query, after.as_ref(), count + 1).await?;
    let way = match found.comparison {
        Comparison::Parts => SearchMethod::Parts,
        Comparison::Beginning => SearchMethod::Beginning,
    };
    let mut places = found.places;
    let has_more = places.len() > count;
    places.truncate(count);
    let ids = places.iter().map(|place| place.account.clone()).collect();
    // What the ledger does not have (it may have lost it) is not shown, nor what is different by now.
    let mut accounts = ledger.listed(ids).await?;
    accounts.retain(|account| search.includes(account));
    let next = places.pop().filter(|_| has_more).map(|after| Cursor { way, after });
    Ok(Page { accounts, way, position: found.position, next })
}

async fn in_ledger(ledger: &Ledger, search: &AccountSearch, after: Option<NamePlace>, count: usize) -> Result<Page, Error> {
    let Filter { mode, status, currency, .. } = search.filter;
    let page = ledger.accounts(search.text.trim(), &AccountFilter { mode, status, currency }, after, count).await?;
    let place = |NamePlace { folded_name, account }| Place { key: Key::Name(folded_name), account };
    let next = page.next.map(|after| Cursor { way: SearchMethod::Ledger, after: place(after) });
    Ok(Page { accounts: page.accounts, way: SearchMethod::Ledger, position: JournalPosition::new(), next })
}
