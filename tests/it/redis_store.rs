//! What the Redis engine does when Redis is not as it should be: refuses it at the start, and never gives a wrong answer later.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{RedisServer, unique_name};
use jiff::tz::TimeZone;
use tollgate::clock::{Clock, system_now};
use tollgate::domain::account::{Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Create, Debit, ExcessPolicy, LimitChange, RemainderPolicy};
use tollgate::domain::money::{DecimalAmount, Units};
use tollgate::domain::outcome::{Outcome, Verdict};
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::redis::{RedisLedger, RedisOptions};
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Engine, Ledger, LedgerError, Opening, PreparedCommand, Purpose, StoreSettings};

pub fn settings() -> StoreSettings {
    StoreSettings { partitions: 4, billing_time_zone: "UTC".into(), window: 86_400_000 }
}

pub fn options(server: &RedisServer) -> RedisOptions {
    RedisOptions {
        url: server.url(),
        tls: Default::default(),
        store_name: unique_name(),
        response_timeout: Duration::from_millis(500),
        busy_poll: Default::default(),
        durability: platform::durability::Durability::Engine,
        durability_timeout: Duration::from_millis(300),
    }
}

fn command(account: &str, request_id: &str, action: Action) -> Command {
    Command::new(account, request_id, action)
}

pub fn create(account: &str) -> Command {
    let create = Create {
        name: format!("Customer {account}"),
        currency: Currency::parse("EUR").unwrap(),
        minor_digits: 2,
        decimals: 6,
        mode: Mode::Prepaid,
        limit: LimitChange::default(),
        low_credit_threshold: None,
        non_usage_billing: NonUsageBilling::Consolidated,
        allow_unusable: false,
    };
    command(account, "create", Action::Create(create))
}

pub fn top_up(account: &str, request_id: &str, amount: i64) -> Command {
    command(account, request_id, Action::TopUp { amount: DecimalAmount::new(amount, 0) })
}

pub fn debit(account: &str, request_id: &str, amount: i64) -> Command {
    let debit = Debit {
        amount: DecimalAmount::new(amount, 0),
        category: Category::Usage,
        reservation: None,
        then: RemainderPolicy::Settle,
        excess: ExcessPolicy::WithinUsableCredit,
    };
    command(account, request_id, Action::Debit(debit))
}

pub async fn ledger(options: &RedisOptions) -> Ledger {
    let clock = Clock::running(TimeZone::UTC);
    let engine = crate::support::connect(options.clone(), settings(), clock.clone()).await.unwrap();
    Ledger::start(Arc::new(engine), Watchers::default(), clock)
}

