//! From partitions to connections: one to each server that has some, or one to each partition where answers are waited for on it.
//!
//! Connections are made and dropped as the map of the servers changes. While a partition has none, what is for it fails at once; it does
//! not wait for a server that is away, and holds up nobody else. What did not run, because the partition is elsewhere or on its way, is
//! sent again for as long as a server may take to answer. A partition that comes to a connection which is there already is checked before
//! anything is sent to it ([`super::rechecks`]), and so is one whose slot is on its way to a server, before each write there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, OptionFuture, join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{ConnectionAddr, RedisError};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::RedisOptions;
use super::connection::{Check, Connection, Failure, Work};
use super::keys::PartitionKeys;
use super::rechecks::Rechecks;
use super::reply_failure::ReplyFailure;
use super::sending::Asking;
use super::topology::{REFRESH, Topology};
use crate::LedgerError;
use platform::telemetry::metrics;

/// How long what did not run waits before it is sent again.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a partition waits until it is checked again, where nobody sends anything to it.
const CHECK_AGAIN: Duration = Duration::from_millis(500);

/// What a connection to a server must pass, on which these partitions are. Returns those that must be checked again before anything is sent
/// to them.
pub type PartitionsCheck =
    Arc<dyn Fn(MultiplexedConnection, ConnectionAddr, Vec<u16>) -> BoxFuture<'static, anyhow::Result<Vec<u16>>> + Send + Sync>;

/// What must hold of a partition at a server that its slot is on its way to, before anything is sent to it there.
pub type OnItsWayCheck = Arc<dyn Fn(MultiplexedConnection, u16) -> BoxFuture<'static, anyhow::Result<bool>> + Send + Sync>;

/// Why nothing is sent to a partition that has not passed its check.
const UNSURE: &str = "whether the partition has lost anything is not known yet, or what it has lost is not kept aside";

/// The connections of one thread.
pub struct Routes {
    topology: Arc<Topology>,
    options: RedisOptions,
    check: PartitionsCheck,
    on_its_way: OnItsWayCheck,
    rechecks: Rechecks,
    slots: Vec<u16>,
    /// Whether each partition has a connection of its own.
    are_apart: bool,
    table: Mutex<Table>,
    /// Itself, for the checks of its connections.
    this: Weak<Self>,
    /// Told when a connection has had trouble.
    trouble: Arc<Notify>,
    /// Told when a connection is to be worked for.
    made: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    by_partition: Vec<Option<Arc<Connection>>>,
    /// To servers that slots are on their way to.
    asked: Vec<Arc<Connection>>,
    /// Nobody works for these yet.
    new: Vec<Arc<Connection>>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Routes").field("topology", &self.topology).finish_non_exhaustive()
    }
}

impl Routes {
    /// Connects to all servers that have partitions. Those that cannot be reached are tried again, if any can. The second is the work of
    /// all connections.
    pub async fn open(
        topology: Arc<Topology>,
        options: RedisOptions,
        keys: &[PartitionKeys],
        are_apart: bool,
        (check, on_its_way): (PartitionsCheck, OnItsWayCheck),
    ) -> anyhow::Result<(Arc<Self>, Work)> {
        let slots = keys.iter().map(|keys| keys.slot).collect();
        let table = Mutex::new(Table { by_partition: vec![None; keys.len()], ..Table::default() });
        let (trouble, made, rechecks) = (Arc::default(), Arc::default(), Rechecks::new(keys.len()));
        let routes = Arc::new_cyclic(|this| {
            let this = Weak::clone(this);
            Self { topology, options, check, on_its_way, rechecks, slots, are_apart, table, this, trouble, made }
        });
        let changes = routes.topology.subscribe();
        routes.follow();
        let new = std::mem::take(&mut routes.lock().new);
        let opened = join_all(new.iter().map(Connection::open)).await;
        let is_any_open = opened.iter().any(Result::is_ok);
        let mut works = Vec::with_capacity(new.len());
        for (connection, opened) in new.iter().zip(opened) {
            works.push(match opened {
                Ok(work) => work,
                Err(error) if is_any_open && routes.topology.is_cluster() => {
                    tracing::error!(server = %connection.address(), "a server cannot be used: {error:#}");
                    connection.work()
                }
                Err(error) => return Err(error),
            });
        }
        let may_change = routes.topology.may_change();
        let work = match works.pop() {
            Some(only) if works.is_empty() && !may_change => only,
            last => keep(Arc::downgrade(&routes), works.into_iter().chain(last).collect(), changes).boxed(),
        };
        Ok((routes, work))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the servers are.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The connection that leads to a partition.
    pub fn of(&self, partition: u16) -> Result<Arc<Connection>, LedgerError> {
        let table = self.lock();
        let connection = table.by_partition.get(usize::from(partition)).and_then(Option::as_ref);
        connection.cloned().ok_or_else(|| LedgerError::not_done("no server is known that has the partition"))
    }

    /// All connections that lead to partitions, and to which.
    pub fn by_connection(&self) -> Vec<(Arc<Connection>, Vec<u16>)> {
        let mut found: Vec<(Arc<Connection>, Vec<u16>)> = Vec::new();
        for (partition, connection) in (0..).zip(&self.lock().by_partition) {
            let Some(connection) = connection else { continue };
            match found.iter_mut().find(|(known, _)| Arc::ptr_eq(known, connection)) {
                Some((_, partitions)) => partitions.push(partition),
                None => found.push((Arc::clone(connection), vec![partition])),
            }
        }
        found
    }

    /// Asks the servers where things are: one that has lost its replicas may be no primary any more, and not know it.
    pub fn suspect(&self) {
        self.trouble.notify_one();
    }

    /// Begins to send something to a partition.
    pub fn attempts(&self, partition: u16) -> Attempts<'_> {
        Attempts { routes: self, partition, until: None, elsewhere: None, is_reading: false }
    }

