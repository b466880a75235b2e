//! What callers were told, against the journal: each acknowledged effect once, nothing done of which it was said that it was not, and no
//! answer from before what the caller could know.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::books::History;
use super::evidence::{Answer, Ask, Attempt, Credit, Entry, Evidence, Instant, Outcome, What};
use super::{Fault, Findings};

pub fn check(evidence: &Evidence, histories: &BTreeMap<String, History>, findings: &mut Findings) {
    let mut accounts: BTreeMap<&str, Vec<&Ask>> = BTreeMap::new();
    for ask in &evidence.asks {
        accounts.entry(&ask.account).or_default().push(ask);
    }
    let nothing = History::default();
    for (account, asks) in accounts {
        let history = histories.get(account).unwrap_or(&nothing);
        let entries = evidence.journal.get(account).map_or(&[][..], Vec::as_slice);
        let known = Known::new(&asks, history);
        for ask in asks {
            let checked =
                Checked { ask, entries, history, known: &known, restored: &evidence.restored, shows_unproved: evidence.shows_unproved };
            checked.check(findings);
        }
    }
}

/// Up to which entry of an account callers knew of it, at each instant.
struct Known(Vec<(Instant, usize)>);

impl Known {
    fn new(asks: &[&Ask], history: &History) -> Self {
        let mut told: Vec<(Instant, usize)> = asks
            .iter()
            .filter_map(|ask| {
                let place = *history.places.get(&ask.request)?.last()?;
                let is_written = |outcome: &Outcome| matches!(outcome, Outcome::Amount(_) | Outcome::Done);
                let done =
                    ask.attempts.iter().find(|attempt| matches!(&attempt.answer, Answer::Done { outcome, .. } if is_written(outcome)))?;
                Some((done.told, place))
            })
            .collect();
        told.sort_unstable();
        let mut last = 0;
        for (_, place) in &mut told {
            last = last.max(*place);
            *place = last;
        }
        Self(told)
    }

    /// The place of the last entry that was acknowledged before this instant.
    fn at(&self, instant: Instant) -> usize {
        let count = self.0.partition_point(|(told, _)| *told < instant);
        count.checked_sub(1).and_then(|last| self.0.get(last)).map_or(0, |(_, place)| *place)
    }
}

struct Checked<'a> {
    ask: &'a Ask,
    entries: &'a [Entry],
    history: &'a History,
    known: &'a Known,
    restored: &'a [Instant],
    shows_unproved: bool,
}

