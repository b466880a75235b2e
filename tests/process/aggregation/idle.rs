//! Accounts that nobody touches in the new month are closed all the same, at any boundary, once; and the journal is trimmed behind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::watch;
use tokio::time::sleep;
use tollgate::billing::Billing;
use tollgate::billing::BillingSettings;
use tollgate::billing::aggregator::{Aggregator, AggregatorOptions};
use tollgate::billing::store::sqlite_url;
use tollgate::clock::Clock;
use tollgate::domain::entry::EntryKind;
use tollgate::domain::ids::AccountId;
use tollgate::ledger::Ledger;
use tollgate::ledger::model::ModelEngine;
use tollgate::ledger::watch::Watchers;

use crate::aggregation::check::{records, totals_and_accounts_agree, until_caught_up};
use crate::aggregation::load::{Load, START};
use crate::{seed, temporary_folder};

#[tokio::test]
async fn idle_accounts_are_closed_after_the_end_of_each_month_and_the_journal_is_trimmed_behind() {
    let folder = temporary_folder();
    let clock = Clock::manual(START, TimeZone::UTC);
    let engine = ModelEngine::new(clock.clone(), 86_400_000, Watchers::default());
    let ledger = Ledger::start(Arc::new(engine), Watchers::default(), clock.clone());
    let billing = Billing::open(&sqlite_url(&folder.path().join("billing.db")), BillingSettings::default()).await.unwrap();
    let store = billing.clone();
    let mut load = Load::open(ledger.clone(), 1_200, seed(), folder.path()).await;
    let options =
        AggregatorOptions { lease: Duration::from_secs(1), journal_tail: 50, closes_per_second: 100_000, ..AggregatorOptions::default() };
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Aggregator::new(ledger.clone(), billing, options).run(stopped));
    for month in 1..=2 {
        for _ in 0..5 {
            load.send(400).await;
        }
        let [boundary, _] = clock.period_ends(clock.now());
        // Who has a bill open; a conversion to prepaid has closed some already.
        let due = ledger.engine().due_accounts(0, None, 1_000_000, boundary).await.unwrap();
        let touched: BTreeSet<AccountId> = due.accounts.into_iter().collect();
        assert!(touched.len() > 400);
        load.set_clock(boundary + 1);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let closed: Vec<_> = records(&store)
                .await
                .into_iter()
                .filter(|record| record.entry.kind() == EntryKind::PeriodClosed && record.entry.time == boundary)
                .map(|record| record.entry.account)
                .collect();
            if closed.len() >= touched.len() {
                assert_eq!(closed.len(), touched.len(), "month {month}: each once");
                assert_eq!(closed.into_iter().collect::<BTreeSet<_>>(), touched);
                break;
            }
            assert!(Instant::now() < deadline, "month {month}: {} of {} are closed", closed.len(), touched.len());
            sleep(Duration::from_millis(50)).await;
        }
    }
    until_caught_up(&store, &ledger).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let span = ledger.engine().journal_span(0).await.unwrap();
        // Whole blocks go, and the one before what must stay.
        if span.next - span.first < 50 + 2 * 512 {
            assert!(span.next - span.first >= 50);
            break;
        }
        assert!(Instant::now() < deadline, "the journal is not trimmed: {span:?}");
        sleep(Duration::from_millis(50)).await;
    }
    stop.send_replace(true);
    running.await.unwrap().unwrap();
    totals_and_accounts_agree(&store, &ledger, &records(&store).await).await;
}
