//! Bounds that random sequences do not reach: ten thousand open reservations of an account, and thousands that a step finds due.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tollgate::clock::Clock;
use tollgate::domain::account::{Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Create, Debit, ExcessPolicy, LimitChange, Metadata, RemainderPolicy, Reserve};
use tollgate::domain::money::{DecimalAmount, Units};
use tollgate::domain::outcome::{Answer, Refusal, ReserveVerdict, Verdict};
use tollgate::domain::rules::MAX_OPEN_RESERVATIONS;
use tollgate::ledger::embedded::EmbeddedEngine;
use tollgate::ledger::model::{MAX_STEP_EXPIRIES, ModelEngine};
use tollgate::ledger::redis::RedisOptions;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Engine, Opening, PreparedCommand, Purpose};

use super::commands::START;
use super::{WINDOW, settings};
use crate::support::{RedisServer, connect, temporary_folder, unique_name};

fn prepared(request_id: &str, action: Action) -> PreparedCommand {
    order_of("alpha", request_id, action)
}

fn order_of(account: &str, request_id: &str, action: Action) -> PreparedCommand {
    let (account, request_id, metadata) = (account.into(), request_id.into(), Metadata::default());
    PreparedCommand::new(Command { account, request_id, first_sent_at: None, currency: None, action, metadata })
}

fn reserve(validity: i64) -> Reserve {
    Reserve { amount: DecimalAmount::new(1, 0), minimum: None, validity, grace: 0 }
}

/// A report of what was consumed already, which reserves anew.
fn report(request_id: &str, reservation: &str) -> PreparedCommand {
    let debit = Debit {
        amount: DecimalAmount::new(2, 0),
        category: Category::Usage,
        reservation: Some(reservation.into()),
        then: RemainderPolicy::Reserve(reserve(600_000)),
        excess: ExcessPolicy::AlreadyConsumed,
    };
    prepared(request_id, Action::Debit(debit))
}

async fn ask(engine: &dyn Engine, commands: Vec<PreparedCommand>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for batch in commands.chunks(500) {
        let batch: Arc<[PreparedCommand]> = batch.into();
        answers.extend(engine.apply(0, batch).await.unwrap().answers.read().unwrap());
    }
    answers
}

fn create() -> Action {
    Action::Create(Create {
        name: "Alpha".into(),
        currency: Currency::parse("EUR").unwrap(),
        minor_digits: 2,
        decimals: 4,
        mode: Mode::Prepaid,
        limit: LimitChange { permanent: Some(DecimalAmount::new(100_000, 0)), ..LimitChange::default() },
        low_credit_threshold: None,
        non_usage_billing: NonUsageBilling::Consolidated,
        allow_unusable: false,
    })
}

async fn is_held_to_the_bound(engine: &dyn Engine, clock: &Clock, name: &str) {
    ask(engine, vec![prepared("create", create()), prepared("late", Action::Authorize(reserve(1_000)))]).await;
    clock.set(START + 1_000);
    let authorize = |number: u32| prepared(&format!("a{number}"), Action::Authorize(reserve(600_000)));
    let answers = ask(engine, (0..=MAX_OPEN_RESERVATIONS).map(authorize).collect()).await;
    let (last, granted) = answers.split_last().unwrap();
    let is_done =
        |answer: &Answer| matches!(answer, Ok(outcome) if outcome.decision.is_some_and(|decision| decision.verdict == Verdict::Done));
    assert!(granted.iter().all(is_done), "{name}");
    assert_eq!(*last, Err(Refusal::TooManyReservations), "{name}");

    // The report stands; what it wants to reserve is one too many. One that is open makes room for its own.
    for (request_id, reservation, expected) in [("r1", "late", ReserveVerdict::TooMany), ("r2", "a7", ReserveVerdict::Granted)] {
        let outcome = ask(engine, vec![report(request_id, reservation)]).await.remove(0).unwrap();
        let decision = outcome.decision.unwrap();
        assert_eq!((decision.amount, decision.reserve), (Units::new(20_000), expected), "{name}");
        assert_eq!(outcome.account.open_reservations, MAX_OPEN_RESERVATIONS, "{name}");
        assert_eq!(outcome.account.reserved, Units::new(i64::from(MAX_OPEN_RESERVATIONS) * 10_000), "{name}");
        let replayed = ask(engine, vec![report(request_id, reservation)]).await.remove(0).unwrap();
        assert_eq!((replayed.replayed, replayed.decision), (true, Some(decision)), "{name}");
    }
}

