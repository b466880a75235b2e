//! Batches form by themselves: while one of a partition is with the engine, the next gathers; it leaves when the one before has returned.
//!
//! So a lonely command goes out at once, and under load a batch is as large as the engine is slow. A timer would only add delay.
//!
//! One task does it for all partitions, and polls the engine's own work with it, in this order: what the engine answers is taken in; all
//! others have a turn; the next batches go out; then those who waited are told. So the store has work again before answers are unpacked,
//! and no batch stands in the thread's queue behind what these answers set off.
//!
//! A partition's queue is served in turn by source, so that a stream that sends thousands of commands delays others by one batch, and that
//! one is smaller while several sources have something to do.
//!
//! What a step leaves for a later one, because other accounts of it have much due, goes out with the next, before all that waits: the order
//! of the commands on an account stays.
//!
//! Where one lonely command follows another, the answer is looked out for: waking up can take longer than it does. Among others it is not:
//! they need the processor more.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::{BoxFuture, Fuse};
use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;
use tokio::task::yield_now;
use tracing::Instrument;

use super::{Answers, Engine, LedgerError, MAX_BATCH, Order};
use crate::domain::outcome::{Answer, Refusal};
use crate::lanes::fair::FairQueue;
use crate::lanes::source::Source;
use crate::lanes::watchdog::watched;
use crate::telemetry::metrics;

/// How many commands may wait for one partition. A source may have as many of them as places are free: half, if it is alone.
pub const QUEUE_COMMANDS: usize = 16_384;

/// The most commands in one step while several sources have something to do.
pub const SHARED_BATCH: usize = 128;

/// For how many batches the sources that took part count as having something to do: one that waits for each answer is in every second.
const CROWDED_BATCHES: u8 = 8;

/// After how many lonely commands in a row the answer to the next is looked out for.
const LONELY_IN_A_ROW: u32 = 4;

/// A command in a queue, and who waits for it.
struct Waiting {
    order: Order,
    answer: Caller,
}

type Caller = oneshot::Sender<Result<Answer, LedgerError>>;

/// An answer to come. Dropped before its command was sent, the command is not sent.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Answer, LedgerError>>);

impl Future for Pending {
    type Output = Result<Answer, LedgerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or_else(|_| Err(LedgerError::unknown("the service is shutting down"))))
    }
}

/// Where commands are queued, by partition. The task ends when the last handle is gone and all is answered.
#[derive(Clone)]
pub struct Batcher(Arc<Handles>);

/// All handles: dropped with the last one.
struct Handles(Arc<Inbox>);

/// What waits, between those who queue it and the task that sends it.
struct Inbox {
    queues: Mutex<Queues>,
    task: AtomicWaker,
}

struct Queues {
    by_partition: Vec<FairQueue<Waiting>>,
    /// Nothing more is taken in.
    is_closed: bool,
}

impl Batcher {
    /// Starts the task that sends the batches.
    #[must_use]
    pub fn start(engine: Arc<dyn Engine>) -> Self {
        let by_partition = (0..engine.partitions()).map(|_| FairQueue::new(QUEUE_COMMANDS)).collect();
        let inbox = Arc::new(Inbox { queues: Mutex::new(Queues { by_partition, is_closed: false }), task: AtomicWaker::new() });
        let mut dispatch = Dispatch {
            work: engine.work().fuse(),
            partitions: (0..engine.partitions()).map(|_| Partition::default()).collect(),
            engine,
            inbox: Arc::clone(&inbox),
            under_way: FuturesUnordered::new(),
            returned: Vec::new(),
            has_yielded: false,
            lonely_in_a_row: 0,
            lookout_until: None,
        };
        // Unconstrained: a batch is not to be cut short because the task has had its share of messages.
        tokio::spawn(unconstrained(poll_fn(move |context| watched(|| dispatch.poll(context)))));
        Self(Arc::new(Handles(inbox)))
    }

