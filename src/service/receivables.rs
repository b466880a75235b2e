//! Receivables, in pages: each of one position of the journal, at which it ties to the ledger; of now, or as they were when a day ended.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::receivables::{OrderedReceivables, ReceivablesOrder, ReceivablesPlace, ReceivablesTotal};
use billing::{AccountReceivables, Billing, JournalPosition};
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// How many accounts of an earlier day are ordered and summed up.
const MOST_OF_A_PAST_DAY: usize = 5_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivablesPage {
    /// By account.
    pub receivables: Vec<AccountReceivables>,
    /// The account after which the next page begins; `None` if there is none.
    pub next_after: Option<String>,
    /// The position of the journal that it is of.
    pub position: JournalPosition,
}

/// Receivables in an order.
#[derive(Clone, Debug, Default)]
pub struct ReceivablesQuery {
    /// As they were when this day ended; `None` for now.
    pub as_of: Option<Date>,
    pub order: ReceivablesOrder,
    /// Only of this currency; empty for all.
    pub currency: String,
    /// Those behind this place.
    pub after: Option<ReceivablesPlace>,
}

/// A page of receivables in an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderedPage {
    pub receivables: Vec<AccountReceivables>,
    /// What all sum up to, by currency.
    pub totals: BTreeMap<String, ReceivablesTotal>,
    /// Where the next page begins; `None` if there is none.
    pub next: Option<ReceivablesPlace>,
    /// Whether more accounts owed something on an earlier day than are ordered and summed up.
    pub is_cut_off: bool,
    /// The position of the journal that it is of.
    pub position: JournalPosition,
}

impl UseCases {
    /// What accounts owe, in an order, and what all that the caller may see sum up to, unless only rows are asked for.
    pub async fn receivables_in_order(
        &self,
        context: &RequestContext,
        query: &ReceivablesQuery,
        count: usize,
        with_totals: bool,
    ) -> Result<OrderedPage, Error> {
        let scope = context.scope(Permission::ReadDocuments, None)?;
        let billing = self.billing(context).await?;
        let ReceivablesQuery { as_of, order, currency, after } = query;
        let mut page = match self.end_of_past_day(billing, *as_of).await? {
            None => {
                let (now, order) = (self.clock().now(), (*order, after.as_ref()));
                let found = billing.receivables_in_order(now, order, currency, count + 1, with_totals, scope.as_ref()).await?;
                let OrderedReceivables { receivables, totals, position } = found;
                OrderedPage { receivables, totals, position, ..OrderedPage::default() }
            }
            Some(end) => {
                // Accounts are looked through one by one.
                let _turn = self.turn_at_billing().await?;
                let (mut receivables, position) =
                    billing.receivables_as_of(end, None, None, MOST_OF_A_PAST_DAY + 1, scope.as_ref()).await?;
                let is_cut_off = receivables.len() > MOST_OF_A_PAST_DAY;
                receivables.truncate(MOST_OF_A_PAST_DAY);
                let totals = ReceivablesTotal::by_currency(&receivables);
                receivables.retain(|of| currency.is_empty() || of.currency == *currency);
                receivables.retain(|of| after.as_ref().is_none_or(|after| order.place(of) > *after));
                receivables.sort_by_cached_key(|of| order.place(of));
                OrderedPage { receivables, totals, is_cut_off, position, next: None }
            }
        };
        let has_more = page.receivables.len() > count;
        page.receivables.truncate(count);
        page.next = page.receivables.last().filter(|_| has_more).map(|last| order.place(last));
        Ok(page)
    }

    /// What accounts owe after the given one: of one account, or of all; now, or when a day of the billing time zone ended.
    pub async fn list_receivables(
        &self,
        context: &RequestContext,
        account: Option<&AccountId>,
        as_of: Option<Date>,
        after: Option<&str>,
        count: usize,
    ) -> Result<ReceivablesPage, Error> {
        let scope = context.scope(Permission::ReadDocuments, account.map(AccountId::as_str))?;
        let billing = self.billing(context).await?;
        let (mut receivables, position) = match self.end_of_past_day(billing, as_of).await? {
            None => billing.receivables(self.clock().now(), account, after, count + 1, scope.as_ref()).await?,
            Some(end) => {
                // Accounts are looked through one by one.
                let _turn = self.turn_at_billing().await?;
                billing.receivables_as_of(end, account, after, count + 1, scope.as_ref()).await?
            }
        };
        let has_more = receivables.len() > count;
        receivables.truncate(count);
        let next_after = receivables.last().filter(|_| has_more).map(|last| last.account.clone());
        Ok(ReceivablesPage { receivables, next_after: next_after.map(String::from), position })
    }

    /// The first instant after a day. Of today, and without a day, it is that of now: `None`.
    async fn end_of_past_day(&self, billing: &Billing, day: Option<Date>) -> Result<Option<UnixMillis>, Error> {
        let (clock, refused) = (self.clock(), |rule: String| Error::invalid_field("as_of_day", rule));
        let today = clock.day_of(clock.now());
        let Some(day) = day.filter(|day| *day != today) else { return Ok(None) };
        if day > today {
            return Err(refused(format!("must not be after today, {today}")));
        }
        let first = billing.begins_at().await?.map_or(today, |at| clock.day_of(at));
        if day < first {
            return Err(refused(format!("must not be before {first}, the day of the first entry on record")));
        }
        Ok(day.tomorrow().ok().and_then(|next| clock.start_of_day(next)))
    }
}
