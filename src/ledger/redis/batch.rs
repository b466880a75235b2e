//! A batch on its way to the script: packed numbers.
//!
//! A [`BatchHeader`]; the keys of the requests that it touches, each once; which of the requests may have a reservation, and which of the
//! accounts need their profile; and each command as a [`StoredCommand`]: numbers only, because the script makes a string in the time of
//! four of them. What few commands have follows as an extra: MessagePack of [original, first sent at, currency, detail]; then [`HAS_EXTRA`] is added to the option.
//!
//! Apart from that go the ids of the accounts that it touches, each once, and what the entries end with, both as the journal keeps them.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use bytes::BufMut;
use rmp::encode::{write_array_len, write_sint, write_str_len};

use crate::codec::encode_place;
use crate::codec::journal::{put_account, put_metadata};
use crate::codec::records::{BatchHeader, StoredCommand};
use crate::model::BatchTime;
use crate::{IdempotencyKey, NamePlace, PreparedCommand, fold_name};
use domain::account::{Category, ERASED_NAME};
use domain::command::{
    Action, Debit, ExcessPolicy, Kind, LimitChange, OriginalEntry, RemainderPolicy, Reserve, Reversal, TemporaryChange, Until,
};
use domain::ids::AccountId;
use domain::money::DecimalAmount;
use domain::time::{Millis, UnixMillis};

/// How long the announcements of changes go on after somebody has said that they watch.
pub const WATCH_LEASE_MILLIS: i64 = 60_000;

/// The form of a direct debit of usage within usable credit, whose amount has the scale 0; those of other scales follow.
pub const PLAIN_DEBIT: u32 = form(Kind::Debit, Some(0), debit_option(Category::Usage, ExcessPolicy::WithinUsableCredit, 0));

/// Added to the option of a command that has an extra.
pub const HAS_EXTRA: u16 = 1_000;

/// Things that are named once, and referred to by their place, from 1 on.
struct Places<T, S = RandomState> {
    places: HashMap<T, u16, S>,
}

/// Takes what is a digest already for its hash.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<T: Eq + Hash, S: BuildHasher + Default> Places<T, S> {
    fn new(capacity: usize) -> Self {
        Self { places: HashMap::with_capacity_and_hasher(capacity, S::default()) }
    }

    /// The place of a thing, and whether it is new.
    fn of(&mut self, thing: T) -> (u16, bool) {
        let next = u16::try_from(self.places.len() + 1).unwrap_or(u16::MAX);
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

    fn decimal(&mut self, decimal: Option<DecimalAmount>) {
        self.number(decimal.map_or(0, DecimalAmount::mantissa));
        self.number(decimal.map_or(-1, |decimal| i64::from(decimal.scale())));
    }
}

/// A packed batch: the arguments of the script.
#[derive(Debug)]
pub struct PackedBatch {
    /// What it asks.
    pub commands: Vec<u8>,
    /// How many accounts it touches.
    pub accounts: u16,
    /// The ids of the accounts.
    pub ids: Vec<u8>,
    /// The metadata of the commands.
    pub metadata: Vec<u8>,
    /// For a while after a migration: the commands' fingerprints as format version 2 made them. Else empty.
    pub legacy_fingerprints: Vec<u8>,
}

