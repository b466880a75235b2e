//! A script of Redis that fails at any of its calls: up to and with its first write it leaves the store as it was, byte for byte; a step
//! that fails behind it is found by the next one, and a sweep that fails is made whole by the next one.
//!
//! The scripts are the ones that the engine sends, but that each of their calls is counted, and one of them fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use redis::aio::MultiplexedConnection;
use tollgate::clock::Clock;
use tollgate::domain::account::{Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{
    Action, Command, Create, Debit, ExcessPolicy, LimitChange, Metadata, RemainderPolicy, Reserve, Reversal, TemporaryChange,
};
use tollgate::domain::ids::RequestId;
use tollgate::domain::money::DecimalAmount;
use tollgate::domain::outcome::{Answer, Verdict};
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::model::BatchTime;
use tollgate::ledger::redis::keys::PartitionKeys;
use tollgate::ledger::redis::script::{BATCH, SWEEP, Script};
use tollgate::ledger::redis::{RedisEngine, RedisOptions, batch};
use tollgate::ledger::{Engine, LedgerError, PreparedCommand};

use super::{WINDOW, settings};
use crate::support::{RedisServer, connect, unique_name};

/// Ten minutes before the end of a month, one window and some minutes earlier.
const START: UnixMillis = UnixMillis::new(1_769_903_400_000 - WINDOW - 60_000);

const MINUTE: i64 = 60_000;

/// Everything that a store holds: the keys, each as DUMP gives it.
pub type Dumped = BTreeMap<String, Vec<u8>>;

pub fn prepared(account: &str, request_id: &str, action: Action) -> PreparedCommand {
    let (account, request_id, metadata) = (account.into(), request_id.into(), Metadata::default());
    PreparedCommand::new(Command { account, request_id, first_sent_at: None, currency: None, action, metadata })
}

pub fn create(account: &str, mode: Mode, non_usage_billing: NonUsageBilling) -> PreparedCommand {
    let create = Create {
        name: format!("Customer {account}"),
        currency: Currency::parse("EUR").unwrap(),
        minor_digits: 2,
        decimals: 4,
        mode,
        limit: LimitChange { permanent: Some(DecimalAmount::new(1_000, 0)), ..LimitChange::default() },
        low_credit_threshold: None,
        non_usage_billing,
        allow_unusable: false,
    };
    prepared(account, "create", Action::Create(create))
}

fn reserve(amount: i64, minutes: i64) -> Reserve {
    Reserve { amount: DecimalAmount::new(amount, 0), minimum: None, validity: minutes * MINUTE, grace: 0 }
}

fn authorize(request_id: &str, minutes: i64) -> PreparedCommand {
    prepared("alpha", request_id, Action::Authorize(reserve(10, minutes)))
}

pub fn debit(
    account: &str,
    request_id: &str,
    amount: i64,
    category: Category,
    reservation: Option<&str>,
    then: RemainderPolicy,
) -> PreparedCommand {
    let reservation = reservation.map(str::to_owned);
    let debit = Debit {
        amount: DecimalAmount::new(amount, 0),
        category,
        reservation: reservation.map(RequestId::from),
        then,
        excess: ExcessPolicy::WithinUsableCredit,
    };
    prepared(account, request_id, Action::Debit(debit))
}

pub fn plain(account: &str, request_id: &str, amount: i64) -> PreparedCommand {
    debit(account, request_id, amount, Category::Usage, None, RemainderPolicy::Settle)
}

pub fn refund(account: &str, request_id: &str, original: &str) -> PreparedCommand {
    prepared(account, request_id, Action::Refund(Reversal::of(original.into(), Some(DecimalAmount::new(2, 0)))))
}

pub fn against(request_id: &str, reservation: &str, then: RemainderPolicy) -> PreparedCommand {
    debit("alpha", request_id, 4, Category::Usage, Some(reservation), then)
}

pub fn top_up(account: &str, request_id: &str) -> PreparedCommand {
    prepared(account, request_id, Action::TopUp { amount: DecimalAmount::new(100, 0) })
}

/// Something of everything that writes to a key of its own.
pub fn rich_batch() -> Vec<PreparedCommand> {
    let update = Action::Update {
        name: Some("Renamed".into()),
        low_credit_threshold: Some(None),
        non_usage_billing: Some(NonUsageBilling::OneByOne),
    };
    let limit = LimitChange { permanent: Some(DecimalAmount::new(50, 0)), temporary: TemporaryChange::Remove };
    vec![
        create("gamma", Mode::Prepaid, NonUsageBilling::Consolidated),
        authorize("open-new", 30),
        against("settle", "to-settle", RemainderPolicy::Settle),
        against("keep", "to-keep", RemainderPolicy::Keep),
        against("extend", "to-extend", RemainderPolicy::Reserve(reserve(20, 40))),
        prepared("alpha", "release", Action::Release { reservation: "to-release".into() }),
        refund("alpha", "refund", "charge"),
        plain("alpha", "charge", 5),
        plain("alpha", "declined", 100_000),
        // Its period is closed by it, so that it gives back of a bill.
        refund("delta", "refund-billed", "unbilled"),
        debit("delta", "own-bill", 7, Category::Service, None, RemainderPolicy::Settle),
        prepared("beta", "update", update),
        prepared("beta", "convert", Action::Convert { mode: Mode::Prepaid, limit, allow_unusable: true }),
        plain("straight", "straight-1", 3),
        plain("straight", "straight-2", 3),
    ]
}

pub struct Stage {
    _server: RedisServer,
    pub clock: Clock,
    pub engine: RedisEngine,
    connection: MultiplexedConnection,
    pub keys: PartitionKeys,
    _work: tokio::task::JoinHandle<()>,
}

impl Stage {
    /// An empty store, at that time.
    pub async fn empty(now: UnixMillis) -> Self {
        // Small hashes are kept in the order of their making; in large ones, Redis moves records even when they are read.
        let packed = ["--hash-max-listpack-value", "4096", "--hash-max-listpack-entries", "4096"];
        let (server, clock) = (RedisServer::start(Path::new("redis-server"), &packed), Clock::manual(now, TimeZone::UTC));
        let options = RedisOptions {
            url: server.url(),
            tls: Default::default(),
            store_name: unique_name(),
            response_timeout: Duration::from_secs(30),
            busy_poll: Default::default(),
            durability: platform::durability::Durability::Engine,
            durability_timeout: Duration::from_millis(300),
        };
        let keys = PartitionKeys::new(&options.store_name, 0, settings().partitions);
        let engine = connect(options, settings(), clock.clone()).await.unwrap();
        let connection = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let work = tokio::spawn(engine.work());
        Self { _server: server, clock, engine, connection, keys, _work: work }
    }

    /// A store in which both generations of requests hold something, somebody watches, a reservation and a close are due, and the rich
    /// batch has what it refers to.
    pub async fn new() -> Self {
        let stage = Self::empty(START).await;
        let accounts = [
            create("alpha", Mode::Prepaid, NonUsageBilling::Consolidated),
            create("beta", Mode::Postpaid, NonUsageBilling::Consolidated),
            create("delta", Mode::Postpaid, NonUsageBilling::OneByOne),
            create("straight", Mode::Prepaid, NonUsageBilling::Consolidated),
            top_up("alpha", "old"),
        ];
        stage.ask(accounts.into()).await;
        stage.clock.set(START + WINDOW);
        stage.engine.sweep(0).await.unwrap();
        let before = vec![
            authorize("to-settle", 30),
            authorize("to-keep", 30),
            authorize("to-extend", 30),
            authorize("to-release", 30),
            authorize("due", 1),
            plain("alpha", "charge", 5),
            plain("beta", "billed", 5),
            plain("delta", "unbilled", 5),
            prepared("alpha", "", Action::Observe { watch: true }),
        ];
        stage.ask(before).await;
        stage.clock.set(START + WINDOW + 12 * MINUTE);
        stage
    }

    pub async fn ask(&self, commands: Vec<PreparedCommand>) -> Vec<Answer> {
        let commands: Arc<[PreparedCommand]> = commands.into();
        let answers = self.engine.apply(0, commands).await.unwrap().answers.read().unwrap();
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        answers
    }

    pub async fn dump(&self) -> Dumped {
        let mut connection = self.connection.clone();
        let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let mut dumped = Dumped::new();
        for name in names {
            let value: Vec<u8> = redis::cmd("DUMP").arg(&name).query_async(&mut connection).await.unwrap();
            dumped.insert(name, value);
        }
        dumped
    }

    /// Makes the store what it was, and returns it as it is dumped now: Redis may keep the same in another order.
    pub async fn restore(&self, dumped: &Dumped) -> Dumped {
        let mut connection = self.connection.clone();
        redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
        for (name, value) in dumped {
            redis::cmd("RESTORE").arg(name).arg(0).arg(value).exec_async(&mut connection).await.unwrap();
        }
        self.dump().await
    }

    /// What the store holds, whatever the order in which Redis keeps it.
    pub async fn contents(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        let mut connection = self.connection.clone();
        let mut contents = BTreeMap::new();
        for name in &self.keys.all {
            let kind: String = redis::cmd("TYPE").arg(name).query_async(&mut connection).await.unwrap();
            let mut records: Vec<Vec<u8>> = match kind.as_str() {
                "hash" => {
                    let fields: BTreeMap<Vec<u8>, Vec<u8>> = redis::cmd("HGETALL").arg(name).query_async(&mut connection).await.unwrap();
                    fields.into_iter().map(|(field, value)| [field, value].concat()).collect()
                }
                "zset" => {
                    let members: Vec<(Vec<u8>, f64)> =
                        redis::cmd("ZRANGE").arg(name).arg(0).arg(-1).arg("WITHSCORES").query_async(&mut connection).await.unwrap();
                    members.into_iter().map(|(member, score)| [member, score.to_le_bytes().to_vec()].concat()).collect()
                }
                _ => vec![redis::cmd("DUMP").arg(name).query_async(&mut connection).await.unwrap()],
            };
            records.sort_unstable();
            contents.insert(name.clone(), records);
        }
        contents
    }

    /// Runs a script whose call of that number fails, from 1 on; returns which command that was, or none, where it makes fewer.
    pub async fn fail_at(&self, number: usize, script: &str, arguments: &[&[u8]]) -> Option<String> {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(self.keys.all.len()).arg(&self.keys.all).arg(arguments).arg(number);
        match command.query_async::<redis::Value>(&mut self.connection.clone()).await {
            Ok(_) => None,
            Err(error) => {
                let text = error.to_string();
                let (_, failed) = text.split_once("torn at ").unwrap_or_else(|| panic!("call {number}: {text}"));
                Some(failed.split([' ', ',']).next().unwrap_or_default().to_owned())
            }
        }
    }

    pub fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    pub fn packed(&self, commands: &[PreparedCommand]) -> [Vec<u8>; 5] {
        let packed = batch::encode(commands, &BatchTime::of(&self.clock, WINDOW), -1, ([7; 16], self.engine.identity().id.mark()), false);
        [packed.commands, packed.ids, packed.metadata, self.keys.channel.clone().into_bytes(), packed.legacy_fingerprints]
    }

    pub async fn is_refused_as_torn(&self, commands: Vec<PreparedCommand>) {
        let torn = self.dump().await;
        let refused = self.engine.apply(0, commands.into()).await.err();
        assert!(matches!(&refused, Some(LedgerError::Corrupt(reason)) if reason.contains("torn")), "{refused:?}");
        assert!(self.dump().await == torn, "a step behind a torn one writes nothing");
        let refused = self.engine.sweep(0).await.err();
        assert!(matches!(&refused, Some(LedgerError::Corrupt(reason)) if reason.contains("torn")), "{refused:?}");
        assert!(self.dump().await == torn, "a sweep behind a torn step writes nothing");
    }
}

/// The script, whose calls are counted, and fail at the number that is its last argument. Its lines keep their numbers.
pub fn counted(script: &Script) -> String {
    let counting = "local calls, fatal = 0, tonumber(ARGV[#ARGV]) \
                    local function may(name) calls = calls + 1 return calls ~= fatal end \
                    local function counted(...) if not may() then error({ err = 'ERR torn at ' .. (...) }) end return redis.call(...) end \
                    local function tried(...) if not may() then return { err = 'ERR torn at ' .. (...) } end return redis.pcall(...) end";
    let text = script
        .text
        .replacen("= redis.call,", "= counted,", 1)
        .replacen("= redis.call\n", "= counted\n", 1)
        .replace("redis.pcall(", "tried(");
    assert_eq!(text.matches("redis.call").count(), 0, "every call is counted");
    let (shebang, rest) = text.split_once('\n').unwrap();
    format!("{shebang}\n{counting}{rest}")
}

#[tokio::test]
async fn a_step_that_fails_up_to_its_first_write_changes_nothing_and_a_torn_one_is_found_by_the_next() {
    let stage = Stage::new().await;
    let before = stage.dump().await;
    let script = counted(&BATCH);
    let packed = stage.packed(&rich_batch());
    let arguments = packed.each_ref().map(Vec::as_slice);
    let (mut failed, mut is_written) = (Vec::new(), false);
    for number in 1.. {
        let before = stage.restore(&before).await;
        let Some(name) = stage.fail_at(number, &script, &arguments).await else { break };
        let is_same = stage.dump().await == before;
        assert_eq!(is_same, !is_written, "call {number}, {name}, after {failed:?}");
        if is_written {
            // Whatever it is that has an entry: on accounts of the torn step, by its request ids, or on others.
            stage.is_refused_as_torn(vec![top_up("straight", "after")]).await;
            stage.is_refused_as_torn(vec![plain("alpha", "after", 1), plain("gamma", "after", 1), plain("straight", "after", 1)]).await;
            // And what has none, but tells of what was decided: repetitions, declines, refusals.
            stage.is_refused_as_torn(vec![plain("alpha", "charge", 5)]).await;
            stage.is_refused_as_torn(vec![plain("beta", "billed", 5)]).await;
            stage.is_refused_as_torn(vec![plain("straight", "after", 100_000)]).await;
            stage.is_refused_as_torn(vec![plain("gamma", "after", 1)]).await;
            stage
                .is_refused_as_torn(vec![create("new", Mode::Prepaid, NonUsageBilling::Consolidated), refund("alpha", "after", "charge")])
                .await;
        }
        is_written |= name == "XADD";
        failed.push(name);
    }
    // Sorted, because the order of some is that of a table in Lua. The first is what is remembered.
    let (reads, writes) = failed.split_at(failed.iter().position(|name| name == "XADD").unwrap());
    assert!(["HMGET", "HGET", "ZRANGEBYLEX"].iter().all(|name| reads.iter().any(|read| read == name)), "{reads:?}");
    let expected = ["XADD", "HSET", "ZADD", "ZADD", "HDEL", "ZREM", "ZREM", "HSET", "HSET", "ZREM", "ZADD", "HSET", "ZADD", "HSET", "HSET"];
    assert_eq!(sorted(writes), sorted(&expected.map(str::to_owned)), "the batch has something of every write: {writes:?}");

    // Undisturbed, it is what the engine does.
    let whole = stage.contents().await;
    let replayed = stage.ask(rich_batch()).await;
    let is_decided = |answer: &Answer| {
        answer.as_ref().is_ok_and(|outcome| {
            outcome.replayed && outcome.decision.is_some_and(|decision| matches!(decision.verdict, Verdict::Done | Verdict::Declined))
        })
    };
    assert!(replayed.iter().all(is_decided), "{replayed:?}");
    assert!(stage.contents().await == whole);
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_sweep_that_fails_at_any_call_is_made_whole_by_the_next() {
    let stage = Stage::new().await;
    stage.ask(rich_batch()).await;
    // The younger requests go, and what is due is swept.
    stage.clock.set(stage.clock.now() + 2 * WINDOW);
    let before = stage.dump().await;
    stage.engine.sweep(0).await.unwrap();
    let whole = stage.contents().await;
    let script = counted(&SWEEP);
    let times = [stage.clock.now().get(), -1, WINDOW].map(i64::to_le_bytes).concat();
    let times = [times, stage.engine.identity().id.mark().to_vec()].concat();
    let (mut failed, mut is_written) = (Vec::new(), false);
    for number in 1.. {
        let before = stage.restore(&before).await;
        let Some(name) = stage.fail_at(number, &script, &[&times, stage.keys.channel.as_bytes()]).await else { break };
        if !is_written {
            assert!(stage.dump().await == before, "call {number}, {name}, after {failed:?}");
        }
        while stage.engine.sweep(0).await.unwrap() {}
        assert!(stage.contents().await == whole, "call {number}, {name}, after {failed:?}");
        is_written |= name == "UNLINK";
        failed.push(name);
    }
    let writes = failed.split_off(failed.iter().position(|name| name == "UNLINK").unwrap());
    assert_eq!(writes, ["UNLINK", "HSET", "HSET", "ZREM", "HDEL", "ZREM", "HSET"]);
}
