//! Streams of charges: batches of commands, each with an outcome, in order.
//!
//! Commands are queued in the order of the stream, so those on one account keep it. Up to [`MAX_BATCHES`] batches, of [`MAX_COMMANDS`]
//! commands together, are under way, and are answered in their order; before more is read, their answers must be taken. A refund (whose
//! charge may be on the stream before it) waits for all earlier outcomes; what follows it waits for it to be queued. Where the stream has
//! as much waiting as it may, it waits for its own earlier commands. A client that goes leaves nothing half done: a command was queued or
//! it was not. When the service stops, what was read is answered, and the stream ends with an error.
//!
//! This path carries most commands, so nothing is copied or boxed for each: a protocol's batch is an iterator that reads one command at a
//! time, and an outcome is written as the protocol's answer as soon as it is there.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::UseCases;
use super::admission::StreamPermit;
use super::advice::{self, Advised};
use super::commands::{self, Decided};
use super::context::RequestContext;
use super::deadline::Stage;
use super::decisions::Recorder;
use super::error::Error;
use super::stream_access::StreamAccess;
use access::{Permission, Reached};
use domain::command::{Action, Command};
use domain::outcome::{Answer, Outcome};
use ledger::{LedgerError, MAX_BATCH, Pending};
use platform::lanes::source::Source;

/// How many batches of a stream are under way at once.
pub const MAX_BATCHES: usize = 16;

/// How many commands of a stream are under way at once, or answered and not taken: so much is held for a reader that takes nothing.
pub const MAX_COMMANDS: u32 = 2048;

/// How long all texts about the wrong fields of a batch's commands are: errors beyond say only their reason.
const VIOLATION_BYTES: usize = 256 * 1024;

/// After how many commands a stream lets others have a turn; and while there are calls, whose answers are waited for one by one.
const TURN: u32 = 256;
const TURN_BESIDE_CALLS: usize = 32;

/// The outcome of a command of a batch.
#[derive(Debug)]
pub enum Charge {
    /// It was a look at an account's credit.
    Seen(Outcome),
    Decided(Decided),
    Converted(Advised),
    /// It could not be read.
    Unread(Error),
    /// It was refused, or there is no answer.
    Failed(Arc<Command>, Error),
}

/// Why a stream of batches ends early.
#[derive(Debug)]
pub enum Interrupted<E> {
    /// Its protocol cannot read on.
    Unreadable(E),
    /// The service does not go on.
    Error(Error),
}

impl<E> From<Error> for Interrupted<E> {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Writes the outcome of a command, given its place in its batch, as a protocol's answer.
type Write<T> = fn(usize, Charge) -> T;

/// The batches of a stream, as they come.
type Incoming<B, E> = Pin<Box<dyn Stream<Item = Result<B, E>> + Send + Sync>>;

/// One stream.
struct Charges<B, E, T> {
    use_cases: UseCases,
    access: StreamAccess,
    incoming: Incoming<B, E>,
    write: Write<T>,
    /// Ready once the service stops.
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    /// A permit for each command that may still be sent. A batch that holds all of them waits for no other.
    free: Arc<Semaphore>,
    /// How many commands were read since others had a turn.
    since_turn: u32,
    _permit: StreamPermit,
}

/// A batch whose commands are queued.
struct Batch<T> {
    slots: Vec<Slot<T>>,
    recorder: Recorder,
    write: Write<T>,
    /// Permits for its commands.
    commands: Option<OwnedSemaphorePermit>,
}

/// One command of a batch.
enum Slot<T> {
    /// Its outcome is written.
    Written(Box<T>),
    /// It waits for the ledger.
    Waiting(Arc<Command>, Pending),
}

impl UseCases {
    /// Charges a stream of batches.
    pub fn charge<B, E, T>(
        &self,
        context: RequestContext,
        incoming: Incoming<B, E>,
        write: Write<T>,
    ) -> Result<impl Stream<Item = Result<Vec<T>, Interrupted<E>>> + Send + use<B, E, T>, Error>
    where
        B: IntoIterator<Item = Result<Command, Error>, IntoIter: ExactSizeIterator + Send> + Send,
        E: Send,
        T: Send,
    {
        let permit = self.admission.stream(&context)?;
        self.charge_within(permit, context, incoming, write)
    }

