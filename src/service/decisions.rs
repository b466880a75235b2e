//! Records the outcome of each command: a line of the log at debug, and of declines and refusals a note that is kept for a day.
//!
//! Notes are in memory, shared by the lanes of this process: at most [`MOST`] (about 15 MB), and [`MOST_OF_ACCOUNT`] of one account, so that an
//! account that is declined all the time takes no place of others. What another process declined, that process knows.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use access::{Permission, Principal};
use domain::account::Account;
use domain::command::{Action, Command};
use domain::ids::AccountId;
use domain::money::{Units, format_units};
use domain::outcome::{Answer, Decision, Outcome, Refusal, ReserveVerdict, Verdict};
use domain::time::{Millis, UnixMillis};
use ledger::LedgerError;
use platform::clock::Clock;
use platform::telemetry::personal::LoggedAccount;
use platform::telemetry::traces;

use super::UseCases;
use super::context::{RequestContext, Trace};
use super::error::Error;

/// How many notes are kept.
pub const MOST: usize = 50_000;

/// How many notes of one account are kept.
pub const MOST_OF_ACCOUNT: usize = 100;

/// What a filter of the log names these lines by. It is no module of tollgate, so that traces, which name no account, do not take them.
const TARGET: &str = "decisions";

/// How many notes are counted while commands wait to leave theirs.
const COUNTED_AT_ONCE: usize = 512;

/// How many notes a new one drops at most, so that it never waits for all that is too old by now.
const DROPPED_AT_ONCE: usize = 4;

/// For how long a note is kept.
const DAY: Millis = 24 * 3_600_000;

/// A command that was declined, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined {
    /// When.
    pub at: UnixMillis,
    /// What was asked for: "debit".
    pub command: &'static str,
    pub request_id: Box<str>,
    /// Why: INSUFFICIENT_CREDIT, or the reason of a refusal.
    pub reason: &'static str,
    /// What could have been used then, and how much was missing, in units; `None` of a refusal.
    pub credit: Option<(Units, Units)>,
    pub caller: Box<str>,
    /// The trace that the caller was part of.
    pub trace_id: Option<u128>,
}

/// Commands declined in this process. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Declines(Arc<Mutex<Notes>>, Arc<Mutex<Option<Counted>>>);

/// The part of a note that is counted: its reason, and its account if it lacked credit.
type Counting = (&'static str, Option<Arc<str>>);

/// A summary, and when it was made.
type Counted = (Instant, Arc<Summary>);

/// For how long a summary is that of now: however many look at it, all notes are counted once.
const SUMMARY_HOLDS: Duration = Duration::from_secs(1);

/// How often what was declined, the most frequent first.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub by_reason: Vec<(&'static str, usize)>,
    /// Of those that lacked credit, by account.
    pub without_credit: Vec<(Arc<str>, usize)>,
}

#[derive(Debug, Default)]
struct Notes {
    next: u64,
    by_number: BTreeMap<u64, (Arc<str>, Declined)>,
    by_account: HashMap<Arc<str>, VecDeque<u64>>,
    /// Before this, notes were dropped because there was no room.
    dropped_until: UnixMillis,
}

