//! The measurements of a trial: latencies, in all and by kind, and the counts of outcomes.
//!
//! Latencies are those of calls that began (or, in the open loop, should have begun) within the measured time; the rate is that of calls
//! that ended within it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;

use super::answer::{Failure, Outcome};
use super::mix::Kind;

/// The longest latency that can be told from longer ones, in nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;

/// The measured time. Without an end, it ends with the last answer.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// When the warm-up is over.
    pub begin: Instant,
    /// When no more is sent.
    pub end: Option<Instant>,
}

impl Window {
    fn holds(&self, instant: Instant) -> bool {
        instant >= self.begin && self.end.is_none_or(|end| instant <= end)
    }
}

/// How often each kind had each outcome, by their names.
pub type Outcomes = BTreeMap<(Kind, &'static str), u64>;

/// Some latencies.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// How many they are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this part of them, 0 to 1, did not exceed.
    pub fn at(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(quantile))
    }
}

/// The measurements of one thread, or of all.
#[derive(Clone, Debug)]
pub struct Measure {
    window: Window,
    latencies: BTreeMap<Kind, Histogram<u64>>,
    empty: Histogram<u64>,
    /// How late an answer may be.
    deadline: Option<Duration>,
    finished: u64,
    in_time: u64,
    last_finished: Instant,
    /// How often what came out, the warm-up included.
    pub outcomes: Outcomes,
    /// How often which error came, the warm-up included.
    pub errors: BTreeMap<String, u64>,
    /// How many were due in the open loop, and never sent.
    pub not_sent: u64,
}

impl Measure {
    /// Nothing measured yet.
    pub fn new(window: Window) -> anyhow::Result<Self> {
        Ok(Self {
            window,
            latencies: BTreeMap::new(),
            empty: Histogram::new_with_bounds(1, LONGEST, 3).context("cannot make a histogram")?,
            deadline: None,
            finished: 0,
            in_time: 0,
            last_finished: window.begin,
            outcomes: BTreeMap::new(),
            errors: BTreeMap::new(),
            not_sent: 0,
        })
    }

    /// The same, where an answer may be that late.
    #[must_use]
    pub fn by(self, deadline: Option<Duration>) -> Self {
        Self { deadline, ..self }
    }

    /// `count` operations of a kind that began together were answered together. Failures have no part in this: they would make the service
    /// look fast.
    pub fn time(&mut self, kind: Kind, began: Instant, ended: Instant, count: u64) {
        if self.window.holds(began) {
            let nanos = u64::try_from(ended.saturating_duration_since(began).as_nanos()).unwrap_or(u64::MAX);
            self.latencies.entry(kind).or_insert_with(|| self.empty.clone()).saturating_record_n(nanos, count);
        }
        if self.window.holds(ended) {
            self.finished += count;
            let is_late = self.deadline.is_some_and(|deadline| ended.saturating_duration_since(began) > deadline);
            self.in_time += if is_late { 0 } else { count };
            self.last_finished = self.last_finished.max(ended);
        }
    }

    /// What came out of one.
    pub fn count(&mut self, kind: Kind, answer: &Result<Outcome, Failure>) {
        match answer {
            Ok(outcome) => *self.outcomes.entry((kind, outcome.name())).or_default() += 1,
            Err(failure) => self.fail(failure),
        }
    }

    /// Something failed.
    pub fn fail(&mut self, failure: &Failure) {
        match self.errors.get_mut(&failure.kind) {
            Some(count) => *count += 1,
            None => {
                self.errors.insert(failure.kind.clone(), 1);
            }
        }
    }

