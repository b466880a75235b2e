//! On both stores: which accounts are found, in which order, page by page, and along which indices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::time::Instant;

use sqlx::{AssertSqlSafe, Executor};

use super::*;
use crate::BillingSettings;
use crate::search::tests::PostgresServer;
use crate::store::sqlite_url;
use domain::account::Account;
use domain::money::Units;

/// The instant of the queries: temporary limits have ended at 1, or run until 3.
const NOW: UnixMillis = UnixMillis::new(2);

/// How many accounts there are; a million by hand, to measure.
fn count() -> usize {
    std::env::var_os("TOLLGATE_TEST_ACCOUNTS").map_or(100_000, |count| count.to_str().unwrap().parse().unwrap())
}

/// Accounts of all kinds: of each 1,000, one owes and one is low and neither is the other; decimals, modes and limits vary.
fn rows(count: usize) -> [String; 2] {
    let numbers =
        format!("WITH RECURSIVE numbers (n) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < {})", count - 1);
    [
        format!(
            "INSERT INTO accounts (account, partition, name, currency, decimals, minor_digits, mode, status, non_usage_billing,
                permanent_limit, temporary_limit, temporary_until, balance, unbilled, reserved, account_sequence, bill, last_bill,
                low_credit_threshold, created_at, last_sequence)
            {numbers} SELECT 'a-' || n, 0, 'Name ' || (n * 7919 % {count}), CASE WHEN n % 5000 = 9 THEN 'KWD' WHEN n % 10 = 0 THEN 'JPY' ELSE 'EUR' END,
                CASE n % 7 WHEN 0 THEN 2 WHEN 1 THEN 4 ELSE 6 END, 2, 1 + n % 2, CASE WHEN n % 5000 = 17 THEN 3 WHEN n % 40 = 11 THEN 2 ELSE 1 END, 1,
                CASE n % 3 WHEN 0 THEN 0 ELSE 50000000 END, CASE n % 4 WHEN 0 THEN 90000000 ELSE 0 END, CASE n % 8 WHEN 0 THEN 1 WHEN 4 THEN 3 ELSE 0 END,
                CASE n % 1000 WHEN 500 THEN -1 - n WHEN 501 THEN 5 ELSE 60000000 + n * 31 % 9000000 END, n % 2 * 70, CASE n % 6 WHEN 0 THEN 13 ELSE 0 END,
                1, 1, 1, CASE n % 1000 WHEN 501 THEN 100000000 WHEN 503 THEN 7 ELSE -1 END, 0, n + 1 FROM numbers"
        ),
        format!(
            "INSERT INTO account_search (account, folded_id, name) {numbers}
            SELECT 'a-' || n, 'a-' || n, 'name ' || (n * 7919 % {count}) FROM numbers"
        ),
    ]
}

async fn filled(url: &str) -> Billing {
    let billing = Billing::open(url, BillingSettings::default()).await.unwrap();
    for sql in rows(count()) {
        billing.store().pool().execute(AssertSqlSafe(sql)).await.unwrap();
    }
    // PostgreSQL does both by itself.
    let known = if billing.store().dialect() == Dialect::Postgres { "VACUUM ANALYZE accounts, account_search" } else { "ANALYZE" };
    billing.store().pool().execute(known).await.unwrap();
    billing
}

fn query(filter: Filter, order: Order) -> Query<'static> {
    Query { text: "", comparison: Comparison::Parts, filter, order, scope: None, now: NOW }
}

/// All queries of one condition, in all orders.
fn queries() -> Vec<Query<'static>> {
    let filters = [
        Filter::default(),
        Filter { mode: Some(Mode::Postpaid), ..Filter::default() },
        Filter { status: Some(Status::Closed), ..Filter::default() },
        Filter { status: Some(Status::Suspended), mode: Some(Mode::Postpaid), ..Filter::default() },
        Filter { status: Some(Status::Active), mode: Some(Mode::Postpaid), ..Filter::default() },
        Filter { currency: Currency::parse("KWD"), ..Filter::default() },
        Filter { is_low: true, ..Filter::default() },
        Filter { is_owing: true, ..Filter::default() },
        Filter { is_low: true, is_owing: true, currency: Currency::parse("EUR"), ..Filter::default() },
    ];
    let by = [OrderBy::Name, OrderBy::UsableCredit, OrderBy::Balance, OrderBy::AmountDue];
    let orders = by.into_iter().flat_map(|by| [false, true].map(|is_descending| Order { by, is_descending }));
    let orders: Vec<_> = orders.collect();
    filters.into_iter().flat_map(|filter| orders.iter().map(move |order| query(filter, *order))).collect()
}