impl Declines {
    /// Keeps a note, and drops what is too old or too much.
    fn note(&self, account: &str, declined: Declined) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = &mut *notes;
        let (number, at) = (notes.next, declined.at);
        notes.next += 1;
        let account = notes.by_account.get_key_value(account).map_or_else(|| Arc::from(account), |(id, _)| Arc::clone(id));
        let of_account = notes.by_account.entry(Arc::clone(&account)).or_default();
        of_account.push_back(number);
        if of_account.len() > MOST_OF_ACCOUNT
            && let Some(oldest) = of_account.pop_front()
        {
            notes.by_number.remove(&oldest);
        }
        notes.by_number.insert(number, (account, declined));
        for _ in 0..DROPPED_AT_ONCE {
            let is_too_much = notes.by_number.len() > MOST;
            let Some(oldest) = notes.by_number.first_entry() else { break };
            let is_old = oldest.get().1.at < at - DAY;
            if !is_old && !is_too_much {
                break;
            }
            let (account, dropped) = oldest.remove();
            if !is_old {
                notes.dropped_until = dropped.at;
            }
            if let Some(of_account) = notes.by_account.get_mut(&account) {
                of_account.pop_front();
                if of_account.is_empty() {
                    notes.by_account.remove(&account);
                }
            }
        }
    }

    /// What was declined from an instant on, as of a second ago at most. Who asks meanwhile waits for the one who counts.
    pub(super) fn summary(&self, from: UnixMillis) -> Arc<Summary> {
        let mut kept = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((counted_at, summary)) = &*kept
            && counted_at.elapsed() < SUMMARY_HOLDS
        {
            return Arc::clone(summary);
        }
        let (mut by_reason, mut without_credit) = (HashMap::new(), HashMap::new());
        let mut below = u64::MAX;
        loop {
            let (seen, is_over) = self.since(from, &mut below);
            for (reason, lacking) in seen {
                *by_reason.entry(reason).or_default() += 1;
                if let Some(account) = lacking {
                    *without_credit.entry(account).or_default() += 1;
                }
            }
            if is_over {
                break;
            }
        }
        let summary = Arc::new(Summary { by_reason: most_frequent(by_reason), without_credit: most_frequent(without_credit) });
        *kept = Some((Instant::now(), Arc::clone(&summary)));
        summary
    }

    /// The next notes below a number, newest first, and whether these are all that were made from an instant on: of each, the reason, and
    /// the account if it lacked credit. A few at a time, so that no command waits for long to leave its note.
    fn since(&self, from: UnixMillis, below: &mut u64) -> (Vec<Counting>, bool) {
        let mut seen = Vec::with_capacity(COUNTED_AT_ONCE);
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, (account, declined)) in notes.by_number.range(..*below).rev().take(COUNTED_AT_ONCE) {
            if declined.at < from {
                return (seen, true);
            }
            *below = *number;
            seen.push((declined.reason, declined.credit.map(|_| Arc::clone(account))));
        }
        let is_over = seen.len() < COUNTED_AT_ONCE;
        (seen, is_over)
    }

    /// What was declined of an account within a day before `now`, newest first; and since when nothing was dropped because there was no room.
    fn list(&self, account: &str, now: UnixMillis) -> (Vec<Declined>, UnixMillis) {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = notes.by_account.get(account).into_iter().flatten().rev();
        let found: Vec<_> = numbers.filter_map(|number| Some(notes.by_number.get(number)?.1.clone())).collect();
        let oldest_of_full = found.last().filter(|_| found.len() >= MOST_OF_ACCOUNT).map_or(UnixMillis::NONE, |declined| declined.at);
        let found = found.into_iter().filter(|declined| declined.at >= now - DAY).collect();
        (found, notes.dropped_until.max(oldest_of_full).max(now - DAY))
    }
}

/// How often each comes, the most frequent first.
fn most_frequent<T: Ord>(counts: HashMap<T, usize>) -> Vec<(T, usize)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

/// Declined commands of an account, as this process knows them.
#[derive(Debug)]
pub struct AccountDeclines {
    /// The account as it is now.
    pub account: Account,
    /// Newest first.
    pub declines: Vec<Declined>,
    /// Since when all are there that this process has declined.
    pub kept_since: UnixMillis,
}

impl UseCases {
    /// Lists why commands on an account were declined or refused by this process within a day.
    pub async fn list_declines(&self, context: &RequestContext, id: &AccountId) -> Result<AccountDeclines, Error> {
        context.require(Permission::ReadAccounts, id)?;
        let seen = self.look_at(id).await?;
        let (declines, since) = self.declines.list(id, seen.now);
        Ok(AccountDeclines { account: seen.account, declines, kept_since: since.max(self.started_at) })
    }
}

/// Records decisions of one request or one batch of a stream, with its caller.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    declines: Declines,
    caller: Arc<Principal>,
    trace: Option<Trace>,
    started: Instant,
    pub clock: Clock,
}

