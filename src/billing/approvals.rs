//! Acts that wait for a second person, the decision on each, and its outcome. Only rows: who may decide is not known here.
//!
//! An act that is approved is done by the ledger, under its own name and with the time of its approval as that of its sending: however often
//! that is tried, it is done once, and never when the ledger has forgotten the name. It is noted here afterwards.

pub mod figures;
mod listed;
pub mod stored;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::audit::{self, Act};
use super::change::Change;
use super::kinds::GUARDED;
use super::record::request_key;
use super::{Billing, BillingError, account_lock};
use crate::store::Columns;
use domain::account::Currency;
use domain::approval::GuardedAct;
use domain::command::{Action, Command, Metadata};
use domain::ids::{AccountId, RequestId};
use domain::money::DecimalAmount;
use domain::origin::Origin;
use domain::time::{Millis, UnixMillis};
pub use listed::ApprovalFilter;

/// How long an act waits.
pub const VALIDITY: Millis = 7 * 24 * 3_600_000;

/// How many acts wait at most.
pub const MOST: i64 = 10_000;

/// How many acts of one account wait at most.
pub const MOST_OF_ACCOUNT: i64 = 10;

/// How many acts wait at most that one caller has asked for: it leaves room for others.
pub const MOST_OF_CALLER: i64 = 1_000;

/// How long the outcome of an act is kept. The audit records know it for longer.
pub const KEPT: Millis = 90 * 24 * 3_600_000;

/// How many acts that have ended are noted so, or forgotten, at once.
const ENDED_AT_ONCE: i64 = 100;

/// State of an act that needs a second person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a second person.
    Waiting,
    /// It was approved, and is about to be done.
    Approved,
    Done,
    /// It was approved, and could not be done.
    Failed,
    Rejected,
    /// Nobody has decided in time.
    Expired,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Waiting, Self::Approved, Self::Done, Self::Failed, Self::Rejected, Self::Expired];

    /// Its name, as it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// The actor of a request or a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The caller.
    pub name: String,
    /// For whom; empty if for nobody else.
    pub on_behalf_of: String,
    /// Why.
    pub reason: String,
    /// When; 0: nobody has yet.
    pub at: UnixMillis,
}

/// An act that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its number.
    pub id: i64,
    pub account: AccountId,
    /// The name under which it is done.
    pub request_id: RequestId,
    /// The kind of the act.
    pub act: GuardedAct,
    pub currency: Currency,
    /// How much of it; `None` means all that there is.
    pub amount: Option<DecimalAmount>,
    /// What is to be done, as [`stored`] writes it.
    pub command: String,
    /// The caller that asked, in the JSON by which it is looked up later.
    pub asker: String,
    pub asked: Party,
    /// How the request came.
    pub origin: String,
    /// From when on it can no longer be approved.
    pub ends_at: UnixMillis,
    /// Its state.
    pub state: State,
    pub decided: Party,
    /// The name of the request that decided.
    pub decided_request_id: RequestId,
    /// Why it could not be done: a reason of the API.
    pub failure: String,
}

/// The result of asking for an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskOutcome {
    Waits(Approval),
    /// It was asked for before.
    Known(Approval),
    /// As many wait as may: of the account, of the caller, or of all.
    TooMany(i64),
}

const COLUMNS: &str = "id, account, request_id, act, currency, amount, command, asker, asked_by, asked_for, reason, asked_at, origin, ends_at, \
                       state, decided_by, decided_for, decided_reason, decided_at, decided_request_id, failure";

impl Approval {
    /// What is to be done.
    pub fn action(&self) -> Result<Action, BillingError> {
        Ok(stored::read(&self.command)?.1)
    }

    /// The command that does it, as the one who asked has sent it, as of its approval.
    pub fn to_command(&self) -> Result<Command, BillingError> {
        let (currency, action) = stored::read(&self.command)?;
        let Party { name, on_behalf_of, reason, at: _ } = self.asked.clone();
        let metadata = Metadata { actor: name, on_behalf_of, reason, origin: self.origin.clone(), ..Metadata::default() };
        let (account, request_id) = (self.account.clone(), self.request_id.clone());
        Ok(Command { account, request_id, first_sent_at: Some(self.decided.at), currency, action, metadata })
    }

