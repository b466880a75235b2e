//! A batch on its way to the script and back: MessagePack there, numbers and stored records back.
//!
//! The batch is one array: now, how far ahead of Redis it may be, two ends of billing periods, window, block id; the ids of the accounts
//! and the keys of the requests that it touches, each once; which of the requests may have a reservation, or a sum given back; which of
//! the accounts need their profile; and the commands, twelve columns each (the names are in `script.rs`), as one flat array.

use std::collections::HashMap;
use std::hash::Hash;

use redis::Value;
use rmp::encode::{write_array_len, write_sint, write_str_len};

use crate::domain::command::{Action, Debit, LimitChange, Reserve, TemporaryChange, Then, Undo, Until};
use crate::domain::money::Quote;
use crate::domain::outcome::{Answer, Outcome, Refusal};
use crate::ledger::codec::journal::encode_rest;
use crate::ledger::codec::{decode_account, decode_remembered, encode_place};
use crate::ledger::model::StepTime;
use crate::ledger::{BatchAnswer, LedgerError, NamePlace, Order, RequestKey, fold_name};

/// How long the announcements of changes go on after somebody has said that they watch.
pub const WATCH_LEASE_MILLIS: i64 = 60_000;

const COLUMNS: usize = 12;

/// Things that are named once, and referred to by their place, from 1 on.
struct Places<T> {
    places: HashMap<T, i64>,
}

impl<T: Eq + Hash> Places<T> {
    fn new(capacity: usize) -> Self {
        Self { places: HashMap::with_capacity(capacity) }
    }

    /// The place of a thing, and whether it is new.
    fn of(&mut self, thing: T) -> (i64, bool) {
        let next = self.places.len() as i64 + 1;
        let place = *self.places.entry(thing).or_insert(next);
        (place, place == next)
    }
}

/// MessagePack as Redis's `cmsgpack` reads it: integers, and strings that may hold any bytes (it knows no `bin`).
#[derive(Default)]
struct Packed(Vec<u8>);

