//! The record of who did what, in chains of digests.
//!
//! What the journal tells is recorded in the step that takes its entries in ([`of_entries`]), in a chain of each partition: only the
//! aggregator of that partition writes it, so that partitions do not wait for each other. All else is in one chain: settings in the
//! transaction that changes them, and what the service says of itself. [`list`] reads them; `verify` checks the chains.
//!
//! Names, addresses and reasons are covered by a digest with a random salt: text and salt can be erased, and the chain still holds.

pub mod list;
pub mod of_entries;

use serde_json::{Map, Value as Json};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::change::Change;
use super::digest::{Fields, to_hex};
use super::store::Dialect;
use super::store::rows::{Table, Type, Value};
use super::{Billing, BillingError};
use crate::store::Columns;
use domain::ids::{AccountId, RequestId};
use domain::origin::Origin;
use domain::time::UnixMillis;

/// The chain of what no journal tells. Those of partitions have their numbers.
pub const SERVICE: i64 = -1;

/// The outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    #[default]
    Done,
    /// The caller may not do it, or the caller is unknown.
    Refused,
    /// It could not be done.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    /// Its name, as it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::Refused => "REFUSED",
            Self::Failed => "FAILED",
        }
    }

    /// The outcome of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// An act that somebody did, or tried to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub actor: String,
    /// For whom; empty if for nobody else.
    pub on_behalf_of: String,
    /// What: "account.limit_set", "issuer.set".
    pub action: String,
    /// On which account; empty if on none.
    pub account: AccountId,
    /// The outcome.
    pub outcome: Outcome,
    /// The caller's name for the request.
    pub request_id: RequestId,
    /// The journal's entry that it follows from; 0 if from none.
    pub sequence: i64,
    /// How the request came.
    pub origin: Origin,
    /// Before, after, amount and so on.
    pub content: Map<String, Json>,
    /// Names, addresses, reasons: what can be erased.
    pub personal: Map<String, Json>,
}

impl Act {
    /// An act that a change asks for.
    #[must_use]
    pub fn of(action: &str, change: &Change) -> Self {
        let act = Self {
            at: change.at,
            actor: change.actor.clone(),
            on_behalf_of: change.on_behalf_of.clone(),
            action: action.to_owned(),
            request_id: change.request_id.clone(),
            origin: change.origin.clone(),
            ..Self::default()
        };
        act.with_reason(&change.reason)
    }

    /// On an account.
    #[must_use]
    pub fn on(mut self, account: &AccountId) -> Self {
        account.clone_into(&mut self.account);
        self
    }

    /// With something that is said of it; null is not said.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.content.insert(name.to_owned(), value);
        }
        self
    }

    /// With something personal.
    #[must_use]
    pub fn with_personal(mut self, name: &str, value: impl Into<Json>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.personal.insert(name.to_owned(), value);
        }
        self
    }

    /// With why.
    #[must_use]
    pub fn with_reason(self, reason: &str) -> Self {
        if reason.is_empty() { self } else { self.with_personal("reason", reason) }
    }
}

/// A record, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// The chain: a partition, or [`SERVICE`].
    pub chain: i64,
    pub place: i64,
    /// What was done.
    pub act: Act,
    /// Whether what is personal of it was erased.
    pub is_erased: bool,
}

/// A row of the table, as its digest covers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub chain: i64,
    pub place: i64,
    pub at: UnixMillis,
    pub actor: String,
    pub on_behalf_of: String,
    pub action: String,
    pub account: AccountId,
    pub outcome: String,
    pub request_id: RequestId,
    pub sequence: i64,
    pub origin: String,
    pub content: String,
    pub personal: String,
    pub salt: String,
    pub personal_digest: String,
    pub digest: String,
}

/// The columns of the table, for a SELECT.
pub(crate) const COLUMNS: &str = "chain, place, at, actor, on_behalf_of, action, account, outcome, request_id, sequence, origin, content, \
                                  personal, salt, personal_digest, digest";

