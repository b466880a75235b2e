//! Tells customers that their credit runs low: once when it falls below the threshold that their account has, and not again for a while.
//!
//! It follows from the journal, in the step that takes its entries in, so that nobody who charges waits for it. What was taken in is not
//! taken in again; a copy of the store sends nothing on its own ([`super::copy_guard`]); and what is no longer true when its turn comes is not sent.

use std::collections::{BTreeMap, HashSet};

use sqlx::AnyConnection;

use super::MailKind;
use super::outbox::{MAILS, Subject, whom};
use super::settings::{self, SendingSettings};
use crate::projection::AccountState;
use crate::projection::rows::read_account;
use crate::store::rows::{Table, Type};
use crate::store::{Columns, Dialect};
use crate::{Billing, BillingError};
use domain::account::Status;
use domain::ids::AccountId;
use domain::time::{Millis, UnixMillis};

/// What can be switched off for an account.
pub const SWITCH: &str = "low_credit";

const HOUR: Millis = 3_600_000;

const LOW: Table = Table {
    name: "low_credit",
    columns: &[("account", Type::Text), ("since", Type::Number)],
    on_conflict: "ON CONFLICT (account) DO NOTHING",
};

const ACCOUNTS: Table = Table { name: "low_credit", columns: &[("account", Type::Text)], on_conflict: "" };

/// Whether an account is below its threshold; one that is closed is not.
#[must_use]
pub fn is_low(state: &AccountState, now: UnixMillis) -> bool {
    let AccountState { account, low_credit_threshold, .. } = state;
    account.status != Status::Closed && low_credit_threshold.is_some_and(|threshold| account.usable_credit(now) < threshold)
}

/// Checks accounts after a run of entries, the last of which was accepted at `now`.
pub(crate) async fn look(
    connection: &mut AnyConnection,
    dialect: Dialect,
    accounts: &BTreeMap<AccountId, AccountState>,
    now: UnixMillis,
) -> Result<(), BillingError> {
    let has_threshold = |(_, state): &(&AccountId, &AccountState)| state.low_credit_threshold.is_some();
    let keys: Vec<_> = accounts.iter().filter(has_threshold).map(|(id, _)| vec![id.as_str().into()]).collect();
    let known = ACCOUNTS.find(connection, dialect, "account", &keys).await?;
    let known: HashSet<AccountId> = known.iter().map(|row| row.account_id(0)).collect::<Result<_, _>>()?;
    let mut fallen = Vec::new();
    for (id, state) in accounts.iter().filter(has_threshold) {
        match (known.contains(id), is_low(state, now)) {
            (false, true) => fallen.push((id, state)),
            (true, false) => {
                sqlx::query("DELETE FROM low_credit WHERE account = $1").bind(id.to_string()).execute(&mut *connection).await?;
            }
            _ => {}
        }
    }
    if fallen.is_empty() {
        return Ok(());
    }
    LOW.insert(connection, dialect, fallen.iter().map(|(id, _)| vec![(*id).into(), now.into()])).await?;
    tell(connection, dialect, &fallen, now).await
}

/// Puts mails to the customers of these accounts into the outbox, unless they were told lately.
async fn tell(
    connection: &mut AnyConnection,
    dialect: Dialect,
    fallen: &[(&AccountId, &AccountState)],
    now: UnixMillis,
) -> Result<(), BillingError> {
    let SendingSettings { is_enabled, low_credit, low_credit_hours, .. } = settings::settings(&mut *connection).await?;
    if !is_enabled || !low_credit {
        return Ok(());
    }
    let mut rows = Vec::new();
    for (account, state) in fallen {
        let (sending, email) = whom(&mut *connection, account).await?;
        // One that went to nobody, for want of an address, tells nobody once there is one.
        let has_address = i64::from(!sending.recipients(&email).is_empty());
        let sql = "SELECT 1 FROM mails WHERE account = $1 AND kind = 'low_credit' AND state <> 'off' AND created_at > $2 \
                   AND (recipient <> '' OR $3 = 0) LIMIT 1";
        let since = now - Millis::from(low_credit_hours) * HOUR;
        let query = sqlx::query(sql).bind(account.to_string()).bind(since.get()).bind(has_address);
        if query.fetch_optional(&mut *connection).await?.is_some() {
            continue;
        }
        let digest = format!("{}:{}", state.partition, state.last_sequence);
        let subject = Subject { kind: MailKind::LowCredit, document: 0, credit: 0, digest: &digest, account, occasion: "" };
        rows.extend(subject.rows(SWITCH, &sending, &email, now));
    }
    MAILS.insert(connection, dialect, rows.into_iter()).await
}

/// Why a mail that credit runs low is not to be sent any more; `None` if it is.
pub(super) async fn obstacle(
    connection: &mut AnyConnection,
    account: &AccountId,
    now: UnixMillis,
) -> Result<Option<&'static str>, BillingError> {
    if !settings::settings(&mut *connection).await?.low_credit {
        return Ok(Some("such mails were switched off before it went out"));
    }
    let is_low = state_of(connection, account).await?.is_some_and(|state| is_low(&state, now));
    Ok((!is_low).then_some("the credit was no longer low when it was to go out"))
}

async fn state_of(connection: &mut AnyConnection, account: &AccountId) -> Result<Option<AccountState>, BillingError> {
    let row = sqlx::query("SELECT * FROM accounts WHERE account = $1").bind(account.to_string()).fetch_optional(connection).await?;
    row.as_ref().map(read_account).transpose()
}

impl Billing {
    /// An account as the last entry that was taken in left it; `None` if none of its entries was.
    pub async fn account_state(&self, account: &AccountId) -> Result<Option<AccountState>, BillingError> {
        state_of(&mut *self.store().pool().acquire().await?, account).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::{Account, Currency, Mode, NonUsageBilling};
    use domain::money::Units;

    const AT: UnixMillis = UnixMillis::new(1);

    #[test]
    fn an_account_is_low_below_its_threshold_and_not_if_it_is_closed_or_has_none() {
        let account = Account {
            balance: Units::new(500),
            ..Account::opened(Mode::Prepaid, NonUsageBilling::Consolidated, (Currency::parse("EUR").unwrap(), 2, 2))
        };
        let state = |threshold: Option<i64>, account| AccountState {
            partition: 0,
            account,
            name: String::new(),
            low_credit_threshold: threshold.map(Units::new),
            created_at: UnixMillis::NONE,
            last_sequence: 1,
        };
        assert!(is_low(&state(Some(501), account), AT));
        assert!(!is_low(&state(Some(500), account), AT) && !is_low(&state(None, account), AT));
        assert!(!is_low(&state(Some(501), Account { status: Status::Closed, ..account }), AT));
        // A temporary limit counts until it ends.
        let limited = Account { temporary_limit: Units::new(10), temporary_until: UnixMillis::new(100), ..account };
        assert_eq!([99, 100].map(|now| is_low(&state(Some(501), limited), UnixMillis::new(now))), [false, true]);
    }
}
