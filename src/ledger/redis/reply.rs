//! The script's answer to a batch: numbers and stored records.
//!
//! Of plain debits, it holds only the entries and, for each run of them on one account, the rest of the account's record: what there is to
//! say of them is read out of these.

use std::sync::Arc;

use redis::Value;

use crate::codec::journal::PackedEntry;
use crate::codec::{EXPIRY_BYTES, decode_account, decode_idempotency_record, read_tail};
use crate::{Answers, BatchAnswer, LedgerError, PreparedCommand};
use domain::account::{Account, Millis};
use domain::command::Kind;
use domain::outcome::{Answer, Charged, Decision, Outcome, Refusal, ReserveVerdict, Verdict};

/// The script's answer to these commands; they are read later.
pub fn decode(value: Value, commands: Arc<[PreparedCommand]>) -> Result<BatchAnswer, LedgerError> {
    let Value::Array(values) = value else { return Err(strange()) };
    let has_deferred = matches!(values.first(), Some(Value::Int(flags)) if flags & 2 != 0);
    Ok(BatchAnswer { answers: Answers::new(move || read_answers(values, &commands)), has_deferred })
}

/// What became of the announcement of what the script has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// There was nothing to announce, or nobody who watches.
    Nothing,
    /// It was not allowed.
    Refused,
    /// It reached this many connections.
    To(i64),
}

/// What the script says of its announcement.
pub fn announced(value: &Value) -> Announced {
    let flags = if let Value::Array(values) = value
        && let Some(Value::Int(flags)) = values.first()
    {
        *flags
    } else {
        0
    };
    match (flags & 1, flags & 4) {
        (0, 0) => Announced::Nothing,
        (0, _) => Announced::To(flags >> 3),
        _ => Announced::Refused,
    }
}

fn strange() -> LedgerError {
    LedgerError::corrupt("the script's answer has other values than expected")
}

fn read_answers(values: Vec<Value>, commands: &[PreparedCommand]) -> Result<Vec<Answer>, LedgerError> {
    let mut values = values.into_iter().skip(1);
    let (Some(Value::Int(now)), Some(Value::Int(first_sequence)), Some(Value::BulkString(entries)), Some(Value::BulkString(runs))) =
        (values.next(), values.next(), values.next(), values.next())
    else {
        return Err(strange());
    };
    let first_sequence = u64::try_from(first_sequence).map_err(|_| strange())?;
    let mut fast_path = FastPath { now, entries: &entries, next_sequence: first_sequence, runs: &runs, run: None };
    let mut answers = Vec::with_capacity(commands.len());
    while let Some(place) = values.next() {
        let (Value::Int(place), Some(Value::Int(code)), Some(Value::BulkString(remembered)), Some(Value::BulkString(account))) =
            (place, values.next(), values.next(), values.next())
        else {
            return Err(strange());
        };
        let place = usize::try_from(place).map_err(|_| strange())?;
        fast_path.answer_until(place, commands, &mut answers).ok_or_else(strange)?;
        answers.push(answer(code, &remembered, &account, now)?);
        fast_path.run = None;
    }
    fast_path.answer_until(commands.len(), commands, &mut answers).ok_or_else(strange)?;
    Ok(answers)
}

/// What took the fast path, and was not answered one by one: the journal entries of the batch, and the rest of the account's record
/// for each run of commands on one account.
struct FastPath<'a> {
    now: Millis,
    entries: &'a [u8],
    next_sequence: u64,
    runs: &'a [u8],
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
                _ => {
                    let account = read_tail(&mut self.runs, entry.moving)?;
                    self.runs = self.runs.get(EXPIRY_BYTES..)?;
                    account
                }
            };
            self.run = Some((id, account));
            let decision = Decision {
                kind: Kind::Debit,
                verdict: Verdict::Done,
                amount: entry.numbers.amount,
                overdraft: 0,
                reservation: None,
                reserve: ReserveVerdict::NotAsked,
                credit_rounding: 0,
                charged: Some(Charged { kind: entry.numbers.kind, bill: entry.bill }),
                sequence,
            };
            answers.push(Ok(Outcome { decision: Some(decision), replayed: false, account, now: self.now }));
        }
        Some(())
    }

    fn entry_of(&mut self, place: usize) -> Option<(u64, PackedEntry)> {
        loop {
            let (sequence, entry) = (self.next_sequence, PackedEntry::read(&mut self.entries)?);
            self.next_sequence += 1;
            if usize::from(entry.ending) == place {
                return Some((sequence, entry));
            }
        }
    }
}

/// What was stored and cannot be read has its own command refused: what the script has made can be.
fn answer(code: i64, remembered: &[u8], account: &[u8], now: Millis) -> Result<Answer, LedgerError> {
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
