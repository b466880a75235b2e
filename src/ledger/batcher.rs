//! Batches form by themselves: while one of a partition is with the engine, the next gathers; it leaves when the one before has returned.
//!
//! So a lonely command goes out at once, and under load a batch is as large as the engine is slow. A timer would only add delay.
//!
//! One task does it for all partitions, and polls the engine's own work with it, in this order: what the engine answers is taken in; all
//! others have a turn; the next batches go out; then those who waited are told. So the store has work again before answers are unpacked,
//! and no batch stands in the thread's queue behind what these answers set off.
//!
//! Where one lonely command follows another, the answer is looked out for: waking up can take longer than it does. Among others it is not:
//! they need the processor more.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::future::{BoxFuture, Fuse};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::coop::unconstrained;
use tokio::task::yield_now;
use tracing::Instrument;

use super::{Answers, Engine, LedgerError, MAX_BATCH, Order};
use crate::domain::outcome::Answer;
use crate::telemetry::metrics;

/// How many commands may wait for one partition.
pub const QUEUE_COMMANDS: usize = 16_384;

/// After how many lonely commands in a row the answer to the next is looked out for.
const LONELY_IN_A_ROW: u32 = 4;

/// A command in a queue, and who waits for it.
struct Waiting {
    partition: u16,
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

/// The queues of all partitions.
#[derive(Clone)]
pub struct Batcher {
    commands: mpsc::UnboundedSender<Waiting>,
    /// How many wait for each partition: what bounds the queues.
    lengths: Arc<[AtomicUsize]>,
}

impl Batcher {
    /// Starts the task that sends the batches. It ends when the last handle is gone and all is answered.
    #[must_use]
    pub fn start(engine: Arc<dyn Engine>) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let lengths: Arc<[AtomicUsize]> = (0..engine.partitions()).map(|_| AtomicUsize::default()).collect();
        let mut dispatch = Dispatch {
            work: engine.work().fuse(),
            engine,
            inbox,
            queues: lengths.iter().map(|_| Queue::default()).collect(),
            lengths: Arc::clone(&lengths),
            under_way: FuturesUnordered::new(),
            returned: Vec::new(),
            has_yielded: false,
            lonely_in_a_row: 0,
            lookout_until: None,
        };
        // Unconstrained: a batch is not to be cut short because the task has had its share of messages.
        tokio::spawn(unconstrained(poll_fn(move |context| dispatch.poll(context))));
        Self { commands, lengths }
    }

    /// Queues a command.
    pub fn enqueue(&self, partition: u16, order: Order) -> Result<Pending, LedgerError> {
        let Some(length) = self.lengths.get(usize::from(partition)) else { return Err(LedgerError::corrupt("no such partition")) };
        if length.fetch_add(1, Ordering::Relaxed) >= QUEUE_COMMANDS {
            length.fetch_sub(1, Ordering::Relaxed);
            return Err(LedgerError::Busy);
        }
        let (answer, pending) = oneshot::channel();
        match self.commands.send(Waiting { partition, order, answer }) {
            Ok(()) => {
                metrics().add_waiting(1);
                Ok(Pending(pending))
            }
            Err(_) => Err(LedgerError::not_done("the service is shutting down")),
        }
    }
}

/// What the task holds.
struct Dispatch {
    engine: Arc<dyn Engine>,
    work: Fuse<BoxFuture<'static, ()>>,
    inbox: mpsc::UnboundedReceiver<Waiting>,
    lengths: Arc<[AtomicUsize]>,
    queues: Vec<Queue>,
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

/// The queue of one partition.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// A batch is with the engine.
    is_under_way: bool,
}

/// A batch that has returned.
struct Batch {
    partition: u16,
    orders: Arc<[Order]>,
    callers: Vec<Caller>,
    answers: Result<Answers, LedgerError>,
}

impl Dispatch {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let _ = self.work.poll_unpin(context);
        self.collect(context);
        let is_closed = self.gather(context).is_ready();
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
        if is_closed && self.under_way.is_empty() {
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
            if let Some(queue) = self.queues.get_mut(usize::from(batch.partition)) {
                queue.is_under_way = false;
            }
            self.returned.push(batch);
        }
    }

    /// Sorts commands into their queues. Ready: there will be no more.
    fn gather(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(waiting) = ready!(self.inbox.poll_recv(context)) {
            if let Some(queue) = self.queues.get_mut(usize::from(waiting.partition)) {
                queue.waiting.push_back(waiting);
            }
        }
        Poll::Ready(())
    }

    /// Begins a batch of each partition that has none under way; answers whether there was one to begin.
    fn send(&mut self) -> bool {
        let (mut is_any, mut lonely) = (false, self.under_way.is_empty());
        for (partition, (queue, length)) in (0..).zip(self.queues.iter_mut().zip(self.lengths.iter())) {
            if queue.is_under_way || queue.waiting.is_empty() {
                continue;
            }
            let most = queue.waiting.len().min(MAX_BATCH);
            let (mut orders, mut callers) = (Vec::with_capacity(most), Vec::with_capacity(most));
            while orders.len() < MAX_BATCH
                && let Some(Waiting { order, answer, .. }) = queue.waiting.pop_front()
            {
                length.fetch_sub(1, Ordering::Relaxed);
                metrics().add_waiting(-1);
                // Whoever gave up before the command was sent is taken at their word.
                if !answer.is_closed() {
                    orders.push(order);
                    callers.push(answer);
                }
            }
            if orders.is_empty() {
                continue;
            }
            lonely = lonely && !is_any && orders.len() == 1;
            (is_any, queue.is_under_way) = (true, true);
            self.under_way.push(decide(Arc::clone(&self.engine), partition, orders.into(), callers).boxed());
        }
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

/// Has a batch decided.
async fn decide(engine: Arc<dyn Engine>, partition: u16, orders: Arc<[Order]>, callers: Vec<Caller>) -> Batch {
    let span = tracing::debug_span!("batch", partition, commands = orders.len());
    let timer = metrics().start_batch(orders.len());
    let applying = async {
        loop {
            let answer = engine.apply(partition, Arc::clone(&orders)).await?;
            if !answer.must_repeat {
                return Ok(answer.answers);
            }
        }
    };
    let answers = applying.instrument(span).await;
    timer.finish(answers.is_ok());
    Batch { partition, orders, callers, answers }
}

impl Batch {
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