/// Packs a batch. It has an id of its own, which its block will have, and names the ledger that it is for.
#[must_use]
pub fn encode(
    commands: &[PreparedCommand],
    time: &BatchTime,
    max_ahead: Millis,
    (block, ledger): ([u8; 16], [u8; 8]),
    has_legacy: bool,
) -> PackedBatch {
    let mut account_places = Places::<&str>::new(commands.len());
    let mut request_places = Places::<IdempotencyKey, BuildHasherDefault<DigestHasher>>::new(commands.len());
    let (mut ids, mut metadata) = (Vec::with_capacity(commands.len() * 16), Vec::with_capacity(commands.len() * 80));
    let (mut keys, mut columns) = (Vec::with_capacity(commands.len() * 16), Vec::with_capacity(commands.len() * 40));
    let (mut with_reservation, mut with_profile) = (Vec::new(), Vec::new());
    for prepared in commands {
        let command = &prepared.command;
        let (account, is_new) = account_places.of(command.account.as_str());
        if is_new {
            put_account(&mut ids, &command.account);
        }
        let mut place_of = |key: &IdempotencyKey| {
            let (place, is_new) = request_places.of(*key);
            if is_new {
                keys.put_slice(&key.0);
            }
            place
        };
        let request = if command.action.has_request_id() { place_of(&prepared.key) } else { 0 };
        let original = prepared.original.as_ref().map_or(0, place_of);
        match &command.action {
            Action::Authorize(_) => with_reservation.push(request),
            Action::Debit(_) | Action::Release { .. } if original > 0 => with_reservation.push(original),
            Action::Update { .. } | Action::EraseName => with_profile.push(account),
            _ => {}
        }
        let (amount, option) = amount_and_option(&command.action);
        let extra = extra(prepared, original);
        let option = if extra.is_empty() { option } else { option + HAS_EXTRA };
        let [a, b, c, d, e, f, g, h] = prepared.fingerprint;
        let stored = StoredCommand {
            form: form(command.action.kind(), amount.map(DecimalAmount::scale), option),
            account,
            request,
            first_half: u32::from_le_bytes([a, b, c, d]),
            second_half: u32::from_le_bytes([e, f, g, h]),
            mantissa: amount.map_or(0, DecimalAmount::mantissa),
        };
        stored.put(&mut columns);
        if !extra.is_empty() {
            columns.put_u16_le(u16::try_from(extra.len()).unwrap_or(u16::MAX));
            columns.put_slice(&extra);
        }
        put_metadata(&mut metadata, account, &prepared.payload);
    }
    for list in [&mut with_reservation, &mut with_profile] {
        list.sort_unstable();
        list.dedup();
    }

    let mut batch = Vec::with_capacity(80 + keys.len() + columns.len() + 2 * with_reservation.len());
    let [this_period_end, next_period_end] = time.period_ends;
    let lists = [with_reservation, with_profile];
    let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    let [reservations, profiles] = lists.each_ref().map(|list| count(list.len()));
    let accounts = count(account_places.places.len());
    let header = BatchHeader {
        now: time.now,
        max_ahead,
        this_period_end,
        next_period_end,
        window: time.window,
        block,
        ledger,
        accounts,
        requests: count(request_places.places.len()),
        commands: count(commands.len()),
        reservations,
        profiles,
    };
    header.put(&mut batch);
    batch.append(&mut keys);
    lists.iter().flatten().for_each(|place| batch.put_u16_le(*place));
    batch.append(&mut columns);
    let legacy_fingerprints = if has_legacy { commands.iter().flat_map(PreparedCommand::legacy_fingerprint).collect() } else { Vec::new() };
    PackedBatch { commands: batch, accounts, ids, metadata, legacy_fingerprints }
}

/// The amount that most commands have one of, and a number for what they have to choose.
fn amount_and_option(action: &Action) -> (Option<DecimalAmount>, u16) {
    match action {
        Action::Observe { watch } => (None, u16::from(*watch)),
        Action::TopUp { amount } | Action::RecordPayment { amount, .. } | Action::Adjust { amount } => (Some(*amount), 0),
        Action::Withdraw { amount, is_paid_out } => (Some(*amount), u16::from(*is_paid_out)),
        Action::Debit(debit) => {
            let afterwards = match debit.then {
                RemainderPolicy::Settle => 0,
                RemainderPolicy::Keep => 1,
                RemainderPolicy::Reserve(_) => 2,
            };
            (Some(debit.amount), debit_option(debit.category, debit.excess, afterwards))
        }
        Action::Refund(reversal) | Action::ReversePayment(reversal) | Action::ReverseWriteOff(reversal) => (reversal.amount, 0),
        Action::WriteOff { amount } => (*amount, 0),
        Action::Convert { mode, allow_unusable, .. } => (None, *mode as u16 * 10 + u16::from(*allow_unusable)),
        Action::SetCreditLimit { allow_unusable, .. } => (None, u16::from(*allow_unusable)),
        Action::Create(create) => (None, u16::from(create.allow_unusable)),
        _ => (None, 0),
    }
}

const fn debit_option(category: Category, excess: ExcessPolicy, afterwards: u16) -> u16 {
    category as u16 * 100 + excess as u16 * 10 + afterwards
}

/// What a command is, as one number: in the lowest byte the scale of its amount and 1 (0: it has none), then its kind, then its option.
const fn form(kind: Kind, scale: Option<u8>, option: u16) -> u32 {
    let scale = match scale {
        Some(scale) => scale.saturating_add(1),
        None => 0,
    };
    u32::from_le_bytes([scale, kind as u8, option.to_le_bytes()[0], option.to_le_bytes()[1]])
}

/// What few commands have. Empty: this one has nothing of it.
fn extra(prepared: &PreparedCommand, original: u16) -> Vec<u8> {
    let command = &prepared.command;
    let mut packed = Packed::default();
    let has_detail = put_detail(&mut packed, prepared);
    if !has_detail && original == 0 && command.first_sent_at.is_none() && command.currency.is_none() {
        return Vec::new();
    }
    let mut extra = Packed::default();
    extra.array(if has_detail { 4 } else { 3 });
    extra.number(i64::from(original));
    extra.number(command.first_sent_at.map_or(0, UnixMillis::get));
    extra.number(command.currency.map_or(0, |currency| i64::from(currency.to_number())));
    extra.0.append(&mut packed.0);
    extra.0
}

