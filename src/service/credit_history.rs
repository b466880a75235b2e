//! How an account's credit went, day by day: from its latest entries in the billing store, as far back as is looked.

use domain::ids::AccountId;
use domain::money::Units;
use jiff::civil::Date;

use super::UseCases;
use super::context::RequestContext;
use super::credit::Unit;
use super::error::Error;
use access::Permission;

/// How many days are shown at most, and how many entries are looked at.
pub const DAYS: i64 = 90;
const ENTRIES: usize = 5_000;

/// How credit went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditHistory {
    /// The currency and decimals of the amounts.
    pub unit: Unit,
    /// The current balance (the balance less what is unbilled) at the end of each day with an entry, oldest first; of today: until now.
    pub days: Vec<(Date, Units)>,
    /// The last day that is known: today.
    pub today: Date,
}

impl UseCases {
    /// How an account's current balance went in the last [`DAYS`] days, as far as its latest entries reach back. There may be none.
    pub async fn credit_history(&self, context: &RequestContext, id: &AccountId) -> Result<CreditHistory, Error> {
        context.require(Permission::ReadAccounts, id)?;
        let seen = self.look_at(id).await?;
        let clock = self.clock();
        let today = clock.day_of(seen.now);
        let first = today.saturating_sub(jiff::Span::new().days(DAYS - 1));
        let mut days: Vec<(Date, Units)> = Vec::new();
        for record in self.billing(context).await?.entries(id, None, ENTRIES).await? {
            let day = clock.day_of(record.entry.time);
            // Newest first, so the first entry of a day that is met is its last.
            if days.last().is_some_and(|(last, _)| *last <= day) {
                continue;
            }
            // What was before the first day shown says how it began.
            days.push((day.max(first), record.entry.balance.saturating_sub(record.entry.unbilled)));
            if day <= first {
                break;
            }
        }
        days.reverse();
        // The billing store may be some moments behind.
        match days.last_mut() {
            Some((day, current)) if *day == today => *current = seen.account.current_balance(),
            _ => days.push((today, seen.account.current_balance())),
        }
        Ok(CreditHistory { unit: Unit::of(&seen.account), days, today })
    }
}
