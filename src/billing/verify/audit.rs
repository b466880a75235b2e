//! Whether every audit record is what its digest says, place by place; and whether the journal's acts, and no others, are recorded.

use std::collections::{BTreeMap, HashMap};

use futures_util::TryStreamExt;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::dropped::{StatedChain, Terms};
use super::{Findings, Place, VerifyError};
use crate::audit::{COLUMNS, SERVICE, Stored, of_entries, personal_digest};
use crate::digest::DigestSum;
use crate::record::{self, Record, number};
use crate::retention::evidence::Evidence;
use crate::series::{AUDIT, Head};

/// The chain of what no journal tells.
const OF_SERVICE: &str = "service";

/// The acts of which the entries tell, by partition.
#[derive(Debug, Default)]
pub(super) struct Acts {
    of_partitions: HashMap<u16, OfPartition>,
}

/// Those of a partition.
#[derive(Debug, Default)]
struct OfPartition {
    since: i64,
    up_to: i64,
    sum: DigestSum,
}

impl Acts {
    /// Begins a partition: its entries from those on of which there are records, up to the last that is here.
    pub async fn begin(&mut self, connection: &mut AnyConnection, partition: u16, up_to: u64) -> Result<(), VerifyError> {
        let query = sqlx::query("SELECT since_sequence FROM audit_chains WHERE chain = $1").bind(i64::from(partition));
        let since = query.fetch_optional(connection).await?.map_or(Ok(1), |row| row.try_get(0))?;
        self.of_partitions.insert(partition, OfPartition { since, up_to: number(up_to), sum: DigestSum::default() });
        Ok(())
    }

    /// Takes an entry in.
    pub fn take(&mut self, record: &Record) {
        let Some(of) = self.of_partitions.get_mut(&record.partition) else { return };
        if (of.since..=of.up_to).contains(&number(record.sequence))
            && let Some(digest) = of_entries::of_entry(record)
        {
            of.sum.add(digest);
        }
    }
}

/// Goes through all chains. `kept` are heads that somebody noted elsewhere. Returns what the records say of what was dropped.
pub(super) async fn compare(
    connection: &mut AnyConnection,
    kept: &[Head],
    mut acts: Acts,
    terms: Terms<'_>,
    findings: &mut Findings,
) -> Result<Evidence, VerifyError> {
    let mut all: BTreeMap<i64, StatedChain> = BTreeMap::new();
    let sql = "SELECT chain, last_place, head, since_sequence, since_reconciliation, dropped_to, dropped_digest, dropped_sum \
               FROM audit_chains";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        let stated = StatedChain {
            last_place: row.try_get("last_place")?,
            head: row.try_get("head")?,
            is_there: true,
            since_sequence: row.try_get("since_sequence")?,
            since_reconciliation: row.try_get("since_reconciliation")?,
            dropped_to: row.try_get("dropped_to")?,
            dropped_digest: row.try_get("dropped_digest")?,
            dropped_sum: row.try_get("dropped_sum")?,
        };
        all.insert(row.try_get("chain")?, stated);
    }
    for row in sqlx::query("SELECT DISTINCT chain FROM audit").fetch_all(&mut *connection).await? {
        all.entry(row.try_get("chain")?).or_default();
    }
    for partition in acts.of_partitions.keys() {
        all.entry(i64::from(*partition)).or_default();
    }
    for head in kept.iter().filter(|head| !all.keys().any(|chain| name_of(*chain) == head.series)) {
        findings.add(Place::Audit, None, head.series.as_str(), "is a kept head of a chain that is not there");
    }
    // That of the service is the first, and says what was dropped of the others.
    let mut evidence = Evidence::default();
    for (chain, stated) in all {
        let of = u16::try_from(chain).ok().and_then(|partition| acts.of_partitions.remove(&partition));
        let recorded = one(connection, (chain, &stated), kept, of.as_ref(), (terms, &mut evidence), findings).await?;
        if let (Some(mut of), Some(recorded)) = (of, recorded) {
            lost(connection, chain, &stated, &mut of).await?;
            if of.sum != recorded {
                let (records, acts) = (recorded.count, of.sum.count);
                let what = format!("its {records} records are not what its entries tell, which are {acts} acts");
                findings.add(Place::Audit, u16::try_from(chain).ok(), name_of(chain), what);
            }
        }
    }
    Ok(evidence)
}

