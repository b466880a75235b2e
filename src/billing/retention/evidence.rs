//! What audit records say of what was dropped: of each chain how far, of documents how many, and what is left of them. Without it, `verify`
//! believes nothing that is said to be no longer kept, and nothing more is dropped. It outlives the records that it stands in: when these
//! are dropped, what still counts is carried over to the end of their chain.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{ACTOR, instant};
use crate::BillingError;
use crate::audit::{Act, COLUMNS, SERVICE, Stored};
use crate::digest::DigestSum;
use domain::origin::Origin;
use domain::time::UnixMillis;

const RECORDS: &str = "retention.records_dropped";
const DOCUMENTS: &str = "retention.documents_dropped";

/// How far a chain of audit records was dropped, and which of its records were old enough then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DroppedRecords {
    pub chain: i64,
    /// The place of the last one that went, its digest, and the sum of what all that went had in common with entries.
    pub to: i64,
    pub digest: String,
    pub sum: String,
    pub before: UnixMillis,
    /// When.
    pub at: UnixMillis,
}

/// All documents that are no longer kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DroppedDocuments {
    /// How many, and the sum of the digests of what is left of each.
    pub left: DigestSum,
    /// When the last of them went.
    pub at: UnixMillis,
}

impl DroppedRecords {
    /// The record of it.
    pub fn act(&self, now: UnixMillis) -> Act {
        let act = act(RECORDS, self.at, now).with("chain", self.chain).with("to", self.to).with("before", instant(self.before));
        act.with("digest", self.digest.as_str()).with("sum", self.sum.as_str())
    }

    fn read(stored: &Stored) -> Option<Self> {
        let content = content(stored, RECORDS)?;
        let text = |name: &str| content.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| content.get(name)?.as_i64();
        Some(Self {
            chain: number("chain")?,
            to: number("to")?,
            digest: text("digest")?,
            sum: text("sum")?,
            before: millis(content.get("before")?)?,
            at: at(&content, stored)?,
        })
    }
}

impl DroppedDocuments {
    /// The record of it.
    pub fn act(&self, now: UnixMillis) -> Act {
        act(DOCUMENTS, self.at, now).with("total", self.left.count).with("left", self.left.hex())
    }

    fn read(stored: &Stored) -> Option<Self> {
        let content = content(stored, DOCUMENTS)?;
        let left = DigestSum::read(content.get("total")?.as_i64()?, content.get("left")?.as_str()?).ok()?;
        Some(Self { left, at: at(&content, stored)? })
    }
}

/// What the records of a part of the service's chain say last.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub of_chains: BTreeMap<i64, DroppedRecords>,
    pub of_documents: Option<DroppedDocuments>,
}

impl Evidence {
    /// Takes in a record; most say nothing of this.
    pub fn take(&mut self, stored: &Stored) {
        if let Some(of) = DroppedRecords::read(stored) {
            self.of_chains.insert(of.chain, of);
        }
        self.of_documents = DroppedDocuments::read(stored).or(self.of_documents);
    }

    /// The records to write again when those that were taken in are dropped, which end at a place: of what no later one says.
    pub async fn carried_over(self, connection: &mut AnyConnection, to: i64, now: UnixMillis) -> Result<Vec<Act>, BillingError> {
        let mut acts = Vec::new();
        for of in self.of_chains.into_values().filter(|of| of.chain != SERVICE) {
            let row = sqlx::query("SELECT dropped_to FROM audit_chains WHERE chain = $1").bind(of.chain);
            if row.fetch_one(&mut *connection).await?.try_get::<i64, _>(0)? == of.to {
                acts.push(of.act(now));
            }
        }
        if let Some(of) = self.of_documents {
            let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM audit WHERE chain = $1 AND action = $2 AND place > $3";
            let later = sqlx::query(sql).bind(SERVICE).bind(DOCUMENTS).bind(to).fetch_one(connection).await?;
            if later.try_get::<i64, _>(0)? == 0 {
                acts.push(of.act(now));
            }
        }
        Ok(acts)
    }
}

/// Whether a record says that a chain was dropped up to a place: with this digest and this sum.
pub(super) async fn is_recorded(
    connection: &mut AnyConnection,
    chain: i64,
    (to, digest, sum): (i64, &str, &str),
) -> Result<bool, BillingError> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE chain = $1 AND action = $2 AND content LIKE $3");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(SERVICE).bind(RECORDS).bind(format!("%\"{digest}\"%"));
    for row in query.fetch_all(connection).await? {
        let of = DroppedRecords::read(&Stored::from_row(&row)?);
        if of.is_some_and(|of| (of.chain, of.to, of.digest.as_str(), of.sum.as_str()) == (chain, to, digest, sum)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What was recorded last of documents.
pub(super) async fn of_documents(connection: &mut AnyConnection) -> Result<DroppedDocuments, BillingError> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE chain = $1 AND action = $2 ORDER BY place DESC LIMIT 1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(SERVICE).bind(DOCUMENTS).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(DroppedDocuments::default()) };
    let stored = Stored::from_row(&row)?;
    let broken = || BillingError::corrupt(format!("audit record {} of what is left of documents", stored.place));
    DroppedDocuments::read(&stored).ok_or_else(broken)
}

fn act(action: &str, at: UnixMillis, now: UnixMillis) -> Act {
    let act = Act { at: now, actor: ACTOR.to_owned(), action: action.to_owned(), origin: Origin::local(), ..Act::default() };
    if at == now { act } else { act.with("dropped_at", instant(at)) }
}

fn content(stored: &Stored, action: &str) -> Option<Map<String, Json>> {
    (stored.action == action).then(|| serde_json::from_str(&stored.content).ok())?
}

/// When it was dropped: when the record was written, unless it was carried over.
fn at(content: &Map<String, Json>, stored: &Stored) -> Option<UnixMillis> {
    content.get("dropped_at").map_or(Some(stored.at), millis)
}

fn millis(instant: &Json) -> Option<UnixMillis> {
    Some(UnixMillis::new(instant.as_str()?.parse::<Timestamp>().ok()?.as_millisecond()))
}