    /// Whether it waits, at an instant.
    #[must_use]
    pub fn is_waiting(&self, now: UnixMillis) -> bool {
        self.state == State::Waiting && now < self.ends_at
    }

    fn recorded(&self, act: Act) -> Act {
        let amount = self.amount.map_or_else(|| "all".to_owned(), |amount| amount.to_string());
        let act = act.on(&self.account).with("approval", self.id.to_string()).with("act", self.act.name());
        act.with("amount", amount).with("currency", self.currency.code()).with("for_request", self.request_id.as_str())
    }

    /// The same with who has asked for it.
    fn recorded_with_asker(&self, act: Act) -> Act {
        let asked_for = (!self.asked.on_behalf_of.is_empty()).then(|| self.asked.on_behalf_of.clone());
        self.recorded(act).with("asked_by", self.asked.name.as_str()).with("asked_for", asked_for)
    }
}

impl Billing {
    /// Stores an act that is to wait, unless it is known already. Assigns its number.
    pub async fn ask_approval(&self, approval: &Approval) -> Result<AskOutcome, BillingError> {
        let (account, request_id, now) = (&approval.account, &approval.request_id, approval.asked.at);
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        account_lock::lock(connection, self.store().dialect(), account).await?;
        // The time, or the next one: a store that was restored gives none again that was given since, and a number does not tell how many acts of
        // others there were.
        let count = "UPDATE approvals_counter SET last = CASE WHEN last < $1 THEN $1 ELSE last + 1 END WHERE id = 1";
        sqlx::query(count).bind(now.get()).execute(&mut *connection).await?;
        if let Some(known) = find(connection, "account = $1 AND request_id = $2", account, request_id).await? {
            return Ok(AskOutcome::Known(known));
        }
        let waiting = "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN account = $2 THEN 1 ELSE 0 END), 0) AS BIGINT), \
                       CAST(COALESCE(SUM(CASE WHEN asked_by = $3 THEN 1 ELSE 0 END), 0) AS BIGINT) \
                       FROM approvals WHERE state = 'waiting' AND ends_at > $1";
        let waiting = sqlx::query(waiting).bind(now.get()).bind(account.to_string()).bind(approval.asked.name.clone());
        let waiting = waiting.fetch_one(&mut *connection).await?;
        for (place, most) in [(1, MOST_OF_ACCOUNT), (2, MOST_OF_CALLER), (0, MOST)] {
            if waiting.try_get::<i64, _>(place)? >= most {
                return Ok(AskOutcome::TooMany(most));
            }
        }
        let counter = sqlx::query("SELECT last FROM approvals_counter WHERE id = 1").fetch_one(&mut *connection).await?;
        let kept = Approval { id: counter.try_get(0)?, ..approval.clone() };
        insert(connection, &kept).await?;
        let act = Act {
            at: now,
            actor: kept.asked.name.clone(),
            on_behalf_of: kept.asked.on_behalf_of.clone(),
            action: "approval.asked".to_owned(),
            request_id: request_id.clone(),
            origin: Origin::read(&kept.origin),
            ..Act::default()
        };
        let act = kept.recorded(act).with_reason(&kept.asked.reason);
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(AskOutcome::Waits(kept))
    }

    /// The act of a number.
    pub async fn approval(&self, id: i64) -> Result<Option<Approval>, BillingError> {
        let sql = AssertSqlSafe(format!("SELECT {COLUMNS} FROM approvals WHERE id = $1"));
        sqlx::query(sql).bind(id).fetch_optional(self.store().pool()).await?.as_ref().map(read).transpose()
    }

    /// The act that is done under a name.
    pub async fn approval_of(&self, account: &AccountId, request_id: &RequestId) -> Result<Option<Approval>, BillingError> {
        find(&mut *self.store().pool().acquire().await?, "account = $1 AND request_id = $2", account, request_id).await
    }

