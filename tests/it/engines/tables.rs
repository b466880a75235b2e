//! The tables of examples, in sentences, on every engine: a test for each, named after the rule.

mod coverage;
mod outcome;
mod request;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tollgate::clock::Clock;
use tollgate::ledger::embedded::EmbeddedEngine;
use tollgate::ledger::model::ModelEngine;
use tollgate::ledger::redis::RedisOptions;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Engine, Opening, Purpose, StoreSettings};

use super::commands::START;
use crate::support::{RedisServer, connect, temporary_folder, unique_name};
use crate::table::Table;
use stage::Stage;

/// How long request ids are remembered: the service's default.
const WINDOW: i64 = 86_400_000;

fn settings() -> StoreSettings {
    StoreSettings { partitions: 1, billing_time_zone: "UTC".into(), window: WINDOW }
}

/// Runs all cases of a table, each with accounts of its own. Time goes on from case to case. Returns what is not as the table says.
async fn run(engine: Arc<dyn Engine>, clock: &Clock, name: &str, table: &Table) -> Vec<String> {
    let stage = Stage::new(engine, clock.clone());
    let mut failures = Vec::new();
    for (number, case) in table.cases.iter().enumerate() {
        for step in &case.steps {
            if let Err((line, found)) = stage.take(number, step).await {
                failures.push(format!("{}: {}\n    {name}: {found}", table.place(line), step.sentence));
                break;
            }
        }
    }
    failures
}

async fn on_redis(server: RedisServer, name: &str, table: &Table) -> Vec<String> {
    let clock = Clock::manual(START, TimeZone::UTC);
    let options = RedisOptions {
        url: server.url(),
        tls: Default::default(),
        store_name: unique_name(),
        response_timeout: Duration::from_secs(30),
        busy_poll: Default::default(),
        durability: platform::durability::Durability::Engine,
        durability_timeout: Duration::from_millis(300),
    };
    let engine = Arc::new(connect(options, settings(), clock.clone()).await.unwrap());
    run(engine, &clock, name, table).await
}

async fn holds_everywhere(name: &str) {
    let table = &Table::named(name);
    let clock = || Clock::manual(START, TimeZone::UTC);
    let rules = async {
        let clock = clock();
        run(Arc::new(ModelEngine::new(clock.clone(), WINDOW, Watchers::default())), &clock, "rules", table).await
    };
    let embedded = async {
        let (folder, clock) = (temporary_folder(), clock());
        let (path, opening) = (folder.path().join("ledger.db"), Opening::Creating(Purpose::Charging));
        let engine = EmbeddedEngine::open(&path, &settings(), opening, clock.clone(), Watchers::default()).unwrap();
        run(Arc::new(engine), &clock, "SQLite", table).await
    };
    let redis = on_redis(RedisServer::redis(), "Redis", table);
    let valkey = on_redis(RedisServer::valkey(), "Valkey", table);
    let (rules, embedded, redis, valkey) = tokio::join!(rules, embedded, redis, valkey);
    let failures = [rules, embedded, redis, valkey].concat();
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

macro_rules! rules {
    ($($rule:ident)*) => {
        /// The rules that have a table.
        const RULES: &[&str] = &[$(stringify!($rule)),*];
        $(
            #[tokio::test]
            async fn $rule() {
                holds_everywhere(stringify!($rule)).await;
            }
        )*
    };
}

rules! {
    adjust
    already_consumed
    authorize
    close
    convert_to_postpaid
    convert_to_prepaid
    create
    debit
    expiry
    money_on_paper
    month_end
    record_payment
    refund
    release
    reopen
    report_and_reserve
    request_id
    resume
    reverse
    set_credit_limit
    suspend
    top_up
    update
    withdraw
    write_off
}
