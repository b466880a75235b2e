//! A span of time is a span of the journal: what was accepted before it or after it is not looked at.

use sqlx::{AssertSqlSafe, Executor};
use tollgate::billing::store::{Dialect, sqlite_url};
use tollgate::billing::usage::Span;
use tollgate::billing::{Billing, BillingSettings};
use tollgate::domain::time::UnixMillis;
use tollgate::service::exports::{ExportQuery, UsagePages};

use crate::postgres::PostgresServer;
use crate::support::temporary_folder;

const DAY: i64 = 86_400_000;

/// Two partitions of 40,000 entries, ten seconds apart. Each tenth entry closes a period that ended a day before; each third charges.
async fn fill(billing: &Billing) {
    let fill = "INSERT INTO partitions (partition, fence, next_sequence, last_block, last_time, state, reason, stopped_at, owner, lease_until, closed_until)
        VALUES (0, 1, 40001, '00000000000000000000000000000000', 400000000, 'RUNNING', '', 0, '', 0, 0), (1, 1, 40001, '00000000000000000000000000000000', 400000000, 'RUNNING', '', 0, '', 0, 0);
        INSERT INTO accounts (account, partition, name, currency, decimals, minor_digits, mode, status, non_usage_billing, permanent_limit,
            temporary_limit, temporary_until, balance, unbilled, reserved, account_sequence, bill, last_bill, low_credit_threshold, created_at, last_sequence)
        VALUES ('a0', 0, 'A', 'EUR', 6, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, -1, 0, 40000), ('a1', 1, 'B', 'JPY', 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, -1, 0, 40000);
        INSERT INTO entries (partition, sequence, account, account_sequence, previous, kind, time, mode, bill, amount, balance, unbilled, reserved,
            detail_1, detail_2, category, item, description, quantity, unit, attributes, request_id, request_key, fingerprint,
            refers_to, actor, reason, invoices, settings)
        WITH RECURSIVE numbers (n) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < 79999)
        SELECT n % 2, n / 2 + 1, 'a' || (n % 2), n, 0, CASE WHEN n / 2 % 10 = 9 THEN 14 WHEN n / 2 % 3 = 0 THEN 3 ELSE 20 END,
            (n / 2 + 1) * 10000 - CASE WHEN n / 2 % 10 = 9 THEN 86400000 ELSE 0 END,
            1, 1, 15, 0, 0, 0, 0, 0, 1, '', '', '', '', '', 'r' || n, n, n, '', '', '', '', '' FROM numbers";
    billing.store().pool().execute(AssertSqlSafe(fill)).await.unwrap();
}

async fn exported(billing: &Billing, from: i64, to: i64, after: Option<(u16, u64)>) -> Vec<(u16, u64, i64)> {
    let mut export =
        UsagePages::begin(billing.clone(), ExportQuery { account: None, from: UnixMillis::new(from), to: UnixMillis::new(to), after })
            .await
            .unwrap();
    let mut found = Vec::new();
    loop {
        let page = export.next().await.unwrap();
        if page.is_empty() {
            return found;
        }
        found.extend(page.iter().map(|record| (record.partition, record.sequence, record.time.get())));
    }
}

async fn a_span_of_time_is_a_span_of_the_journal(url: &str) {
    let billing = Billing::open(url, BillingSettings::default()).await.unwrap();
    fill(&billing).await;
    // The second day is 8,640 entries from the 8,640th on; those that were dated back into it do not move its ends.
    let (from, to) = (DAY, 2 * DAY);
    let spans = billing.spans(UnixMillis::new(from), UnixMillis::new(to)).await.unwrap();
    for (span, partition) in spans.iter().zip(0..) {
        assert_eq!(span.partition, partition);
        // An end may lie anywhere among closes: they are not exported.
        assert!((8_638..=8_639).contains(&span.after) && (17_279..=17_280).contains(&span.before), "{span:?}");
    }
    let day = exported(&billing, from, to, None).await;
    let expected: Vec<_> = (0..2_u16)
        .flat_map(|partition| (8_640..17_280_u64).map(move |sequence| (partition, sequence)))
        .filter(|(_, sequence)| (sequence - 1) % 10 != 9 && (sequence - 1) % 3 == 0)
        .map(|(partition, sequence)| (partition, sequence, i64::try_from(sequence).unwrap() * 10_000))
        .collect();
    assert_eq!(day, expected);
    let half = expected[expected.len() / 3];
    assert_eq!(exported(&billing, from, to, Some((half.0, half.1))).await, expected[expected.len() / 3 + 1..]);
    // The ends of all that there is.
    let open = |partition| Span { partition, after: 0, before: 40_001 };
    assert_eq!(billing.spans(UnixMillis::NONE, UnixMillis::MAX).await.unwrap(), [open(0), open(1)]);
    assert_eq!(exported(&billing, 0, i64::MAX, None).await.len(), 2 * 40_000 / 30 * 9 + 2 * 3);
    assert!(exported(&billing, 400_000_001, i64::MAX, None).await.is_empty());
    assert!(exported(&billing, 0, 10_000, None).await.is_empty());
    assert_eq!(exported(&billing, 0, 10_001, None).await.len(), 2);
}

#[tokio::test]
async fn a_span_of_time_is_a_span_of_the_journal_on_both_stores() {
    let folder = temporary_folder();
    a_span_of_time_is_a_span_of_the_journal(&sqlite_url(&folder.path().join("billing.db"))).await;
    let server = PostgresServer::shared();
    let url = server.database();
    a_span_of_time_is_a_span_of_the_journal(&url).await;
    assert_eq!(Billing::open(&url, BillingSettings::default()).await.unwrap().store().dialect(), Dialect::Postgres);
}
