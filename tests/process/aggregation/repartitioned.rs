//! A ledger that is restored with another number of partitions is the same ledger: each account, its history and its documents, and all of it
//! goes on.

use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tollgate::domain::ids::AccountId;
use tollgate::domain::time::UnixMillis;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::AssertSqlSafe;
use tollgate::billing::lookup::{LookedUp, look_up};
use tollgate::billing::settings::BillingSettings;
use tollgate::billing::{Billing, Record, UsageRecord};
use tollgate::domain::account::{Account, Profile};
use tollgate::domain::command::{Action, Command as Asked, Metadata, Reversal};
use tollgate::domain::entry::EntryKind;
use tollgate::domain::outcome::{Answer, Refusal};
use tollgate::ledger::Ledger;
use tollgate::ledger::prepared_command::partition_of;
use tollgate::ledger::redis::keys::PartitionKeys;

use super::check::{each_charge_is_on_one_line, records, until_caught_up};
use super::load::{Load, ledger, ledger_of};
use super::process::Aggregator;
use crate::postgres::PostgresServer;
use crate::support::RedisServer;
use crate::{seed, temporary_folder};

const ACCOUNTS: usize = 30;

/// A ledger in Redis and its billing store.
struct Stores {
    redis: RedisServer,
    billing: String,
    partitions: u16,
}

impl Stores {
    fn command(&self, words: &[&str], clock: &str) -> Command {
        let mut tollgate = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        tollgate.args(words).args(["--redis", &self.redis.url(), "--test-clock", clock]).env_clear().env("TOLLGATE_BILLING", &self.billing);
        tollgate
    }

    fn run(&self, words: &[&str], clock: &str) -> Output {
        self.command(words, clock).output().unwrap()
    }

    /// The same of one that would serve for ever if it were not refused.
    fn run_in_vain(&self, words: &[&str], clock: &str) -> Output {
        let command = self.command(words, clock);
        let mut limited = Command::new("timeout");
        limited.arg("60").arg(command.get_program()).args(command.get_args()).env_clear().env("TOLLGATE_BILLING", &self.billing);
        limited.output().unwrap()
    }

    fn is_verified(&self, clock: &str) {
        let output = self.run(&["verify", "--partitions", &self.partitions.to_string()], clock);
        assert!(output.status.success() && text(&output).contains("all agree"), "{}", text(&output));
    }

    /// Takes in what was journaled, by an aggregator that is gone afterwards.
    async fn aggregate(&self, store: &Billing, load: &Load) {
        let words = ["--test-clock", load.clock_file(), "--partitions", &self.partitions.to_string()];
        let aggregator = Aggregator::start(&self.redis.url(), &self.billing, &words);
        until_caught_up(store, &load.ledger).await;
        aggregator.kill();
    }