impl Recorder {
    pub fn new(use_cases: &UseCases, context: &RequestContext) -> Self {
        Self {
            declines: use_cases.declines.clone(),
            caller: Arc::clone(&context.caller),
            trace: context.trace,
            started: Instant::now(),
            clock: use_cases.clock().clone(),
        }
    }

    /// Notes the outcome of a command.
    pub fn record(&self, command: &Command, answer: Result<&Answer, &LedgerError>) {
        let reason = why(command, answer.ok());
        if tracing::enabled!(target: TARGET, tracing::Level::DEBUG) {
            self.log(command, answer, reason);
        }
        let (Some((reason, missing)), Ok(answer)) = (reason, answer) else { return };
        let seen = answer.as_ref().ok();
        let declined = Declined {
            at: seen.map_or_else(|| self.clock.now(), |outcome| outcome.now),
            command: command.action.kind().name(),
            request_id: command.request_id.as_str().into(),
            reason,
            credit: seen.map(|outcome| (outcome.account.usable_credit(outcome.now), missing)),
            caller: self.caller.name.as_str().into(),
            trace_id: self.trace.map(|trace| trace.trace_id),
        };
        self.declines.note(&command.account, declined);
    }

    fn log(&self, command: &Command, answer: Result<&Answer, &LedgerError>, why: Option<(&'static str, Units)>) {
        let outcome = match (answer, why) {
            (_, Some((reason, _))) => reason,
            (Err(_), None) => "unavailable",
            (Ok(Err(refusal)), None) => refusal.reason(),
            (Ok(Ok(outcome)), None) => done_name(outcome),
        };
        let usable = answer.ok().and_then(|answer| answer.as_ref().ok());
        let usable =
            usable.map(|Outcome { account, now, .. }| format_units(account.usable_credit(*now), account.decimals, account.minor_digits));
        tracing::debug!(
            target: TARGET,
            method = command.action.kind().name(),
            account = %LoggedAccount(&command.account),
            request_id = command.request_id.as_str(),
            outcome,
            usable,
            micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            trace_id = self.trace.map(|trace| format!("{:032x}", trace.trace_id)),
            caller = self.caller.name,
            "decided"
        );
    }
}

/// Records in the trace of a call the result of its command.
pub(super) fn trace(command: &Command, answer: &Answer) {
    let reason = why(command, Some(answer)).map(|(reason, _)| reason);
    let outcome = match (answer, reason) {
        (Err(_), _) => "refused",
        (Ok(_), Some(_)) => "declined",
        (Ok(outcome), None) => done_name(outcome),
    };
    traces::note("tollgate.outcome", outcome);
    if let Some(reason) = reason {
        traces::note("tollgate.reason", reason);
    }
}

/// What is said of a command that was not declined.
fn done_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome { replayed: true, .. } => "replayed",
        Outcome { decision: Some(Decision { verdict: Verdict::Unchanged, .. }), .. } => "unchanged",
        _ => "done",
    }
}

