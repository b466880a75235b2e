//! Batches form by themselves: while one is with the engine, the next gathers; it leaves when the one before has returned.
//!
//! So a lonely command goes out at once, and under load a batch is as large as the engine is slow. A timer would only add delay.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use super::{Engine, LedgerError, MAX_BATCH, Order};
use crate::domain::outcome::Answer;
use crate::telemetry::metrics;

/// How many commands may wait for one partition.
pub const QUEUE_COMMANDS: usize = 16_384;

struct Waiting {
    order: Order,
    answer: oneshot::Sender<Result<Answer, LedgerError>>,
}

/// The queue of one partition.
#[derive(Clone)]
pub struct Batcher {
    queue: mpsc::Sender<Waiting>,
}

/// An answer to come. Dropped before its command was sent, the command is not sent.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Answer, LedgerError>>);

impl Future for Pending {
    type Output = Result<Answer, LedgerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or_else(|_| Err(LedgerError::unavailable("the service is shutting down"))))
    }
}

impl Batcher {
    /// Starts the task that sends a partition's batches. It ends when the last handle is gone and the queue is empty.
    #[must_use]
    pub fn start(engine: Arc<dyn Engine>, partition: u16) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_COMMANDS);
        tokio::spawn(run(engine, partition, waiting));
        Self { queue }
    }

    /// Queues a command.
    pub fn enqueue(&self, order: Order) -> Result<Pending, LedgerError> {
        let (answer, pending) = oneshot::channel();
        match self.queue.try_send(Waiting { order, answer }) {
            Ok(()) => {
                metrics().add_waiting(1);
                Ok(Pending(pending))
            }
            Err(mpsc::error::TrySendError::Full(_)) => Err(LedgerError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(LedgerError::unavailable("the service is shutting down")),
        }
    }
}

async fn run(engine: Arc<dyn Engine>, partition: u16, mut waiting: mpsc::Receiver<Waiting>) {
    let mut gathered = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut gathered, MAX_BATCH).await > 0 {
        metrics().add_waiting(-i64::try_from(gathered.len()).unwrap_or_default());
        let mut orders = Vec::with_capacity(gathered.len());
        let mut callers = Vec::with_capacity(gathered.len());
        for Waiting { order, answer } in gathered.drain(..) {
            // Whoever gave up before the command was sent is taken at their word.
            if !answer.is_closed() {
                orders.push(order);
                callers.push(answer);
            }
        }
        if orders.is_empty() {
            continue;
        }
        let span = tracing::debug_span!("batch", partition, commands = orders.len());
        let timer = metrics().start_batch(orders.len());
        let orders: Arc<[Order]> = orders.into();
        let answers = decide(&*engine, partition, Arc::clone(&orders)).instrument(span).await;
        timer.finish(answers.is_ok());
        for (place, order) in orders.iter().enumerate() {
            metrics().decision(order.command.action.kind(), answers.as_ref().ok().and_then(|answers| answers.get(place)));
        }
        match answers {
            Ok(answers) => {
                for (caller, answer) in callers.into_iter().zip(answers) {
                    let _ = caller.send(Ok(answer));
                }
            }
            Err(error) => {
                for caller in callers {
                    let _ = caller.send(Err(error.clone()));
                }
            }
        }
    }
}

async fn decide(engine: &dyn Engine, partition: u16, orders: Arc<[Order]>) -> Result<Vec<Answer>, LedgerError> {
    let count = orders.len();
    loop {
        let answer = engine.apply(partition, Arc::clone(&orders)).await?;
        if answer.must_repeat {
            continue;
        }
        if answer.answers.len() != count {
            return Err(LedgerError::corrupt("the engine gave another number of answers than there were commands"));
        }
        return Ok(answer.answers);
    }
}