    /// Empties Redis, and restores.
    fn restore(&mut self, partitions: u16, clock: &str) {
        self.redis.command(&["FLUSHALL"]);
        self.partitions = partitions;
        let output = self.run(&["restore", "--partitions", &partitions.to_string()], clock);
        assert!(output.status.success() && text(&output).contains("all agree"), "{}", text(&output));
    }
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What an account is, has done, and has open.
#[derive(Debug, PartialEq)]
struct Seen {
    account: Account,
    profile: Profile,
    reservations: usize,
    entries: Vec<Record>,
    usage: Vec<UsageRecord>,
}

async fn see(billing: &Billing, ledger: &Ledger) -> BTreeMap<String, Seen> {
    let mut all = BTreeMap::new();
    for number in 0..ACCOUNTS {
        let id = format!("account-{number}");
        let outcome = ledger.observe(&AccountId::from(id.as_str()), false).await.unwrap().unwrap();
        let profile = ledger
            .engine()
            .load(ledger.partition_of(&AccountId::from(id.as_str())), vec![id.clone().into()])
            .await
            .unwrap()
            .pop()
            .flatten()
            .unwrap()
            .1;
        let open = ledger.reservations(&AccountId::from(id.as_str()), outcome.now, None, 1_000).await.unwrap();
        let mut places = billing.usage_of(&AccountId::from(id.as_str()), UnixMillis::NONE, UnixMillis::new(i64::MAX)).await.unwrap();
        let seen = Seen {
            account: outcome.account,
            profile,
            reservations: open.reservations.len(),
            entries: billing.entries(&AccountId::from(id.as_str()), None, 100_000).await.unwrap(),
            usage: billing.usage_at(&mut places, 100_000).await.unwrap(),
        };
        all.insert(id, seen);
    }
    all
}

/// All usage records, as they are exported.
async fn exported(billing: &Billing) -> Vec<UsageRecord> {
    let mut all = Vec::new();
    for mut span in billing.spans(UnixMillis::NONE, UnixMillis::new(i64::MAX)).await.unwrap() {
        while let Some(page) = span.take(100) {
            all.extend(billing.usage(page, (UnixMillis::NONE, UnixMillis::new(i64::MAX))).await.unwrap());
        }
    }
    all
}

/// Gives charges back, some of them very old: each once, and no more. Returns how many.
async fn give_back_too_much(load: &Load, billing: &Billing, ids: &str, skip: usize) -> usize {
    let mut given_back = 0;
    for (number, (account, charge)) in load.charges().iter().enumerate().skip(skip).step_by(11) {
        if submit_refund(&load.ledger, billing, account, charge, &format!("{ids}-{number}-once")).await.is_ok() {
            let again = submit_refund(&load.ledger, billing, account, charge, &format!("{ids}-{number}-again")).await;
            assert_eq!(again.unwrap_err(), Refusal::ExceedsOriginal, "{account} {charge}");
            given_back += 1;
        }
    }
    given_back
}

/// Refunds as the service does: what the ledger does not remember is looked up.
async fn submit_refund(ledger: &Ledger, billing: &Billing, account: &str, charge: &str, id: &str) -> Answer {
    let mut asked = Asked {
        account: account.into(),
        request_id: id.into(),
        first_sent_at: None,
        currency: None,
        action: Action::Refund(Reversal::of(charge.into(), None)),
        metadata: Metadata::default(),
    };
    loop {
        let answer = ledger.submit(asked.clone()).await.unwrap();
        let Err(needed @ (Refusal::OriginalNeeded | Refusal::BillNeeded)) = answer else { return answer };
        match look_up(ledger, Some(billing), asked, needed).await.unwrap() {
            LookedUp::Completed(completed) => asked = *completed,
            LookedUp::NeverWas => return Err(Refusal::ChargeNotFound),
            LookedUp::NoLongerKnown => panic!("{account} {charge}: nobody knows it any more"),
        }
    }
}

async fn grows_and_shrinks(billing_url: String, steps: &[u16]) {
    let (mut random, folder) = (StdRng::seed_from_u64(seed()), temporary_folder());
    let mut stores = Stores { redis: RedisServer::redis(), billing: billing_url, partitions: 4 };
    let mut load = Load::open(ledger(&stores.redis.url()).await, ACCOUNTS, random.random(), folder.path()).await;
    let store = Billing::open(&stores.billing, BillingSettings::default()).await.unwrap();
    for (number, partitions) in steps.iter().enumerate() {
        for _ in 0..8 {
            load.send(40).await;
            load.pass_time();
        }
        give_back_too_much(&load, &store, &format!("before-{number}"), 2 * number).await;
        stores.aggregate(&store, &load).await;
        stores.is_verified(load.clock_file());
        let (before, was_exported) = (see(&store, &load.ledger).await, exported(&store).await);
        let now = load.ledger.clock().now();

        stores.restore(*partitions, load.clock_file());

        load.ledger = ledger_of(&stores.redis.url(), *partitions).await;
        load.ledger.clock().set(now);
        let after = see(&store, &load.ledger).await;
        for (id, before) in &before {
            assert_eq!(after.get(id), Some(before), "{id}, in {partitions} partitions");
        }
        assert_eq!(exported(&store).await, was_exported, "records and their order");
        assert!(give_back_too_much(&load, &store, &format!("after-{number}"), 2 * number + 1).await > 5);
    }
    for _ in 0..8 {
        load.send(40).await;
        load.pass_time();
    }
    stores.aggregate(&store, &load).await;
    stores.is_verified(load.clock_file());
    let mut found = records(&store).await;
    let mut places: Vec<_> = found.iter().map(|record| (record.partition, record.sequence)).collect();
    places.dedup();
    assert_eq!(places.len(), found.len());
    each_charge_is_on_one_line(&store, &found).await;
    // Each account's entries are whole, in their order, wherever they are.
    found.sort_by_key(|record| record.sequence);
    let mut accounts: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    found.into_iter().for_each(|record| accounts.entry(record.entry.account.clone().into()).or_default().push(record));
    for (id, mut entries) in accounts {
        let moves: Vec<_> = entries.iter().filter(|record| record.entry.kind().moves_money()).collect();
        assert!(moves.iter().zip(1..).all(|(record, number)| record.entry.account_sequence == number), "{id}");
        assert!(entries.iter().any(|record| record.entry.kind() == EntryKind::Created), "{id}");
        entries.reverse();
        assert_eq!(store.entries(&AccountId::from(id.as_str()), None, 100_000).await.unwrap(), entries, "{id}");
        let third = entries.get(2).map(|record| record.sequence);
        assert_eq!(store.entries(&AccountId::from(id.as_str()), third, 100_000).await.unwrap(), entries[3..], "{id}");
    }
    // Somebody puts an entry where the ledger had none, which lists would show.
    let mut connection = store.store().pool().acquire().await.unwrap();
    for place in
        ["partition = 2, sequence = (SELECT last_sequence + 1 FROM former_partitions WHERE layout = 1 AND partition = 2)", "partition = 99"]
    {
        for sql in [
            "CREATE TEMPORARY TABLE planted AS SELECT * FROM entries WHERE partition = 2 AND sequence = 5",
            &format!("UPDATE planted SET account_sequence = 1000000, {place}"),
            "INSERT INTO entries SELECT * FROM planted",
        ] {
            sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *connection).await.unwrap();
        }
        let output = stores.run(&["verify", "--partitions", &stores.partitions.to_string()], load.clock_file());
        assert_eq!(output.status.code(), Some(1), "{place}: {}", text(&output));
        assert!(text(&output).contains("entries that never were"), "{place}: {}", text(&output));
        for sql in ["DELETE FROM entries WHERE account_sequence = 1000000", "DROP TABLE planted"] {
            sqlx::query(sql).execute(&mut *connection).await.unwrap();
        }
    }
    drop(connection);
    // Somebody takes away an entry of a partition that is no more.
    let sql = "DELETE FROM entries WHERE partition = 2 AND sequence = 5";
    sqlx::query(sql).execute(store.store().pool()).await.unwrap();
    let output = stores.run(&["verify", "--partitions", &stores.partitions.to_string()], load.clock_file());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("before the ledger had its partitions"), "{}", text(&output));
}