const AUDIT: Table = Table {
    name: "audit",
    columns: &[
        ("chain", Type::Number),
        ("place", Type::Number),
        ("at", Type::Number),
        ("actor", Type::Text),
        ("on_behalf_of", Type::Text),
        ("action", Type::Text),
        ("account", Type::Text),
        ("outcome", Type::Text),
        ("request_id", Type::Text),
        ("sequence", Type::Number),
        ("origin", Type::Text),
        ("content", Type::Text),
        ("personal", Type::Text),
        ("salt", Type::Text),
        ("personal_digest", Type::Text),
        ("digest", Type::Text),
    ],
    on_conflict: "",
};

impl Stored {
    fn of(act: &Act, chain: i64, place: i64, previous: &str) -> Self {
        let text = |map: &Map<String, Json>| if map.is_empty() { String::new() } else { Json::Object(map.clone()).to_string() };
        let personal = text(&act.personal);
        let salt = if personal.is_empty() { String::new() } else { to_hex(&rand::random::<[u8; 16]>()) };
        let mut stored = Self {
            chain,
            place,
            at: act.at,
            actor: storable(&act.actor),
            on_behalf_of: storable(&act.on_behalf_of),
            action: act.action.clone(),
            account: storable(&act.account).into(),
            outcome: act.outcome.name().to_owned(),
            request_id: storable(&act.request_id).into(),
            sequence: act.sequence,
            origin: act.origin.to_string(),
            content: text(&act.content),
            personal_digest: if personal.is_empty() { String::new() } else { personal_digest(&salt, &personal) },
            personal,
            salt,
            digest: String::new(),
        };
        stored.digest = stored.covered(previous);
        stored
    }

    /// The digest, behind that of the record before it in its chain; empty if it is the first.
    pub(crate) fn covered(&self, previous: &str) -> String {
        let mut fields = Fields::of("tollgate audit 1");
        fields.number(self.chain).number(self.place).number(self.at.get()).text(&self.actor).text(&self.on_behalf_of).text(&self.action);
        fields.text(&self.account).text(&self.outcome).text(&self.request_id).number(self.sequence).text(&self.origin);
        fields.text(&self.content).text(&self.personal_digest).text(previous);
        fields.hex()
    }

    /// Whether what was personal of it was erased.
    pub(crate) fn is_erased(&self) -> bool {
        self.personal.is_empty() && self.salt.is_empty() && !self.personal_digest.is_empty()
    }

    fn to_row(&self) -> Vec<Value<'_>> {
        vec![
            self.chain.into(),
            self.place.into(),
            self.at.into(),
            self.actor.as_str().into(),
            self.on_behalf_of.as_str().into(),
            self.action.as_str().into(),
            self.account.as_str().into(),
            self.outcome.as_str().into(),
            self.request_id.as_str().into(),
            self.sequence.into(),
            self.origin.as_str().into(),
            self.content.as_str().into(),
            self.personal.as_str().into(),
            self.salt.as_str().into(),
            self.personal_digest.as_str().into(),
            self.digest.as_str().into(),
        ]
    }

    pub(crate) fn from_row(row: &AnyRow) -> Result<Self, BillingError> {
        Ok(Self {
            chain: row.try_get("chain")?,
            place: row.try_get("place")?,
            at: row.instant("at")?,
            actor: row.try_get("actor")?,
            on_behalf_of: row.try_get("on_behalf_of")?,
            action: row.try_get("action")?,
            account: row.account_id("account")?,
            outcome: row.try_get("outcome")?,
            request_id: row.request_id("request_id")?,
            sequence: row.try_get("sequence")?,
            origin: row.try_get("origin")?,
            content: row.try_get("content")?,
            personal: row.try_get("personal")?,
            salt: row.try_get("salt")?,
            personal_digest: row.try_get("personal_digest")?,
            digest: row.try_get("digest")?,
        })
    }

    fn into_record(self) -> Result<AuditRecord, BillingError> {
        let map = |text: &str| match text {
            "" => Ok(Map::new()),
            _ => serde_json::from_str(text).map_err(BillingError::corrupt),
        };
        let is_erased = self.is_erased();
        let act = Act {
            at: self.at,
            outcome: Outcome::named(&self.outcome).ok_or_else(|| BillingError::corrupt(format!("the outcome {:?}", self.outcome)))?,
            origin: Origin::read(&self.origin),
            content: map(&self.content)?,
            personal: map(&self.personal)?,
            actor: self.actor,
            on_behalf_of: self.on_behalf_of,
            action: self.action,
            account: self.account,
            request_id: self.request_id,
            sequence: self.sequence,
        };
        Ok(AuditRecord { chain: self.chain, place: self.place, act, is_erased })
    }
}