    /// Begins to read from a partition.
    pub fn reads(&self, partition: u16) -> Attempts<'_> {
        Attempts { is_reading: true, ..self.attempts(partition) }
    }

    /// Notes what a server has said of a partition: that it is elsewhere. False: it has said something else.
    pub fn note(&self, partition: u16, reply_failure: &ReplyFailure) -> bool {
        let Some(slot) = self.slots.get(usize::from(partition)) else { return false };
        match reply_failure {
            ReplyFailure::Moved(to) => self.topology.moved(*slot, to),
            ReplyFailure::Asked(_) | ReplyFailure::Later(_) => {}
            ReplyFailure::Demoted(_) | ReplyFailure::Final(_) => return false,
        }
        true
    }

    /// Leads the partitions to where the topology says that they are. Connections that nobody needs any more end when they are answered.
    fn follow(&self) {
        let mut table = self.lock();
        let Table { by_partition, asked, new } = &mut *table;
        for number in 0..by_partition.len() {
            let Some(address) = self.slots.get(number).and_then(|slot| self.topology.primary_of(*slot)) else { continue };
            let leads_there = |connection: &&Arc<Connection>| *connection.address() == address;
            if by_partition.get(number).and_then(Option::as_ref).is_some_and(|connection| leads_there(&connection)) {
                continue;
            }
            let known = by_partition.iter().flatten().chain(asked.iter()).find(leads_there).filter(|_| !self.are_apart).cloned();
            self.rechecks.set(number, known.is_some());
            let connection = known.unwrap_or_else(|| {
                let made = self.connection_to(address, self.are_apart.then(|| u16::try_from(number).unwrap_or(u16::MAX)));
                new.push(Arc::clone(&made));
                made
            });
            if let Some(place) = by_partition.get_mut(number) {
                *place = Some(connection);
            }
        }
        asked.clear();
        drop(table);
        self.made.notify_one();
    }

    /// A connection to be made, which only this partition is for, or all that are at the server.
    fn connection_to(&self, address: ConnectionAddr, only: Option<u16>) -> Arc<Connection> {
        let (routes, check, at) = (Weak::clone(&self.this), Arc::clone(&self.check), address.clone());
        let check: Check = Arc::new(move |connection| {
            let partitions =
                only.map_or_else(|| routes.upgrade().map_or_else(Vec::new, |routes| routes.partitions_at(&at)), |only| vec![only]);
            let (routes, at) = (Weak::clone(&routes), at.clone());
            let checked = check(connection, at.clone(), partitions.clone());
            async move {
                let left = checked.await?;
                if let Some(routes) = routes.upgrade() {
                    routes.note_checked(&at, &partitions, &left);
                }
                Ok(())
            }
            .boxed()
        });
        Connection::new(self.options.clone(), address, Arc::clone(&self.trouble), Arc::clone(&self.topology.log), check)
    }

    /// Notes that partitions were checked at a server, but for those that are left. What has gone elsewhere meanwhile is checked there.
    fn note_checked(&self, address: &ConnectionAddr, partitions: &[u16], left: &[u16]) {
        let there = self.partitions_at(address);
        for partition in partitions.iter().filter(|partition| there.contains(partition)) {
            self.rechecks.set(usize::from(*partition), left.contains(partition));
        }
        if !left.is_empty() {
            self.made.notify_one();
        }
    }

    /// Checks a partition on its connection, if it must be. An error: nothing may be sent to it yet. Where there is no connection, one
    /// is made, and that checks it.
    async fn check_again(&self, partition: u16, connection: &Connection) -> Result<(), Arc<str>> {
        if !self.rechecks.must_wait(partition) || connection.problem().is_some() {
            return Ok(());
        }
        let address = connection.address();
        let check = || async move {
            let checked = connection.check_again(|checked| (self.check)(checked, address.clone(), vec![partition])).await;
            let (left, _) = checked.map_err(|error| Arc::<str>::from(format!("{error:#}")))?;
            self.note_checked(address, &[partition], &left);
            if left.is_empty() { Ok(()) } else { Err(UNSURE.into()) }
        };
        self.rechecks.once(partition, check).await
    }

    /// Checks a partition at a server that its slot is on its way to: its connections are checked without it. Where there is none,
    /// nothing will be sent.
    async fn check_on_its_way(&self, partition: u16, connection: &Connection) -> Result<Asking, Arc<str>> {
        if connection.problem().is_some() {
            return Ok(Asking(0));
        }
        match connection.check_again(|checked| (self.on_its_way)(checked, partition)).await {
            Ok((true, number)) => Ok(Asking(number)),
            Ok((false, _)) => Err(UNSURE.into()),
            Err(error) => Err(format!("{error:#}").into()),
        }
    }

    fn partitions_at(&self, address: &ConnectionAddr) -> Vec<u16> {
        let table = self.lock();
        let there = (0..).zip(&table.by_partition).filter(|(_, connection)| connection.as_ref().is_some_and(|to| to.address() == address));
        there.map(|(partition, _)| partition).collect()
    }

    /// A connection to a server that a slot is on its way to.
    fn asked(&self, address: &ConnectionAddr) -> Arc<Connection> {
        let mut table = self.lock();
        let known = table.asked.iter().chain(table.by_partition.iter().flatten()).find(|connection| connection.address() == address);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let made = self.connection_to(address.clone(), None);
        table.asked.push(Arc::clone(&made));
        table.new.push(Arc::clone(&made));
        drop(table);
        self.made.notify_one();
        made
    }
}

