//! How much of streams goes into a step: all that there is, unless somebody waits for single commands.
//!
//! A store takes one step after another, so a call waits for what streams have sent before it. Where calls and streams meet, the streams'
//! commands go in one step at a time, and that one is made as small as a call's wait for it has to be: longer where a step costs much by
//! itself (a sync of the disk), shorter where it costs little. So streams lose no more than the calls need.

use std::time::Duration;

use crate::MAX_BATCH;

/// For how many steps the sources that took part count as having something to do: one that waits for each answer is in every second.
const CROWDED_STEPS: u8 = 8;

/// After how many commands of streams no call is expected any more.
pub const CALLS_EXPECTED: usize = 4096;

/// The bounds of a step's share of streams while there are calls.
pub const LEAST_SHARE: usize = 16;
const MOST_SHARE: usize = MAX_BATCH;

/// How much longer than the quickest step one with its share of streams may take.
const LONGER: u32 = 3;

/// Recent figures of calls, streams and steps, from which the share follows.
#[derive(Debug)]
pub struct StreamShare {
    /// The most commands of streams in a step while several streams have something to do, and nobody else.
    crowded_batch: usize,
    /// How many commands of streams may still be sent until no call is expected any more.
    calls_expected: usize,
    /// How long the quickest steps took lately.
    quickest: Duration,
    /// How many commands of streams a step has while there are calls.
    share: usize,
    /// For how many more steps several streams have something to do.
    crowded: u8,
}

impl StreamShare {
    /// Starts without any figures. While several streams have something to do, a step takes at most `crowded_batch` of their commands.
    pub fn new(crowded_batch: usize) -> Self {
        Self { crowded_batch, calls_expected: 0, quickest: Duration::MAX, share: LEAST_SHARE, crowded: 0 }
    }

    /// Somebody waits for a single command.
    pub fn see_call(&mut self) {
        self.calls_expected = CALLS_EXPECTED;
    }

    /// Notes how many streams have something to do.
    pub fn see_streams(&mut self, count: usize) {
        self.crowded = if count > 1 { CROWDED_STEPS } else { self.crowded.saturating_sub(1) };
    }

    /// Whether calls are to be expected.
    pub fn has_calls(&self) -> bool {
        self.calls_expected > 0
    }

    /// The most commands of streams in the next step.
    pub fn share(&self) -> usize {
        match (self.has_calls(), self.crowded) {
            (true, _) => self.share,
            (false, 0) => MAX_BATCH,
            (false, _) => self.crowded_batch,
        }
    }

    /// Notes how many commands of streams were sent in a step.
    pub fn sent(&mut self, streamed: usize) {
        self.calls_expected = self.calls_expected.saturating_sub(streamed);
    }

    /// Takes in how long a step with that many commands of streams took.
    pub fn returned(&mut self, streamed: usize, took: Duration) {
        // Forgotten slowly: what a step costs changes with the store's load.
        self.quickest = took.min(self.quickest.saturating_add(self.quickest / 128));
        if !self.has_calls() || streamed < self.share {
            return;
        }
        self.share = match took > self.quickest.saturating_mul(LONGER) {
            true => (self.share - self.share / 8).max(LEAST_SHARE),
            false => (self.share + 4).min(MOST_SHARE),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CROWDED_BATCH;

    /// The share that calls leave to streams by what a step costs in itself and for each command, in microseconds.
    fn share_where(by_itself: f64, each: f64) -> usize {
        let mut stream_share = StreamShare::new(CROWDED_BATCH);
        for _ in 0..1000 {
            stream_share.see_call();
            let share = stream_share.share();
            for streamed in [0, share] {
                stream_share.sent(streamed);
                stream_share.returned(streamed, Duration::from_secs_f64((by_itself + each * (streamed + 1) as f64) / 1e6));
            }
        }
        stream_share.share()
    }

    #[test]
    fn a_step_takes_as_many_commands_of_streams_as_calls_can_wait_for() {
        let shares = [(80.0, 12.0), (80.0, 6.0), (1500.0, 12.0)].map(|(by_itself, each)| share_where(by_itself, each));
        assert!((16..=20).contains(&shares[0]), "{shares:?}");
        assert!((24..=34).contains(&shares[1]), "{shares:?}");
        assert!((200..=260).contains(&shares[2]), "a sync is worth more commands: {shares:?}");
    }

    #[test]
    fn streams_have_whole_steps_again_once_no_call_comes() {
        let mut stream_share = StreamShare::new(CROWDED_BATCH);
        assert_eq!(stream_share.share(), MAX_BATCH);
        stream_share.see_call();
        let mut sent = 0;
        while stream_share.has_calls() {
            sent += stream_share.share();
            stream_share.sent(stream_share.share());
        }
        assert_eq!((sent, stream_share.share()), (CALLS_EXPECTED, MAX_BATCH));
    }
}
