//! Chains what was issued before there were digests, or by an earlier version that still runs: in the order of their numbers, some at a
//! time, so that it can be interrupted and needs no more memory for many.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::digest::{Covered, SealedCustomer};
use super::{Series, place_of};
use crate::BillingError;
use crate::frozen::Frozen;
use crate::store::rows::{Table, Type};
use crate::store::{Dialect, Store};

/// How many documents are chained at once.
const PAGE: i64 = 200;

const CHAINED: Table = Table {
    name: "issued",
    columns: &[
        ("document", Type::Number),
        ("frozen", Type::Text),
        ("prefix", Type::Text),
        ("place", Type::Number),
        ("customer", Type::Text),
        ("customer_salt", Type::Text),
        ("customer_digest", Type::Text),
        ("digest", Type::Text),
    ],
    on_conflict: "",
};

/// Chains all that is not chained yet. What fits in nowhere, stays so; `verify` tells of it.
pub async fn chain(store: &Store) -> Result<(), BillingError> {
    let sql = "SELECT number FROM issued WHERE digest = '' LIMIT 1";
    if sqlx::query(sql).fetch_optional(store.pool()).await?.is_none() {
        return Ok(());
    }
    let (mut after, mut count) = ((0, String::new()), 0);
    loop {
        let mut transaction = store.begin().await?;
        let connection = &mut *transaction;
        store.lock_migrations(connection).await?;
        let sql = format!(
            "SELECT {}, CAST(LENGTH(issued.number) AS BIGINT) AS length FROM issued \
             LEFT JOIN documents ON documents.id = issued.document \
             WHERE issued.digest = '' AND (LENGTH(issued.number), issued.number) > ($1, $2) \
             ORDER BY LENGTH(issued.number), issued.number LIMIT $3",
            Covered::COLUMNS
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(after.0).bind(after.1).bind(PAGE);
        let rows = query.fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { break };
        after = (last.try_get::<i64, _>("length")?, last.try_get("number")?);
        count += chain_some(connection, store.dialect(), &rows).await?;
        transaction.commit().await?;
    }
    if count > 0 {
        tracing::info!(count, "documents that were issued before were chained by digest");
    }
    Ok(())
}

/// A series that is being chained.
struct Chain {
    series: Series,
    last_chained: i64,
}

async fn chain_some(connection: &mut AnyConnection, dialect: Dialect, rows: &[AnyRow]) -> Result<usize, BillingError> {
    let prefixes = sqlx::query("SELECT prefix, last_place FROM series").fetch_all(&mut *connection).await?;
    let prefixes = prefixes.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<Vec<_>, BillingError>>()?;
    let mut chains: BTreeMap<String, Chain> = BTreeMap::new();
    let mut changed = Vec::new();
    for row in rows {
        let number: String = row.try_get("number")?;
        let (Some(covered), Some((prefix, place))) = (Covered::from_row(row)?, series_of(&number, &prefixes)) else {
            tracing::error!(number, "a document belongs to no series, or its content is gone");
            continue;
        };
        if !chains.contains_key(prefix) {
            chains.insert(prefix.to_owned(), begin(connection, prefix).await?);
        }
        let Some(chain) = chains.get_mut(prefix) else { continue };
        if place <= chain.last_chained {
            tracing::error!(number, "a document without a digest stands before one that has one");
            continue;
        }
        let mut frozen = Frozen::read(&covered.frozen)?;
        let customer = match frozen.customer.take() {
            Some(customer) => serde_json::to_string(&customer).map_err(BillingError::corrupt)?,
            None => row.try_get("customer")?,
        };
        let customer = SealedCustomer::of(customer);
        let covered = Covered {
            prefix: prefix.to_owned(),
            place,
            frozen: serde_json::to_string(&frozen).map_err(BillingError::corrupt)?,
            customer_digest: customer.digest.clone(),
            ..covered
        };
        chain.series.head = covered.digest(&chain.series.head);
        chain.last_chained = place;
        changed.push(vec![
            covered.document.into(),
            covered.frozen.into(),
            covered.prefix.into(),
            place.into(),
            customer.text.into(),
            customer.salt.into(),
            customer.digest.into(),
            chain.series.head.clone().into(),
        ]);
    }
    let count = changed.len();
    CHAINED.update(connection, dialect, changed.into_iter()).await?;
    for chain in chains.values() {
        chain.series.save(connection).await?;
    }
    Ok(count)
}

async fn begin(connection: &mut AnyConnection, prefix: &str) -> Result<Chain, BillingError> {
    let series = Series::lock(connection, prefix).await?;
    let sql = "SELECT CAST(COALESCE(MAX(place), 0) AS BIGINT) FROM issued WHERE prefix = $1 AND digest <> ''";
    let last_chained = sqlx::query(sql).bind(prefix.to_owned()).fetch_one(connection).await?.try_get(0)?;
    Ok(Chain { series, last_chained })
}

/// The series that gave a number: of several that may have, the one with the longest prefix.
fn series_of<'a>(number: &str, series: &'a [(String, i64)]) -> Option<(&'a str, i64)> {
    let gave = |(prefix, last): &'a (String, i64)| {
        let place = place_of(number, prefix).filter(|place| place <= last)?;
        Some((prefix.as_str(), place))
    };
    series.iter().filter_map(gave).max_by_key(|(prefix, _)| prefix.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_from_those_of_a_series_whose_prefix_begins_alike() {
        let series = [("INV-".to_owned(), 2_500_000), ("INV-2026-".to_owned(), 9), ("INV-2".to_owned(), 3)];
        assert_eq!(series_of("INV-2026-000009", &series), Some(("INV-2026-", 9)));
        assert_eq!(series_of("INV-000009", &series), Some(("INV-", 9)));
        assert_eq!(series_of("INV-2000003", &series), Some(("INV-2", 3)));
        assert_eq!(series_of("INV-2000004", &series), Some(("INV-", 2_000_004)));
        assert_eq!(series_of("CRN-000001", &series), None);
    }
}
