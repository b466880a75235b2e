//! A store of format version 2, whose migration is interrupted: before any command reaches Redis, behind any (its answer is lost), and at
//! any call within its script. Opened once more, it is what it is without the interruption.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::redis::keys::PartitionKeys;
use tollgate::ledger::redis::script::MIGRATE;
use tollgate::ledger::redis::{RedisLedger, RedisOptions};
use tollgate::ledger::{Opening, StoreSettings};

use super::torn::counted;
use crate::support::{RedisServer, temporary_folder};

/// In the state: until when old fingerprints are known, which the clock says; and the ledger's mark, which is made at random.
const BY_CHANCE: [std::ops::Range<usize>; 2] = [73..81, 105..113];

type Contents = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

struct Kept {
    server: RedisServer,
    connection: MultiplexedConnection,
    dumped: Vec<(String, Vec<u8>)>,
}

fn settings() -> StoreSettings {
    StoreSettings { partitions: 4, billing_time_zone: "UTC".into(), window: 86_400_000 }
}

fn options(socket: &Path) -> RedisOptions {
    RedisOptions {
        url: format!("redis+unix://{}", socket.display()),
        tls: Default::default(),
        store_name: "tollgate".into(),
        response_timeout: Duration::from_secs(10),
        busy_poll: Duration::ZERO,
        durability: platform::durability::Durability::Engine,
        durability_timeout: Duration::from_millis(300),
    }
}

impl Kept {
    async fn new() -> Self {
        let server = RedisServer::holding(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/4540194/dump.rdb"));
        let mut connection = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let mut dumped = Vec::new();
        for name in names {
            let value = redis::cmd("DUMP").arg(&name).query_async(&mut connection).await.unwrap();
            dumped.push((name, value));
        }
        Self { server, connection, dumped }
    }

    async fn put_back(&self) {
        let mut connection = self.connection.clone();
        redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
        for (name, value) in &self.dumped {
            redis::cmd("RESTORE").arg(name).arg(0).arg(value).exec_async(&mut connection).await.unwrap();
        }
    }

    /// Opens it as a service does.
    async fn open(&self) -> Contents {
        let ledger = RedisLedger::open(options(&self.server.socket()), settings(), Opening::Serving).await.unwrap();
        ledger.connect(tollgate::clock::Clock::manual(UnixMillis::NONE, jiff::tz::TimeZone::UTC)).await.unwrap();
        let mut connection = self.connection.clone();
        let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let mut contents = Contents::new();
        for name in names.into_iter().filter(|name| !name.ends_with(":settings")) {
            let kind: String = redis::cmd("TYPE").arg(&name).query_async(&mut connection).await.unwrap();
            let mut fields: BTreeMap<Vec<u8>, Vec<u8>> = match kind.as_str() {
                "hash" => redis::cmd("HGETALL").arg(&name).query_async(&mut connection).await.unwrap(),
                "zset" => redis::cmd("ZRANGE").arg(&name).arg(0).arg(-1).arg("WITHSCORES").query_async(&mut connection).await.unwrap(),
                _ => BTreeMap::from([(Vec::new(), redis::cmd("DUMP").arg(&name).query_async(&mut connection).await.unwrap())]),
            };
            if name.ends_with(":accounts") {
                let state = fields.get_mut(&Vec::new()).unwrap();
                BY_CHANCE.into_iter().for_each(|place| state[place].fill(0));
            }
            contents.insert(name, fields);
        }
        contents
    }
}

/// Passes on what is said to Redis, over one connection after another, up to the command of that number, from 1 on. That is lost, or its
/// answer is; and the connection, and Redis with it.
async fn cut(listener: UnixListener, redis: PathBuf, number: usize, is_answer_lost: bool) {
    let (mut asked, mut answered) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut count = 0;
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = UnixStream::connect(&redis).await.unwrap();
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Ok(length @ 1..) = read else { break };
                    count += 1;
                    if count == number && !is_answer_lost {
                        return;
                    }
                    server.write_all(&asked[..length]).await.unwrap();
                }
                read = server.read(&mut answered) => {
                    let Ok(length @ 1..) = read else { break };
                    if count == number {
                        return;
                    }
                    if client.write_all(&answered[..length]).await.is_err() {
                        break;
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_migration_that_loses_redis_at_any_command_is_gone_on_with() {
    let kept = Kept::new().await;
    let whole = kept.open().await;
    let folder = temporary_folder();
    for is_answer_lost in [false, true] {
        for number in 1.. {
            kept.put_back().await;
            let socket = folder.path().join(format!("{number}-{is_answer_lost}"));
            let between = tokio::spawn(cut(UnixListener::bind(&socket).unwrap(), kept.server.socket(), number, is_answer_lost));
            let opened = RedisLedger::open(options(&socket), settings(), Opening::Serving).await;
            between.abort();
            if opened.is_ok() {
                assert!(number > 20, "a migration has {number} commands");
                break;
            }
            assert!(kept.open().await == whole, "command {number}, {is_answer_lost}");
        }
    }
}

#[tokio::test]
async fn a_migration_whose_script_fails_at_any_call_is_gone_on_with() {
    let kept = Kept::new().await;
    let whole = kept.open().await;
    let failing = counted(&MIGRATE);
    let (mut failed, mut step) = (0, 0);
    // The script's runs, one after another; and each call of each.
    'steps: loop {
        for fatal in 1.. {
            kept.put_back().await;
            let mut connection = kept.connection.clone();
            let head: String = redis::cmd("GET").arg("tollgate:settings").query_async(&mut connection).await.unwrap();
            let mut head: serde_json::Value = serde_json::from_str(&head).unwrap();
            head["format_version"] = 3.into();
            head["is_being_migrated"] = true.into();
            head["legacy_until"] = 2_000_000_000_000_i64.into();
            redis::cmd("SET").arg("tollgate:settings").arg(head.to_string()).exec_async(&mut connection).await.unwrap();
            let mut runs = 0;
            let mut is_failed = None;
            'partitions: for partition in PartitionKeys::of_store("tollgate", 4) {
                let keys: Vec<String> = partition.all.iter().cloned().chain(partition.legacy()).collect();
                let (mut phase, mut cursor) = ("keys".to_owned(), "0".to_owned());
                while phase != "done" {
                    let number = if runs == step { fatal } else { 0 };
                    let mut command = redis::cmd("EVAL");
                    command.arg(&failing).arg(keys.len()).arg(&keys).arg(&phase).arg(&cursor).arg(2_000_000_000_000_i64).arg(number);
                    match command.query_async(&mut connection).await {
                        Ok(next) => (phase, cursor) = next,
                        Err(error) => {
                            assert!(error.to_string().contains("torn at"), "{error}");
                            is_failed = Some(error);
                            break 'partitions;
                        }
                    }
                    runs += 1;
                    if runs > step {
                        break 'partitions;
                    }
                }
            }
            if runs < step {
                break 'steps;
            }
            assert!(kept.open().await == whole, "run {step}, call {fatal}: {is_failed:?}");
            if is_failed.is_none() {
                break;
            }
            failed += 1;
        }
        step += 1;
    }
    assert!(step >= 16 && failed > 50, "{step} runs, {failed} calls failed");
}