impl Checked<'_> {
    fn name(&self) -> String {
        format!("{}: {} {:?}", self.ask.account, self.ask.request, self.ask.what)
    }

    fn check(&self, findings: &mut Findings) {
        if self.ask.what == What::Look {
            for attempt in &self.ask.attempts {
                self.is_current(attempt, findings);
            }
            return;
        }
        let places = self.history.places.get(&self.ask.request).map_or(&[][..], Vec::as_slice);
        let (mut done, mut anew): (Vec<&Attempt>, usize) = (Vec::new(), 0);
        for attempt in &self.ask.attempts {
            if let Answer::Done { replayed, outcome, .. } = &attempt.answer {
                self.is_current(attempt, findings);
                if done.last().is_some_and(|earlier| self.is_forgotten(earlier, attempt).is_some()) {
                    done.clear();
                    anew = 0;
                }
                anew += usize::from(!replayed);
                if let Some(Answer::Done { outcome: first, .. }) = done.first().map(|attempt| &attempt.answer)
                    && !is_same(first, outcome)
                {
                    findings.add(Fault::Contradiction, format!("{}: first {first:?}, then {outcome:?}", self.name()));
                }
                done.push(attempt);
            }
        }
        if anew > 1 {
            findings.add(Fault::Doubled, format!("{}: was decided {anew} times", self.name()));
        }
        let Some(Answer::Done { outcome, .. }) = done.first().map(|attempt| &attempt.answer) else {
            self.nothing_was_done(places, findings);
            return;
        };
        if done.last().is_some_and(|earlier| self.is_decided_anew(earlier, places)) {
            self.is_in_order(places, findings);
            return;
        }
        match outcome {
            Outcome::Declined { shortfall } => {
                if !places.is_empty() {
                    let written: Vec<_> = places.iter().filter_map(|place| self.entries.get(place - 1)).collect();
                    let (attempts, restored) = (&self.ask.attempts, self.restored);
                    let what = format!("was declined, and is in the journal: {attempts:?}, {written:?}, restored at {restored:?}");
                    findings.add(Fault::Contradiction, format!("{}: {what}", self.name()));
                }
                if *shortfall <= Decimal::ZERO {
                    findings.add(Fault::Contradiction, format!("{}: was declined for lack of {shortfall}", self.name()));
                }
            }
            Outcome::Unchanged if !places.is_empty() => {
                findings.add(Fault::Contradiction, format!("{}: changed nothing, and is in the journal", self.name()));
            }
            Outcome::Unchanged => {}
            Outcome::Amount(_) | Outcome::Done if places.is_empty() => {
                findings.add(Fault::Lost, format!("{}: was acknowledged with {outcome:?}", self.name()));
            }
            Outcome::Amount(amount) => {
                let first = places.first().and_then(|place| self.entries.get(place - 1));
                let written = first.map(|entry| entry.taken_off.unwrap_or(entry.amount));
                if written != Some(*amount) {
                    findings.add(Fault::Contradiction, format!("{}: told {amount}, written {written:?}", self.name()));
                }
            }
            Outcome::Done => {}
        }
        self.is_in_order(places, findings);
        self.says_what_it_wrote(&done, places, findings);
    }

    /// Since when a decision that wrote nothing was forgotten when it was asked for again: a restoration knows the journal only.
    fn is_forgotten(&self, earlier: &Attempt, later: &Attempt) -> Option<Instant> {
        let wrote_nothing = matches!(&earlier.answer, Answer::Done { outcome: Outcome::Declined { .. } | Outcome::Unchanged, .. });
        self.restored.iter().copied().find(|restored| wrote_nothing && earlier.told <= *restored && later.told > *restored)
    }

    /// What was forgotten may be decided anew by a repetition whose answer is lost: behind everything that was acknowledged by then.
    fn is_decided_anew(&self, earlier: &Attempt, places: &[usize]) -> bool {
        let unclear = self.ask.attempts.iter().filter(|attempt| matches!(attempt.answer, Answer::Unclear(_)));
        let mut forgotten = unclear.filter_map(|later| self.is_forgotten(earlier, later));
        let first = places.first().copied().unwrap_or_default();
        forgotten.any(|restored| first > self.known.at(restored))
    }

    /// Nothing is in the journal of what was refused each time.
    fn nothing_was_done(&self, places: &[usize], findings: &mut Findings) {
        let is_unclear = self.ask.attempts.iter().any(|attempt| matches!(attempt.answer, Answer::Unclear(_)));
        if !places.is_empty() && !is_unclear {
            let answers: Vec<_> = self.ask.attempts.iter().map(|attempt| &attempt.answer).collect();
            findings.add(Fault::ToldNothing, format!("{}: told {answers:?}", self.name()));
        }
        let is_refused = matches!(self.ask.attempts.last().map(|attempt| &attempt.answer), Some(Answer::Refused(_)));
        // An operation under way when an attempt broke off may be done later; the last word must have been said all the same.
        if !is_refused {
            let last = self.ask.attempts.last().map(|attempt| &attempt.answer);
            findings.add(Fault::NeverAnswered, format!("{}: last {last:?}", self.name()));
        }
    }

    /// Its entry stands behind everything that was acknowledged before it was first sent.
    fn is_in_order(&self, places: &[usize], findings: &mut Findings) {
        let (Some(place), Some(sent)) = (places.first(), self.ask.attempts.first().map(|attempt| attempt.sent)) else { return };
        let known = self.known.at(sent);
        if known >= *place {
            findings.add(Fault::OutOfOrder, format!("{}: entry {place}, sent when {known} was acknowledged", self.name()));
        }
    }

    /// The answer that was no repetition shows the account right behind the entry.
    fn says_what_it_wrote(&self, done: &[&Attempt], places: &[usize], findings: &mut Findings) {
        let Some(after) = places.last().and_then(|place| self.history.after.get(*place)) else { return };
        for attempt in done {
            if let Answer::Done { replayed: false, credit: Some(credit), .. } = &attempt.answer
                && credit != after
            {
                findings.add(Fault::Contradiction, format!("{}: told {credit:?}, is {after:?}", self.name()));
            }
        }
    }

    /// The credit of an answer is that of a state that is no older than what callers knew when it was sent.
    fn is_current(&self, attempt: &Attempt, findings: &mut Findings) {
        let Answer::Done { credit: Some(credit), .. } = &attempt.answer else { return };
        let known = self.known.at(attempt.sent);
        let is_like = |state: &Credit| {
            (state.balance, state.unbilled, state.limit, state.is_postpaid)
                == (credit.balance, credit.unbilled, credit.limit, credit.is_postpaid)
                && credit.reserved <= state.reserved
        };
        if !self.history.after.iter().skip(known).any(is_like) {
            let (fault, what) = match self.history.after.iter().any(is_like) {
                true => (Fault::Stale, "was so before what was acknowledged"),
                false if self.shows_unproved && self.ask.what == What::Look => return,
                false => (Fault::Contradiction, "was never so"),
            };
            findings.add(fault, format!("{}: {what}: {credit:?}; known was entry {known}", self.name()));
        }
    }
}

fn is_same(first: &Outcome, other: &Outcome) -> bool {
    match (first, other) {
        // What is missing is said as of now.
        (Outcome::Declined { .. }, Outcome::Declined { .. }) => true,
        _ => first == other,
    }
}
