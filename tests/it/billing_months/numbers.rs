//! Numbers: without gaps, whoever gives them; and none for what does not add up.

use std::collections::BTreeSet;

use sqlx::Row;
use tollgate::billing::suggestion::suggest;
use tollgate::billing::{DocumentFilter, DocumentState, MonthBill, bills};
use tollgate::domain::account::{Mode, NonUsageBilling};
use tollgate::domain::money::Units;

use crate::billing_months::stage::{DECIMALS, Stage, millis, units};

/// All numbers of these series are there, from 1 on, each once.
pub async fn have_no_gaps(stage: &Stage, prefixes: &[&str]) -> usize {
    let rows = sqlx::query("SELECT number FROM issued").fetch_all(stage.billing.store().pool()).await.unwrap();
    let numbers: Vec<String> = rows.iter().map(|row| row.try_get("number").unwrap()).collect();
    let mut count = 0;
    for prefix in prefixes {
        let places: Vec<usize> = numbers.iter().filter_map(|number| number.strip_prefix(prefix)?.parse().ok()).collect();
        let distinct: BTreeSet<usize> = places.iter().copied().collect();
        assert_eq!(distinct.len(), places.len());
        assert_eq!(distinct, (1..=places.len()).collect(), "{prefix}");
        count += places.len();
    }
    assert_eq!(count, numbers.len());
    count
}

#[tokio::test]
async fn what_does_not_add_up_is_held_back_and_takes_no_number_and_the_others_are_issued() {
    let stage = Stage::embedded("2026-01-05T12:00:00Z").await;
    for account in ["good", "bad", "better"] {
        stage.open(account, Mode::Postpaid, "100", NonUsageBilling::Consolidated).await;
        stage.charge(account, "c1", "12", "call", "1", None).await;
    }
    stage.caught_up().await;
    let tampered = sqlx::query("UPDATE totals SET amount = amount - 2500000 WHERE account = 'bad' AND kind = 4");
    assert_eq!(tampered.execute(stage.billing.store().pool()).await.unwrap().rows_affected(), 1);
    stage.month_ends("2026-02-01T00:10:00Z", &["good", "better"]).await;
    // Whoever touches it next month has it closed, if the scan has not yet.
    stage.charge("bad", "c2", "1", "call", "1", None).await;
    stage.caught_up().await;
    let held = stage.documents("bad").await;
    assert_eq!((held.len(), held[0].state, held[0].document.number.as_str()), (1, DocumentState::Held, ""));
    assert_eq!(held[0].held_reason, "the items add up to 9.50 EUR, but the ledger closed 12.00 EUR: a difference of -2.50 EUR");
    let filter = DocumentFilter { state: Some(DocumentState::Held), ..DocumentFilter::default() };
    assert_eq!(stage.billing.documents_in_full(filter, None, 10).await.unwrap(), held);
    assert_eq!(stage.billing.last_month(&"bad".into(), millis("2026-02-02T00:00:00Z")).await.unwrap(), MonthBill::NotYetGenerated);
    // The next month is billed as ever.
    stage.month_ends("2026-03-01T00:10:00Z", &["bad"]).await;
    assert_eq!(have_no_gaps(&stage, &["INV-"]).await, 3);
    stage.end().await;
}

#[tokio::test]
async fn numbers_have_no_gaps_though_many_give_them_at_once() {
    const CUSTOMERS: usize = 600;
    let stage = Stage::redis_and_postgres("2026-01-05T12:00:00Z").await;
    for number in 0..CUSTOMERS {
        let account = format!("customer-{number}");
        let mode = if number % 3 == 0 { Mode::Prepaid } else { Mode::Postpaid };
        stage.open(&account, mode, "100", NonUsageBilling::Consolidated).await;
        stage.charge(&account, "c1", "1.5", "call", "1", None).await;
    }
    stage.caught_up().await;
    stage.at("2026-02-01T00:10:00Z");
    let many = (0..6).map(|_| {
        let billing = stage.billing.clone();
        tokio::spawn(async move {
            let mut issued = 0;
            for _ in 0..3_000 {
                // Who comes second on a number has it tried again.
                issued += bills::issue(billing.store(), billing.settings(), millis("2026-02-01T00:10:00Z")).await.unwrap_or(0);
                let all = sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM issued").fetch_one(billing.store().pool()).await.unwrap();
                if all.try_get::<i64, _>(0).unwrap() == CUSTOMERS as i64 {
                    return issued;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            issued
        })
    });
    for task in futures_util::future::join_all(many).await {
        task.unwrap();
    }
    assert_eq!(have_no_gaps(&stage, &["INV-", "STM-"]).await, CUSTOMERS);
    stage.end().await;
}

#[tokio::test]
async fn a_suggested_limit_is_of_months_and_not_of_bills() {
    let stage = Stage::embedded("2026-01-05T12:00:00Z").await;
    stage.open("acme", Mode::Postpaid, "100000", NonUsageBilling::OneByOne).await;
    stage.charge("acme", "call", "30.50", "call", "1", None).await;
    stage.month_ends("2026-02-01T00:10:00Z", &["acme"]).await;
    // 450 bills of their own behind it, each a document: the month before is still looked at, and theirs is one.
    for number in 0..450 {
        stage.charge("acme", &format!("router-{number}"), "1", "router", "1", None).await;
    }
    stage.charge("acme", "call-2", "12", "call", "1", None).await;
    stage.month_ends("2026-03-01T00:10:00Z", &["acme"]).await;
    let history = stage.billing.history(&"acme".into()).await.unwrap();
    let [january, february] = ["30.50", "12"].map(units);
    let found: Vec<_> = history.iter().map(|month| month.by_category).collect();
    assert_eq!(found, [[february, Units::ZERO, units("450"), Units::ZERO], [january, Units::ZERO, Units::ZERO, Units::ZERO]]);
    let suggestion = suggest(history, NonUsageBilling::OneByOne, DECIMALS);
    assert_eq!(suggestion.limit, Some(units("31")));
    stage.end().await;
}