    /// Decides on an act that waits; returns whether it did still.
    pub async fn decide_approval(&self, approval: &Approval, state: State, change: &Change) -> Result<bool, BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        let sql = "UPDATE approvals SET state = $2, decided_by = $3, decided_for = $4, decided_reason = $5, decided_request_id = $6, \
                   decided_at = $7 WHERE id = $1 AND state = 'waiting' AND ends_at > $8";
        let query = sqlx::query(sql).bind(approval.id).bind(state.name()).bind(change.actor.clone()).bind(change.on_behalf_of.clone());
        let query = query.bind(change.reason.clone()).bind(change.request_id.to_string()).bind(change.at.get()).bind(change.at.get());
        if query.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let act = approval.recorded_with_asker(Act::of(&format!("approval.{}", state.name()), change));
        audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Notes that an act was done.
    pub async fn note_done(&self, id: i64) -> Result<(), BillingError> {
        // That it failed may have been noted meanwhile, by who looked before it was done.
        let sql = "UPDATE approvals SET state = 'done', failure = '' WHERE id = $1 AND state IN ('approved', 'failed')";
        sqlx::query(sql).bind(id).execute(self.store().pool()).await?;
        Ok(())
    }

    /// Notes that an act could not be done, and why.
    pub async fn note_failed(&self, approval: &Approval, reason: &str, now: UnixMillis) -> Result<(), BillingError> {
        let act = Act { at: now, action: "approval.failed".to_owned(), outcome: audit::Outcome::Failed, ..Act::default() };
        let act = approval.recorded_with_asker(act).with("failure", reason);
        let sql = "UPDATE approvals SET state = 'failed', failure = $2 WHERE id = $1 AND state = 'approved'";
        self.end(sqlx::query(sql).bind(approval.id).bind(reason.to_owned()), act).await
    }

    /// Notes which acts nobody has decided on in time, some at once; returns whether there may be more.
    pub async fn expire_approvals(&self, now: UnixMillis) -> Result<bool, BillingError> {
        let due = "state = 'waiting' AND ends_at <= $1 ORDER BY id LIMIT $2";
        let due = select(&mut *self.store().pool().acquire().await?, due, now).await?;
        for approval in &due {
            let act = Act { at: approval.ends_at, action: "approval.expired".to_owned(), ..Act::default() };
            let sql = "UPDATE approvals SET state = 'expired' WHERE id = $1 AND state = 'waiting'";
            self.end(sqlx::query(sql).bind(approval.id), approval.recorded_with_asker(act)).await?;
        }
        Ok(i64::try_from(due.len()).is_ok_and(|count| count == ENDED_AT_ONCE))
    }

    /// Forgets acts that have ended long ago, some at once; returns whether there may be more.
    pub async fn forget_approvals(&self, now: UnixMillis) -> Result<bool, BillingError> {
        let forget = "DELETE FROM approvals WHERE id IN (SELECT id FROM approvals WHERE asked_at < $1 \
                      AND state NOT IN ('waiting', 'approved') ORDER BY asked_at LIMIT $2)";
        let forgotten = sqlx::query(forget).bind((now - VALIDITY - KEPT).get()).bind(ENDED_AT_ONCE).execute(self.store().pool()).await?;
        Ok(i64::try_from(forgotten.rows_affected()).is_ok_and(|count| count == ENDED_AT_ONCE))
    }

    /// Some of the acts that were approved before an instant, and of which it is not noted what came of them, after a number.
    pub async fn approved_before(&self, at: UnixMillis, after: i64) -> Result<Vec<Approval>, BillingError> {
        let condition = format!("state = 'approved' AND decided_at < $1 AND id > {after} ORDER BY id LIMIT $2");
        select(&mut *self.store().pool().acquire().await?, &condition, at).await
    }