/// One chain, from its first place to its last. Returns the sum of those of its records that must have an entry.
async fn one(
    connection: &mut AnyConnection,
    (chain, stated): (i64, &StatedChain),
    kept: &[Head],
    of: Option<&OfPartition>,
    (terms, evidence): (Terms<'_>, &mut Evidence),
    findings: &mut Findings,
) -> Result<Option<DigestSum>, VerifyError> {
    let (series, partition) = (name_of(chain), u16::try_from(chain).ok());
    let mut kept: HashMap<i64, Vec<&Head>> = kept.iter().filter(|head| head.series == series).fold(HashMap::new(), |mut all, head| {
        all.entry(head.number.parse().unwrap_or(0)).or_insert_with(Vec::new).push(head);
        all
    });
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE chain = $1 ORDER BY place");
    let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(chain).fetch(&mut *connection);
    let (mut last, mut head) = (stated.dropped_to, stated.dropped_digest.clone());
    let read = DigestSum::read(last, &stated.dropped_sum).inspect_err(|error| {
        if last != 0 {
            findings.add(Place::Audit, partition, series.as_str(), format!("has no records up to place {last}, and {error}"));
        }
    });
    let mut sum = if last == 0 { Some(DigestSum::default()) } else { read.ok() };
    findings.dropped_acts += u64::try_from(last).unwrap_or(0);
    let dropped: Vec<&Head> = kept.extract_if(|place, _| last != 0 && *place <= last).flat_map(|(_, all)| all).collect();
    while let Some(row) = rows.try_next().await? {
        let stored = Stored::from_row(&row)?;
        findings.audit_records += 1;
        let subject = |place: i64| format!("{series} {place}");
        missing(&series, partition, last + 1, stored.place - 1, findings);
        last = stored.place;
        if stored.covered(&head) != stored.digest {
            let what = "is not what its digest says: it was changed, or is not behind the record that it was written behind";
            findings.add(Place::Audit, partition, subject(last), what);
        } else if chain == SERVICE {
            evidence.take(&stored);
        }
        if stored.is_erased() {
            findings.erased_acts += 1;
        } else if !stored.personal_digest.is_empty() && personal_digest(&stored.salt, &stored.personal) != stored.personal_digest {
            findings.add(Place::Audit, partition, subject(last), "says something else of persons than it did");
        } else if stored.personal_digest.is_empty() && !stored.personal.is_empty() {
            findings.add(Place::Audit, partition, subject(last), "says something of persons that no digest covers");
        }
        for known in kept.remove(&last).unwrap_or_default() {
            if known.digest == stored.digest {
                findings.proved.push((*known).clone());
            } else {
                let what = "is not the one whose digest was kept: it, or one before it, was changed, and all digests after it";
                findings.add(Place::Audit, partition, subject(last), what);
            }
        }
        if let Some(sum) = sum.as_mut().filter(|_| of.is_some_and(|of| stored.sequence <= of.up_to)) {
            let texts = [stored.account.as_str(), &stored.request_id, &stored.actor, &stored.on_behalf_of, &stored.origin];
            sum.add(of_entries::in_common(stored.sequence, stored.at, &stored.action, texts));
        }
        // What follows is compared with what is stored, so that one change is reported once.
        head = stored.digest;
    }
    drop(rows);
    let problem = (stated.dropped_to != 0).then(|| terms.problem(stated, evidence.of_chains.get(&chain))).flatten();
    of_dropped(&series, partition, stated, problem, &dropped, findings);
    missing(&series, partition, last + 1, stated.last_place, findings);
    for known in kept.into_values().flatten() {
        findings.add(Place::Audit, partition, format!("{series} {}", known.number), "is the place of a kept head, and is not there");
    }
    let what = match stated.is_there {
        false if last > 0 => Some("has records, and is not known"),
        true if stated.last_place < last => Some("has more records than were written"),
        true if stated.last_place == last && stated.head != head => Some("does not end with the record that was written last"),
        _ => None,
    };
    if let Some(what) = what {
        findings.add(Place::Audit, partition, series.as_str(), what);
    }
    if last > 0 {
        findings.heads.push(Head { series, number: last.to_string(), digest: head });
    }
    Ok(sum.filter(|_| of.is_some()))
}

/// The heads that were kept of records that are dropped, and why these should be there.
fn of_dropped(
    series: &str,
    partition: Option<u16>,
    stated: &StatedChain,
    problem: Option<String>,
    kept: &[&Head],
    findings: &mut Findings,
) {
    for known in kept {
        let is_last = known.number == stated.dropped_to.to_string();
        match &problem {
            _ if is_last && known.digest != stated.dropped_digest => {
                findings.add(Place::Audit, partition, format!("{series} {}", known.number), "is not the one whose digest was kept");
            }
            Some(_) => {
                findings.add(Place::Audit, partition, format!("{series} {}", known.number), "is the place of a kept head, and is not there")
            }
            None if is_last => findings.last_dropped.push((*known).clone()),
            None => findings.outlived.push((*known).clone()),
        }
    }
    if let Some(what) = problem {
        findings.add(Place::Audit, partition, series, what);
    }
}

/// The acts of entries that were recorded, and that an operator then had taken out of SQL.
async fn lost(connection: &mut AnyConnection, chain: i64, stated: &StatedChain, of: &mut OfPartition) -> Result<(), VerifyError> {
    let columns = record::COLUMNS;
    let sql = format!("SELECT {columns} FROM lost_entries WHERE partition = $1 AND reconciliation >= $2 AND sequence >= $3");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(chain).bind(stated.since_reconciliation).bind(stated.since_sequence);
    for row in query.fetch_all(connection).await? {
        let record = Record::from_row(&row)?;
        if let Some(digest) = of_entries::of_entry(&record).filter(|_| number(record.sequence) <= of.up_to) {
            of.sum.add(digest);
        }
    }
    Ok(())
}

/// The places from one to another at which there is no record, though there should be.
fn missing(series: &str, partition: Option<u16>, from: i64, to: i64, findings: &mut Findings) {
    match to - from {
        ..0 => {}
        0 => findings.add(Place::Audit, partition, format!("{series} {from}"), "is not there, though it was written"),
        _ => {
            let what = format!("and all up to {to} are not there, though they were written");
            findings.add(Place::Audit, partition, format!("{series} {from}"), what);
        }
    }
}

fn name_of(chain: i64) -> String {
    if chain == SERVICE { format!("{AUDIT}{OF_SERVICE}") } else { format!("{AUDIT}{chain}") }
}
