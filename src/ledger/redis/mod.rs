//! The ledger in Redis (7.0 or newer, or Valkey): the rules as Lua, beside the data.
//!
//! [`keys`] says what is kept where, [`script`] and `lua/load.lua` what happens to it, [`batch`] how a batch travels, [`connect`] how Redis is
//! reached, [`topology`] which server has what, [`connection`] how a connection is kept, [`routes`] how partitions are led to connections,
//! [`opening`] how a ledger is created and found, [`preflight`] what a store must be like, [`finish`] how a step that was torn is made whole,
//! [`notifications`] how changes made by other processes become known.
//!
//! A batch is run once: it is sent again only if it provably did not run ([`reply_failure`]). If its answer does not come, its callers get an error
//! that says so, and repeat it with their request ids if they want to.

mod acknowledged;
pub mod batch;
mod callers;
mod connect;
pub mod connection;
mod connection_log;
mod damaged;
pub mod finish;
mod health;
pub mod keys;
mod last_check;
mod listing;
mod losses;
mod nodes;
pub mod notifications;
pub mod opening;
pub mod preflight;
mod proof;
mod read;
pub mod rechecks;
mod reply;
pub mod reply_failure;
pub mod restore;
pub mod routes;
pub mod script;
pub mod sending;
mod server_check;
mod server_stats;
mod step;
mod stored;
pub mod topology;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending, try_join, try_join4};
use redis::{FromRedisValue, Value};

use super::codec::{decode_account, decode_idempotency_record, decode_profile};
use super::watch::Watchers;
use super::{
    Answering, BatchAnswer, Block, CopiedCallers, DuePage, Engine, IdempotencyKey, Identity, JournalSpan, LedgerError, NamePlace, Opening,
    PreparedCommand, ReservationPlace, Sizes, StoreSettings, Trimmer,
};
use acknowledged::Acknowledged;
use connection::Work;
use domain::account::{Account, Profile, Reservation};
use domain::ids::AccountId;
use domain::rules::IdempotencyRecord;
use domain::time::{Millis, UnixMillis};
use keys::PartitionKeys;
use last_check::{Checks, ensure};
use losses::Losses;
use platform::clock::Clock;
use platform::durability::Durability;
use platform::tls::ClientTls;
use preflight::Expected;
use routes::Routes;
use sending::Wait;
use topology::Topology;

/// How far ahead of Redis a step may be, and this machine's clock off.
pub const MAX_CLOCK_DIFFERENCE: Millis = 2_000;

/// Where Redis is, and how long to wait for it.
#[derive(Clone)]
pub struct RedisOptions {
    /// What [`RedisPlace`](platform::redis_place::RedisPlace) reads.
    pub url: String,
    /// Of `rediss://…`.
    pub tls: ClientTls,
    /// The first part of all keys.
    pub store_name: String,
    /// A connection that gave no answer for so long is given up.
    pub response_timeout: Duration,
    /// What an acknowledgement proves.
    pub durability: Durability,
    /// How long replicas may take to have something.
    pub durability_timeout: Duration,
    /// Where one lonely command follows another: for how long a thread looks out for its answer before it sleeps.
    pub busy_poll: Duration,
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        formatter.debug_struct("RedisOptions").field("store_name", &self.store_name).finish_non_exhaustive()
    }
}

/// The ledger in a Redis, which is there, and is the one that it should be. All connections of a process are made by one of these.
#[derive(Clone, Debug)]
pub struct RedisLedger {
    options: RedisOptions,
    settings: StoreSettings,
    topology: Arc<Topology>,
    expected: Arc<Expected>,
    checks: Checks,
    losses: Losses,
    watchers: Watchers,
}

impl RedisLedger {
    /// Opens it, and creates it only if `opening` says so.
    pub async fn open(options: RedisOptions, settings: StoreSettings, opening: Opening) -> anyhow::Result<Self> {
        let topology = Topology::find(&options).await?;
        let identity = opening::open(&options, &topology, &settings, opening).await?;
        let expected = Arc::new(Expected::new(&options.store_name, &settings, identity));
        let (checks, losses) = (Checks::new(settings.partitions), Losses::new(settings.partitions));
        Ok(Self { options, settings, topology, expected, checks, losses, watchers: Watchers::default() })
    }

    /// The same ledger, which announces to these watchers what its engines change.
    #[must_use]
    pub fn announcing_to(self, watchers: Watchers) -> Self {
        Self { watchers, ..self }
    }