/// One whose reservations are due below the bound of a step, one with the last of them, one beyond, and one without any.
async fn few_accounts_lose_much_in_one_step(engine: &dyn Engine, clock: &Clock, name: &str) {
    let accounts = ["alpha", "beta", "gamma", "delta"];
    ask(engine, accounts.iter().map(|account| order_of(account, "create", create())).collect()).await;
    let due = |account: &'static str, count: usize| {
        (0..count).map(move |number| order_of(account, &format!("{number}"), Action::Authorize(reserve(1_000))))
    };
    ask(engine, due("alpha", MAX_STEP_EXPIRIES - 1).chain(due("beta", 1)).chain(due("gamma", 3)).collect()).await;
    // One that ended before it was due defers nobody.
    ask(engine, due("delta", 1).chain([order_of("delta", "end", Action::Release { reservation: "0".into() })]).collect()).await;
    clock.set(clock.now() + 2_000);

    let mut commands: Vec<PreparedCommand> = ["alpha", "beta", "gamma", "delta"].map(|account| order_of(account, "after", top_up())).into();
    commands.extend([order_of("gamma", "large", Action::Authorize(large())), order_of("delta", "more", top_up())]);
    let batch: Arc<[PreparedCommand]> = commands.clone().into();
    let answer = engine.apply(0, batch).await.unwrap();
    assert!(answer.has_deferred, "{name}");
    let answers = answer.answers.read().unwrap();
    let is_deferred: Vec<_> = answers.iter().map(|answer| *answer == Err(Refusal::Deferred)).collect();
    assert_eq!(is_deferred, [false, false, true, false, true, false], "{name}");
    assert_eq!(engine.blocks_before(0, None, 1).await.unwrap()[0].entries.len(), 4, "{name}: what waits has written nothing");

    // The next step has room for it, and what was due is off before it decides.
    let waiting: Vec<PreparedCommand> =
        commands.into_iter().zip(is_deferred).filter(|(_, is_deferred)| *is_deferred).map(|(prepared, _)| prepared).collect();
    let answer = engine.apply(0, waiting.into()).await.unwrap();
    assert!(!answer.has_deferred, "{name}");
    let answers = answer.answers.read().unwrap();
    let reserved = answers[1].as_ref().unwrap().account;
    assert_eq!((reserved.open_reservations, reserved.reserved), (1, Units::new(100_001 * 10_000)), "{name}");
    while engine.sweep(0).await.unwrap() {}
    for account in ["alpha", "beta"] {
        let left = ask(engine, vec![order_of(account, "", Action::Observe { watch: false })]).await.remove(0).unwrap().account;
        assert_eq!((left.open_reservations, left.reserved), (0, Units::ZERO), "{name}");
    }
}

fn top_up() -> Action {
    Action::TopUp { amount: DecimalAmount::new(1, 0) }
}

/// All that an account has after its top-up.
fn large() -> Reserve {
    Reserve { amount: DecimalAmount::new(100_001, 0), ..reserve(600_000) }
}

#[tokio::test]
async fn no_way_leads_to_more_than_ten_thousand_open_reservations_on_any_engine() {
    on_every_engine(is_held_to_the_bound).await;
}

#[tokio::test]
async fn a_step_takes_off_what_few_accounts_have_due_and_leaves_the_others_for_a_later_one_on_every_engine() {
    on_every_engine(few_accounts_lose_much_in_one_step).await;
}

async fn on_every_engine(test: impl AsyncFn(&dyn Engine, &Clock, &str)) {
    let clock = || Clock::manual(START, TimeZone::UTC);
    let standing = clock();
    test(&ModelEngine::new(standing.clone(), WINDOW, Watchers::default()), &standing, "rules").await;

    let (folder, standing) = (temporary_folder(), clock());
    let (path, opening) = (folder.path().join("ledger.db"), Opening::Creating(Purpose::Charging));
    let embedded = EmbeddedEngine::open(&path, &settings(), opening, standing.clone(), Watchers::default()).unwrap();
    test(&embedded, &standing, "embedded").await;

    for (server, name) in [(RedisServer::redis(), "Redis"), (RedisServer::valkey(), "Valkey")] {
        let standing = clock();
        let options = RedisOptions {
            url: server.url(),
            tls: Default::default(),
            store_name: unique_name(),
            response_timeout: Duration::from_secs(30),
            busy_poll: Default::default(),
            durability: platform::durability::Durability::Engine,
            durability_timeout: Duration::from_millis(300),
        };
        let engine = connect(options, settings(), standing.clone()).await.unwrap();
        let work = tokio::spawn(engine.work());
        test(&engine, &standing, name).await;
        work.abort();
    }
}