#[tokio::test]
async fn a_ledger_grows_from_four_to_eight_partitions_and_shrinks_to_four_and_one_and_grows_to_sixteen() {
    grows_and_shrinks(PostgresServer::shared().database(), &[8, 4, 1, 16]).await;
}

#[tokio::test]
async fn it_does_so_with_a_billing_store_in_sqlite() {
    let folder = temporary_folder();
    grows_and_shrinks(format!("sqlite://{}", folder.path().join("billing.db").display()), &[1, 16, 8]).await;
}

#[tokio::test]
async fn a_partition_whose_time_is_ahead_takes_only_its_own_accounts_along() {
    const AHEAD: i64 = 3 * 86_400_000;
    let folder = temporary_folder();
    let billing = format!("sqlite://{}", folder.path().join("billing.db").display());
    let mut stores = Stores { redis: RedisServer::redis(), billing, partitions: 4 };
    let mut load = Load::open(ledger(&stores.redis.url()).await, ACCOUNTS, 7, folder.path()).await;
    let store = Billing::open(&stores.billing, BillingSettings::default()).await.unwrap();
    // A clock was fast for a while, and only one partition was asked for something then.
    let now = load.ledger.clock().now();
    let [ahead, behind] = [1, 2]
        .map(|partition| (0..ACCOUNTS).map(|number| format!("account-{number}")).find(|id| partition_of(id, 4) == partition).unwrap());
    load.ledger.clock().set(now + AHEAD);
    load.top_up(&ahead).await;
    load.set_clock(now + 1_000);
    load.top_up(&behind).await;
    stores.aggregate(&store, &load).await;

    stores.restore(8, load.clock_file());

    let restored = ledger_of(&stores.redis.url(), 8).await;
    restored.clock().set(now + 2_000);
    for partition in 0..8 {
        let time = restored.engine().journal_span(partition).await.unwrap().now;
        let has_ahead = partition == partition_of(&ahead, 8) || partition == 1;
        assert_eq!(time >= now + AHEAD, has_ahead, "partition {partition} stands at {time:?}");
        let (is_ahead, known) = (has_ahead, store.last_time(partition).await.unwrap());
        assert_eq!(known >= now + AHEAD, is_ahead, "partition {partition} is known up to {known:?}");
    }
}