/// What only commands of this kind have; returns whether there is something.
fn put_detail(packed: &mut Packed, prepared: &PreparedCommand) -> bool {
    match &prepared.command.action {
        Action::Authorize(reserve) => put_reserve(packed, reserve, prepared, &prepared.command.request_id),
        Action::Debit(Debit { then: RemainderPolicy::Reserve(reserve), reservation, .. }) => {
            put_reserve(packed, reserve, prepared, reservation.as_deref().unwrap_or_default());
        }
        Action::Refund(reversal) | Action::ReversePayment(reversal) | Action::ReverseWriteOff(reversal) => {
            return put_facts(packed, reversal);
        }
        Action::Convert { limit, .. } | Action::SetCreditLimit { limit, .. } => put_limit(packed, limit),
        Action::Create(create) => {
            packed.array(10);
            packed.number(create.mode as i64);
            packed.number(create.non_usage_billing as i64);
            packed.number(i64::from(create.decimals));
            packed.number(i64::from(create.minor_digits));
            packed.number(i64::from(create.currency.to_number()));
            packed.decimal(create.low_credit_threshold);
            packed.bytes(place(&create.name, &prepared.command.account).as_bytes());
            packed.bytes(create.name.as_bytes());
            put_limit(packed, &create.limit);
        }
        Action::Update { name, low_credit_threshold, non_usage_billing } => {
            packed.array(6);
            packed.number(match low_credit_threshold {
                None => 0,
                Some(None) => 1,
                Some(Some(_)) => 2,
            });
            packed.decimal(low_credit_threshold.flatten());
            packed.number(non_usage_billing.map_or(0, |billing| billing as i64));
            packed.bytes(name.as_ref().map_or_else(String::new, |name| place(name, &prepared.command.account)).as_bytes());
            packed.bytes(name.as_deref().unwrap_or_default().as_bytes());
        }
        // The detail of an update, and that the account must be closed.
        Action::EraseName => {
            packed.array(7);
            packed.number(0);
            packed.decimal(None);
            packed.number(0);
            packed.bytes(place(ERASED_NAME, &prepared.command.account).as_bytes());
            packed.bytes(ERASED_NAME.as_bytes());
            packed.number(1);
        }
        _ => return false,
    }
    true
}

fn place(name: &str, account: &AccountId) -> String {
    encode_place(&NamePlace { folded_name: fold_name(name), account: account.to_owned() })
}

/// Amount, minimum, validity, how long until it expires, and the part of its record that never changes.
fn put_reserve(packed: &mut Packed, reserve: &Reserve, prepared: &PreparedCommand, name: &str) {
    packed.array(7);
    packed.decimal(Some(reserve.amount));
    packed.decimal(reserve.minimum);
    packed.number(reserve.validity);
    packed.number(reserve.validity + reserve.grace);
    let account = prepared.command.account.as_bytes();
    let mut tail = Vec::with_capacity(2 + account.len() + name.len());
    tail.extend_from_slice(&u16::try_from(account.len()).unwrap_or(u16::MAX).to_le_bytes());
    tail.extend_from_slice(account);
    tail.extend_from_slice(name.as_bytes());
    packed.bytes(&tail);
}

/// What was looked up of the original (sequence, kind, amount, bill, what was given back, up to where that is known) and of its bill
/// (number, what was billed, what was refunded, up to where that is known). A kind, or a number, of 0: nothing. Returns whether there is
/// any of it.
fn put_facts(packed: &mut Packed, reversal: &Reversal) -> bool {
    if reversal.facts.is_none() && reversal.bill.is_none() {
        return false;
    }
    let sequence = |sequence: u64| i64::try_from(sequence).unwrap_or(i64::MAX);
    let facts = reversal.facts.map_or([0; 6], |facts| {
        let OriginalEntry { amount, bill, given_back, .. } = facts;
        [sequence(facts.sequence), facts.kind as i64, amount.get(), i64::from(bill), given_back.get(), sequence(facts.known_until)]
    });
    let bill =
        reversal.bill.map_or([0; 4], |bill| [i64::from(bill.bill), bill.billed.get(), bill.refunded.get(), sequence(bill.known_until)]);
    packed.numbers(&[facts.as_slice(), &bill].concat());
    true
}

/// Permanent limit; what to do with the temporary one (0 keep, 1 remove, 2 until an instant, 3 for so long); it, and its end.
fn put_limit(packed: &mut Packed, limit: &LimitChange) {
    let (change, amount, end) = match limit.temporary {
        TemporaryChange::Keep => (0, None, 0),
        TemporaryChange::Remove => (1, None, 0),
        TemporaryChange::Set { amount, until: Until::Instant(instant) } => (2, Some(amount), instant.get()),
        TemporaryChange::Set { amount, until: Until::After(duration) } => (3, Some(amount), duration),
    };
    packed.array(6);
    packed.decimal(limit.permanent);
    packed.number(change);
    packed.decimal(amount);
    packed.number(end);
}