    /// Whether the journal says that an act was done after an instant, as far as it was taken in.
    pub async fn has_entry_of(&self, approval: &Approval, after: UnixMillis) -> Result<bool, BillingError> {
        let Approval { account, request_id, .. } = approval;
        let sql = format!(
            "SELECT sequence FROM entries WHERE request_key = $1 AND account = $2 AND request_id = $3 AND time >= $4 \
             AND kind IN ({GUARDED}) LIMIT 1"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(request_key(account, request_id)).bind(account.to_string());
        Ok(query.bind(request_id.to_string()).bind(after.get()).fetch_optional(self.store().pool()).await?.is_some())
    }

    async fn end(&self, update: sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments>, act: Act) -> Result<(), BillingError> {
        let mut transaction = self.store().begin().await?;
        let connection = &mut *transaction;
        if update.execute(&mut *connection).await?.rows_affected() > 0 {
            audit::write(connection, self.store().dialect(), audit::SERVICE, &[act]).await?;
            transaction.commit().await?;
        }
        Ok(())
    }
}

async fn find(connection: &mut AnyConnection, condition: &str, one: &str, two: &str) -> Result<Option<Approval>, BillingError> {
    let sql = AssertSqlSafe(format!("SELECT {COLUMNS} FROM approvals WHERE {condition}"));
    sqlx::query(sql).bind(one.to_owned()).bind(two.to_owned()).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

async fn select(connection: &mut AnyConnection, condition: &str, at: UnixMillis) -> Result<Vec<Approval>, BillingError> {
    let sql = AssertSqlSafe(format!("SELECT {COLUMNS} FROM approvals WHERE {condition}"));
    sqlx::query(sql).bind(at.get()).bind(ENDED_AT_ONCE).fetch_all(connection).await?.iter().map(read).collect()
}

async fn insert(connection: &mut AnyConnection, approval: &Approval) -> Result<(), BillingError> {
    let sql = "INSERT INTO approvals (id, account, request_id, act, currency, amount, command, asker, asked_by, asked_for, reason, \
               asked_at, origin, ends_at, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'waiting')";
    let Approval { id, account, request_id, act, currency, amount, command, asker, asked, origin, ends_at, .. } = approval.clone();
    let query = sqlx::query(sql)
        .bind(id)
        .bind(account.into_string())
        .bind(request_id.into_string())
        .bind(act.name())
        .bind(currency.code().to_owned());
    let query = query.bind(amount.map_or_else(String::new, |amount| amount.to_string())).bind(command).bind(asker).bind(asked.name);
    query.bind(asked.on_behalf_of).bind(asked.reason).bind(asked.at.get()).bind(origin).bind(ends_at.get()).execute(connection).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Approval, BillingError> {
    let text = |column| row.try_get::<String, _>(column);
    let (id, act, currency, amount, state) = (row.try_get("id")?, text("act")?, text("currency")?, text("amount")?, text("state")?);
    let wrong = || BillingError::corrupt(format!("the act {id} that waits for approval"));
    let party = |name, on_behalf_of, reason, at| {
        Ok::<_, BillingError>(Party { name: text(name)?, on_behalf_of: text(on_behalf_of)?, reason: text(reason)?, at: row.instant(at)? })
    };
    Ok(Approval {
        id,
        account: text("account")?.into(),
        request_id: text("request_id")?.into(),
        act: GuardedAct::named(&act).ok_or_else(wrong)?,
        currency: Currency::parse(&currency).ok_or_else(wrong)?,
        amount: if amount.is_empty() { None } else { Some(DecimalAmount::parse(&amount).map_err(|_| wrong())?) },
        command: text("command")?,
        asker: text("asker")?,
        asked: party("asked_by", "asked_for", "reason", "asked_at")?,
        origin: text("origin")?,
        ends_at: row.instant("ends_at")?,
        state: State::ALL.into_iter().find(|one| one.name() == state).ok_or_else(wrong)?,
        decided: party("decided_by", "decided_for", "decided_reason", "decided_at")?,
        decided_request_id: row.request_id("decided_request_id")?,
        failure: text("failure")?,
    })
}