/// Something that is sent to a partition, and again where it did not run.
pub struct Attempts<'a> {
    routes: &'a Routes,
    partition: u16,
    /// Until when it is sent again.
    until: Option<Instant>,
    /// Where the next attempt goes, if not to the partition's server.
    elsewhere: Option<ConnectionAddr>,
    /// What only reads hides nothing that is lost: it is not held up until a slot has arrived.
    is_reading: bool,
}

impl Attempts<'_> {
    /// Where to send it, and whether that server must be asked for it.
    pub async fn connection(&mut self) -> Result<(Arc<Connection>, Option<Asking>), LedgerError> {
        loop {
            // If nothing may be sent there, the partition's server is asked anew.
            let (connection, checked) = match self.elsewhere.take() {
                Some(address) => {
                    let connection = self.routes.asked(&address);
                    let checked = match self.is_reading {
                        true => Ok(Some(Asking(0))),
                        false => self.routes.check_on_its_way(self.partition, &connection).await.map(Some),
                    };
                    if checked.is_ok() {
                        self.elsewhere = Some(address);
                    }
                    (connection, checked)
                }
                None => {
                    let connection = self.routes.of(self.partition)?;
                    let checked = self.routes.check_again(self.partition, &connection).await.map(|()| None);
                    (connection, checked)
                }
            };
            let reason = match checked {
                Ok(asking) => return Ok((connection, asking)),
                Err(reason) => reason,
            };
            let left = self.left();
            if left.is_zero() {
                return Err(LedgerError::NotDone(reason));
            }
            self.routes.trouble.notify_one();
            sleep(PAUSE.min(left)).await;
        }
    }

    /// For how long it is sent again.
    fn left(&mut self) -> Duration {
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.routes.options.response_timeout);
        until.saturating_duration_since(Instant::now())
    }

    /// Waits until it may be sent again, or says what its failure comes to.
    pub async fn again(
        &mut self,
        connection: &Connection,
        failure: Failure,
        reply_failure: impl FnOnce(&RedisError) -> ReplyFailure,
    ) -> Result<(), LedgerError> {
        let is_first = self.until.is_none();
        let left = self.left();
        let reply_failure = match failure {
            Failure::NotSent(_) if connection.is_untried() && !left.is_zero() => {
                let _ = timeout(left, connection.tried()).await;
                return Ok(());
            }
            // Nothing waits for a server that is away, but for one that has taken over from another.
            Failure::NotSent(reason) if is_first => ReplyFailure::Final(LedgerError::NotDone(reason)),
            Failure::NotSent(reason) => ReplyFailure::Later(LedgerError::NotDone(reason)),
            Failure::Failed(error) => {
                self.elsewhere = None;
                let reply_failure = reply_failure(&error);
                if let ReplyFailure::Final(told) = reply_failure {
                    return Err(told);
                }
                metrics().redis.count_not_run(error.code().unwrap_or("other"));
                reply_failure
            }
        };
        self.routes.trouble.notify_one();
        match reply_failure {
            ReplyFailure::Moved(_) if is_first => {
                self.routes.note(self.partition, &reply_failure);
                self.routes.follow();
                return Ok(());
            }
            ReplyFailure::Moved(_) => {
                self.routes.note(self.partition, &reply_failure);
                self.routes.follow();
                if left.is_zero() {
                    return Err(LedgerError::not_done("servers send each other what is for the partition"));
                }
            }
            ReplyFailure::Asked(to) if !left.is_zero() => {
                self.elsewhere = Some(to);
                return Ok(());
            }
            ReplyFailure::Asked(_) => return Err(LedgerError::not_done("the partition is on its way to another server")),
            ReplyFailure::Later(told) | ReplyFailure::Demoted(told) if left.is_zero() => return Err(told),
            ReplyFailure::Later(_) | ReplyFailure::Demoted(_) => {}
            ReplyFailure::Final(told) => return Err(told),
        }
        sleep(PAUSE.min(left)).await;
        Ok(())
    }
}

