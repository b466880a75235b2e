//! An account as it was behind a gap in what the billing store knows of it: what an entry of a gap says beside amounts and settings.
//!
//! The billing store makes such entries, never the ledger. They are kept among the attributes, so that they need no columns of their own.

use super::codec;
use domain::account::{Account, Status};
use domain::entry::Entry;
use domain::money::Units;
use domain::time::UnixMillis;

/// What the entries of the gap would have told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether the account takes commands.
    pub status: Status,
    /// The permanent credit limit.
    pub permanent_limit: Units,
    /// The temporary credit limit.
    pub temporary_limit: Units,
    /// When that ends; 0 if there is none.
    pub temporary_until: UnixMillis,
    /// The highest number given to a bill.
    pub last_bill: u32,
    /// When the open bill is to be closed; 0 if it has no money entries.
    pub period_end: UnixMillis,
    /// When the account was created.
    pub created_at: UnixMillis,
}

impl Snapshot {
    /// As attributes of an entry.
    #[must_use]
    pub fn to_attributes(self) -> Vec<(String, String)> {
        let numbers = [
            ("status", self.status as i64),
            ("permanent_limit", self.permanent_limit.get()),
            ("temporary_limit", self.temporary_limit.get()),
            ("temporary_until", self.temporary_until.get()),
            ("last_bill", i64::from(self.last_bill)),
            ("period_end", self.period_end.get()),
            ("created_at", self.created_at.get()),
        ];
        numbers.into_iter().map(|(name, number)| (name.to_owned(), number.to_string())).collect()
    }

    /// What an entry of a gap says.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        let number = |name: &str| entry.metadata.attributes.iter().find(|(key, _)| key == name)?.1.parse::<i64>().ok();
        Some(Self {
            status: codec::status(u8::try_from(number("status")?).ok()?)?,
            permanent_limit: Units::new(number("permanent_limit")?),
            temporary_limit: Units::new(number("temporary_limit")?),
            temporary_until: UnixMillis::new(number("temporary_until")?),
            last_bill: u32::try_from(number("last_bill")?).ok()?,
            period_end: UnixMillis::new(number("period_end")?),
            created_at: UnixMillis::new(number("created_at")?),
        })
    }
    /// The account as it was behind the gap; `None` if the entry says too little. What was reserved then is not known.
    #[must_use]
    pub fn account(&self, entry: &Entry) -> Option<Account> {
        let settings = entry.data.settings()?;
        let Self { status, permanent_limit, temporary_limit, temporary_until, last_bill, period_end, created_at: _ } = *self;
        Some(Account {
            status,
            permanent_limit,
            temporary_limit,
            temporary_until,
            last_bill,
            period_end,
            open_bill: entry.bill,
            sequence: entry.account_sequence,
            balance: entry.balance,
            unbilled: entry.unbilled,
            ..Account::opened(entry.mode, settings.non_usage_billing?, settings.denomination?)
        })
    }
}