// Writing to a Vec cannot fail.
impl Packed {
    fn number(&mut self, number: i64) {
        let _ = write_sint(&mut self.0, number);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let _ = write_str_len(&mut self.0, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    fn array(&mut self, length: usize) {
        let _ = write_array_len(&mut self.0, u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn numbers(&mut self, numbers: &[i64]) {
        self.array(numbers.len());
        numbers.iter().for_each(|number| self.number(*number));
    }

    fn quote(&mut self, quote: Option<Quote>) {
        self.number(quote.map_or(0, Quote::mantissa));
        self.number(quote.map_or(-1, |quote| i64::from(quote.scale())));
    }
}

/// Packs a batch.
#[must_use]
pub fn encode(orders: &[Order], time: &StepTime, max_ahead: i64, block_id: [u8; 16]) -> Vec<u8> {
    let (mut account_places, mut request_places) = (Places::new(orders.len()), Places::new(orders.len() * 2));
    let (mut ids, mut keys, mut commands) = (Packed::default(), Packed::default(), Packed::default());
    let (mut with_reservation, mut with_undone, mut with_profile) = (Vec::new(), Vec::new(), Vec::new());
    commands.0.reserve(orders.len() * 160);
    for order in orders {
        let command = &order.command;
        let (account, is_new) = account_places.of(command.account.as_str());
        if is_new {
            ids.bytes(command.account.as_bytes());
        }
        let mut place_of = |key: &RequestKey| {
            let (place, is_new) = request_places.of(*key);
            if is_new {
                keys.bytes(&key.0);
            }
            place
        };
        let request = if matches!(command.action, Action::Observe { .. }) { 0 } else { place_of(&order.key) };
        let original = order.original.as_ref().map_or(0, place_of);
        match &command.action {
            Action::Authorize(_) => with_reservation.push(request),
            Action::Debit(_) | Action::Release { .. } if original > 0 => with_reservation.push(original),
            Action::Refund(_) | Action::ReversePayment(_) => with_undone.push(original),
            Action::Update { .. } => with_profile.push(account),
            _ => {}
        }
        commands.number(command.action.kind() as i64);
        commands.number(account);
        commands.number(request);
        commands.number(original);
        commands.bytes(&order.fingerprint);
        commands.number(command.first_sent_at.unwrap_or(0));
        commands.number(command.currency.map_or(0, |currency| i64::from(currency.to_number())));
        put_action(&mut commands, order);
        commands.bytes(&encode_rest(command));
    }
    for list in [&mut with_reservation, &mut with_undone, &mut with_profile] {
        list.sort_unstable();
        list.dedup();
    }

    let mut batch = Packed(Vec::with_capacity(128 + ids.0.len() + keys.0.len() + commands.0.len()));
    let [this_end, next_end] = time.period_ends;
    batch.array(12);
    for number in [time.now, max_ahead, this_end, next_end, time.window] {
        batch.number(number);
    }
    batch.bytes(&block_id);
    batch.array(account_places.places.len());
    batch.0.append(&mut ids.0);
    batch.array(request_places.places.len());
    batch.0.append(&mut keys.0);
    batch.numbers(&with_reservation);
    batch.numbers(&with_undone);
    batch.numbers(&with_profile);
    batch.array(orders.len() * COLUMNS);
    batch.0.append(&mut commands.0);
    batch.0
}

/// Mantissa, scale, option, extra.
fn put_action(packed: &mut Packed, order: &Order) {
    match &order.command.action {
        Action::Observe { watch } => {
            plain(packed, None, if *watch { WATCH_LEASE_MILLIS } else { 0 });
        }
        Action::Suspend | Action::Resume | Action::Close | Action::Release { .. } => plain(packed, None, 0),
        Action::TopUp { amount } | Action::Withdraw { amount } | Action::Adjust { amount } => plain(packed, Some(*amount), 0),
        Action::Authorize(reserve) => {
            packed.quote(None);
            packed.number(0);
            put_reserve(packed, reserve, order, &order.command.request_id);
        }
        Action::Debit(debit) => put_debit(packed, debit, order),
        Action::Refund(undo) | Action::ReversePayment(undo) => put_undo(packed, undo),
        Action::Convert { mode, limit, allow_unusable } => {
            packed.quote(None);
            packed.number(*mode as i64 * 10 + i64::from(*allow_unusable));
            put_limit(packed, limit);
        }
        Action::SetCreditLimit { limit, allow_unusable } => {
            packed.quote(None);
            packed.number(i64::from(*allow_unusable));
            put_limit(packed, limit);
        }
        Action::Create(create) => {
            packed.quote(None);
            packed.number(i64::from(create.allow_unusable));
            packed.array(10);
            packed.number(create.mode as i64);
            packed.number(create.non_usage_billing as i64);
            packed.number(i64::from(create.decimals));
            packed.number(i64::from(create.minor_digits));
            packed.number(i64::from(create.currency.to_number()));
            packed.quote(create.low_credit_threshold);
            packed.bytes(place(&create.name, &order.command.account).as_bytes());
            packed.bytes(create.name.as_bytes());
            put_limit(packed, &create.limit);
        }
        Action::Update { name, low_credit_threshold, non_usage_billing } => {
            packed.quote(None);
            packed.number(0);
            packed.array(6);
            packed.number(match low_credit_threshold {
                None => 0,
                Some(None) => 1,
                Some(Some(_)) => 2,
            });
            packed.quote(low_credit_threshold.flatten());
            packed.number(non_usage_billing.map_or(0, |billing| billing as i64));
            packed.bytes(name.as_ref().map_or_else(String::new, |name| place(name, &order.command.account)).as_bytes());
            packed.bytes(name.as_deref().unwrap_or_default().as_bytes());
        }
    }
}

fn plain(packed: &mut Packed, amount: Option<Quote>, option: i64) {
    packed.quote(amount);
    packed.number(option);
    packed.number(0);
}

fn place(name: &str, account: &str) -> String {
    encode_place(&NamePlace { folded_name: fold_name(name), account: account.to_owned() })
}

fn put_debit(packed: &mut Packed, debit: &Debit, order: &Order) {
    let (afterwards, reserve) = match &debit.then {
        Then::Settle => (0, None),
        Then::Keep => (1, None),
        Then::Reserve(reserve) => (2, Some(reserve)),
    };
    packed.quote(Some(debit.amount));
    packed.number(debit.category as i64 * 100 + debit.excess as i64 * 10 + afterwards);
    match reserve {
        Some(reserve) => put_reserve(packed, reserve, order, debit.reservation.as_deref().unwrap_or_default()),
        None => packed.number(0),
    }
}

/// Amount, minimum, validity, how long until it expires, and the part of its record that never changes.
fn put_reserve(packed: &mut Packed, reserve: &Reserve, order: &Order, name: &str) {
    packed.array(7);
    packed.quote(Some(reserve.amount));
    packed.quote(reserve.minimum);
    packed.number(reserve.validity);
    packed.number(reserve.validity + reserve.grace);
    let account = order.command.account.as_bytes();
    let mut tail = Vec::with_capacity(2 + account.len() + name.len());
    tail.extend_from_slice(&u16::try_from(account.len()).unwrap_or(u16::MAX).to_le_bytes());
    tail.extend_from_slice(account);
    tail.extend_from_slice(name.as_bytes());
    packed.bytes(&tail);
}

fn put_undo(packed: &mut Packed, undo: &Undo) {
    packed.quote(undo.amount);
    packed.number(0);
    packed.numbers(&[undo.facts.amount, undo.facts.mode as i64, i64::from(undo.facts.bill)]);
}

/// Permanent limit; what to do with the temporary one (0 keep, 1 remove, 2 until an instant, 3 for so long); it, and its end.
fn put_limit(packed: &mut Packed, limit: &LimitChange) {
    let (change, amount, end) = match limit.temporary {
        TemporaryChange::Keep => (0, None, 0),
        TemporaryChange::Remove => (1, None, 0),
        TemporaryChange::Set { amount, until: Until::Instant(instant) } => (2, Some(amount), instant),
        TemporaryChange::Set { amount, until: Until::After(duration) } => (3, Some(amount), duration),
    };
    packed.array(6);
    packed.quote(limit.permanent);
    packed.number(change);
    packed.quote(amount);
    packed.number(end);
}

/// Reads the script's answer.
pub fn decode(value: Value) -> Result<BatchAnswer, LedgerError> {
    let Value::Array(values) = value else { return Err(LedgerError::corrupt("the script's answer is no array")) };
    let mut values = values.into_iter();
    let must_repeat = matches!(values.next(), Some(Value::Int(1)));
    let mut answers = Vec::with_capacity(values.len() / 3);
    while let Some(code) = values.next() {
        let (Value::Int(code), Some(Value::BulkString(remembered)), Some(Value::BulkString(account))) =
            (code, values.next(), values.next())
        else {
            return Err(LedgerError::corrupt("the script's answer has other values than expected"));
        };
        answers.push(answer(code, &remembered, &account)?);
    }
    Ok(BatchAnswer { answers, must_repeat })
}

fn answer(code: i64, remembered: &[u8], account: &[u8]) -> Result<Answer, LedgerError> {
    if code > 1 {
        let refusal = u16::try_from(code).ok().and_then(Refusal::from_number);
        return refusal.map(Err).ok_or_else(|| LedgerError::corrupt("the script's answer has an unknown code"));
    }
    let decision = if remembered.is_empty() { None } else { Some(decode_remembered(remembered).map_err(LedgerError::corrupt)?.decision) };
    let account = decode_account(account).map_err(LedgerError::corrupt)?;
    Ok(Ok(Outcome { decision, replayed: code == 1, account }))
}