/// The accounts as the domain has them, with their folded names.
async fn accounts(billing: &Billing) -> Vec<(String, String, Account, Option<Units>)> {
    let sql =
        "SELECT accounts.*, account_search.name AS folded FROM accounts JOIN account_search ON account_search.account = accounts.account";
    let rows = sqlx::query(sql).fetch_all(billing.store().pool()).await.unwrap();
    let read = |row: &AnyRow| {
        let state = crate::projection::rows::read_account(row).unwrap();
        (row.try_get("account").unwrap(), row.try_get("folded").unwrap(), state.account, state.low_credit_threshold)
    };
    rows.iter().map(read).collect()
}

/// In which order the domain puts them: the least that may be low are all that are low without a temporary limit.
fn expected(accounts: &[(String, String, Account, Option<Units>)], query: &Query<'_>) -> Vec<String> {
    let Filter { mode, status, currency, is_low, is_owing } = query.filter;
    let is_wanted = |account: &Account, threshold: Option<Units>| {
        let without = Account { temporary_until: UnixMillis::NONE, ..*account }.usable_credit(NOW);
        mode.is_none_or(|mode| mode == account.mode)
            && status.is_none_or(|status| status == account.status)
            && currency.is_none_or(|currency| currency == account.currency)
            && (!is_owing || account.balance < Units::ZERO)
            && (!is_low || (account.status != Status::Closed && (without <= Units::ZERO || threshold.is_some_and(|least| without < least))))
    };
    let thousandths = |account: &Account, units: i64| {
        let decimals = u32::from(account.decimals);
        if decimals > 3 { units / 10_i64.pow(decimals - 3) } else { units * 10_i64.pow(3 - decimals) }
    };
    let mut found: Vec<_> = accounts
        .iter()
        .filter(|(_, _, account, threshold)| is_wanted(account, *threshold))
        .map(|(id, name, account, _)| {
            let (name, amount) = match query.order.by {
                OrderBy::Name => (name.as_str(), 0),
                OrderBy::UsableCredit => ("", thousandths(account, account.usable_credit(NOW).get())),
                OrderBy::Balance => ("", thousandths(account, account.balance.get())),
                OrderBy::AmountDue => ("", thousandths(account, account.amount_due().get())),
            };
            (name, amount, id.as_str())
        })
        .collect();
    found.sort_unstable();
    if query.order.is_descending {
        found.reverse();
    }
    found.into_iter().map(|(_, _, id)| id.to_owned()).collect()
}

async fn finds_what_the_domain_says(billing: &Billing) {
    let accounts = accounts(billing).await;
    for query in queries() {
        let expected = expected(&accounts, &query);
        assert!(!expected.is_empty() || (query.filter.is_low && query.filter.is_owing), "{query:?}");
        let (mut found, mut after) = (Vec::new(), None);
        // Of long lists, the first pages, and one from the middle on.
        for page in 0..6 {
            let places = billing.find_accounts(&query, after.as_ref(), 41).await.unwrap().places;
            found.extend(places.iter().map(|place| place.account.to_string()));
            after = places.last().cloned();
            if places.len() < 41 {
                assert_eq!(found.len(), expected.len(), "{query:?}, page {page}");
                break;
            }
        }
        assert_eq!(found[..], expected[..found.len()], "{query:?}");
    }
    // Texts lead, or are looked for along the order.
    let owing = Filter { is_owing: true, ..Filter::default() };
    for (text, filter, by) in [
        ("name 41", Filter::default(), OrderBy::UsableCredit),
        ("name", owing, OrderBy::Balance),
        ("name", Filter::default(), OrderBy::UsableCredit),
        ("na", Filter { mode: Some(Mode::Prepaid), ..Filter::default() }, OrderBy::Name),
        ("a-9 7", owing, OrderBy::AmountDue),
    ] {
        let order = Order { by, is_descending: true };
        let named: Vec<_> = accounts
            .iter()
            .filter(|(id, name, ..)| match text {
                "na" => name.starts_with("na"),
                _ => text.split(' ').all(|word| id.contains(word) || name.contains(word)),
            })
            .cloned()
            .collect();
        let query = Query { text, ..query(filter, order) };
        let found = billing.find_accounts(&query, None, 60).await.unwrap().places;
        let expected = expected(&named, &query);
        assert!(!expected.is_empty());
        assert_eq!(found.iter().map(|place| place.account.to_string()).collect::<Vec<_>>(), expected[..found.len()], "{text}");
        assert_eq!(found.len(), expected.len().min(60), "{text}");
    }
    let scope = Scope::new(["a-500", "a-1"]);
    let bound = Query { scope: Some(&scope), ..query(Filter::default(), Order { by: OrderBy::Balance, is_descending: false }) };
    let found = billing.find_accounts(&bound, None, 60).await.unwrap().places;
    assert_eq!(found.iter().map(|place| place.account.as_str()).collect::<Vec<_>>(), ["a-500", "a-1"]);
}