    /// Which ledger it is, and where.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.expected.identity()
    }

    /// Where it is.
    #[must_use]
    pub fn options(&self) -> &RedisOptions {
        &self.options
    }

    /// Passes changes made by other processes on to the watchers, for ever.
    pub async fn listen(&self) {
        notifications::listen(self.options.clone(), Arc::clone(&self.topology), self.settings.partitions, self.watchers.clone()).await;
    }

    /// Connects, and refuses a store that is not as it should be.
    pub async fn connect(&self, clock: Clock) -> anyhow::Result<RedisEngine> {
        let Self { options, settings, topology, expected, checks, losses, watchers } = self.clone();
        let partitions = PartitionKeys::of_store(&options.store_name, settings.partitions);
        let (busy_poll, proof) = (options.busy_poll, options.proof());
        let refund_cursors = partitions.iter().map(|_| AtomicU64::new(0)).collect();
        let acknowledged = Arc::new(Acknowledged::new(partitions.len(), proof));
        let check = (self.preflight(&clock, &acknowledged), self.on_its_way(&acknowledged));
        let (routes, work) = Routes::open(topology, options, &partitions, proof.is_some(), check).await?;
        let (work, window, is_silent) = (Mutex::new(Some(work)), settings.window, AtomicBool::new(false));
        Ok(RedisEngine {
            routes,
            work,
            partitions,
            expected,
            checks,
            losses,
            acknowledged,
            watchers,
            clock,
            window,
            busy_poll,
            proof,
            is_silent,
            refund_cursors,
            figures_looked_at: Mutex::default(),
            looked: Mutex::default(),
            servers_shown: Mutex::default(),
        })
    }
}

/// The ledger in Redis, over connections of one thread.
pub struct RedisEngine {
    routes: Arc<Routes>,
    work: Mutex<Option<Work>>,
    partitions: Vec<PartitionKeys>,
    expected: Arc<Expected>,
    checks: Checks,
    losses: Losses,
    acknowledged: Arc<Acknowledged>,
    watchers: Watchers,
    clock: Clock,
    window: Millis,
    busy_poll: Duration,
    /// Replicas that must have a write before it is acknowledged.
    proof: Wait,
    /// It was said that changes cannot be announced.
    is_silent: AtomicBool,
    /// Where the next slice of each partition's sums begins that were given back.
    refund_cursors: Vec<AtomicU64>,
    /// When Redis was last asked for the figures that metrics show.
    figures_looked_at: Mutex<Option<Instant>>,
    looked: Mutex<health::HealthChecks>,
    /// The servers that metrics show because of this engine.
    servers_shown: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for RedisEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RedisEngine").field("routes", &self.routes).field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

impl RedisEngine {
    /// Connects to a ledger, which must be there.
    pub async fn connect(options: RedisOptions, settings: StoreSettings, clock: Clock) -> anyhow::Result<Self> {
        RedisLedger::open(options, settings, Opening::Existing).await?.connect(clock).await
    }

    fn keys(&self, partition: u16) -> Result<&PartitionKeys, LedgerError> {
        self.partitions.get(usize::from(partition)).ok_or_else(|| LedgerError::corrupt("no such partition"))
    }
}

impl Engine for RedisEngine {
    fn identity(&self) -> &Identity {
        self.expected.identity()
    }

    fn partitions(&self) -> u16 {
        u16::try_from(self.partitions.len()).unwrap_or(u16::MAX)
    }

    fn apply(&self, partition: u16, commands: Arc<[PreparedCommand]>) -> Answering<'_, BatchAnswer> {
        self.decide(partition, commands).boxed()
    }