    /// Adds another thread's.
    pub fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        for (kind, latencies) in &other.latencies {
            self.latencies.entry(*kind).or_insert_with(|| self.empty.clone()).add(latencies).context("histograms differ")?;
        }
        self.finished += other.finished;
        self.in_time += other.in_time;
        self.last_finished = self.last_finished.max(other.last_finished);
        self.not_sent += other.not_sent;
        for (key, count) in &other.outcomes {
            *self.outcomes.entry(*key).or_default() += count;
        }
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        Ok(())
    }

    /// How many were answered within the measured time.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// How long the measured time was.
    pub fn seconds(&self) -> f64 {
        let end = self.window.end.unwrap_or(self.last_finished);
        end.saturating_duration_since(self.window.begin).as_secs_f64()
    }

    /// How many were answered a second.
    pub fn rate(&self) -> f64 {
        self.a_second(self.finished)
    }

    /// How many were answered in time a second; `None` if there is no deadline.
    pub fn rate_in_time(&self) -> Option<f64> {
        self.deadline.map(|_| self.a_second(self.in_time))
    }

    fn a_second(&self, count: u64) -> f64 {
        let seconds = self.seconds();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }

    /// The latencies of all kinds together.
    pub fn latencies(&self) -> anyhow::Result<Latencies> {
        let mut all = self.empty.clone();
        self.latencies.values().try_for_each(|latencies| all.add(latencies)).context("histograms differ")?;
        Ok(Latencies(all))
    }

    /// The latencies by kind; of a kind that was not answered, none.
    pub fn by_kind(&self) -> BTreeMap<Kind, Latencies> {
        self.latencies.iter().map(|(kind, latencies)| (*kind, Latencies(latencies.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_measured_time_counts_and_a_stall_is_not_hidden() {
        let begin = Instant::now() + Duration::from_secs(10);
        let at = |millis: u64| begin + Duration::from_millis(millis);
        let mut measure = Measure::new(Window { begin, end: Some(at(1000)) }).unwrap();
        measure.time(Kind::Debit, begin - Duration::from_secs(1), begin - Duration::from_millis(1), 5);
        measure.time(Kind::Debit, begin - Duration::from_millis(1), at(1), 1);
        (0..98).for_each(|call| measure.time(Kind::Debit, at(call), at(call + 1), 1));
        // Due within the time, answered long after: it has no part in the rate, and all of its latency.
        measure.time(Kind::Refund, at(999), at(4999), 2);
        assert_eq!(measure.finished(), 99);
        assert!((measure.rate() - 99.0).abs() < 1e-9);
        let all = measure.latencies().unwrap();
        assert_eq!((all.count(), all.at(0.5).as_millis(), all.at(0.99).as_millis() / 10, all.at(1.0).as_millis() / 10), (100, 1, 400, 400));
        let by_kind: Vec<_> =
            measure.by_kind().into_iter().map(|(kind, latencies)| (kind, latencies.count(), latencies.at(0.95).as_millis() / 10)).collect();
        assert_eq!(by_kind, [(Kind::Debit, 98, 0), (Kind::Refund, 2, 400)]);
    }

    #[test]
    fn what_is_answered_after_its_deadline_is_answered_and_not_in_time() {
        let begin = Instant::now();
        let at = |millis: u64| begin + Duration::from_millis(millis);
        let window = Window { begin, end: Some(at(1000)) };
        let mut measure = Measure::new(window).unwrap().by(Some(Duration::from_millis(100)));
        measure.time(Kind::Debit, at(10), at(110), 3);
        measure.time(Kind::Debit, at(10), at(111), 2);
        let mut all = Measure::new(window).unwrap().by(Some(Duration::from_millis(100)));
        all.merge(&measure).unwrap();
        assert_eq!((all.rate(), all.rate_in_time()), (5.0, Some(3.0)));
        assert_eq!(Measure::new(window).unwrap().rate_in_time(), None);
    }

    #[test]
    fn without_an_end_the_last_answer_is_the_end() {
        let begin = Instant::now();
        let mut measure = Measure::new(Window { begin, end: None }).unwrap();
        measure.time(Kind::Debit, begin, begin + Duration::from_secs(2), 64);
        assert!((measure.rate() - 32.0).abs() < 1e-9);
    }
}
