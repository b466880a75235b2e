//! The queue of a partition: calls and the commands of streams, each fair by source, and what is taken of them for a batch.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;

use super::pace::Pace;
use crate::{LedgerError, MAX_BATCH, PreparedCommand};
use domain::outcome::Answer;
use platform::lanes::fair::FairQueue;
use platform::lanes::source::Source;
use platform::telemetry::traces::SpanReference;

/// How many commands of calls may wait for one partition, and how many of streams. A source may have as many of them as places are free:
/// half, if it is alone.
pub const QUEUE_COMMANDS: usize = 16_384;

/// How many places of a batch are the streams', however many calls wait.
const STREAMS_PLACES: usize = 64;

/// A command in a queue, and who waits for it.
pub struct Waiting {
    pub prepared: PreparedCommand,
    pub answer: Caller,
    /// The span of its call, if that is recorded.
    pub trace: Option<Box<SpanReference>>,
}

/// A waiting caller.
pub type Caller = oneshot::Sender<Result<Answer, LedgerError>>;

/// Commands that wait for one partition.
pub struct Queue {
    pub calls: FairQueue<Waiting>,
    pub streams: FairQueue<Waiting>,
    /// How many commands are with the engine.
    pub under_way: usize,
    pub pace: Pace,
}

/// The commands of a batch.
pub struct Taken {
    pub commands: Vec<PreparedCommand>,
    /// The waiting caller of each.
    pub callers: Vec<Caller>,
    /// How many of its commands came from streams.
    pub streamed: usize,
    /// The spans of its calls that are recorded.
    pub traced: Vec<SpanReference>,
}

impl Queue {
    pub fn new() -> Self {
        let [calls, streams] = [(), ()].map(|()| FairQueue::new(QUEUE_COMMANDS));
        Self { calls, streams, under_way: 0, pace: Pace::default() }
    }

    pub fn len(&self) -> usize {
        self.calls.len() + self.streams.len()
    }

    pub fn push(&mut self, waiting: Waiting) -> Result<(), Waiting> {
        let source = Source::current();
        let queue = if source.is_stream() { &mut self.streams } else { &mut self.calls };
        queue.push(source, waiting)
    }

    /// How long so many commands would wait for their answers, if the current source had them now.
    pub fn expected_wait(&self, commands: usize) -> Duration {
        let source = Source::current();
        let ahead = match source.is_stream() {
            true => self.calls.len() + self.streams.ahead(source, commands),
            false => self.calls.ahead(source, commands),
        };
        self.pace.of(self.under_way + ahead + commands)
    }

    /// Takes the commands of the next batch, after those that were left for it: of streams, at most that share.
    pub fn take(&mut self, deferred: &mut VecDeque<(PreparedCommand, Caller)>, most_streamed: usize) -> Taken {
        let streamed = most_streamed.min(self.streams.len());
        let calls = (deferred.len() + self.calls.len()).min(MAX_BATCH - streamed.min(STREAMS_PLACES));
        let most = (calls + streamed).min(MAX_BATCH);
        let (mut commands, mut callers, mut traced) = (Vec::with_capacity(most), Vec::with_capacity(most), Vec::new());
        let mut take = |next: &mut dyn FnMut() -> Option<Waiting>, most: usize| {
            while commands.len() < most
                && let Some(Waiting { prepared, answer, trace }) = next()
            {
                // A caller that gave up before the command was sent is taken at its word.
                if !answer.is_closed() {
                    commands.push(prepared);
                    callers.push(answer);
                    traced.extend(trace.map(|place| *place));
                }
            }
            commands.len()
        };
        let mut next_call = || deferred.pop_front().map(Waiting::again).or_else(|| self.calls.pop());
        let calls = take(&mut next_call, calls);
        let streamed = take(&mut || self.streams.pop(), (calls + streamed).min(MAX_BATCH)) - calls;
        Taken { commands, callers, streamed, traced }
    }
}

impl Waiting {
    /// What a step has left for a later one: its span was linked to the step that it came to first.
    fn again((prepared, answer): (PreparedCommand, Caller)) -> Self {
        Self { prepared, answer, trace: None }
    }
}