    fn charge_within<B, E, T>(
        &self,
        permit: StreamPermit,
        context: RequestContext,
        incoming: Incoming<B, E>,
        write: Write<T>,
    ) -> Result<impl Stream<Item = Result<Vec<T>, Interrupted<E>>> + Send + use<B, E, T>, Error>
    where
        B: IntoIterator<Item = Result<Command, Error>, IntoIter: ExactSizeIterator + Send> + Send,
        E: Send,
        T: Send,
    {
        let charges = Charges {
            use_cases: self.clone(),
            access: self.stream_access(context)?,
            incoming,
            write,
            stopped: Box::pin(self.stopping.clone().cancelled_owned()),
            free: Arc::new(Semaphore::new(MAX_COMMANDS as usize)),
            since_turn: 0,
            _permit: permit,
        };
        let batches = stream::unfold(Some(charges), |charges| async move {
            let mut charges = charges?;
            match charges.next().await.transpose()? {
                Ok(batch) => Some((Ok(batch), Some(charges))),
                Err(interrupted) => Some((Err(interrupted), None)),
            }
        });
        let answers = batches.map(|batch| async move {
            match batch {
                Ok(batch) => Ok(batch.answer().await),
                Err(interrupted) => Err(interrupted),
            }
        });
        // The permits go once an answer is taken: what waits for its reader is bounded, too.
        Ok(answers.buffered(MAX_BATCHES).map(|answer| answer.map(|(outcomes, _commands)| outcomes)))
    }

    /// Refuses a batch of so many commands that would be too late.
    pub fn ensure_time_for_batch(&self, context: &RequestContext, commands: usize) -> Result<(), Error> {
        let source = Source::current().streaming();
        context.ensure_time_for(|| source.scope(|| self.ledger.expected_wait_of(commands)))
    }

    /// Charges one batch, as a stream that has no other.
    pub async fn charge_batch<B, T>(&self, context: &RequestContext, batch: B, write: Write<T>) -> Result<Vec<T>, Error>
    where
        B: ExactSizeIterator<Item = Result<Command, Error>> + Send + Sync + 'static,
        T: Send,
    {
        self.ensure_time_for_batch(context, batch.len())?;
        let only = stream::iter([Ok::<_, Error>(batch)]);
        let permit = self.admission.batch()?;
        // From here on some of it may be done.
        context.reached(Stage::Sent);
        let answers = std::pin::pin!(self.charge_within(permit, context.clone(), Box::pin(only), write)?);
        // It is a stream of one batch to others, too.
        match Source::current().streaming().scoped(answers.into_future()).await.0 {
            Some(answer) => answer.map_err(|(Interrupted::Unreadable(error) | Interrupted::Error(error))| error),
            None => Err(Error::stopping()),
        }
    }

