//! Batches form by themselves: while one of a partition is with the engine, the next gathers; it leaves when the one before has returned.
//!
//! So a lonely command goes out at once, and under load a batch is as large as the engine is slow. A timer would only add delay.
//!
//! One task does it for all partitions, and polls the engine's own work with it, in this order: what the engine answers is taken in; all
//! others have a turn; the next batches go out; then the waiting callers get their answers. So the store has work again before answers are unpacked,
//! and no batch stands in the thread's queue behind what these answers set off.
//!
//! A partition's queues are served in turn by source, so that nobody waits behind a stranger's backlog: first the calls, each of which is
//! waited for by itself; then what streams have sent, which leaves as [`stream_share`] says, so that calls need not wait long for that either.
//!
//! Commands that a step leaves for a later one, because other accounts of it have much due, go out with the next, before all that wait: the order
//! of the commands on an account stays.
//!
//! When commands arrive one at a time, the batcher polls for the answer: waking up can take longer than it does. Under load it does not:
//! other threads need the processor more then.

mod pace;
mod queue;
pub mod stream_share;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, Fuse};
use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;
use tokio::task::yield_now;

use super::{Answers, Engine, LedgerError, PreparedCommand};
use domain::outcome::{Answer, Refusal};
use platform::lanes::watchdog::watched;
use platform::telemetry::metrics;
use platform::telemetry::traces::{self, Span};
pub use queue::QUEUE_COMMANDS;
use queue::{Caller, Queue, Taken, Waiting};
use stream_share::StreamShare;

/// After how many lonely commands in a row the batcher polls for the next answer.
const LONELY_IN_A_ROW: u32 = 4;

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

/// Commands that wait, between those who queue them and the task that sends them.
struct Inbox {
    queues: Mutex<Queues>,
    task: AtomicWaker,
    /// Whether calls are to be expected.
    has_calls: AtomicBool,
}

struct Queues {
    by_partition: Vec<Queue>,
    /// Nothing more is taken in.
    is_closed: bool,
}

impl Batcher {
    /// Starts the task that sends the batches.
    #[must_use]
    pub fn start(engine: Arc<dyn Engine>) -> Self {
        let by_partition = (0..engine.partitions()).map(|_| Queue::new()).collect();
        let queues = Mutex::new(Queues { by_partition, is_closed: false });
        let inbox = Arc::new(Inbox { queues, task: AtomicWaker::new(), has_calls: AtomicBool::new(false) });
        let mut dispatch = Dispatch {
            work: engine.work().fuse(),
            partitions: (0..engine.partitions()).map(|_| Partition::default()).collect(),
            stream_share: StreamShare::new(engine.crowded_batch()),
            engine,
            inbox: Arc::clone(&inbox),
            under_way: FuturesUnordered::new(),
            returned: Vec::new(),
            has_yielded: false,
            streamed_under_way: 0,
            streams_turn: 0,
            lonely_in_a_row: 0,
            busy_poll_until: None,
        };
        // Unconstrained: a batch is not to be cut short because the task has had its share of messages.
        tokio::spawn(unconstrained(poll_fn(move |context| watched(|| dispatch.poll(context)))));
        Self(Arc::new(Handles(inbox)))
    }

    /// Queues a command, on behalf of the current source.
    pub fn enqueue(&self, partition: u16, prepared: PreparedCommand) -> Result<Pending, LedgerError> {
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
            let trace = traces::current().map(Box::new);
            queue.push(Waiting { prepared, answer, trace }).map_err(|_| LedgerError::Busy)?;
        }
        handles.0.task.wake();
        metrics().add_waiting(1);
        Ok(Pending(pending))
    }

    /// How long a command of a partition would wait for its answer, if it came now, on behalf of the current source.
    #[must_use]
    pub fn expected_wait(&self, partition: u16) -> Duration {
        self.0.0.lock().by_partition.get(usize::from(partition)).map_or(Duration::ZERO, |queue| queue.expected_wait(1))
    }

    /// The same of the last of so many commands, spread over all partitions.
    #[must_use]
    pub fn expected_wait_of(&self, commands: usize) -> Duration {
        let queues = self.0.0.lock();
        let of_each = commands.div_ceil(queues.by_partition.len().max(1));
        queues.by_partition.iter().map(|queue| queue.expected_wait(of_each)).max().unwrap_or_default()
    }

    /// Whether somebody waits for single commands, or did a moment ago.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.0.0.has_calls.load(Ordering::Relaxed)
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

