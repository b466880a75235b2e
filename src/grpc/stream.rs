//! The `Charge` stream: batches of commands, each with an outcome, in order.
//!
//! Commands are queued in the order of the stream, so those on one account keep it. Up to [`MAX_BATCHES`] batches, of [`MAX_COMMANDS`]
//! commands together, are under way, and are answered in their order; before more is read, their answers must be taken. A refund (whose
//! charge may be on the stream before it) waits for all earlier outcomes; what follows it waits for it to be queued. Where the stream has
//! as much waiting as it may, it waits for its own earlier commands. A client that goes leaves nothing half done: a command was queued or
//! it was not. When the service stops, what was read is answered, and the stream ends with UNAVAILABLE.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;
use tonic_types::FieldViolation;

use super::front::{Front, observation, outcome};
use super::v1::charge_command::Command as Asked;
use super::v1::charge_outcome::Outcome as Told;
use super::wire::reader::Reader;
use super::wire::{Position, Subject, charging as read, render};
use super::{advice, status, v1};
use crate::domain::command::{Action, Command};
use crate::domain::outcome::Answer;
use crate::lanes::source::Source;
use crate::ledger::{LedgerError, MAX_BATCH, Pending};

/// How many batches of a stream are under way at once.
pub const MAX_BATCHES: usize = 16;

/// How many commands of a stream are under way at once: about a megabyte that is held for a reader that takes nothing.
pub const MAX_COMMANDS: u32 = 2048;

/// After how many commands a stream lets others have a turn; and while there are calls, whose answers are waited for one by one.
const TURN: u32 = 256;
const TURN_BESIDE_CALLS: usize = 32;

/// The batches of a stream, as they come.
type Incoming = Pin<Box<dyn Stream<Item = Result<v1::ChargeRequest, Status>> + Send + Sync>>;

/// One stream.
struct Charges {
    front: Front,
    incoming: Incoming,
    /// Ready once the service stops.
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    /// A permit for each command that may still be sent. Whoever holds all of them waits for nobody.
    free: Arc<Semaphore>,
    /// How many commands were read since others had a turn.
    since_turn: u32,
    max_message_bytes: usize,
    _permit: OwnedSemaphorePermit,
}

/// A batch whose commands are queued.
struct Batch {
    slots: Vec<Slot>,
    front: Front,
    /// Permits for its commands.
    _commands: Option<OwnedSemaphorePermit>,
}

/// One command of a batch.
enum Slot {
    /// It has its outcome.
    Told(Box<Told>),
    /// It waits for the ledger.
    Waiting(Subject, Pending),
}

/// Answers a stream of batches.
pub fn charge(
    front: Front,
    incoming: Incoming,
    max_message_bytes: usize,
) -> Result<impl Stream<Item = Result<v1::ChargeResponse, Status>> + Send + use<>, Status> {
    let permit = front.gate.stream()?;
    let stopped = Box::pin(front.stopping.clone().cancelled_owned());
    let charges = Charges {
        front,
        incoming,
        stopped,
        free: Arc::new(Semaphore::new(MAX_COMMANDS as usize)),
        since_turn: 0,
        max_message_bytes,
        _permit: permit,
    };
    let batches = stream::unfold(Some(charges), |charges| async move {
        let mut charges = charges?;
        match charges.next().await.transpose()? {
            Ok(batch) => Some((Ok(batch), Some(charges))),
            Err(status) => Some((Err(status), None)),
        }
    });
    let answers = batches.map(|batch| async move {
        match batch {
            Ok(batch) => Ok(batch.answer().await),
            Err(status) => Err(status),
        }
    });
    Ok(answers.buffered(MAX_BATCHES))
}

/// Answers one batch, as a stream that has no other.
pub async fn batch(front: Front, commands: Vec<v1::ChargeCommand>, max_message_bytes: usize) -> Result<Vec<v1::ChargeOutcome>, Status> {
    let only = stream::iter([Ok(v1::ChargeRequest { commands })]);
    let answers = std::pin::pin!(charge(front, Box::pin(only), max_message_bytes)?);
    // It is a stream of one batch to others, too.
    match Source::current().streaming().scoped(answers.into_future()).await.0 {
        Some(answer) => answer.map(|answer| answer.outcomes),
        None => Err(status::stopping()),
    }
}

impl Charges {
    /// Takes the next batch, and queues its commands.
    async fn next(&mut self) -> Result<Option<Batch>, Status> {
        let message = tokio::select! {
            biased;
            () = &mut self.stopped => return Err(status::stopping()),
            message = self.incoming.next() => message.transpose(),
        };
        let Some(request) = message.map_err(|status| self.broken(status))? else { return Ok(None) };
        let count = request.commands.len();
        let commands = u32::try_from(count).unwrap_or(u32::MAX);
        if count > MAX_BATCH {
            return Err(status::batch_too_large(MAX_BATCH));
        }
        if count == 0 {
            return Err(status::invalid(vec![FieldViolation::new("commands", format!("must be 1 to {MAX_BATCH}"))], Position::default()));
        }
        self.take_turns(commands).await;
        let permits = Arc::clone(&self.free).acquire_many_owned(commands).await.ok();
        let mut slots = Vec::with_capacity(count);
        for (index, command) in request.commands.into_iter().enumerate() {
            if index % TURN_BESIDE_CALLS == TURN_BESIDE_CALLS - 1 && self.front.ledger.has_calls() {
                yield_now().await;
            }
            let slot = match self.read(index, command) {
                Ok(subject) => self.queue(subject, &mut slots, MAX_COMMANDS - commands).await,
                Err(status) => Err(status),
            };
            slots.push(slot.unwrap_or_else(|status| told_error(&status)));
        }
        Ok(Some(Batch { slots, front: self.front.clone(), _commands: permits }))
    }