/// Checks a partition until it need not be.
fn until_checked(routes: Weak<Routes>, partition: u16) -> Work {
    async move {
        loop {
            let Some(routes) = routes.upgrade().filter(|routes| routes.rechecks.must_wait(partition)) else { return };
            let is_checked = match routes.of(partition) {
                Ok(connection) => connection.problem().is_none() && routes.check_again(partition, &connection).await.is_ok(),
                Err(_) => false,
            };
            drop(routes);
            if !is_checked {
                sleep(CHECK_AGAIN).await;
            }
        }
    }
    .boxed()
}

/// Polls the work of all connections, and follows the topology.
async fn keep(routes: Weak<Routes>, mut works: FuturesUnordered<Work>, mut changes: watch::Receiver<u64>) {
    let of_routes = |routes: Arc<Routes>| (Arc::clone(&routes.topology), Arc::clone(&routes.trouble), Arc::clone(&routes.made));
    let Some((topology, trouble, made)) = routes.upgrade().map(of_routes) else { return };
    let may_change = topology.may_change();
    let mut refreshing: Option<BoxFuture<'_, anyhow::Result<()>>> = None;
    let mut next_refresh = Box::pin(sleep(REFRESH));
    loop {
        tokio::select! {
            biased;
            // One that nobody needs any more has ended.
            Some(()) = works.next() => {}
            () = made.notified() => {}
            Ok(()) = changes.changed() => {
                if let Some(routes) = routes.upgrade() {
                    routes.follow();
                }
            }
            Some(result) = OptionFuture::from(refreshing.as_mut()) => {
                if let Err(error) = result {
                    tracing::debug!("the servers are not known: {error:#}");
                }
                refreshing = None;
                next_refresh = Box::pin(sleep(REFRESH));
            }
            () = trouble.notified(), if may_change && refreshing.is_none() => refreshing = Some(topology.refresh().boxed()),
            () = &mut next_refresh, if may_change && refreshing.is_none() => refreshing = Some(topology.refresh().boxed()),
        }
        let Some(routes) = routes.upgrade() else { return };
        works.extend(std::mem::take(&mut routes.lock().new).iter().map(Connection::work));
        works.extend(routes.rechecks.take_new().into_iter().map(|partition| until_checked(Arc::downgrade(&routes), partition)));
    }
}