/// The task's state.
struct Dispatch {
    engine: Arc<dyn Engine>,
    work: Fuse<BoxFuture<'static, ()>>,
    inbox: Arc<Inbox>,
    partitions: Vec<Partition>,
    under_way: FuturesUnordered<BoxFuture<'static, Batch>>,
    /// Finished batches whose callers are not yet notified.
    returned: Vec<Batch>,
    /// Everything else had its turn since something returned.
    has_yielded: bool,
    stream_share: StreamShare,
    /// How many commands of streams are with the engine.
    streamed_under_way: usize,
    /// While calls are expected: the partition whose turn it is to have commands of streams sent.
    streams_turn: usize,
    /// How many of the last commands went alone, while nothing else was under way.
    lonely_in_a_row: u32,
    /// Until when the batcher polls for the answer to a single command.
    busy_poll_until: Option<Instant>,
}

/// The task's state of a partition.
#[derive(Default)]
struct Partition {
    /// A batch is with the engine.
    is_under_way: bool,
    /// When the last one returned, if others were waiting then.
    waiting_since: Option<Instant>,
    /// Commands that a step has left for a later one. They come before all that waits.
    deferred: VecDeque<(PreparedCommand, Caller)>,
}

/// A batch that has returned.
struct Batch {
    partition: u16,
    /// How many of its commands came from streams.
    streamed: usize,
    sent_at: Instant,
    commands: Arc<[PreparedCommand]>,
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
        if self.busy_poll_until.is_some_and(|until| Instant::now() < until) {
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
            let now = self.engine.instant();
            let took = now.saturating_duration_since(batch.sent_at);
            if let Some(queue) = self.inbox.lock().by_partition.get_mut(usize::from(batch.partition)) {
                // What is between two steps is waited for, too.
                let since = partition.waiting_since.map_or(batch.sent_at, |since| since.min(batch.sent_at));
                queue.pace.returned(batch.commands.len(), now.saturating_duration_since(since));
                queue.under_way = 0;
                partition.waiting_since = (queue.len() > 0).then_some(now);
            }
            self.streamed_under_way = self.streamed_under_way.saturating_sub(batch.streamed);
            self.stream_share.returned(batch.streamed, took);
            let batch = if batch.has_deferred { batch.without_deferred(&mut partition.deferred) } else { batch };
            self.returned.push(batch);
        }
    }

    /// Begins a batch of each partition that has none under way, those with calls first; returns whether there may be another to begin.
    fn send(&mut self) -> bool {
        let inbox = Arc::clone(&self.inbox);
        let mut queues = inbox.lock();
        if queues.by_partition.iter().any(|queue| !queue.calls.is_empty()) {
            self.stream_share.see_call();
        }
        let (mut is_any, mut lonely, mut is_any_given_up) = (false, self.under_way.is_empty(), false);
        let turn = self.turn(&queues);
        for is_urgent in [true, false] {
            for (number, (partition, queue)) in self.partitions.iter_mut().zip(&mut queues.by_partition).enumerate() {
                let has_urgent = !queue.calls.is_empty() || !partition.deferred.is_empty();
                if partition.is_under_way || has_urgent != is_urgent || queue.streams.is_empty() && !has_urgent {
                    continue;
                }
                self.stream_share.see_streams(queue.streams.sources());
                let most_streamed = if turn.is_none_or(|turn| turn == number) { self.stream_share.share() } else { 0 };
                let before = queue.len();
                let taken = queue.take(&mut partition.deferred, most_streamed);
                metrics().add_waiting(queue.len() as i64 - before as i64);
                if taken.commands.is_empty() {
                    // Nobody waited for what this partition had its turn for.
                    is_any_given_up |= queue.len() < before;
                    continue;
                }
                self.stream_share.sent(taken.streamed);
                self.streamed_under_way += taken.streamed;
                lonely = lonely && !is_any && taken.commands.len() == 1;
                (is_any, partition.is_under_way) = (true, true);
                queue.under_way = taken.commands.len();
                let number = u16::try_from(number).unwrap_or(u16::MAX);
                self.under_way.push(decide(Arc::clone(&self.engine), number, taken).boxed());
            }
        }
        drop(queues);
        inbox.has_calls.store(self.stream_share.has_calls(), Ordering::Relaxed);
        if is_any {
            self.lonely_in_a_row = if lonely { self.lonely_in_a_row.saturating_add(1) } else { 0 };
            let is_looked_out_for = self.lonely_in_a_row > LONELY_IN_A_ROW;
            // None, too, where a setting leads past the end of time.
            self.busy_poll_until = if is_looked_out_for { Instant::now().checked_add(self.engine.busy_poll()) } else { None };
        } else if self.under_way.is_empty() {
            self.busy_poll_until = None;
        }
        is_any || is_any_given_up
    }

    /// While calls are expected: the only partition that commands of streams may be sent to now, if any. They go to one after another.
    fn turn(&mut self, queues: &Queues) -> Option<usize> {
        const NONE: usize = usize::MAX;
        if !self.stream_share.has_calls() {
            return None;
        }
        if self.streamed_under_way > 0 {
            return Some(NONE);
        }
        let count = queues.by_partition.len();
        let mut turns = (0..count).map(|step| (self.streams_turn + step) % count);
        let next = turns.find(|number| queues.by_partition.get(*number).is_some_and(|queue| !queue.streams.is_empty()));
        let Some(next) = next else { return Some(NONE) };
        let is_free = self.partitions.get(next).is_some_and(|partition| !partition.is_under_way);
        // It keeps its turn until it is free, however many calls go to it.
        self.streams_turn = if is_free { next + 1 } else { next };
        Some(next)
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        // Waiting callers learn that there will be no answer, though handles may live on.
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
        self.is_closed && self.by_partition.iter().all(|queue| queue.len() == 0)
    }
}

