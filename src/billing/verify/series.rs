//! Whether every issued document is what its digest says, number by number, in all series that ever were; and what kept heads prove.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::dropped::Terms;
use super::{Findings, Place, Step, VerifyError};
use crate::BillingError;
use crate::digest::DigestSum;
use crate::document::Document;
use crate::series::digest::{Covered, customer_digest};
use crate::series::{Head, number, place_of};
use crate::store::Columns;

/// What a series' row says.
#[derive(Debug, Default)]
struct Stated {
    last_place: i64,
    head: String,
    is_there: bool,
}

/// Goes through all series. `kept` are heads that somebody noted elsewhere. Returns what is left of the documents that were dropped.
pub(super) async fn compare(
    connection: &mut AnyConnection,
    kept: &[Head],
    terms: Terms<'_>,
    seen: &impl Fn(Step, u64, u64),
    findings: &mut Findings,
) -> Result<DigestSum, VerifyError> {
    let count = sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM issued").fetch_one(&mut *connection).await?;
    let expected = u64::try_from(count.try_get::<i64, _>(0)?).unwrap_or(0);
    unchained(connection, findings).await?;
    let mut all: BTreeMap<String, Stated> = BTreeMap::new();
    for row in sqlx::query("SELECT prefix, last_place, head FROM series").fetch_all(&mut *connection).await? {
        let stated = Stated { last_place: row.try_get("last_place")?, head: row.try_get("head")?, is_there: true };
        all.insert(row.try_get("prefix")?, stated);
    }
    for row in sqlx::query("SELECT DISTINCT prefix FROM issued WHERE digest <> ''").fetch_all(&mut *connection).await? {
        all.entry(row.try_get("prefix")?).or_default();
    }
    for head in kept.iter().filter(|head| !all.contains_key(&head.series)) {
        findings.add(Place::Documents, None, head.number.as_str(), "is a kept head of a series that is not there");
    }
    let mut left = DigestSum::default();
    for (prefix, stated) in all {
        one(connection, (&prefix, &stated), kept, (terms, &mut left), (seen, expected), findings).await?;
    }
    Ok(left)
}

/// What has no place: it was put here by hand, or its digest was taken away.
async fn unchained(connection: &mut AnyConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let mut rows = sqlx::query("SELECT number FROM issued WHERE digest = ''").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        findings.add(Place::Documents, None, row.try_get::<String, _>(0)?, "has no digest, and fits into no series");
    }
    Ok(())
}