    /// Queues a command, on behalf of the current source.
    pub fn enqueue(&self, partition: u16, order: Order) -> Result<Pending, LedgerError> {
        let Self(handles) = self;
        let (answer, pending) = oneshot::channel();
        {
            let mut queues = handles.0.lock();
            if queues.is_closed {
                return Err(LedgerError::not_done("the service is shutting down"));
            }
            let Some(queue) = queues.by_partition.get_mut(usize::from(partition)) else {
                return Err(LedgerError::corrupt("no such partition"));
            };
            queue.push(Source::current(), Waiting { order, answer }).map_err(|_| LedgerError::Busy)?;
        }
        handles.0.task.wake();
        metrics().add_waiting(1);
        Ok(Pending(pending))
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.task.wake();
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the task holds.
struct Dispatch {
    engine: Arc<dyn Engine>,
    work: Fuse<BoxFuture<'static, ()>>,
    inbox: Arc<Inbox>,
    partitions: Vec<Partition>,
    under_way: FuturesUnordered<BoxFuture<'static, Batch>>,
    /// What has returned, and nobody was told of.
    returned: Vec<Batch>,
    /// Everything else had its turn since something returned.
    has_yielded: bool,
    /// How many of the last commands went alone, while nothing else was under way.
    lonely_in_a_row: u32,
    /// Until when the answer to a lonely command is looked out for.
    lookout_until: Option<Instant>,
}

/// What the task knows of a partition.
#[derive(Default)]
struct Partition {
    /// A batch is with the engine.
    is_under_way: bool,
    /// Commands that a step has left for a later one. They come before all that waits.
    deferred: VecDeque<(Order, Caller)>,
    /// For how many more batches several sources have something to do.
    crowded: u8,
}

/// A batch that has returned.
struct Batch {
    partition: u16,
    orders: Arc<[Order]>,
    callers: Vec<Caller>,
    answers: Result<Answers, LedgerError>,
    /// Whether the engine has left some of it for a later step.
    has_deferred: bool,
}

impl Dispatch {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let _ = self.work.poll_unpin(context);
        self.collect(context);
        self.inbox.task.register(context.waker());
        if !self.returned.is_empty() && !self.has_yielded {
            // What else is ready to run may have more to queue: fewer and larger batches cost less.
            self.has_yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_yielded = false;
        while self.send() {
            self.collect(context);
        }
        let _ = self.work.poll_unpin(context);
        self.returned.drain(..).for_each(Batch::tell);
        let is_any_deferred = self.partitions.iter().any(|partition| !partition.deferred.is_empty());
        if self.under_way.is_empty() && !is_any_deferred && self.inbox.lock().is_done() {
            return Poll::Ready(());
        }
        if self.lookout_until.is_some_and(|until| Instant::now() < until) {
            // Polled again after whatever else there is to do, and a look at the sockets.
            let _ = pin!(yield_now()).poll(context);
        }
        Poll::Pending
    }

    /// Takes in what the engine has answered. What was sent is on its way once it is polled here.
    fn collect(&mut self, context: &mut Context<'_>) {
        while let Poll::Ready(Some(batch)) = self.under_way.poll_next_unpin(context) {
            let Some(partition) = self.partitions.get_mut(usize::from(batch.partition)) else { continue };
            partition.is_under_way = false;
            let batch = if batch.has_deferred { batch.without_deferred(&mut partition.deferred) } else { batch };
            self.returned.push(batch);
        }
    }

    /// Begins a batch of each partition that has none under way; answers whether there was one to begin.
    fn send(&mut self) -> bool {
        let (mut is_any, mut lonely) = (false, self.under_way.is_empty());
        let mut queues = self.inbox.lock();
        for (number, (partition, queue)) in (0..).zip(self.partitions.iter_mut().zip(&mut queues.by_partition)) {
            if partition.is_under_way || (queue.is_empty() && partition.deferred.is_empty()) {
                continue;
            }
            partition.crowded = if queue.sources() > 1 { CROWDED_BATCHES } else { partition.crowded.saturating_sub(1) };
            let bound = if partition.crowded > 0 { SHARED_BATCH } else { MAX_BATCH };
            let (before, most) = (queue.len(), (queue.len() + partition.deferred.len()).min(bound));
            let (mut orders, mut callers) = (Vec::with_capacity(most), Vec::with_capacity(most));
            while orders.len() < most
                && let Some((order, answer)) =
                    partition.deferred.pop_front().or_else(|| queue.pop().map(|Waiting { order, answer }| (order, answer)))
            {
                // Whoever gave up before the command was sent is taken at their word.
                if !answer.is_closed() {
                    orders.push(order);
                    callers.push(answer);
                }
            }
            metrics().add_waiting(queue.len() as i64 - before as i64);
            if orders.is_empty() {
                continue;
            }
            lonely = lonely && !is_any && orders.len() == 1;
            (is_any, partition.is_under_way) = (true, true);
            self.under_way.push(decide(Arc::clone(&self.engine), number, orders.into(), callers).boxed());
        }
        drop(queues);
        if is_any {
            self.lonely_in_a_row = if lonely { self.lonely_in_a_row.saturating_add(1) } else { 0 };
            let is_looked_out_for = self.lonely_in_a_row > LONELY_IN_A_ROW;
            // None, too, where a setting leads past the end of time.
            self.lookout_until = if is_looked_out_for { Instant::now().checked_add(self.engine.lookout()) } else { None };
        } else if self.under_way.is_empty() {
            self.lookout_until = None;
        }
        is_any
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        // Whoever waits learns that there will be no answer, though handles may live on.
        let mut queues = self.inbox.lock();
        queues.is_closed = true;
        let waiting = std::mem::take(&mut queues.by_partition);
        drop(queues);
        metrics().add_waiting(-waiting.iter().map(|queue| queue.len() as i64).sum::<i64>());
    }
}

impl Queues {
    /// Nothing waits, and nothing more will come.
    fn is_done(&self) -> bool {
        self.is_closed && self.by_partition.iter().all(FairQueue::is_empty)
    }
}

/// Has a batch decided.
async fn decide(engine: Arc<dyn Engine>, partition: u16, orders: Arc<[Order]>, callers: Vec<Caller>) -> Batch {
    let span = tracing::debug_span!("batch", partition, commands = orders.len());
    let timer = metrics().start_batch(orders.len());
    let answer = engine.apply(partition, Arc::clone(&orders)).instrument(span).await;
    timer.finish(answer.is_ok());
    let has_deferred = answer.as_ref().is_ok_and(|answer| answer.has_deferred);
    Batch { partition, orders, callers, answers: answer.map(|answer| answer.answers), has_deferred }
}

impl Batch {
    /// The batch without what was left for a later step, which goes to `deferred`, in its order.
    fn without_deferred(self, deferred: &mut VecDeque<(Order, Caller)>) -> Self {
        let answers = match self.answers.and_then(Answers::read) {
            Ok(answers) if answers.len() == self.orders.len() => answers,
            answers => return Self { answers: answers.map(Answers::from), ..self },
        };
        let (mut orders, mut callers, mut decided) = (Vec::new(), Vec::new(), Vec::new());
        for ((order, caller), answer) in self.orders.iter().cloned().zip(self.callers).zip(answers) {
            if answer == Err(Refusal::Deferred) {
                deferred.push_back((order, caller));
            } else {
                orders.push(order);
                callers.push(caller);
                decided.push(answer);
            }
        }
        Self { orders: orders.into(), callers, answers: Ok(decided.into()), ..self }
    }

    /// Tells everybody who waited.
    fn tell(self) {
        let answers = self.answers.and_then(|answers| {
            // The step was taken: an answer that makes no sense does not say what became of its command.
            let answers = answers.read().map_err(LedgerError::after_step)?;
            match answers.len() == self.orders.len() {
                true => Ok(answers),
                false => Err(LedgerError::unknown("the engine gave another number of answers than there were commands")),
            }
        });
        for (place, order) in self.orders.iter().enumerate() {
            metrics().decision(order.command.action.kind(), answers.as_ref().ok().and_then(|answers| answers.get(place)));
        }
        match answers {
            Ok(answers) => {
                for (caller, answer) in self.callers.into_iter().zip(answers) {
                    let _ = caller.send(Ok(answer));
                }
            }
            Err(error) => {
                for caller in self.callers {
                    let _ = caller.send(Err(error.clone()));
                }
            }
        }
    }
}