/// Executes a batch.
async fn decide(engine: Arc<dyn Engine>, partition: u16, taken: Taken) -> Batch {
    let Taken { commands, callers, streamed, traced } = taken;
    let commands: Arc<[PreparedCommand]> = commands.into();
    let sent_at = engine.instant();
    let span = Span::of_batch("batch", &traced);
    if let Some(span) = &span {
        span.set("tollgate.partition", i64::from(partition));
        span.set("tollgate.batch.size", i64::try_from(commands.len()).unwrap_or(i64::MAX));
    }
    let timer = metrics().start_batch(commands.len());
    let answer = traces::within(span.as_ref(), async { engine.apply(partition, Arc::clone(&commands)).await }).await;
    if let (Some(span), Err(error)) = (&span, &answer) {
        span.fail(error.name());
    }
    drop(span);
    timer.finish(answer.is_ok());
    let has_deferred = answer.as_ref().is_ok_and(|answer| answer.has_deferred);
    Batch { partition, streamed, sent_at, commands, callers, answers: answer.map(|answer| answer.answers), has_deferred }
}

impl Batch {
    /// The batch without what was left for a later step, which goes to `deferred`, in its order.
    fn without_deferred(self, deferred: &mut VecDeque<(PreparedCommand, Caller)>) -> Self {
        let answers = match self.answers.and_then(Answers::read) {
            Ok(answers) if answers.len() == self.commands.len() => answers,
            answers => return Self { answers: answers.map(Answers::from), ..self },
        };
        let (mut commands, mut callers, mut decided) = (Vec::new(), Vec::new(), Vec::new());
        for ((prepared, caller), answer) in self.commands.iter().cloned().zip(self.callers).zip(answers) {
            if answer == Err(Refusal::Deferred) {
                deferred.push_back((prepared, caller));
            } else {
                commands.push(prepared);
                callers.push(caller);
                decided.push(answer);
            }
        }
        Self { commands: commands.into(), callers, answers: Ok(decided.into()), ..self }
    }

    /// Notifies everybody who waited.
    fn tell(self) {
        let answers = self.answers.and_then(|answers| {
            // The step was taken: an answer that makes no sense does not tell the outcome of its command.
            let answers = answers.read().map_err(LedgerError::after_step)?;
            match answers.len() == self.commands.len() {
                true => Ok(answers),
                false => Err(LedgerError::unknown("the engine gave another number of answers than there were commands")),
            }
        });
        for (place, prepared) in self.commands.iter().enumerate() {
            metrics().decisions.decided(prepared.command.action.kind(), answers.as_ref().ok().and_then(|answers| answers.get(place)));
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
