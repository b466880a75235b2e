//! The coming document of an account: what its open bill would be drafted as, if it were cut as it is.
//!
//! The one draft there is draws it up: an entry that closes the bill is made up, and nothing is written.

use sqlx::{AnyConnection, Row};

use super::{LoadPlan, Rounding, load};
use crate::BillingError;
use crate::bills::draft::{Draft, Subject, Total};
use crate::projection::rows::read_account;
use crate::record::Record;
use crate::store::Dialect;
use domain::command::Metadata;
use domain::entry::{Entry, EntryData, EntryKind};
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::rules::Cut;
use domain::time::UnixMillis;

/// An account's open bill, as it would be drafted.
#[derive(Debug)]
pub struct Preview {
    /// When the first money entry of the bill was accepted; `None` if it has none, so that nothing will be billed.
    pub begun_at: Option<UnixMillis>,
    /// When the account was created.
    pub created_at: UnixMillis,
    /// The draft; `None` if there would be no document.
    pub draft: Option<Draft>,
}

/// Draws up the coming document of an account, cut when `cut_at` says, which is given when the bill began (0: it has not).
pub async fn preview(
    connection: &mut AnyConnection,
    dialect: Dialect,
    account: &AccountId,
    cut_at: impl Fn(UnixMillis) -> UnixMillis,
) -> Result<Preview, BillingError> {
    let query = sqlx::query("SELECT * FROM accounts WHERE account = $1").bind(account.to_string());
    let row = query.fetch_optional(&mut *connection).await?.ok_or(BillingError::NotFound("account"))?;
    let state = read_account(&row)?;
    let begun = "SELECT MIN(first_at) FROM totals WHERE account = $1 AND bill = $2";
    let query = sqlx::query(begun).bind(account.to_string()).bind(i64::from(state.account.open_bill));
    let begun_at: Option<UnixMillis> = query.fetch_one(&mut *connection).await?.try_get::<Option<i64>, _>(0)?.map(UnixMillis::new);
    let mut load_plan = LoadPlan::default();
    load_plan.accounts.insert(account);
    load_plan.payers.insert(account);
    load_plan.bills.insert((account, state.account.open_bill));
    let mut loaded_bills = load::load(connection, dialect, &load_plan).await?;
    // As the rules cut it.
    let cut = Cut::of(&state.account);
    let rounding = Rounding { bill: cut.rounding, due: cut.due_rounding };
    let entry = Entry {
        data: EntryData::PeriodClosed { billed: cut.billed },
        account: account.to_owned(),
        request_id: RequestId::default(),
        account_sequence: state.account.sequence + 1,
        time: cut_at(begun_at.unwrap_or_default()),
        mode: state.account.mode,
        bill: cut.bill,
        balance: state.account.balance - cut.billed,
        unbilled: Units::ZERO,
        reserved: state.account.reserved,
        fingerprint: Default::default(),
        metadata: Metadata::default(),
        refers_to: RequestId::default(),
    };
    let record = Record { partition: state.partition, sequence: state.last_sequence + 1, previous: None, entry };
    // The totals of a bill that is cut have what was rounded of its amount due.
    let at = record.entry.time;
    let (kind, subject, amount) = (EntryKind::AmountDueRounded, Subject::default(), rounding.due);
    let rounded = Total { kind, subject, amount, count: 1, unit_price: None, first_at: at, last_at: at };
    loaded_bills.totals.entry((account.to_owned(), state.account.open_bill)).or_default().push(rounded);
    loaded_bills.take(&record, rounding)?;
    Ok(Preview { begun_at, created_at: state.created_at, draft: loaded_bills.made.pop().map(|made| made.draft) })
}