    fn sweep(&self, partition: u16) -> Answering<'_, bool> {
        self.sweep_slice(partition).boxed()
    }

    fn load(&self, partition: u16, accounts: Vec<AccountId>) -> Answering<'_, Vec<Option<(Account, Profile)>>> {
        async move {
            if accounts.is_empty() {
                return Ok(Vec::new());
            }
            let keys = self.keys(partition)?;
            let ids: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
            let command = |key| redis::cmd("HMGET").arg(key).arg(&ids).clone();
            let (stored, profiles) = (command(keys.accounts()), command(keys.profiles()));
            let (stored, profiles) = try_join(self.read::<Vec<Bytes>>(keys, &stored), self.read::<Vec<Bytes>>(keys, &profiles)).await?;
            let pairs = accounts.iter().zip(stored.into_iter().zip(profiles)).map(|(id, pair)| {
                let account = damaged::readable(id, decode_account(&pair.0?))?;
                Some((account, damaged::readable(id, decode_profile(&pair.1?))?))
            });
            Ok(pairs.collect())
        }
        .boxed()
    }

    fn names(&self, partition: u16, prefix: String, after: Option<NamePlace>, count: usize) -> Answering<'_, Vec<NamePlace>> {
        self.list_names(partition, prefix, after, count).boxed()
    }

    fn reservations(
        &self,
        partition: u16,
        account: AccountId,
        after: Option<ReservationPlace>,
        count: usize,
    ) -> Answering<'_, Vec<(IdempotencyKey, Reservation)>> {
        self.list_reservations(partition, account, after, count).boxed()
    }

    fn remembered(&self, partition: u16, key: IdempotencyKey) -> Answering<'_, Option<IdempotencyRecord>> {
        async move {
            let keys = self.keys(partition)?;
            for generation in keys.requests() {
                let stored: Option<Vec<u8>> = self.read(keys, redis::cmd("HGET").arg(generation).arg(&key.0)).await?;
                if let Some(stored) = stored {
                    return decode_idempotency_record(&stored).map(Some).map_err(LedgerError::corrupt);
                }
            }
            Ok(None)
        }
        .boxed()
    }

    fn blocks_before(&self, partition: u16, before: Option<u64>, count: usize) -> Answering<'_, Vec<Block>> {
        async move {
            let keys = self.keys(partition)?;
            let newest = before.map_or_else(|| "+".to_owned(), |before| format!("({before}-0"));
            // The stream begins with a sentinel, 0-1.
            let mut command = redis::cmd("XREVRANGE");
            command.arg(keys.journal()).arg(newest).arg("1-0").arg("COUNT").arg(count);
            self.blocks(keys, &command).await
        }
        .boxed()
    }

    fn blocks_after(&self, partition: u16, after: u64, count: usize) -> Answering<'_, Vec<Block>> {
        async move {
            let keys = self.keys(partition)?;
            let mut command = redis::cmd("XRANGE");
            command.arg(keys.journal()).arg(format!("{}-0", after.saturating_add(1))).arg("+").arg("COUNT").arg(count);
            self.proved_blocks(keys, &command).await
        }
        .boxed()
    }

    fn trim(&self, partition: u16, below: u64, by: Trimmer) -> Answering<'_, bool> {
        self.trim_slice(partition, below, by).boxed()
    }

    fn note_reader(&self, partition: u16, is_read: bool) -> Answering<'_, ()> {
        self.set_reader(partition, is_read).boxed()
    }

    fn idempotency_window(&self) -> Millis {
        self.window
    }

    fn journal_span(&self, partition: u16) -> Answering<'_, JournalSpan> {
        async move {
            let keys = self.keys(partition)?;
            let span = self.run(&script::SPAN, keys, &[&self.mark()]).await.map_err(LedgerError::of_read)?;
            let (first, next, now, is_read, is_torn, expires, rotated): (_, _, i64, i64, i64, i64, i64) =
                FromRedisValue::from_redis_value(span).map_err(LedgerError::corrupt)?;
            // An aggregator that took another ledger's journal for this one would stop its partition.
            self.read::<bool>(keys, redis::cmd("EXISTS").arg(keys.journal())).await?;
            let due_from = UnixMillis::new(expires.min(rotated.saturating_add(self.window)));
            Ok(JournalSpan { first, next, now: UnixMillis::new(now), is_read: is_read != 0, is_torn: is_torn != 0, due_from })
        }
        .boxed()
    }

    fn sizes(&self, partition: u16) -> Answering<'_, Sizes> {
        async move {
            let keys = self.keys(partition)?;
            let [younger, older] = keys.requests();
            let counts = [keys.accounts(), keys.reservations(), younger, older].map(|key| async move {
                // Each holds an empty field besides, so that it is always there.
                Ok::<_, LedgerError>(self.read::<u64>(keys, redis::cmd("HLEN").arg(key)).await?.saturating_sub(1))
            });
            let [accounts, reservations, younger, older] = counts;
            let (accounts, reservations, younger, older) = try_join4(accounts, reservations, younger, older).await?;
            Ok(Sizes { accounts, reservations, request_ids: younger + older })
        }
        .boxed()
    }

    fn due_accounts(&self, partition: u16, cursor: Option<String>, count: usize, now: UnixMillis) -> Answering<'_, DuePage> {
        self.list_due(partition, cursor, count, now).boxed()
    }

    fn torn_step(&self, partition: u16) -> Answering<'_, Option<Block>> {
        async move { Ok(self.find_torn(partition).await?.map(|torn| torn.block)) }.boxed()
    }

    fn finish_step(&self, partition: u16) -> Answering<'_, Option<Block>> {
        self.finish(partition).boxed()
    }

    fn loss(&self, partition: u16) -> Option<String> {
        self.losses.problem(partition)
    }

    fn lost_blocks(&self, partition: u16) -> Answering<'_, Vec<Block>> {
        self.read_lost(partition).boxed()
    }

    fn forget_lost<'a>(&'a self, partition: u16, block: &'a Block) -> Answering<'a, ()> {
        self.delete_lost(partition, block).boxed()
    }

    fn callers(&self, known: Option<i64>) -> Answering<'_, Option<CopiedCallers>> {
        self.read_callers(known).boxed()
    }

    fn copy_callers(&self, callers: CopiedCallers) -> Answering<'_, ()> {
        self.write_callers(callers).boxed()
    }

    fn check(&self) -> BoxFuture<'_, Vec<Result<(), String>>> {
        async move {
            let found = self.look().await;
            self.look_at_losses().await;
            self.look_at_figures().await;
            found
        }
        .boxed()
    }

    fn has_one_clock(&self) -> bool {
        !self.routes.topology().is_cluster()
    }

    fn work(&self) -> BoxFuture<'static, ()> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        work.unwrap_or_else(|| pending().boxed())
    }

    fn busy_poll(&self) -> Duration {
        self.busy_poll
    }
}

/// What a field holds, if it is there.
type Bytes = Option<Vec<u8>>;

/// A bulk string of an answer, whatever its dress.
pub(crate) fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}