/// A text as PostgreSQL can keep it: one that was refused may hold anything, and must not keep the records behind it from being written.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[must_use]
pub fn personal_digest(salt: &str, text: &str) -> String {
    Fields::of("tollgate audit, personal 1").text(salt).text(text).hex()
}

/// Locks a chain until the end of the transaction; returns whether there is one. Who needs more than one locks [`SERVICE`] first.
pub(crate) async fn lock(connection: &mut AnyConnection, chain: i64) -> Result<bool, BillingError> {
    let touch = "UPDATE audit_chains SET last_place = last_place WHERE chain = $1";
    Ok(sqlx::query(touch).bind(chain).execute(connection).await?.rows_affected() > 0)
}

/// Records acts, at the end of a chain. It locks the chain until the end of the transaction, so that it comes last in it.
pub(crate) async fn write(connection: &mut AnyConnection, dialect: Dialect, chain: i64, acts: &[Act]) -> Result<(), BillingError> {
    if acts.is_empty() {
        return Ok(());
    }
    if !lock(connection, chain).await? {
        let begin = "INSERT INTO audit_chains (chain, last_place, head, since_sequence, since_reconciliation) VALUES ($1, 0, '', 1, 0) \
                     ON CONFLICT (chain) DO NOTHING";
        sqlx::query(begin).bind(chain).execute(&mut *connection).await?;
        lock(connection, chain).await?;
    }
    let row = sqlx::query("SELECT last_place, head FROM audit_chains WHERE chain = $1").bind(chain).fetch_one(&mut *connection).await?;
    let (mut place, mut head): (i64, String) = (row.try_get("last_place")?, row.try_get("head")?);
    let mut rows = Vec::with_capacity(acts.len());
    for act in acts {
        place += 1;
        let stored = Stored::of(act, chain, place, &head);
        head.clone_from(&stored.digest);
        rows.push(stored);
    }
    AUDIT.insert(connection, dialect, rows.iter().map(Stored::to_row)).await?;
    let keep = "UPDATE audit_chains SET last_place = $1, head = $2 WHERE chain = $3";
    sqlx::query(keep).bind(place).bind(head).bind(chain).execute(connection).await?;
    Ok(())
}

impl Billing {
    /// Records acts that no other transaction does.
    pub async fn audit(&self, acts: &[Act]) -> Result<(), BillingError> {
        if acts.is_empty() {
            return Ok(());
        }
        let mut transaction = self.store().begin().await?;
        write(&mut transaction, self.store().dialect(), SERVICE, acts).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// A text of JSON that is kept in a column, as JSON; one that is none, as a text.
pub(crate) fn json_of(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_record_counts_and_what_is_personal_can_go() {
        let act = Act { actor: "eve".into(), action: "issuer.set".into(), ..Act::default() }.with("after", "x").with_reason("asked to");
        let stored = Stored::of(&act, SERVICE, 7, "before");
        let with = |change: fn(&mut Stored)| {
            let mut changed = stored.clone();
            change(&mut changed);
            changed.covered("before")
        };
        let changes: [fn(&mut Stored); 13] = [
            |row| row.chain = 0,
            |row| row.place = 8,
            |row| row.at = UnixMillis::new(1),
            |row| row.actor.push('a'),
            |row| row.on_behalf_of.push('a'),
            |row| row.action.push('a'),
            |row| row.account = "other".into(),
            |row| row.outcome.push('a'),
            |row| row.request_id = "other".into(),
            |row| row.sequence = 1,
            |row| row.origin.push('a'),
            |row| row.content.push('a'),
            |row| row.personal_digest.push('a'),
        ];
        assert!(changes.into_iter().all(|change| with(change) != stored.digest));
        assert_ne!(stored.covered("another"), stored.digest);
        let odd = Stored::of(&Act { account: "a\0b".into(), ..act }, SERVICE, 8, "before");
        assert_eq!(odd.account, "a\u{fffd}b");
        let erased = Stored { personal: String::new(), salt: String::new(), ..stored.clone() };
        assert!(erased.is_erased() && !stored.is_erased());
        assert_eq!(erased.covered("before"), stored.digest);
    }
}
