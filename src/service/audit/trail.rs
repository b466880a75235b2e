//! What is recorded beside the journal and the settings: refusals, starts, changes of access, reads; and, where there is no billing store,
//! all acts, as lines of JSON.
//!
//! Who records waits for nothing: acts are kept in memory, bounded, and written by [`Trail::flush`], which a thread calls that serves nobody.
//! An act stays in memory until it is written.
//! Of refusals, the first of a kind, caller and address each minute is recorded in full, the rest as a count.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use billing::audit::{Act, Outcome};
use billing::{Billing, BillingError};
use domain::origin::Origin;
use domain::time::{Millis, UnixMillis};
use platform::clock::Clock;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;

/// The most acts that wait to be written.
const MAX_WAITING: usize = 10_000;

/// The most combinations of kind, caller and address within a minute; further refusals are counted together.
const MAX_KINDS: usize = 1_000;

/// How many acts are written at once.
const AT_ONCE: usize = 500;

/// How often what waits is written to the billing store. Lines are written at once.
const FLUSH: Duration = Duration::from_millis(500);

const MINUTE: Millis = 60_000;

/// Records acts. Cheap to clone; clones record into the same.
#[derive(Clone, Debug)]
pub struct Trail(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    lines: Option<Mutex<Lines>>,
    state: Mutex<State>,
    /// Told when there are lines to write.
    written_soon: Notify,
    /// Whether reads of names and addresses are recorded, too.
    records_reads: bool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Act>,
    /// How many acts found no place.
    dropped: u64,
    minute: i64,
    refusals: HashMap<Kind, Repeated>,
    /// How many refusals were told apart from no other.
    others: u64,
}

/// The fields by which refusals count as alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    reason: &'static str,
    what: String,
    caller: String,
    authenticated_by: String,
    address: Option<IpAddr>,
}

/// Refusals that followed the first of their kind.
#[derive(Debug)]
struct Repeated {
    first: Act,
    more: u64,
}

/// Where lines of JSON go.
#[derive(Debug)]
enum Lines {
    File(File),
    Stderr,
}

#[derive(Clone, Debug)]
pub struct Refused<'a> {
    /// The reason, in capitals.
    pub reason: &'static str,
    /// The method or the permission.
    pub what: &'a str,
    /// Who called; empty if unknown.
    pub caller: &'a str,
    /// Where the caller is.
    pub address: Option<IpAddr>,
    /// On which account; empty if on none.
    pub account: &'a str,
    /// How the request came.
    pub origin: Origin,
}

impl Trail {
    /// Records into the billing store.
    #[must_use]
    pub fn new(clock: Clock, records_reads: bool) -> Self {
        Self::to(clock, None, records_reads)
    }

    /// Records as lines of JSON, at the end of a file, or on stderr.
    pub fn lines(clock: Clock, path: Option<&Path>, records_reads: bool) -> io::Result<Self> {
        let lines = match path {
            Some(path) => Lines::File(OpenOptions::new().create(true).append(true).open(path)?),
            None => Lines::Stderr,
        };
        Ok(Self::to(clock, Some(Mutex::new(lines)), records_reads))
    }

    fn to(clock: Clock, lines: Option<Mutex<Lines>>, records_reads: bool) -> Self {
        Self(Arc::new(Inner { clock, lines, state: Mutex::default(), written_soon: Notify::new(), records_reads }))
    }

    /// Whether acts on the ledger are recorded here: nothing else does where there is no billing store.
    #[must_use]
    pub fn records_the_ledger(&self) -> bool {
        self.0.lines.is_some()
    }

    /// Whether reads of names and addresses are recorded.
    #[must_use]
    pub fn records_reads(&self) -> bool {
        self.0.records_reads
    }

    /// Records an act. One without a time is of now.
    pub fn record(&self, act: Act) {
        let at = if act.at.is_none() { self.0.clock.now() } else { act.at };
        self.state().push(Act { at, ..act });
        if self.0.lines.is_some() {
            self.0.written_soon.notify_one();
        }
    }

    /// Waits until it is time to write what waits.
    pub async fn due(&self) {
        tokio::select! {
            () = self.0.written_soon.notified() => {}
            () = sleep(FLUSH) => {}
        }
    }

    /// Records a refusal, in full or as one more.
    pub fn refused(&self, refused: Refused<'_>) {
        let at = self.0.clock.now();
        let mut state = self.state();
        state.end_minute(at);
        let Refused { reason, what, caller, address, account, origin } = refused;
        let authenticated_by = origin.authenticated_by.clone();
        let kind = Kind { reason, what: what.to_owned(), caller: caller.to_owned(), authenticated_by, address };
        if let Some(known) = state.refusals.get_mut(&kind) {
            known.more += 1;
            return;
        }
        if state.refusals.len() >= MAX_KINDS {
            state.others += 1;
            return;
        }
        let act = Act {
            at,
            actor: caller.to_owned(),
            action: "call.refused".to_owned(),
            account: account.into(),
            outcome: Outcome::Refused,
            origin,
            ..Act::default()
        };
        let act = act.with("reason", reason).with("what", what);
        state.push(act.clone());
        state.refusals.insert(kind, Repeated { first: act, more: 0 });
    }