async fn plan(billing: &Billing, query: &Query<'_>) -> String {
    let dialect = billing.store().dialect();
    let connection = &mut *billing.store().pool().acquire().await.unwrap();
    let leader = query.leader(dialect, connection).await.unwrap();
    let key = if query.order.by == OrderBy::Name { Key::Name("name 5".into()) } else { Key::Amount(55_000) };
    let mut statement = query.statement(dialect, leader.as_ref(), Some(&Place { key, account: "a-5".into() }), 51);
    let (sign, column) = if dialect == Dialect::Postgres { ("EXPLAIN", 0) } else { ("EXPLAIN QUERY PLAN", 3) };
    statement.sql = format!("{sign} {}", statement.sql);
    let rows = statement.rows(connection).await.unwrap();
    rows.iter().map(|row| row.try_get::<String, _>(column).unwrap() + "\n").collect()
}

/// No query goes through all accounts: a small set leads by its index, or the order does by its own.
async fn goes_along_indices(billing: &Billing) {
    for query in queries() {
        if query.filter == Filter::default() && query.order == Order::default() {
            continue;
        }
        let plan = plan(billing, &query).await;
        let walked = match query.order.by {
            OrderBy::Name => "account_search_by_name",
            OrderBy::UsableCredit => "accounts_by_kind_usable",
            OrderBy::Balance => "accounts_by_kind_balance",
            OrderBy::AmountDue => "accounts_by_kind_due",
        };
        let Filter { mode, status, currency, is_low, is_owing } = query.filter;
        let index = match (is_low, is_owing) {
            (_, true) => "accounts_owing",
            (true, false) => "accounts_low",
            (false, false) if currency.is_some() => "accounts_by_currency",
            // Of the indices that begin with the mode and the status, PostgreSQL takes any.
            (false, false) if query.order.by == OrderBy::Name && status.is_some_and(|status| status != Status::Active) => "accounts_by_",
            // Half of all are postpaid, and nearly all active.
            (false, false) => walked,
        };
        let is_through_all = match billing.store().dialect() {
            Dialect::Postgres => plan.contains("Seq Scan on account"),
            Dialect::Sqlite => plan.lines().any(|line| line == "SCAN accounts" || line == "SCAN account_search"),
        };
        assert!(plan.contains(index) && !is_through_all, "{mode:?} {query:?}: {plan}");
    }
}

/// How long each takes, for who measures.
async fn measure(billing: &Billing) {
    if std::env::var_os("TOLLGATE_TEST_ACCOUNTS").is_none() {
        return;
    }
    for query in queries() {
        let mut times = Vec::new();
        for _ in 0..3 {
            let begun = Instant::now();
            billing.find_accounts(&query, None, 51).await.unwrap();
            times.push(begun.elapsed());
        }
        println!("{:?} {:?} {:?}: {:?}", billing.store().dialect(), query.filter, query.order, times);
    }
}

#[tokio::test]
async fn sqlite_orders_and_filters_accounts_along_indices() {
    let folder = tempfile::tempdir().unwrap();
    let billing = filled(&sqlite_url(&folder.path().join("billing.db"))).await;
    measure(&billing).await;
    goes_along_indices(&billing).await;
    finds_what_the_domain_says(&billing).await;
}

#[tokio::test]
async fn postgresql_orders_and_filters_accounts_along_indices() {
    let server = PostgresServer::shared();
    let billing = filled(&server.database()).await;
    measure(&billing).await;
    goes_along_indices(&billing).await;
    finds_what_the_domain_says(&billing).await;
}

#[test]
fn amounts_of_every_size_can_be_ordered() {
    // What SQL computes with at most: usable credit is a sum of four amounts, times 1,000 if there are no decimals.
    assert!((domain::money::MAX_UNITS.get() * 4).checked_mul(1_000).is_some());
}
