//! The script's answer to a batch: numbers and stored records.
//!
//! Of plain debits, it holds only the entries and, for the runs of them on one account, the rest of the account's record: what there is to
//! say of them is read out of these. The rest of one record is often that of the next, too, so it is there once for all runs that follow
//! one another with it: first how many these are, two bytes for each, then each rest.

use std::sync::Arc;

use bytes::Buf;
use redis::Value;

use crate::codec::journal::PackedEntry;
use crate::codec::records::{Expiry, Moving, RareTerms, Terms};
use crate::codec::{decode_account, decode_idempotency_record, read_tail};
use crate::{Answers, BatchAnswer, LedgerError, PreparedCommand};
use domain::account::Account;
use domain::command::Kind;
use domain::money::Units;
use domain::outcome::{Answer, Charged, Decision, Outcome, Refusal, ReserveVerdict, Verdict};
use domain::time::UnixMillis;

/// How many bytes of an account's record charges do not move.
const TAIL_BYTES: usize = Terms::BYTES + RareTerms::BYTES + Expiry::BYTES;

/// The script's answer to these commands; they are read later.
pub fn decode(value: Value, commands: Arc<[PreparedCommand]>) -> Result<BatchAnswer, LedgerError> {
    let Value::Array(values) = value else { return Err(strange()) };
    let has_deferred = matches!(values.first(), Some(Value::Int(flags)) if flags & 2 != 0);
    Ok(BatchAnswer { answers: Answers::new(move || read_answers(values, &commands)), has_deferred })
}

/// Whether the script announced its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnouncementOutcome {
    /// There was nothing to announce, or nobody who watches.
    Nothing,
    /// It was not allowed.
    Refused,
    /// It reached this many connections.
    To(i64),
}

/// Reads whether the script announced its changes.
pub fn announced(value: &Value) -> AnnouncementOutcome {
    let flags = if let Value::Array(values) = value
        && let Some(Value::Int(flags)) = values.first()
    {
        *flags
    } else {
        0
    };
    match (flags & 1, flags & 4) {
        (0, 0) => AnnouncementOutcome::Nothing,
        (0, _) => AnnouncementOutcome::To(flags >> 3),
        _ => AnnouncementOutcome::Refused,
    }
}

/// What a step wrote to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    /// When.
    pub time: UnixMillis,
    /// The sequence of its first entry.
    pub first_sequence: u64,
    /// How many entries it has.
    pub count: u32,
    /// The entries, as they are stored.
    pub entries: &'a [u8],
}

/// Reads what the script wrote to the journal, if anything.
pub fn written(value: &Value) -> Option<Written<'_>> {
    let Value::Array(values) = value else { return None };
    let [_, Value::Int(time), Value::Int(first), Value::Int(last), Value::BulkString(entries), ..] = values.as_slice() else { return None };
    let count = u32::try_from(last - first + 1).ok().filter(|count| *count > 0)?;
    Some(Written { time: UnixMillis::new(*time), first_sequence: u64::try_from(*first).ok()?, count, entries })
}

fn strange() -> LedgerError {
    LedgerError::corrupt("the script's answer has other values than expected")
}

fn read_answers(values: Vec<Value>, commands: &[PreparedCommand]) -> Result<Vec<Answer>, LedgerError> {
    let mut values = values.into_iter().skip(1);
    let (Some(Value::Int(now)), Some(Value::Int(first_sequence)), Some(_), Some(Value::BulkString(entries)), Some(Value::BulkString(runs))) =
        (values.next(), values.next(), values.next(), values.next(), values.next())
    else {
        return Err(strange());
    };
    let first_sequence = u64::try_from(first_sequence).map_err(|_| strange())?;
    let (run_counts, tails) = runs.split_at_checked(runs.len() / (2 + TAIL_BYTES) * 2).ok_or_else(strange)?;
    let mut fast_path = FastPath {
        now: UnixMillis::new(now),
        entries: &entries,
        next_sequence: first_sequence,
        run_counts,
        tails,
        runs_left: 0,
        tail: None,
        run: None,
    };
    let mut answers = Vec::with_capacity(commands.len());
    while let Some(place) = values.next() {
        let (Value::Int(place), Some(Value::Int(code)), Some(Value::BulkString(remembered)), Some(Value::BulkString(account))) =
            (place, values.next(), values.next(), values.next())
        else {
            return Err(strange());
        };
        let place = usize::try_from(place).map_err(|_| strange())?;
        fast_path.answer_until(place, commands, &mut answers).ok_or_else(strange)?;
        answers.push(answer(code, &remembered, &account, UnixMillis::new(now))?);
        fast_path.run = None;
    }
    fast_path.answer_until(commands.len(), commands, &mut answers).ok_or_else(strange)?;
    Ok(answers)
}