    /// How many acts are to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let mut state = self.state();
        state.end_minute(self.0.clock.now());
        state.waiting.len() + usize::from(state.dropped > 0)
    }

    /// Writes what waits. What cannot be written now waits on. Only one may do it at a time.
    pub async fn flush(&self, billing: Option<&Billing>) -> Result<(), BillingError> {
        self.state().end_minute(self.0.clock.now());
        loop {
            let acts: Vec<Act> = self.state().next();
            if acts.is_empty() {
                return Ok(());
            }
            if let Some(lines) = &self.0.lines {
                write_lines(&mut lines.lock().unwrap_or_else(PoisonError::into_inner), &acts);
            } else if let Some(billing) = billing {
                billing.audit(&acts).await?;
            }
            self.state().waiting.drain(..acts.len());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, act: Act) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(act);
        } else {
            self.dropped += 1;
        }
    }

    /// Once a minute is over, what it had more of each kind is recorded as a count.
    fn end_minute(&mut self, now: UnixMillis) {
        let minute = now.get().div_euclid(MINUTE);
        if minute == self.minute {
            return;
        }
        self.minute = minute;
        let others = std::mem::take(&mut self.others);
        for (_, Repeated { first, more }) in std::mem::take(&mut self.refusals) {
            if more > 0 {
                let at = UnixMillis::new(minute * MINUTE - 1);
                self.push(
                    Act {
                        at: at.max(first.at),
                        origin: Origin { trace_id: String::new(), span_id: String::new(), ..first.origin },
                        ..first
                    }
                    .with("more", more),
                );
            }
        }
        if others > 0 {
            let act = Act { at: now, action: "call.refused".to_owned(), outcome: Outcome::Refused, ..Act::default() };
            self.push(act.with("more", others).with("reason", "of further kinds, callers and addresses"));
        }
    }

    /// The first of what waits.
    fn next(&mut self) -> Vec<Act> {
        if self.dropped > 0 && self.waiting.len() < MAX_WAITING {
            let at = self.waiting.back().map_or(UnixMillis::NONE, |last| last.at);
            let act = Act { at, action: "audit.dropped".to_owned(), outcome: Outcome::Failed, ..Act::default() };
            let dropped = std::mem::take(&mut self.dropped);
            self.push(act.with("count", dropped));
        }
        self.waiting.iter().take(AT_ONCE).cloned().collect()
    }
}

/// An act as a line of JSON. What is not said is left out.
fn line(act: &Act) -> String {
    let at = jiff::Timestamp::from_millisecond(act.at.get()).map_or_else(|_| act.at.get().to_string(), |at| at.to_string());
    let mut line = Map::new();
    let texts = [
        ("at", at.as_str()),
        ("actor", &act.actor),
        ("on_behalf_of", &act.on_behalf_of),
        ("action", &act.action),
        ("account_id", &act.account),
        ("outcome", act.outcome.name()),
        ("request_id", &act.request_id),
        ("protocol", &act.origin.protocol),
        ("authenticated_by", &act.origin.authenticated_by),
        ("address", &act.origin.address),
        ("trace_id", &act.origin.trace_id),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        line.insert(name.to_owned(), json!(text));
    }
    for (name, map) in [("details", &act.content), ("personal", &act.personal)] {
        if !map.is_empty() {
            line.insert(name.to_owned(), Value::Object(map.clone()));
        }
    }
    Value::Object(line).to_string()
}

fn write_lines(to: &mut Lines, acts: &[Act]) {
    let mut text = String::new();
    for act in acts {
        text.push_str(&line(act));
        text.push('\n');
    }
    // In one piece, so that lines of several processes do not mix.
    let written = match to {
        Lines::File(file) => file.write_all(text.as_bytes()),
        Lines::Stderr => io::stderr().write_all(text.as_bytes()),
    };
    if let Err(error) = written {
        tracing::error!(%error, count = acts.len(), "audit records could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn refused(caller: &str, address: &str) -> Refused<'static> {
        Refused {
            reason: "PERMISSION_DENIED",
            what: "top_up",
            caller: Box::leak(caller.to_owned().into_boxed_str()),
            address: address.parse().ok(),
            account: "",
            origin: Origin::default(),
        }
    }

    #[test]
    fn the_first_refusal_of_a_kind_is_told_in_full_and_the_rest_of_the_minute_as_a_count() {
        let clock = Clock::manual(UnixMillis::new(1_000), TimeZone::UTC);
        let trail = Trail::new(clock.clone(), false);
        for _ in 0..5 {
            trail.refused(refused("eve", "192.0.2.1"));
        }
        trail.refused(refused("eve", "192.0.2.2"));
        // Another caller of the same name.
        trail.refused(Refused { origin: Origin::local().authenticated_by("token"), ..refused("eve", "192.0.2.2") });
        let told = |trail: &Trail| {
            std::mem::take(&mut trail.state().waiting).iter().map(|act| act.content.get("more").cloned()).collect::<Vec<_>>()
        };
        assert_eq!(told(&trail), [None, None, None]);
        clock.set(UnixMillis::new(61_000));
        trail.state().end_minute(UnixMillis::new(61_000));
        assert_eq!(told(&trail), [Some(json!(4))]);
    }

    #[test]
    fn however_many_callers_and_addresses_there_are_memory_is_bounded() {
        let trail = Trail::new(Clock::manual(UnixMillis::new(1_000), TimeZone::UTC), false);
        for number in 0..20_000_u32 {
            trail.refused(Refused { address: Some(IpAddr::from(number.to_be_bytes())), ..refused("", "") });
        }
        let found = {
            let state = trail.state();
            (state.refusals.len(), state.others)
        };
        assert_eq!(found, (MAX_KINDS, 19_000));
        for _ in 0..2 * MAX_WAITING {
            trail.record(Act::default());
        }
        let state = trail.state();
        assert_eq!(state.waiting.len(), MAX_WAITING);
        assert!(state.dropped > 0);
    }
}
