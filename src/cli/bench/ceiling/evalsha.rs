//! The least that a debit in Redis can be: one EVALSHA for each, which checks the balance, keeps the request id and a usage record; sent
//! in pipelines over many connections (closed loop), or one by one at a constant rate (open loop).

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, Pipeline};
use tokio::sync::Semaphore;

use super::Common;
use crate::cli::bench::accounts::Picker;
use crate::cli::bench::answer::Failure;
use crate::cli::bench::measure::Measure;
use crate::cli::bench::mix::Kind;
use crate::cli::bench::schedule::{Schedule, Timer};

/// The whole of it, as lean as it can be: a dearer one would make the service look better. Amounts are cents; an account that is not there
/// has a trillion of them.
const SCRIPT: &str = r"
local account, request, cents = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HSETNX', KEYS[2], request, cents) == 0 then return redis.call('HGET', KEYS[2], request) end
if (redis.call('HGET', KEYS[1], account) or 0) + 1e12 < tonumber(cents) then return -1 end
redis.call('HINCRBY', KEYS[1], account, '-' .. cents)
redis.call('XADD', KEYS[3], '*', 'u', ARGV[4])
return 1
";

/// What the usage record holds.
const RECORD: &str = "account-12345 request-12345678 42 sms-domestic";

const KEYS: [&str; 3] = ["{ceiling}:accounts", "{ceiling}:requests", "{ceiling}:usage"];

/// How many may be open in the open loop.
const MAX_OPEN: usize = 50_000;

/// How long after its end the open loop goes on to send what was due before.
const LATENESS: Duration = Duration::from_secs(10);

/// After how many sends without a pause the answers get their turn.
const SENDS_IN_A_ROW: u64 = 16;

/// Which Redis, and how.
#[derive(Args, Debug)]
pub struct EvalshaOptions {
    /// The Redis to measure; its keys of an earlier measurement are deleted.
    #[arg(long, value_name = "URL")]
    redis: String,
    /// Connections.
    #[arg(long, default_value = "50", value_name = "COUNT")]
    connections: NonZeroUsize,
    /// Debits sent together on each.
    #[arg(long, default_value = "16", value_name = "COUNT")]
    pipeline: NonZeroUsize,
    /// Debits a second, one by one (open loop).
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    #[command(flatten)]
    common: Common,
}

/// What all connections share.
struct Load {
    hash: String,
    picker: Picker,
    numbers: AtomicU64,
    measure: Mutex<Measure>,
}

/// Measures it.
pub async fn run(options: &EvalshaOptions) -> anyhow::Result<Measure> {
    let info = options.redis.as_str().into_connection_info()?;
    let settings = info.tcp_settings().clone().set_nodelay(true);
    let client = Client::open(info.set_tcp_settings(settings))?;
    // No answer is given up: one that is late is a latency.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let mut connections = Vec::new();
    for _ in 0..options.connections.get() {
        connections.push(client.get_multiplexed_async_connection_with_config(&config).await.context("cannot connect to Redis")?);
    }
    let mut first = connections.first().cloned().context("there is no connection")?;
    redis::cmd("UNLINK").arg(&KEYS).exec_async(&mut first).await?;
    let hash: String = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut first).await?;

    let (window, end) = options.common.window();
    let measure = Mutex::new(Measure::new(window)?);
    let load = Arc::new(Load { hash, picker: options.common.picker()?, numbers: AtomicU64::new(0), measure });
    match options.rate {
        Some(rate) => open_loop(&load, &connections, rate, end).await?,
        None => {
            let pipeline = options.pipeline.get();
            let tasks = connections.into_iter().map(|connection| tokio::spawn(closed_loop(Arc::clone(&load), connection, pipeline, end)));
            try_join_all(tasks).await?.into_iter().collect::<anyhow::Result<()>>()?;
        }
    }
    redis::cmd("UNLINK").arg(&KEYS).exec_async(&mut first).await?;
    let load = Arc::into_inner(load).context("a connection is still in use")?;
    Ok(load.measure.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl Load {
    /// Puts the next debit into a pipeline.
    fn put(&self, pipeline: &mut Pipeline) {
        let account = self.picker.pick(&mut rand::rng());
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut digits = itoa::Buffer::new();
        let command = pipeline.cmd("EVALSHA").arg(&self.hash).arg(KEYS.len()).arg(&KEYS).arg(account);
        command.arg(["request-", digits.format(number)].concat()).arg(1 + number % 99).arg(RECORD);
    }

    fn measure(&self) -> MutexGuard<'_, Measure> {
        self.measure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn closed_loop(load: Arc<Load>, mut connection: MultiplexedConnection, count: usize, end: Instant) -> anyhow::Result<()> {
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(());
        }
        let mut pipeline = Pipeline::with_capacity(count);
        (0..count).for_each(|_| load.put(&mut pipeline));
        let _: Vec<i64> = pipeline.query_async(&mut connection).await?;
        load.measure().time(Kind::Debit, began, Instant::now(), count as u64);
    }
}

async fn open_loop(load: &Arc<Load>, connections: &[MultiplexedConnection], rate: f64, end: Instant) -> anyhow::Result<()> {
    let timer = Timer::new()?;
    let open = Arc::new(Semaphore::new(MAX_OPEN));
    let mut schedule = Schedule::new(Instant::now(), rate);
    for (sent, connection) in (0_u64..).zip(connections.iter().cycle()) {
        let due = schedule.due();
        if due >= end {
            break;
        }
        if Instant::now() > end + LATENESS {
            load.measure().not_sent += schedule.left_before(end);
            break;
        }
        timer.until(due).await?;
        let permit = Arc::clone(&open).acquire_owned().await?;
        let (load, mut connection) = (Arc::clone(load), connection.clone());
        tokio::spawn(async move {
            let mut pipeline = Pipeline::with_capacity(1);
            load.put(&mut pipeline);
            let answer: Result<Vec<i64>, _> = pipeline.query_async(&mut connection).await;
            match answer {
                Ok(_) => load.measure().time(Kind::Debit, due, Instant::now(), 1),
                Err(error) => load.measure().fail(&Failure { kind: error.to_string(), is_unknown: false }),
            }
            drop((load, permit));
        });
        schedule.advance();
        if sent % SENDS_IN_A_ROW == 0 {
            tokio::task::yield_now().await;
        }
    }
    let _ = open.acquire_many(MAX_OPEN as u32).await?;
    Ok(())
}
