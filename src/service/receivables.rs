//! Receivables, in pages: each of one position of the journal, at which it ties to the ledger; of now, or as they were when a day ended.

use jiff::civil::Date;

use super::UseCases;
use super::context::RequestContext;
use super::error::Error;
use access::Permission;
use billing::{AccountReceivables, Billing, JournalPosition};
use domain::ids::AccountId;
use domain::time::UnixMillis;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivablesPage {
    /// By account.
    pub receivables: Vec<AccountReceivables>,
    /// The account after which the next page begins; `None` if there is none.
    pub next_after: Option<String>,
    /// The position of the journal that it is of.
    pub position: JournalPosition,
}

impl UseCases {
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
