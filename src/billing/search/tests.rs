//! On both stores: which way they find accounts, and how those from before are taken in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use sqlx::Executor;

use super::*;
use crate::BillingSettings;
use crate::store::sqlite_url;

#[path = "../../../tests/support/postgres.rs"]
mod postgres;
pub(super) use postgres::PostgresServer;

fn temporary_folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn unique_name() -> String {
    format!("search-{}", uuid::Uuid::new_v4())
}

/// The parts of numbers that names hold have 6 digits; one in 100,000 is called otherwise.
const ROWS: &str = "INSERT INTO account_search (account, folded_id, name, billing_name, tax_ids)
    WITH RECURSIVE numbers (n) AS (SELECT CAST(100000 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < 199999)
    SELECT 'A-' || n, 'a-' || n, CASE n WHEN 155555 THEN 'the acme company' ELSE 'customer ' || (n * 7919 % 100000) || ' ltd' END,
        CASE n WHEN 166666 THEN 'zeta holding' ELSE '' END, 'de' || n FROM numbers";

async fn plan(billing: &Billing, sign: &str, mut statement: Statement) -> String {
    let place = Place { key: Key::Name("a".into()), account: "a".into() };
    statement.page(Some(&place), 51);
    statement.sql = format!("{sign} {}", statement.sql);
    let rows = statement.rows(&mut billing.store().pool().acquire().await.unwrap()).await.unwrap();
    let column = if billing.store().dialect() == Dialect::Postgres { 0 } else { 3 };
    rows.iter().map(|row| row.try_get::<String, _>(column).unwrap() + "\n").collect()
}

async fn found(billing: &Billing, text: &str) -> Vec<String> {
    let found = billing.search(text, Comparison::Parts, None, None, 10).await.unwrap();
    found.places.into_iter().map(|place| place.account.into()).collect()
}

async fn filled(url: &str) -> Billing {
    let billing = Billing::open(url, BillingSettings::default()).await.unwrap();
    billing.store().pool().execute(ROWS).await.unwrap();
    assert_eq!(billing.searchable().await.unwrap(), Some(Comparison::Parts));
    assert_eq!(found(&billing, "acme").await, ["A-155555"]);
    assert_eq!(found(&billing, "COMPANY acm").await, ["A-155555"]);
    assert_eq!(found(&billing, "de166666").await, ["A-166666"]);
    assert_eq!(found(&billing, "eta hold").await, ["A-166666"]);
    assert_eq!(found(&billing, "th").await, ["A-155555"]);
    assert_eq!(found(&billing, "ze").await, ["A-166666"]);
    assert_eq!(found(&billing, "ltd 155556 customer").await, ["A-155556"]);
    assert_eq!(found(&billing, "customer").await, found(&billing, "cu").await);
    assert_eq!(found(&billing, "a").await.len(), 10);
    billing
}

#[tokio::test]
async fn postgresql_finds_by_an_index_among_100_000() {
    let server = PostgresServer::shared();
    let billing = filled(&server.database()).await;
    billing.store().pool().execute("ANALYZE account_search").await.unwrap();
    let statement = |text: &str| SearchText::new(text, Comparison::Parts).statement(Dialect::Postgres);
    for text in ["acme", "the acme", "comp acme", "de155555"] {
        let plan = plan(&billing, "EXPLAIN", statement(text)).await;
        assert!(plan.contains("Bitmap Index Scan on account_search_parts") && !plan.contains("Seq Scan"), "{text}: {plan}");
    }
    // What is everywhere is met in order, without sorting all.
    let common = plan(&billing, "EXPLAIN", statement("customer")).await;
    assert!(common.contains("Index Scan using account_search_by_name") && !common.contains("Sort"), "{common}");
    let beginning = plan(&billing, "EXPLAIN", statement("th")).await;
    assert!(beginning.contains("Index") && !beginning.contains("Seq Scan"), "{beginning}");
}

#[tokio::test]
async fn sqlite_finds_by_an_index_among_100_000() {
    let folder = temporary_folder();
    let billing = filled(&sqlite_url(&folder.path().join("billing.db"))).await;
    let wanted = |text: &str| SearchText::new(text, Comparison::Parts);
    let is_common = async |text: &str| wanted(text).is_common(&mut billing.store().pool().acquire().await.unwrap()).await.unwrap();
    for text in ["acme", "the acme", "de155555"] {
        let plan = plan(&billing, "EXPLAIN QUERY PLAN", wanted(text).statement(Dialect::Sqlite)).await;
        let is_indexed = plan.contains("SCAN account_search_parts VIRTUAL TABLE INDEX") && plan.contains("USING INTEGER PRIMARY KEY");
        assert!(is_indexed && !plan.contains("SCAN account_search\n"), "{text}: {plan}");
        assert!(!is_common(text).await);
    }
    let beginning = plan(&billing, "EXPLAIN QUERY PLAN", wanted("th").statement(Dialect::Sqlite)).await;
    for index in ["by_name", "by_id", "by_billing_name"] {
        assert!(beginning.contains(&format!("INDEX account_search_{index} ")), "{beginning}");
    }
    for text in ["customer", "cu"] {
        assert!(is_common(text).await);
        let plan = plan(&billing, "EXPLAIN QUERY PLAN", wanted(text).walking()).await;
        assert!(plan.contains("INDEX account_search_by_name (") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

/// More accounts than are taken in at once, as a version without search has left them.
const EARLIER: &str = "INSERT INTO accounts (account, partition, name, currency, decimals, minor_digits, mode, status, non_usage_billing,
        permanent_limit, temporary_limit, temporary_until, balance, unbilled, reserved, account_sequence, bill, last_bill,
        low_credit_threshold, created_at, last_sequence)
    WITH RECURSIVE numbers (n) AS (SELECT CAST(10000 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < 15000)
    SELECT 'a' || n, 0, 'N\u{b0} ' || n, 'EUR', 6, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, -1, 0, n FROM numbers;
    INSERT INTO customers (account, name, address, tax_id, email, language) VALUES ('a10000', '\u{c9}cole', '[]', 'FR 12', '', '');
    INSERT INTO customers (account, name, address, tax_id, email, language) VALUES ('a14999', 'old', '[]', '', '', '');
    UPDATE account_search_fill SET is_filled = 0, filled_to = ''; DROP ";

async fn takes_in_those_from_before(url: &str, index: &str) {
    let billing = Billing::open(url, BillingSettings::default()).await.unwrap();
    let dialect = billing.store().dialect();
    sqlx::raw_sql(AssertSqlSafe(format!("{EARLIER} {index}"))).execute(billing.store().pool()).await.unwrap();
    assert_eq!(billing.searchable().await.unwrap(), None);
    // It was interrupted after the first of them; some are named, or get their details, before their turn comes.
    assert_eq!(prepare::fill_some(billing.store()).await.unwrap(), Some(4_096));
    let mut connection = billing.store().pool().acquire().await.unwrap();
    write_names(&mut connection, dialect, [("a14998", "Newer"), ("a15001", "Last")].into_iter()).await.unwrap();
    let party = Party { name: "Details".into(), ..Party::default() };
    write_details(&mut connection, dialect, &"a14999".into(), &party).await.unwrap();
    drop(connection);
    assert_eq!(billing.searchable().await.unwrap(), None);
    Billing::open(url, BillingSettings::default()).await.unwrap();
    assert_eq!(billing.searchable().await.unwrap(), Some(Comparison::Parts));
    for (text, accounts) in [
        ("ecole", ["a10000"]),
        ("fr12", ["a10000"]),
        ("14997", ["a14997"]),
        ("newer", ["a14998"]),
        ("details", ["a14999"]),
        ("14999", ["a14999"]),
        ("last", ["a15001"]),
        ("15000", ["a15000"]),
    ] {
        assert_eq!(found(&billing, text).await, accounts, "{text}");
    }
    assert_eq!(found(&billing, "old").await, [""; 0]);
    assert_eq!(billing.search("a1", Comparison::Parts, None, None, 9_999).await.unwrap().places.len(), 5_002);
}

#[tokio::test]
async fn accounts_from_before_are_taken_in_by_either_store() {
    let folder = temporary_folder();
    let of_sqlite = "TABLE account_search_parts; DROP TRIGGER account_search_added; DROP TRIGGER account_search_removed; \
                     DROP TRIGGER account_search_changed";
    takes_in_those_from_before(&sqlite_url(&folder.path().join("billing.db")), of_sqlite).await;
    takes_in_those_from_before(&PostgresServer::shared().database(), "INDEX account_search_parts").await;
}

#[test]
fn what_patterns_are_made_of_is_text() {
    assert_eq!(like(r"50%_\a"), r"%50\%\_\\a%");
}