/// Repeats a command until the store answers again, as a client does that was told UNAVAILABLE.
async fn until_answered(ledger: &Ledger, command: Command) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match ledger.submit(command.clone()).await {
            Ok(answer) => return answer.unwrap(),
            Err(LedgerError::NotDone(_) | LedgerError::Unknown(_)) => assert!(Instant::now() < deadline, "Redis never came back"),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_redis_that_may_evict_is_refused() {
    let server = RedisServer::start(Path::new("redis-server"), &["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let error = crate::support::connect(options(&server), settings(), Clock::running(TimeZone::UTC)).await.unwrap_err();
    assert!(format!("{error:#}").contains("allkeys-lru"), "{error:#}");
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    crate::support::connect(options(&server), settings(), Clock::running(TimeZone::UTC)).await.unwrap();
}

#[tokio::test]
async fn a_store_that_was_initialized_otherwise_is_refused() {
    let server = RedisServer::redis();
    let options = options(&server);
    crate::support::connect(options.clone(), settings(), Clock::running(TimeZone::UTC)).await.unwrap();
    for other in [
        StoreSettings { partitions: 8, ..settings() },
        StoreSettings { billing_time_zone: "Asia/Hanoi".into(), ..settings() },
        StoreSettings { window: 1, ..settings() },
    ] {
        let error = crate::support::connect(options.clone(), other, Clock::running(TimeZone::UTC)).await.unwrap_err();
        assert!(format!("{error:#}").contains("other settings"), "{error:#}");
    }
    crate::support::connect(options.clone(), settings(), Clock::running(TimeZone::UTC)).await.unwrap();

    let key = format!("{}:settings", options.store_name);
    let stored = server.command(&["GET", &key]).replace("\"format_version\":", "\"format_version\":10");
    server.command(&["SET", &key, stored.trim()]);
    let error = crate::support::connect(options, settings(), Clock::running(TimeZone::UTC)).await.unwrap_err();
    assert!(format!("{error:#}").contains("version 10"), "{error:#}");
}

#[tokio::test]
async fn creating_a_ledger_makes_one_however_many_do_so_and_whatever_interrupts_them() {
    let server = RedisServer::redis();
    let options = options(&server);
    let open = |opening| RedisLedger::open(options.clone(), settings(), opening);
    let refused = open(Opening::Serving).await.unwrap_err();
    assert!(format!("{refused:#}").contains("the store is empty"), "{refused:#}");
    assert_eq!(server.command(&["KEYS", "*"]).trim(), "");

    let create = || open(Opening::Creating(Purpose::Bench));
    let created = futures_util::future::try_join_all((0..8).map(|_| create())).await.unwrap();
    let id = created[0].identity().id;
    assert!(created.iter().all(|ledger| ledger.identity().id == id));
    assert_eq!(open(Opening::Existing).await.unwrap().identity(), created[0].identity());

    // Interrupted, it is nothing to be served, and is done again.
    let key = format!("{}:settings", options.store_name);
    let whole = server.command(&["GET", &key]);
    server.command(&["SET", &key, whole.replace("\"is_being_created\":false", "\"is_being_created\":true").trim()]);
    for key in server.command(&["KEYS", "*{3*"]).lines() {
        server.command(&["DEL", key]);
    }
    for opening in [Opening::Existing, Opening::Serving] {
        let refused = open(opening).await.unwrap_err();
        assert!(format!("{refused:#}").contains("being created"), "{refused:#}");
    }
    let again = create().await.unwrap();
    assert_eq!(again.identity(), created[0].identity());
    again.connect(Clock::running(TimeZone::UTC)).await.unwrap();
}

#[tokio::test]
async fn a_ledger_of_an_earlier_version_gets_one_id_from_the_services_and_from_nothing_else() {
    let server = RedisServer::redis();
    let options = options(&server);
    let open = |opening| RedisLedger::open(options.clone(), settings(), opening);
    let created = open(Opening::Creating(Purpose::Charging)).await.unwrap();
    // As an earlier version left it.
    let key = format!("{}:settings", options.store_name);
    let mut stored: serde_json::Value = serde_json::from_str(&server.command(&["GET", &key])).unwrap();
    for name in ["ledger", "purpose", "is_being_created"] {
        stored.as_object_mut().unwrap().remove(name).unwrap();
    }
    server.command(&["SET", &key, &stored.to_string()]);
    for key in server.command(&["KEYS", "*}:settings"]).lines() {
        server.command(&["DEL", key]);
    }
    let refused = open(Opening::Existing).await.unwrap_err();
    assert!(format!("{refused:#}").contains("no id yet"), "{refused:#}");
    assert_eq!(server.command(&["KEYS", "*}:settings"]).trim(), "");

    let opened = futures_util::future::try_join_all((0..8).map(|_| open(Opening::Serving))).await.unwrap();
    let id = opened[0].identity().id;
    assert!(opened.iter().all(|ledger| ledger.identity().id == id));
    assert_ne!(id, created.identity().id);
    assert_eq!(open(Opening::Existing).await.unwrap().identity().id, id);
    opened[0].connect(Clock::running(TimeZone::UTC)).await.unwrap();
}

#[tokio::test]
async fn a_partition_of_another_ledger_is_refused_and_so_is_one_that_is_gone() {
    let server = RedisServer::redis();
    let options = options(&server);
    let ledger = RedisLedger::open(options.clone(), settings(), Opening::Creating(Purpose::Charging)).await.unwrap();
    let key = format!("{}:settings", options.store_name);
    let keys = server.command(&["KEYS", "*}:settings"]);
    let copy = keys.lines().next().unwrap();
    let (mine, theirs) = (ledger.identity().id.to_string(), "00000000-0000-4000-8000-000000000000");
    server.command(&["SET", copy, server.command(&["GET", &key]).replace(&mine, theirs).trim()]);
    let refused = format!("{:#}", ledger.connect(Clock::running(TimeZone::UTC)).await.unwrap_err());
    assert!(refused.contains(&mine) && refused.contains(theirs) && refused.contains(copy), "{refused}");
    server.command(&["DEL", copy]);
    let refused = format!("{:#}", ledger.connect(Clock::running(TimeZone::UTC)).await.unwrap_err());
    assert!(refused.contains("lost a part") && refused.contains(copy), "{refused}");
}

#[tokio::test]
async fn each_key_that_is_missing_or_of_another_type_is_named() {
    let server = RedisServer::redis();
    let options = options(&server);
    let ledger = RedisLedger::open(options.clone(), settings(), Opening::Creating(Purpose::Charging)).await.unwrap();
    let refused = async || format!("{:#}", ledger.connect(Clock::running(TimeZone::UTC)).await.unwrap_err());
    let listed = server.command(&["KEYS", &format!("{}:{{0*}}:*", options.store_name)]);
    let mut keys: Vec<&str> = listed.lines().filter(|key| !key.ends_with(":settings")).collect();
    keys.sort_unstable();
    let parts = ["accounts", "expiries", "journal", "names", "profiles", "refunds"];
    let more = ["requests:0", "requests:1", "reservations", "reservations-by-account"];
    assert!(keys.iter().zip(parts.iter().chain(&more)).all(|(key, name)| key.ends_with(&format!(":{name}"))), "{keys:?}");
    assert_eq!(keys.len(), 10);
    for key in keys {
        server.command(&["RENAME", key, "aside"]);
        let text = refused().await;
        assert!(text.contains("lost a part") && text.contains(key), "{key}: {text}");
        // Neither a hash, nor a sorted set, nor a stream.
        server.command(&["SET", key, "text"]);
        let text = refused().await;
        assert!(text.contains("not of the type") && text.contains(key), "{key}: {text}");
        server.command(&["RENAME", "aside", key]);
        ledger.connect(Clock::running(TimeZone::UTC)).await.unwrap();
    }
}

#[tokio::test]
async fn a_redis_that_forgot_the_script_is_given_it_again() {
    let server = RedisServer::redis();
    let options = options(&server);
    let ledger = ledger(&options).await;
    ledger.submit(create("acme")).await.unwrap().unwrap();
    server.command(&["SCRIPT", "FLUSH"]);
    let outcome = ledger.submit(top_up("acme", "t1", 5)).await.unwrap().unwrap();
    assert_eq!(outcome.account.balance, Units::new(5_000_000));
}

#[tokio::test]
async fn a_restart_of_redis_charges_nobody_twice() {
    let mut server = RedisServer::redis();
    let options = options(&server);
    let ledger = ledger(&options).await;
    ledger.submit(create("acme")).await.unwrap().unwrap();
    ledger.submit(top_up("acme", "t1", 100)).await.unwrap().unwrap();
    ledger.submit(debit("acme", "d1", 30)).await.unwrap().unwrap();
    server.shut_down();
    assert!(
        matches!(ledger.submit(debit("acme", "d2", 30)).await, Err(LedgerError::NotDone(_) | LedgerError::Unknown(_))),
        "never an approval"
    );
    server.start_again();
    let repeated = until_answered(&ledger, debit("acme", "d1", 30)).await;
    assert!(repeated.replayed);
    assert_eq!(repeated.account.balance, Units::new(70_000_000));
    assert_eq!(until_answered(&ledger, debit("acme", "d2", 30)).await.account.balance, Units::new(40_000_000));
}

#[tokio::test]
async fn a_redis_that_came_back_empty_is_not_taken_for_the_store() {
    let mut server = RedisServer::redis();
    let options = options(&server);
    let ledger = ledger(&options).await;
    ledger.submit(create("acme")).await.unwrap().unwrap();
    server.kill();
    server.start_again();
    // Long enough for the link to have tried again.
    for _ in 0..40 {
        match ledger.submit(top_up("acme", "t1", 5)).await {
            Err(LedgerError::NotDone(_) | LedgerError::Unknown(_)) => {}
            other => panic!("an empty Redis gave {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let why = ledger.submit(top_up("acme", "t1", 5)).await.unwrap_err().to_string();
    assert!(why.contains("the store is empty"), "{why}");
}

#[tokio::test]
async fn a_redis_that_hangs_is_unavailable_and_what_was_sent_happens_once() {
    let server = RedisServer::redis();
    let options = options(&server);
    let ledger = ledger(&options).await;
    ledger.submit(create("acme")).await.unwrap().unwrap();
    ledger.submit(top_up("acme", "t1", 100)).await.unwrap().unwrap();
    server.signal("STOP");
    let started = Instant::now();
    assert!(matches!(ledger.submit(debit("acme", "d1", 30)).await, Err(LedgerError::Unknown(_))), "it was sent");
    assert!(started.elapsed() < Duration::from_secs(5), "it is given up, not waited for");
    server.signal("CONT");
    // It was sent, so Redis decides it when it wakes up; asking again tells what was decided, or decides it now: once.
    let outcome = until_answered(&ledger, debit("acme", "d1", 30)).await;
    assert_eq!(outcome.decision.unwrap().verdict, Verdict::Done);
    assert_eq!(
        until_answered(&ledger, command("acme", "", Action::Observe { watch: false })).await.account.balance,
        Units::new(70_000_000)
    );
}

#[tokio::test]
async fn a_sender_whose_clock_is_ahead_is_refused() {
    let server = RedisServer::redis();
    let clock = Clock::running(TimeZone::UTC);
    let engine = crate::support::connect(options(&server), settings(), clock.clone()).await.unwrap();
    tokio::spawn(engine.work());
    clock.set(system_now() + 10_000);
    let order: Arc<[PreparedCommand]> = Arc::new([PreparedCommand::new(create("acme"))]);
    let error = engine.apply(0, Arc::clone(&order)).await.unwrap_err();
    assert!(error.to_string().contains("ahead"), "{error}");
    // The next look at Redis's time sets the clock right.
    engine.check().await.into_iter().collect::<Result<(), _>>().unwrap();
    engine.apply(0, order).await.unwrap().answers.read().unwrap()[0].unwrap();
}

#[tokio::test]
async fn changes_made_by_another_process_are_announced_while_somebody_watches() {
    let server = RedisServer::redis();
    let options = options(&server);
    let watchers = Watchers::default();
    let listening = RedisLedger::open(options.clone(), settings(), Opening::Creating(Purpose::Charging)).await.unwrap();
    let listening = listening.announcing_to(watchers.clone());
    let listener = tokio::spawn(async move { listening.listen().await });
    let (watching, other) = (ledger(&options).await, ledger(&options).await);
    other.submit(create("acme")).await.unwrap().unwrap();
    let mut watch = watchers.watch(&"acme".into());
    watching.observe(&"acme".into(), true).await.unwrap().unwrap();
    let mut number = 0;
    // The listener may still be on its way to Redis; once it is there, each change is heard.
    tokio::time::timeout(Duration::from_secs(20), async {
        while !has_heard(&mut watch).await {
            number += 1;
            other.submit(top_up("acme", &format!("t{number}"), 1)).await.unwrap().unwrap();
        }
    })
    .await
    .unwrap();
    while has_heard(&mut watch).await {}
    other.submit(top_up("acme", "last", 1)).await.unwrap().unwrap();
    tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.unwrap();
    listener.abort();
}

async fn has_heard(watch: &mut tollgate::ledger::watch::Watch) -> bool {
    tokio::time::timeout(Duration::from_millis(50), watch.changed()).await.is_ok()
}

#[tokio::test]
async fn accounts_of_all_partitions_are_listed_by_name() {
    let server = RedisServer::redis();
    let ledger = ledger(&options(&server)).await;
    for number in 0..30 {
        ledger.submit(create(&format!("account-{number:02}"))).await.unwrap().unwrap();
    }
    let mut names = Vec::new();
    let mut next = None;
    loop {
        let page = ledger.accounts("customer ACC", &tollgate::ledger::AccountFilter::default(), next, 7).await.unwrap();
        assert!(page.accounts.len() <= 7);
        names.extend(page.accounts.into_iter().map(|of| of.id.into_string()));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(names, (0..30).map(|number| format!("account-{number:02}")).collect::<Vec<_>>());
    assert!(ledger.accounts("nobody", &tollgate::ledger::AccountFilter::default(), None, 10).await.unwrap().accounts.is_empty());
}

#[tokio::test]
async fn due_reservations_are_expired_by_the_sweep_and_more_than_a_step_takes_are_all_gone() {
    use tollgate::domain::command::Reserve;
    let server = RedisServer::redis();
    let clock = Clock::manual(UnixMillis::new(1_769_731_200_000), TimeZone::UTC);
    let engine = crate::support::connect(options(&server), settings(), clock.clone()).await.unwrap();
    let ledger = Ledger::start(Arc::new(engine), Watchers::default(), clock.clone());
    ledger.submit(create("acme")).await.unwrap().unwrap();
    ledger.submit(top_up("acme", "t1", 10_000)).await.unwrap().unwrap();
    let reserve = Reserve { amount: DecimalAmount::new(1, 0), minimum: None, validity: 1_000, grace: 1_000 };
    let pending: Vec<_> =
        (0..2_500).map(|number| ledger.enqueue(command("acme", &format!("r{number}"), Action::Authorize(reserve))).unwrap()).collect();
    for pending in pending {
        assert_eq!(pending.await.unwrap().unwrap().decision.unwrap().verdict, Verdict::Done);
    }
    let before = ledger.observe(&"acme".into(), false).await.unwrap().unwrap().account;
    assert_eq!((before.reserved, before.open_reservations), (Units::new(2_500_000_000), 2_500));
    clock.set(clock.now() + 2_000);
    let after = ledger.observe(&"acme".into(), false).await.unwrap().unwrap().account;
    assert_eq!((after.reserved, after.open_reservations), (Units::ZERO, 0), "a read sees none that is due, however many there are");
    let now = clock.now();
    assert!(ledger.reservations(&"acme".into(), now, None, 10).await.unwrap().reservations.is_empty());
    let partition = ledger.partition_of(&"acme".into());
    assert_eq!(ledger.engine().reservations(partition, "acme".into(), None, 10_000).await.unwrap().len(), 2_500, "nobody has swept");
    assert!(!ledger.sweep(partition, Duration::from_secs(20)).await.unwrap());
    assert_eq!(ledger.engine().reservations(partition, "acme".into(), None, 10_000).await.unwrap(), []);
}

fn kept(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/4540194").join(name)
}

#[tokio::test]
async fn a_store_of_format_version_2_is_brought_to_this_one() {
    let folder = crate::support::temporary_folder();
    std::fs::copy(kept("dump.rdb"), folder.path().join("dump.rdb")).unwrap();
    let server = RedisServer::start(Path::new("redis-server"), &["--dir", folder.path().to_str().unwrap(), "--dbfilename", "dump.rdb"]);
    let clock = Clock::manual(UnixMillis::new(1_796_083_080_000), TimeZone::UTC);
    let options = RedisOptions { store_name: "tollgate".into(), ..options(&server) };
    let ledger = RedisLedger::open(options, settings(), Opening::Serving).await.unwrap();
    let engine = ledger.connect(clock.clone()).await.unwrap();
    let ledger = Ledger::start(Arc::new(engine), Watchers::default(), clock.clone());
    let prepaid = ledger.observe(&"prepaid".into(), false).await.unwrap().unwrap().account;
    assert_eq!((prepaid.open_reservations, prepaid.decimals), (1, 6));
    assert_eq!((prepaid.balance, prepaid.reserved), (Units::new(100_851_480), Units::new(20_000_000)));
    assert!(ledger.is_remembered(&"prepaid".into(), &"recent-top-up".into()).await.unwrap());
    clock.set(clock.now() + 86_400_000);
    for partition in 0..ledger.partitions() {
        while ledger.sweep(partition, Duration::from_secs(5)).await.unwrap() {}
    }
    let prepaid = ledger.observe(&"prepaid".into(), false).await.unwrap().unwrap().account;
    assert_eq!((prepaid.reserved, prepaid.open_reservations), (Units::ZERO, 0));
}

#[tokio::test]
async fn a_file_of_format_version_2_is_brought_to_this_one() {
    use tollgate::ledger::embedded::EmbeddedEngine;
    let folder = crate::support::temporary_folder();
    let path = folder.path().join("tollgate.db");
    std::fs::copy(kept("tollgate.db"), &path).unwrap();
    let settings = StoreSettings { partitions: 1, ..settings() };
    let engine = EmbeddedEngine::open(&path, &settings, Opening::Serving, Clock::running(TimeZone::UTC), Watchers::default()).unwrap();
    let found = engine.load(0, vec!["prepaid".into()]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().0.balance, Units::new(100_851_480));
    drop(engine);
    // And one of a later version is left alone.
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 4).unwrap();
    let opened = EmbeddedEngine::open(&path, &settings, Opening::Serving, Clock::running(TimeZone::UTC), Watchers::default());
    assert!(format!("{:#}", opened.err().unwrap()).contains("has format version 4"));
}

#[tokio::test]
async fn an_older_copy_of_who_may_call_never_follows_a_newer_one() {
    use tollgate::ledger::CopiedCallers;
    use tollgate::ledger::embedded::EmbeddedEngine;
    let (server, folder) = (RedisServer::redis(), crate::support::temporary_folder());
    let clock = Clock::running(TimeZone::UTC);
    let (path, opening) = (folder.path().join("ledger.db"), Opening::Creating(Purpose::Charging));
    let embedded = EmbeddedEngine::open(&path, &settings(), opening, clock.clone(), Watchers::default()).unwrap();
    let options = RedisOptions { response_timeout: Duration::from_secs(10), ..options(&server) };
    let embedded = Ledger::start(Arc::new(embedded), Watchers::default(), clock);
    for ledger in [ledger(&options).await, embedded] {
        let engine = ledger.engine();
        let copy = |version, content: &str| engine.copy_callers(CopiedCallers { version, content: content.to_owned() });
        assert_eq!(engine.callers(None).await.unwrap(), None);
        copy(0, "nobody").await.unwrap();
        copy(9, "later").await.unwrap();
        copy(8, "earlier").await.unwrap();
        let found = engine.callers(None).await.unwrap();
        assert_eq!(found, Some(CopiedCallers { version: 9, content: "later".to_owned() }));
        assert_eq!(engine.callers(Some(9)).await.unwrap(), None);
    }
}
