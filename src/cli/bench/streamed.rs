//! Batches over Charge streams, one stream for each connection: a fixed number of batches under way (closed loop), or of commands a
//! second (open loop).
//!
//! The latency of a command is that of its batch. The commands of a sequence come right behind each other, in the same batch or the next:
//! the commands of a stream on one account keep their order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::super::client::Connection;
use super::answer::{Failure, streamed};
use super::checked::{Answers, charge};
use super::operation::Operation;
use super::schedule::{Schedule, Timer};
use super::worker::Worker;
use crate::grpc::v1::ChargeRequest;

/// How long after its end the open loop goes on to send what was due before.
const LATENESS: Duration = Duration::from_secs(10);

/// How long to wait before a broken stream is opened again.
const PAUSE: Duration = Duration::from_millis(50);

/// How often in a row a stream may break without an answer, before the service counts as gone.
const MAX_BREAKS: u32 = 400;

/// One stream, and what is under way in it.
struct Stream {
    worker: Arc<Worker>,
    channel: Connection,
    schedule: Option<Schedule>,
    timer: Timer,
    under_way: VecDeque<(Instant, Vec<Operation>)>,
    /// The next of a sequence that had no place in the batch.
    left_over: Option<Operation>,
    is_over: bool,
    breaks: u32,
}

/// Runs a thread's part of a trial.
pub async fn run(worker: Arc<Worker>, place: f64, channels: Vec<Connection>) -> anyhow::Result<()> {
    let count = channels.len();
    let streams = (0_u32..).zip(channels).map(|(number, channel)| {
        let batch = u64::from(worker.shared.options.batch) * count as u64;
        let schedule = worker.schedule(batch, (f64::from(number) + place) / count as f64);
        let stream = Stream {
            worker: Arc::clone(&worker),
            channel,
            schedule,
            timer: Timer::new()?,
            under_way: VecDeque::new(),
            left_over: None,
            is_over: false,
            breaks: 0,
        };
        anyhow::Ok(tokio::spawn(stream.run()))
    });
    let streams = streams.collect::<anyhow::Result<Vec<_>>>()?;
    try_join_all(streams).await?.into_iter().collect()
}

impl Stream {
    async fn run(mut self) -> anyhow::Result<()> {
        while !self.is_over {
            if let Err(failure) = self.talk().await? {
                self.give_up(&failure);
                self.breaks += 1;
                anyhow::ensure!(self.breaks < MAX_BREAKS, "the service has gone: {}", failure.kind);
                tokio::time::sleep(PAUSE).await;
                self.look_at_the_time();
            }
        }
        Ok(())
    }

    /// Opens a stream, and uses it until all is sent and answered, or it breaks.
    async fn talk(&mut self) -> anyhow::Result<Result<(), Failure>> {
        let most = self.worker.shared.options.in_flight.get();
        let patience = self.worker.shared.options.timeout;
        let (sender, receiver) = mpsc::channel(most);
        let opening = timeout(patience, charge(&self.channel, ReceiverStream::new(receiver))).await;
        let mut answers = match opening {
            Ok(Ok(answers)) => answers,
            Ok(Err(status)) => return Ok(Err(status.into())),
            Err(_) => return Ok(Err(Failure::timeout())),
        };
        loop {
            while self.under_way.len() < most && self.is_due() {
                let Some(request) = self.next_batch() else { break };
                if sender.send(request).await.is_err() {
                    // The stream has broken; its answers say why.
                    break;
                }
            }
            if self.under_way.is_empty() && self.is_over {
                return Ok(Ok(()));
            }
            let next_due = self.schedule.as_ref().filter(|_| !self.is_over && self.under_way.len() < most).map(Schedule::due);
            tokio::select! {
                answer = next_answer(&mut answers, patience), if !self.under_way.is_empty() => match answer {
                    Ok(answer) => self.note(&answer),
                    Err(failure) => return Ok(Err(failure)),
                },
                waited = wait_until(&self.timer, next_due) => waited?,
            }
        }
    }

    /// Whether a batch is to be sent now.
    fn is_due(&mut self) -> bool {
        self.look_at_the_time();
        !self.is_over && self.schedule.as_ref().is_none_or(|schedule| schedule.due() <= Instant::now())
    }

    /// Finds out whether everything was sent that is to be.
    fn look_at_the_time(&mut self) {
        let now = Instant::now();
        let end = self.worker.window.end;
        match (&self.schedule, end) {
            _ if self.is_over => {}
            (Some(schedule), Some(end)) => {
                let is_too_late = now > end + LATENESS;
                if is_too_late {
                    self.worker.notes().measure.not_sent += schedule.left_before(end) * u64::from(self.worker.shared.options.batch);
                }
                self.is_over = is_too_late || schedule.due() >= end;
            }
            _ => self.is_over = end.is_some_and(|end| now >= end),
        }
    }

    /// The next batch; `None` if all was sent.
    fn next_batch(&mut self) -> Option<ChargeRequest> {
        let worker = Arc::clone(&self.worker);
        let wanted = u64::from(worker.shared.options.batch);
        let began = match &mut self.schedule {
            Some(schedule) => {
                let due = schedule.due();
                schedule.advance();
                due
            }
            None => Instant::now(),
        };
        let count = if self.schedule.is_some() { wanted } else { worker.take(began, wanted) } as usize;
        if count == 0 {
            self.is_over = true;
            return None;
        }
        let mut operations = Vec::with_capacity(count);
        while operations.len() < count {
            let operation = self.left_over.take().unwrap_or_else(|| worker.next());
            operations.push(operation);
            self.left_over = operation.then(|| worker.number());
        }
        let commands = operations.iter().map(|operation| worker.shared.writer.command(operation)).collect();
        self.under_way.push_back((began, operations));
        Some(ChargeRequest { commands })
    }

    fn note(&mut self, answer: &Answers) {
        let Some((began, operations)) = self.under_way.pop_front() else { return };
        let ended = Instant::now();
        self.breaks = 0;
        let mut notes = self.worker.notes();
        let mut failed = 0;
        for (place, operation) in operations.iter().enumerate() {
            let outcome = streamed(operation.kind, answer.outcomes.get(place).and_then(|outcome| outcome.told.as_ref()));
            match outcome {
                Ok(_) => notes.measure.time(operation.kind, began, ended, 1),
                Err(_) => failed += 1,
            }
            notes.enter(operation, &outcome);
        }
        let count = operations.len() as u64;
        self.worker.progress(count, failed);
    }

    /// What is under way has an unknown outcome.
    fn give_up(&mut self, failure: &Failure) {
        let failure = Failure { is_unknown: true, ..failure.clone() };
        let mut notes = self.worker.notes();
        if self.under_way.is_empty() {
            notes.measure.fail(&failure);
        }
        for (_, operations) in self.under_way.drain(..) {
            for operation in &operations {
                notes.enter(operation, &Err(failure.clone()));
            }
            self.worker.progress(operations.len() as u64, operations.len() as u64);
        }
    }
}

async fn next_answer(answers: &mut Streaming<Answers>, patience: Duration) -> Result<Answers, Failure> {
    match timeout(patience, answers.message()).await {
        Ok(Ok(Some(answer))) => Ok(answer),
        Ok(Ok(None)) => Err(Failure { kind: "the stream ended".to_owned(), is_unknown: true }),
        Ok(Err(status)) => Err(status.into()),
        Err(_) => Err(Failure::timeout()),
    }
}

async fn wait_until(timer: &Timer, due: Option<Instant>) -> anyhow::Result<()> {
    match due {
        Some(due) => timer.until(due).await,
        None => std::future::pending().await,
    }
}