/// What took the fast path, and was not answered one by one: the journal entries of the batch, and the rest of the account's record
/// for each run of commands on one account.
struct FastPath<'a> {
    now: UnixMillis,
    entries: &'a [u8],
    next_sequence: u64,
    run_counts: &'a [u8],
    tails: &'a [u8],
    /// How many more runs have the same rest of the record.
    runs_left: u16,
    /// An account with that rest.
    tail: Option<Account>,
    /// The account of the run, as it was after its last command; `None` if another command came between.
    run: Option<(&'a str, Account)>,
}

impl<'a> FastPath<'a> {
    /// Reads the answers of the commands up to that place.
    fn answer_until(&mut self, end: usize, commands: &'a [PreparedCommand], answers: &mut Vec<Answer>) -> Option<()> {
        while answers.len() < end {
            let id = commands.get(answers.len())?.command.account.as_str();
            let (sequence, entry) = self.entry_of(answers.len())?;
            let account = match self.run {
                Some((running, account)) if running == id => entry.moving.of(account),
                _ => entry.moving.of(self.next_run(entry.moving)?),
            };
            self.run = Some((id, account));
            let decision = Decision {
                kind: Kind::Debit,
                verdict: Verdict::Done,
                amount: entry.numbers.amount,
                overdraft: Units::ZERO,
                reservation: None,
                reserve: ReserveVerdict::NotAsked,
                credit_rounding: Units::ZERO,
                charged: Some(Charged { kind: entry.numbers.kind, bill: entry.bill }),
                sequence,
            };
            answers.push(Ok(Outcome { decision: Some(decision), replayed: false, account, now: self.now }));
        }
        Some(())
    }

    /// An account with the rest of the record that the next run has.
    fn next_run(&mut self, moving: Moving) -> Option<Account> {
        if self.runs_left == 0 {
            self.runs_left = self.run_counts.try_get_u16_le().ok()?;
            let (mut tail, others) = self.tails.split_at_checked(TAIL_BYTES)?;
            self.tails = others;
            self.tail = Some(read_tail(&mut tail, moving)?);
        }
        self.runs_left = self.runs_left.checked_sub(1)?;
        self.tail
    }

    fn entry_of(&mut self, place: usize) -> Option<(u64, PackedEntry)> {
        loop {
            let (sequence, entry) = (self.next_sequence, PackedEntry::read(&mut self.entries)?);
            self.next_sequence += 1;
            if usize::from(entry.metadata_place) == place {
                return Some((sequence, entry));
            }
        }
    }
}

/// What was stored and cannot be read has its own command refused: what the script has made can be.
fn answer(code: i64, remembered: &[u8], account: &[u8], now: UnixMillis) -> Result<Answer, LedgerError> {
    if code > 1 {
        let refusal = u16::try_from(code).ok().and_then(Refusal::from_number);
        return refusal.map(Err).ok_or_else(|| LedgerError::corrupt("the script's answer has an unknown code"));
    }
    let decision =
        if remembered.is_empty() { Ok(None) } else { decode_idempotency_record(remembered).map(|remembered| Some(remembered.decision)) };
    Ok(match (decision, decode_account(account)) {
        (Ok(decision), Ok(account)) => Ok(Outcome { decision, replayed: code == 1, account, now }),
        _ => Err(Refusal::StoreCorrupt),
    })
}