/// One series, from its first place to its last.
async fn one(
    connection: &mut AnyConnection,
    (prefix, stated): (&str, &Stated),
    kept: &[Head],
    (terms, left): (Terms<'_>, &mut DigestSum),
    (seen, expected): (&impl Fn(Step, u64, u64), u64),
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let skipped = skipped(connection, prefix).await?;
    let mut kept: BTreeMap<i64, Vec<&Head>> = kept.iter().filter(|head| head.series == prefix).fold(BTreeMap::new(), |mut all, head| {
        all.entry(place_of(&head.number, prefix).unwrap_or(0)).or_insert_with(Vec::new).push(head);
        all
    });
    let sql = format!(
        "SELECT {}, issued.dropped_at FROM issued LEFT JOIN documents ON documents.id = issued.document WHERE issued.prefix = $1 AND issued.digest <> '' \
         ORDER BY issued.place",
        Covered::COLUMNS
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(prefix.to_owned()).fetch(&mut *connection);
    let (mut last, mut head, mut last_number) = (0, String::new(), String::new());
    while let Some(row) = rows.try_next().await? {
        findings.documents += 1;
        if findings.documents.is_multiple_of(1_000) {
            seen(Step::Documents, findings.documents, expected.max(findings.documents));
        }
        let place: i64 = row.try_get("place")?;
        missing(prefix, last + 1, place - 1, &skipped, findings);
        last = place;
        let (stored_number, stored): (String, String) = (row.try_get("number")?, row.try_get("digest")?);
        let expected_number = number(prefix, place);
        if stored_number != expected_number {
            findings.add(Place::Documents, None, expected_number.as_str(), format!("was renamed to {stored_number}"));
        }
        match Covered::from_row(&row)? {
            None => findings.add(Place::Documents, None, expected_number.as_str(), "has lost its content"),
            Some(covered) => {
                let dropped_at = row.instant("dropped_at")?;
                let problem = if dropped_at.is_none() {
                    differs_from_its_digest(&covered, &head, &stored)
                } else {
                    // Its digest stands, and the next one's covers it.
                    findings.dropped_documents += 1;
                    left.add(covered.digest_of_rest(&stored, dropped_at));
                    terms.problem_of_document(covered.issued_at, dropped_at)
                };
                for what in problem.into_iter().chain(differs_from_its_columns(&covered)?) {
                    findings.add(Place::Documents, None, expected_number.as_str(), what);
                }
                let (text, salt): (String, String) = (row.try_get("customer")?, row.try_get("customer_salt")?);
                match text.is_empty() && salt.is_empty() {
                    _ if dropped_at.is_some() => {}
                    true => findings.erased += 1,
                    false if customer_digest(&salt, &text) == covered.customer_digest => {}
                    false => findings.add(Place::Documents, None, expected_number.as_str(), "is for somebody else than it was issued for"),
                }
            }
        }
        for known in kept.remove(&place).unwrap_or_default() {
            if known.digest == stored {
                findings.proved.push((*known).clone());
            } else {
                let what = "is not the one whose digest was kept: it, or one before it, was changed, and all digests after it";
                findings.add(Place::Documents, None, expected_number.as_str(), what);
            }
        }
        // What follows is compared with what is stored, so that one change is reported once.
        (head, last_number) = (stored, stored_number);
    }
    drop(rows);
    missing(prefix, last + 1, stated.last_place, &skipped, findings);
    for known in kept.into_values().flatten() {
        findings.add(Place::Documents, None, known.number.as_str(), "is the number of a kept head, and is not there");
    }
    let what = match (stated.is_there, stated.last_place.cmp(&last)) {
        (false, _) => Some("has documents, and is not known".to_owned()),
        (true, std::cmp::Ordering::Less) => {
            Some(format!("has {last_number}, and was only given up to {}", number(prefix, stated.last_place)))
        }
        _ if stated.head != head => Some("does not end with the document that was issued last".to_owned()),
        _ => None,
    };
    if let Some(what) = what {
        findings.add(Place::Documents, None, format!("series {prefix}"), what);
    }
    if last > 0 {
        findings.heads.push(Head { series: prefix.to_owned(), number: last_number, digest: head });
    }
    Ok(())
}

/// The places that an operator said were given elsewhere.
async fn skipped(connection: &mut AnyConnection, prefix: &str) -> Result<BTreeSet<(i64, i64)>, VerifyError> {
    let sql = "SELECT first_place, last_place FROM skipped_numbers WHERE prefix = $1";
    let rows = sqlx::query(sql).bind(prefix.to_owned()).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The places from one to another at which there is no document, though there should be.
fn missing(prefix: &str, from: i64, to: i64, skipped: &BTreeSet<(i64, i64)>, findings: &mut Findings) {
    let mut next = from;
    let mut tell = |from: i64, to: i64| match to - from {
        ..0 => {}
        0 => findings.add(Place::Documents, None, number(prefix, from), "is not there, though it was issued"),
        _ => {
            let what = format!("and all up to {} are not there, though they were issued", number(prefix, to));
            findings.add(Place::Documents, None, number(prefix, from), what);
        }
    };
    for (first, last) in skipped.iter().filter(|(first, last)| *last >= from && *first <= to) {
        tell(next, first - 1);
        next = next.max(last + 1);
    }
    tell(next, to);
}

/// Whether a document is another than that of its digest, behind the one before it.
fn differs_from_its_digest(covered: &Covered, previous: &str, digest: &str) -> Option<String> {
    let what = "is not what its digest says: it was changed, or is not behind the document that it was issued behind";
    (covered.digest(previous) != digest).then(|| what.to_owned())
}

/// What a document's columns, by which it is found, say otherwise than its content.
fn differs_from_its_columns(covered: &Covered) -> Result<Option<String>, BillingError> {
    let document: Document = match serde_json::from_str(&covered.content) {
        Ok(document) => document,
        Err(error) => return Ok(Some(format!("cannot be read: {error}"))),
    };
    let pairs = [
        ("account", document.account.into_string(), covered.account.to_string()),
        ("bill", document.bill.to_string(), covered.bill.to_string()),
        ("kind", document.kind.name().to_owned(), covered.kind.clone()),
        ("cause", document.cause.name().to_owned(), covered.cause.clone()),
        ("cut_at", document.period_to.get().to_string(), covered.cut_at.get().to_string()),
        ("total", document.total.to_string(), covered.total.to_string()),
        ("amount_to_pay", document.amount_to_pay.to_string(), covered.amount_to_pay.to_string()),
    ];
    let differing = pairs.into_iter().find(|(_, of_content, of_column)| of_content != of_column);
    Ok(differing.map(|(name, of_content, of_column)| format!("has the {name} {of_content:?}, and is found by {of_column:?}")))
}