#[tokio::test]
async fn a_ledger_from_before_two_restorations_that_has_the_number_of_now_is_refused() {
    let (postgres, folder) = (PostgresServer::shared(), temporary_folder());
    let mut stores = Stores { redis: RedisServer::redis(), billing: postgres.database(), partitions: 4 };
    let mut load = Load::open(ledger(&stores.redis.url()).await, ACCOUNTS, 7, folder.path()).await;
    let store = Billing::open(&stores.billing, BillingSettings::default()).await.unwrap();
    load.send(100).await;
    stores.aggregate(&store, &load).await;
    stores.redis.command(&["SAVE"]);
    let old =
        Stores { redis: RedisServer::holding(&stores.redis.folder().join("dump.rdb")), billing: stores.billing.clone(), partitions: 4 };
    stores.restore(8, load.clock_file());
    stores.restore(4, load.clock_file());

    let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off"];
    for words in [&serve[..], &["verify"], &["reconcile"], &["aggregate", "--metrics-listen", "off"]] {
        let output = old.run_in_vain(&[words, &["--partitions", "4"]].concat(), load.clock_file());
        assert!(!output.status.success(), "{words:?}: {}", text(&output));
        assert!(text(&output).contains("before it was restored with another number of partitions"), "{words:?}: {}", text(&output));
    }
    // The one that was restored goes on.
    stores.is_verified(load.clock_file());
    load.ledger = ledger_of(&stores.redis.url(), 4).await;
    load.set_clock(load.ledger.clock().now() + 86_400_000);
    load.send(50).await;
    stores.aggregate(&store, &load).await;
    stores.is_verified(load.clock_file());
}

async fn refuses_what_would_be_left_behind_and_a_second_one(billing: String) {
    let folder = temporary_folder();
    let mut stores = Stores { redis: RedisServer::redis(), billing, partitions: 4 };
    let mut load = Load::open(ledger(&stores.redis.url()).await, ACCOUNTS, 7, folder.path()).await;
    let store = Billing::open(&stores.billing, BillingSettings::default()).await.unwrap();
    load.send(100).await;
    stores.aggregate(&store, &load).await;
    stores.redis.command(&["FLUSHALL"]);
    // What was lost of the partitions that there were is not left behind.
    let lost = PartitionKeys::new("tollgate", 3, 4).lost();
    stores.redis.command(&["HSET", &lost, "field", "block"]);
    let refused = stores.run(&["restore", "--partitions", "6"], load.clock_file());
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains(&format!("waits for a decision in {lost}")), "{}", text(&refused));
    stores.redis.command(&["DEL", &lost]);
    let first = store.plan_restoration(Some(8), 4).await.unwrap();
    for partitions in ["6", "4"] {
        let second = stores.run(&["restore", "--partitions", partitions], load.clock_file());
        assert_eq!(second.status.code(), Some(1), "{}", text(&second));
        assert!(text(&second).contains("--billing is being restored from by another process"), "{}", text(&second));
        assert_eq!(stores.redis.command(&["KEYS", "*"]).trim(), "");
    }
    drop(first);
    stores.restore(6, load.clock_file());
    stores.is_verified(load.clock_file());
}