    /// Queues a command of a stream.
    fn enqueue(&self, command: &Arc<Command>) -> Result<Pending, LedgerError> {
        self.ledger.enqueue(Arc::clone(command))
    }
}

/// An error with what it says of its fields, as long as there is room for that.
fn within(room: &mut usize, mut error: Error) -> Error {
    let bytes = error.violations.iter().map(|violation| violation.field.len() + violation.rule.len()).sum();
    match room.checked_sub(bytes) {
        Some(left) => *room = left,
        None => error.violations.clear(),
    }
    error
}

/// The outcome of a command.
fn charged(recorder: &Recorder, command: Arc<Command>, answer: Result<Answer, LedgerError>) -> Charge {
    recorder.record(&command, answer.as_ref());
    let is_look = matches!(command.action, Action::Observe { .. });
    match answer {
        Err(error) => Charge::Failed(command, if is_look { error.of_read() } else { error }.into()),
        Ok(Err(refusal)) => {
            let error = Error::refused(refusal, &command);
            Charge::Failed(command, error)
        }
        Ok(Ok(outcome)) if is_look => Charge::Seen(outcome),
        Ok(Ok(outcome)) => match outcome.decision {
            None => Charge::Failed(command, commands::undecided()),
            Some(decision) if matches!(command.action, Action::Convert { .. }) => {
                Charge::Converted(advice::unasked(&recorder.clock, Decided { command, outcome, decision }))
            }
            Some(decision) => Charge::Decided(Decided { command, outcome, decision }),
        },
    }
}

impl<B, E, T> Charges<B, E, T>
where
    B: IntoIterator<Item = Result<Command, Error>, IntoIter: ExactSizeIterator>,
{
    /// Takes the next batch, and queues its commands.
    async fn next(&mut self) -> Result<Option<Batch<T>>, Interrupted<E>> {
        let batch = tokio::select! {
            biased;
            () = &mut self.stopped => return Err(Error::stopping().into()),
            error = self.access.lost(|context| context.require_at_all(Permission::Charge)) => return Err(error.into()),
            batch = self.incoming.next() => batch.transpose(),
        };
        let Some(batch) = batch.map_err(Interrupted::Unreadable)? else { return Ok(None) };
        let batch = batch.into_iter();
        let count = batch.len();
        let commands = u32::try_from(count).unwrap_or(u32::MAX);
        if count > MAX_BATCH {
            return Err(Error::batch_too_large(MAX_BATCH).into());
        }
        if count == 0 {
            return Err(Error::invalid_field("commands", format!("must be 1 to {MAX_BATCH}")).into());
        }
        self.take_turns(commands).await;
        let permits = Arc::clone(&self.free).acquire_many_owned(commands).await.ok();
        let (mut slots, mut room) = (Vec::with_capacity(count), VIOLATION_BYTES);
        for (index, command) in batch.enumerate() {
            if index % TURN_BESIDE_CALLS == TURN_BESIDE_CALLS - 1 && self.use_cases.ledger.has_calls() {
                yield_now().await;
            }
            let slot = match command {
                Ok(mut command) => match self.admit(&mut command).await {
                    Ok(()) => self.queue(Arc::new(command), index, &mut slots, MAX_COMMANDS - commands).await,
                    Err(error) => {
                        self.use_cases.tell_of_refusal(self.access.context(), &error);
                        self.written(index, Charge::Failed(Arc::new(command), error))
                    }
                },
                Err(error) => self.written(index, Charge::Unread(within(&mut room, error))),
            };
            slots.push(slot);
        }
        Ok(Some(Batch { slots, recorder: self.recorder(), write: self.write, commands: permits }))
    }

    /// Lets a command through that its caller may give, when the caller's share has room for it.
    async fn admit(&mut self, command: &mut Command) -> Result<(), Error> {
        while let Err(Reached::Rate(wait)) = self.access.context().caller.share.take_request() {
            tokio::select! {
                () = &mut self.stopped => break,
                () = sleep(wait) => {}
            }
        }
        self.access.check()?;
        self.use_cases.admit(self.access.context(), command).await
    }

    /// Yields from time to time, however fast commands come.
    async fn take_turns(&mut self, commands: u32) {
        self.since_turn += commands;
        if self.since_turn > TURN {
            self.since_turn = commands;
            yield_now().await;
        }
    }

    /// Queues a command; what follows a refund waits until it is decided, since it may have to be sent again. `others` are the permits of
    /// earlier batches.
    async fn queue(&self, command: Arc<Command>, index: usize, slots: &mut Vec<Slot<T>>, others: u32) -> Slot<T> {
        let is_recorded = matches!(command.action, Action::Convert { .. }) && self.use_cases.trail.records_the_ledger();
        if matches!(command.action, Action::Refund(_)) || is_recorded {
            let charge = match self.use_cases.answer_to(&command).await {
                Ok(answer) => charged(&self.recorder(), command, Ok(answer)),
                Err(error) => Charge::Failed(command, error),
            };
            match &charge {
                Charge::Decided(decided) | Charge::Converted(Advised { decided, .. }) => self.use_cases.tell_of_act(decided),
                _ => {}
            }
            return self.written(index, charge);
        }
        let mut queued = self.use_cases.enqueue(&command);
        if matches!(queued, Err(LedgerError::Busy)) {
            self.settle(slots, others).await;
            queued = self.use_cases.enqueue(&command);
        }
        match queued {
            Ok(pending) => Slot::Waiting(command, pending),
            Err(error) => self.written(index, Charge::Failed(command, error.into())),
        }
    }

    fn recorder(&self) -> Recorder {
        Recorder::new(&self.use_cases, self.access.context())
    }

    fn written(&self, index: usize, charge: Charge) -> Slot<T> {
        Slot::Written(Box::new((self.write)(index, charge)))
    }

    /// Waits for all earlier outcomes.
    async fn settle(&self, slots: &mut Vec<Slot<T>>, others: u32) {
        let recorder = self.recorder();
        for (index, slot) in std::mem::take(slots).into_iter().enumerate() {
            slots.push(Slot::Written(Box::new(slot.settle(&recorder, index, self.write).await)));
        }
        let _ = self.free.acquire_many(others).await;
    }
}

impl<T> Batch<T> {
    async fn answer(self) -> (Vec<T>, Option<OwnedSemaphorePermit>) {
        let mut outcomes = Vec::with_capacity(self.slots.len());
        for (index, slot) in self.slots.into_iter().enumerate() {
            outcomes.push(slot.settle(&self.recorder, index, self.write).await);
        }
        (outcomes, self.commands)
    }
}

impl<T> Slot<T> {
    /// The command's outcome, once the ledger has decided it.
    async fn settle(self, recorder: &Recorder, index: usize, write: Write<T>) -> T {
        match self {
            Self::Written(written) => *written,
            Self::Waiting(command, pending) => write(index, charged(recorder, command, pending.await)),
        }
    }
}