    /// Lets others have a turn from time to time, however fast commands come.
    async fn take_turns(&mut self, commands: u32) {
        self.since_turn += commands;
        if self.since_turn > TURN {
            self.since_turn = commands;
            yield_now().await;
        }
    }

    /// Why the stream cannot be read on.
    fn broken(&self, status: Status) -> Status {
        status::completed(&status, self.max_message_bytes).unwrap_or(status)
    }

    fn read(&self, index: usize, command: v1::ChargeCommand) -> Result<Subject, Status> {
        let front = &self.front;
        match command.command {
            None => {
                let violation = FieldViolation::new(format!("commands[{index}].command"), "must be given");
                Err(status::invalid(vec![violation], Position::default()))
            }
            Some(Asked::Authorize(request)) => taken(front, request, Position::in_batch(index, "authorize"), read::authorize),
            Some(Asked::Debit(request)) => taken(front, request, Position::in_batch(index, "debit"), read::debit),
            Some(Asked::Release(request)) => taken(front, request, Position::in_batch(index, "release"), read::release),
            Some(Asked::Refund(request)) => taken(front, request, Position::in_batch(index, "refund"), read::refund),
            Some(Asked::Convert(request)) => taken(front, request, Position::in_batch(index, "convert"), read::convert),
            Some(Asked::GetUsableCredit(request)) => {
                taken(front, request.account_id, Position::in_batch(index, "get_usable_credit"), |reader, account| {
                    observation(reader.account_id(account))
                })
            }
        }
    }

    /// Queues a command; what follows a refund waits until it is decided, since it may have to be sent again. `others` are the permits of
    /// earlier batches.
    async fn queue(&self, subject: Subject, slots: &mut Vec<Slot>, others: u32) -> Result<Slot, Status> {
        if matches!(subject.command.action, Action::Refund(_)) {
            let answer = self.front.answer_to(&subject.command).await?;
            let told = tell(&self.front, subject, Ok(answer)).unwrap_or_else(|status| Told::Error(status::as_outcome(&status)));
            return Ok(Slot::Told(Box::new(told)));
        }
        let mut queued = self.front.ledger.enqueue(Arc::clone(&subject.command));
        if matches!(queued, Err(LedgerError::Busy)) {
            self.settle(slots, others).await;
            queued = self.front.ledger.enqueue(Arc::clone(&subject.command));
        }
        Ok(Slot::Waiting(subject, queued.map_err(|error| status::no_answer(&error))?))
    }

    /// Waits for all earlier outcomes.
    async fn settle(&self, slots: &mut Vec<Slot>, others: u32) {
        for slot in std::mem::take(slots) {
            slots.push(Slot::Told(Box::new(slot.settle(&self.front).await)));
        }
        let _ = self.free.acquire_many(others).await;
    }
}

impl Batch {
    async fn answer(self) -> v1::ChargeResponse {
        let mut outcomes = Vec::with_capacity(self.slots.len());
        for slot in self.slots {
            outcomes.push(v1::ChargeOutcome { outcome: Some(slot.settle(&self.front).await) });
        }
        v1::ChargeResponse { outcomes }
    }
}

impl Slot {
    /// The command's outcome, when the ledger has said it.
    async fn settle(self, front: &Front) -> Told {
        match self {
            Self::Told(told) => *told,
            Self::Waiting(subject, pending) => {
                tell(front, subject, pending.await).unwrap_or_else(|status| Told::Error(status::as_outcome(&status)))
            }
        }
    }
}

/// Reads a request of a batch.
fn taken<Q>(front: &Front, request: Q, place: Position, read: fn(&mut Reader, Q) -> Command) -> Result<Subject, Status> {
    Ok(Subject::new(front.read(request, place, read)?, place))
}

fn told_error(status: &Status) -> Slot {
    Slot::Told(Box::new(Told::Error(status::as_outcome(status))))
}

fn tell(front: &Front, subject: Subject, answer: Result<Answer, LedgerError>) -> Result<Told, Status> {
    if matches!(subject.command.action, Action::Observe { .. }) {
        let outcome = outcome(&subject, answer.map_err(LedgerError::of_read))?;
        return Ok(Told::GetUsableCredit(render::usable_credit(&outcome, outcome.now)));
    }
    let decided = front.decided(subject, answer)?;
    Ok(match decided.subject.command.action {
        Action::Authorize(_) => Told::Authorize(render::authorize(&decided)),
        Action::Debit(_) => Told::Debit(render::debit(&decided)),
        Action::Release { .. } => Told::Release(render::release(&decided)),
        Action::Refund(_) => Told::Refund(render::refund(&decided)),
        _ => Told::Convert(render::convert(&decided, &advice::Known::nothing(front, decided.now))),
    })
}