#[tokio::test]
async fn a_restoration_leaves_nothing_behind_that_was_lost_and_a_second_one_is_refused_meanwhile() {
    refuses_what_would_be_left_behind_and_a_second_one(PostgresServer::shared().database()).await;
}

#[tokio::test]
async fn it_does_so_with_a_billing_store_in_sqlite_where_a_second_one_is_refused_too() {
    let folder = temporary_folder();
    refuses_what_would_be_left_behind_and_a_second_one(format!("sqlite://{}", folder.path().join("billing.db").display())).await;
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_restoration_that_is_killed_and_begun_again_leaves_one_ledger_and_no_process_of_the_old_number_goes_on() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let mut random = StdRng::seed_from_u64(seed());
    let mut stores = Stores { redis, billing: postgres.database(), partitions: 4 };
    let mut load = Load::open(ledger(&stores.redis.url()).await, ACCOUNTS, random.random(), folder.path()).await;
    let store = Billing::open(&stores.billing, BillingSettings::default()).await.unwrap();
    for _ in 0..20 {
        load.send(50).await;
        load.pass_time();
    }
    stores.aggregate(&store, &load).await;
    let (before, now) = (see(&store, &load.ledger).await, load.ledger.clock().now());
    stores.redis.command(&["SAVE"]);

    // An aggregator that stands still meanwhile, with the ledger as it was.
    let old =
        Stores { redis: RedisServer::holding(&stores.redis.folder().join("dump.rdb")), billing: stores.billing.clone(), partitions: 4 };
    let words = ["--test-clock", load.clock_file(), "--partitions", "4"];
    let stalled = Aggregator::start(&old.redis.url(), &old.billing, &words);
    stalled.wait_for("aggregating a partition");
    stalled.signal("STOP");

    stores.redis.command(&["FLUSHALL"]);
    let mut killed = 0;
    for _ in 0..6 {
        let mut command = stores.command(&["restore", "--partitions", "8"], load.clock_file());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // How far it comes is chance: it is whole at the end, wherever it was killed.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        if child.try_wait().unwrap().is_some() {
            break;
        }
        killed += 1;
        kill(child);
    }
    println!("killed {killed} times");
    // While it is not whole, nobody uses it.
    stores.partitions = 8;
    let output = stores.run(&["restore", "--partitions", "8"], load.clock_file());
    let is_whole_already = text(&output).contains("is not empty");
    assert!(is_whole_already || output.status.success() && text(&output).contains("all agree"), "{}", text(&output));
    stores.is_verified(load.clock_file());
    load.ledger = ledger_of(&stores.redis.url(), 8).await;
    load.ledger.clock().set(now);
    assert_eq!(see(&store, &load.ledger).await, before);

    // The one that stood still writes nothing, and says why.
    stalled.signal("CONT");
    let ended = tokio::task::spawn_blocking(move || stalled.ended()).await.unwrap();
    assert!(!ended.success());
    for words in [&["verify"][..], &["reconcile"], &["aggregate", "--metrics-listen", "off"]] {
        let output = old.run(&[words, &["--partitions", "4"]].concat(), load.clock_file());
        assert!(!output.status.success() && text(&output).contains("restored with --partitions 8"), "{words:?}: {}", text(&output));
        let output = stores.run(&[words, &["--partitions", "4"]].concat(), load.clock_file());
        assert!(!output.status.success() && text(&output).contains("--partitions 8"), "{words:?}: {}", text(&output));
    }
    load.send(200).await;
    stores.aggregate(&store, &load).await;
    stores.is_verified(load.clock_file());
}