/// Why a command was declined or refused, and how much was missing. A repetition gets what its first was: that was noted then. What names
/// no account of this ledger belongs to none.
fn why(command: &Command, answer: Option<&Answer>) -> Option<(&'static str, Units)> {
    match answer? {
        Ok(outcome) => {
            let decision = outcome.decision.filter(|_| !outcome.replayed)?;
            match (decision.verdict, decision.reserve) {
                (Verdict::Declined, _) if matches!(command.action, Action::Withdraw { .. }) => {
                    Some(("INSUFFICIENT_FUNDS", decision.amount))
                }
                (Verdict::Declined, _) => Some(("INSUFFICIENT_CREDIT", decision.amount)),
                (_, ReserveVerdict::Declined { shortfall }) => Some(("INSUFFICIENT_CREDIT", shortfall)),
                _ => None,
            }
        }
        Err(Refusal::AccountNotFound | Refusal::OriginalNeeded | Refusal::BillNeeded | Refusal::Deferred) => None,
        Err(refusal) => (!matches!(command.action, Action::Observe { .. })).then_some((refusal.reason(), Units::ZERO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declined(at: UnixMillis, request_id: &str) -> Declined {
        let (command, reason, credit, caller) = ("debit", "INSUFFICIENT_CREDIT", Some((Units::ZERO, Units::new(1))), "switch-1".into());
        Declined { at, command, request_id: request_id.into(), reason, credit, caller, trace_id: None }
    }

    fn ids(declines: &Declines, account: &str, now: UnixMillis) -> Vec<String> {
        declines.list(account, now).0.into_iter().map(|declined| declined.request_id.into()).collect()
    }

    #[test]
    fn an_account_that_is_always_declined_takes_no_place_of_others_and_a_day_ends() {
        let declines = Declines::default();
        declines.note("acme", declined(UnixMillis::new(DAY), "a"));
        for number in 0..MOST {
            declines.note("loop", declined(UnixMillis::new(DAY + 1), &number.to_string()));
        }
        assert_eq!(ids(&declines, "loop", UnixMillis::new(DAY + 1)).len(), MOST_OF_ACCOUNT);
        assert_eq!(ids(&declines, "loop", UnixMillis::new(DAY + 1))[0], (MOST - 1).to_string());
        assert_eq!(ids(&declines, "acme", UnixMillis::new(DAY + 1)), ["a"]);
        assert_eq!(ids(&declines, "acme", UnixMillis::new(2 * DAY + 1)), Vec::<String>::new());
        declines.note("acme", declined(UnixMillis::new(2 * DAY + 1), "b"));
        assert_eq!(declines.0.lock().unwrap().by_number.len(), MOST_OF_ACCOUNT + 1);
    }

    #[test]
    fn declines_are_counted_a_few_at_a_time_and_all_of_them() {
        let declines = Declines::default();
        declines.note("old", declined(UnixMillis::new(DAY - 1), "a"));
        for number in 0..2 * COUNTED_AT_ONCE + 7 {
            declines.note(&format!("account-{}", number % 60), declined(UnixMillis::new(DAY), &number.to_string()));
        }
        declines.note("account-0", Declined { reason: "ACCOUNT_SUSPENDED", credit: None, ..declined(UnixMillis::new(DAY), "b") });
        let mut below = u64::MAX;
        let (seen, is_over) = declines.since(UnixMillis::new(DAY), &mut below);
        assert_eq!((seen.len(), is_over), (COUNTED_AT_ONCE, false));
        // A note that is left meanwhile is of the next count.
        declines.note("account-1", declined(UnixMillis::new(DAY), "c"));
        let (seen, is_over) = declines.since(UnixMillis::new(DAY), &mut below);
        assert_eq!((seen.len(), is_over), (COUNTED_AT_ONCE, false));
        let summary = declines.summary(UnixMillis::new(DAY));
        assert_eq!(summary.by_reason, [("INSUFFICIENT_CREDIT", 2 * COUNTED_AT_ONCE + 8), ("ACCOUNT_SUSPENDED", 1)]);
        assert_eq!(summary.without_credit.iter().map(|(_, count)| count).sum::<usize>(), 2 * COUNTED_AT_ONCE + 8);
        assert_eq!(summary.without_credit[0], ("account-1".into(), 19));
    }

    #[test]
    fn what_was_dropped_for_want_of_room_is_said() {
        let declines = Declines::default();
        for number in 0..=MOST {
            declines.note(&format!("account-{number}"), declined(UnixMillis::new(DAY + Millis::try_from(number).unwrap()), "a"));
        }
        assert_eq!(ids(&declines, "account-0", UnixMillis::new(DAY)), Vec::<String>::new());
        assert_eq!(declines.list("account-1", UnixMillis::new(DAY)).1, UnixMillis::new(DAY));
        let notes = declines.0.lock().unwrap();
        assert_eq!((notes.by_number.len(), notes.by_account.len()), (MOST, MOST));
    }
}
