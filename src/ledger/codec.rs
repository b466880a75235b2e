//! Stored records, as bytes: the same in Redis (where Lua packs and unpacks them with `struct`) and in SQLite.
//!
//! Integers are little-endian. Amounts and times have 7 bytes, which is more than they can need: each byte less is time saved in the
//! script, which copies records byte by byte. Whatever was stored, decoding answers or fails; it never panics.
//! [`journal`] holds blocks and entries, [`entry`] the numbers of an entry.

pub mod entry;
pub mod journal;

use bytes::{Buf, BufMut};

use super::{IdempotencyKey, NamePlace, ReservationPlace};
use domain::account::{Account, Category, Currency, Mode, NonUsageBilling, Profile, Reservation, Status};
use domain::command::Kind;
use domain::entry::EntryKind;
use domain::outcome::{Charged, Decision, Grant, ReserveVerdict, Verdict};
use domain::rules::{IdempotencyRecord, RefundKey, Refunded, ReservationEnd};

/// Bytes that are not a record of the kind that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a stored {0}")]
pub struct Undecodable(pub &'static str);

/// The flags of a remembered decision. The script uses the same.
pub(crate) mod flag {
    pub const RESERVATION: u8 = 1;
    pub const FINAL_UNIT: u8 = 2;
    pub const RESERVE_GRANTED: u8 = 4;
    pub const RESERVE_DECLINED: u8 = 8;
    pub const RESERVE_SUSPENDED: u8 = 16;
    pub const RESERVE_TOO_MANY: u8 = 64;
    /// One more amount follows: of a charge, its overdraft; of a refund, the rounding of what was credited.
    pub const SECOND_AMOUNT: u8 = 32;
    /// How and into which bill it was charged follows. Charges of format version 2 do not say it.
    pub const CHARGED: u8 = 128;
}

/// The bytes of an amount, or of a time.
const NUMBER_BYTES: usize = 7;

/// The bytes at the start of an account's record that charges move, and that an entry repeats.
pub(crate) const MOVING_BYTES: usize = 4 * NUMBER_BYTES;

/// The bytes of an account.
pub(crate) const ACCOUNT_BYTES: usize = 77;

/// What the script keeps behind them: from when on the account's reservations are counted. It may be earlier than that, for instance 0.
pub(crate) const EXPIRY_BYTES: usize = NUMBER_BYTES;

/// The bytes of what is kept of what was given back.
pub(crate) const REFUNDED_BYTES: usize = 4 * NUMBER_BYTES;

fn put_number(bytes: &mut Vec<u8>, number: i64) {
    bytes.put_int_le(number, NUMBER_BYTES);
}

fn get_number(bytes: &mut &[u8]) -> Option<i64> {
    bytes.try_get_int_le(NUMBER_BYTES).ok()
}

fn put_sequence(bytes: &mut Vec<u8>, sequence: u64) {
    bytes.put_uint_le(sequence, NUMBER_BYTES);
}

fn get_sequence(bytes: &mut &[u8]) -> Option<u64> {
    bytes.try_get_uint_le(NUMBER_BYTES).ok()
}

/// `struct` format of an account in the script: `<i7i7i7i7i7i7i7I4BBBBBI4i7I4I4`; what most charges move comes first, then what they look at.
/// In Redis, [`EXPIRY_BYTES`] follow.
#[must_use]
pub fn encode_account(account: &Account) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(80);
    put_number(&mut bytes, account.balance);
    put_number(&mut bytes, account.unbilled);
    put_number(&mut bytes, account.reserved);
    put_sequence(&mut bytes, account.sequence);
    put_number(&mut bytes, account.permanent_limit);
    put_number(&mut bytes, account.temporary_until);
    put_number(&mut bytes, account.period_end);
    bytes.put_u32_le(account.open_bill);
    bytes.put_u8(account.status as u8);
    bytes.put_u8(account.mode as u8);
    bytes.put_u8(account.decimals);
    bytes.put_u8(account.non_usage_billing as u8);
    bytes.put_u8(account.minor_digits);
    bytes.put_u32_le(account.currency.to_number());
    put_number(&mut bytes, account.temporary_limit);
    bytes.put_u32_le(account.last_bill);
    bytes.put_u32_le(account.open_reservations);
    bytes
}

/// The inverse of [`encode_account`], whatever of Redis's follows.
pub fn decode_account(bytes: &[u8]) -> Result<Account, Undecodable> {
    read_account(bytes).ok_or(Undecodable("account"))
}

fn read_account(mut bytes: &[u8]) -> Option<Account> {
    let moving = Moving::read(&mut bytes)?;
    let account = read_tail(&mut bytes, moving)?;
    [0, EXPIRY_BYTES].contains(&bytes.len()).then_some(account)
}

/// What charges move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moving {
    pub balance: i64,
    pub unbilled: i64,
    pub reserved: i64,
    pub sequence: u64,
}

impl Moving {
    /// The account, moved.
    pub(crate) fn of(self, account: Account) -> Account {
        let Self { balance, unbilled, reserved, sequence } = self;
        Account { balance, unbilled, reserved, sequence, ..account }
    }

    pub(crate) fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            balance: get_number(bytes)?,
            unbilled: get_number(bytes)?,
            reserved: get_number(bytes)?,
            sequence: get_sequence(bytes)?,
        })
    }
}

/// An account out of what moves, and the rest of its record.
pub(crate) fn read_tail(bytes: &mut &[u8], moving: Moving) -> Option<Account> {
    let Moving { balance, unbilled, reserved, sequence } = moving;
    Some(Account {
        balance,
        unbilled,
        reserved,
        sequence,
        permanent_limit: get_number(bytes)?,
        temporary_until: get_number(bytes)?,
        period_end: get_number(bytes)?,
        open_bill: bytes.try_get_u32_le().ok()?,
        status: status(bytes.try_get_u8().ok()?)?,
        mode: mode(bytes.try_get_u8().ok()?)?,
        decimals: decimals(bytes.try_get_u8().ok()?)?,
        non_usage_billing: non_usage_billing(bytes.try_get_u8().ok()?)?,
        minor_digits: decimals(bytes.try_get_u8().ok()?)?,
        currency: Currency::from_number(bytes.try_get_u32_le().ok()?),
        temporary_limit: get_number(bytes)?,
        last_bill: bytes.try_get_u32_le().ok()?,
        open_reservations: bytes.try_get_u32_le().ok()?,
    })
}

pub fn status(number: u8) -> Option<Status> {
    [Status::Active, Status::Suspended, Status::Closed].into_iter().find(|status| *status as u8 == number)
}

pub fn mode(number: u8) -> Option<Mode> {
    [Mode::Prepaid, Mode::Postpaid].into_iter().find(|mode| *mode as u8 == number)
}

pub fn non_usage_billing(number: u8) -> Option<NonUsageBilling> {
    [NonUsageBilling::Consolidated, NonUsageBilling::OneByOne].into_iter().find(|billing| *billing as u8 == number)
}

pub fn category(number: u8) -> Option<Category> {
    [Category::Usage, Category::Subscription, Category::Hardware, Category::Service].into_iter().find(|category| *category as u8 == number)
}

fn decimals(number: u8) -> Option<u8> {
    (number <= domain::money::MAX_DECIMALS).then_some(number)
}

/// `<i7i7i7I2c0` and the rest: amount, report by, expires at, account, request id.
#[must_use]
pub fn encode_reservation(reservation: &Reservation) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(26 + reservation.account.len() + reservation.request_id.len());
    put_number(&mut bytes, reservation.amount);
    put_number(&mut bytes, reservation.report_by);
    put_number(&mut bytes, reservation.expires_at);
    put_text(&mut bytes, &reservation.account);
    bytes.put_slice(reservation.request_id.as_bytes());
    bytes
}

/// The inverse of [`encode_reservation`].
pub fn decode_reservation(bytes: &[u8]) -> Result<Reservation, Undecodable> {
    read_reservation(bytes).ok_or(Undecodable("reservation"))
}

fn read_reservation(mut bytes: &[u8]) -> Option<Reservation> {
    Some(Reservation {
        amount: get_number(&mut bytes)?,
        report_by: get_number(&mut bytes)?,
        expires_at: get_number(&mut bytes)?,
        account: get_text(&mut bytes)?,
        request_id: String::from_utf8(bytes.to_vec()).ok()?,
    })
}

/// The place of a reservation in the script's set of them by account: account, NUL, expiry (the greatest byte first), key. So the order of
/// bytes is the list's.
#[must_use]
pub fn encode_reservation_place(account: &str, place: &ReservationPlace) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(account.len() + 24);
    bytes.put_slice(account.as_bytes());
    bytes.put_u8(0);
    bytes.put_int(place.expires_at, NUMBER_BYTES);
    bytes.put_slice(&place.key.0);
    bytes
}

/// The inverse of [`encode_reservation_place`], of an account's own.
pub fn decode_reservation_place(account: &str, bytes: &[u8]) -> Result<ReservationPlace, Undecodable> {
    let place = || {
        let mut bytes = bytes.get(account.len() + 1..)?;
        let expires_at = bytes.try_get_int(NUMBER_BYTES).ok()?;
        Some(ReservationPlace { expires_at, key: IdempotencyKey(bytes.try_into().ok()?) })
    };
    place().ok_or(Undecodable("place of a reservation"))
}

/// `<c8BBBBi7i7`: fingerprint, kind, verdict, flags, how the reservation ended, amount, sequence; of a charge, `<BI4`: the kind of its entry,
/// its bill; if there is an overdraft, or a credit was rounded, `<i7`; and, if there is a reservation or a declined reserve, `<i7i7i7`: its
/// amount (or the shortfall), report by, expires at.
#[must_use]
pub fn encode_idempotency_record(remembered: &IdempotencyRecord) -> Vec<u8> {
    let decision = &remembered.decision;
    let mut flags = match decision.reserve {
        ReserveVerdict::NotAsked => 0,
        ReserveVerdict::Granted => flag::RESERVE_GRANTED,
        ReserveVerdict::Declined { .. } => flag::RESERVE_DECLINED,
        ReserveVerdict::Suspended => flag::RESERVE_SUSPENDED,
        ReserveVerdict::TooMany => flag::RESERVE_TOO_MANY,
    };
    if let Some(grant) = &decision.reservation {
        flags |= flag::RESERVATION | if grant.is_final_unit { flag::FINAL_UNIT } else { 0 };
    }
    let second_amount = if decision.kind == Kind::Refund { decision.credit_rounding } else { decision.overdraft };
    if second_amount != 0 {
        flags |= flag::SECOND_AMOUNT;
    }
    if decision.charged.is_some() {
        flags |= flag::CHARGED;
    }
    let mut bytes = Vec::with_capacity(60);
    bytes.put_slice(&remembered.fingerprint);
    bytes.put_u8(decision.kind as u8);
    bytes.put_u8(decision.verdict as u8);
    bytes.put_u8(flags);
    bytes.put_u8(remembered.ended as u8);
    put_number(&mut bytes, decision.amount);
    put_sequence(&mut bytes, decision.sequence);
    if let Some(Charged { kind, bill }) = decision.charged {
        bytes.put_u8(kind as u8);
        bytes.put_u32_le(bill);
    }
    if second_amount != 0 {
        put_number(&mut bytes, second_amount);
    }
    let slot = match (&decision.reservation, decision.reserve) {
        (Some(grant), _) => Some([grant.amount, grant.report_by, grant.expires_at]),
        (None, ReserveVerdict::Declined { shortfall }) => Some([shortfall, 0, 0]),
        (None, _) => None,
    };
    for number in slot.into_iter().flatten() {
        put_number(&mut bytes, number);
    }
    bytes
}

/// The inverse of [`encode_idempotency_record`].
pub fn decode_idempotency_record(bytes: &[u8]) -> Result<IdempotencyRecord, Undecodable> {
    read_remembered(bytes).ok_or(Undecodable("request"))
}

fn read_remembered(mut bytes: &[u8]) -> Option<IdempotencyRecord> {
    let mut fingerprint = [0; 8];
    bytes.try_copy_to_slice(&mut fingerprint).ok()?;
    let kind = bytes.try_get_u8().ok()?;
    let verdict = bytes.try_get_u8().ok()?;
    let flags = bytes.try_get_u8().ok()?;
    let ended = bytes.try_get_u8().ok()?;
    let amount = get_number(&mut bytes)?;
    let sequence = get_number(&mut bytes)?;
    let charged = if flags & flag::CHARGED == 0 {
        None
    } else {
        Some(Charged { kind: EntryKind::from_number(bytes.try_get_u8().ok()?)?, bill: bytes.try_get_u32_le().ok()? })
    };
    let second_amount = if flags & flag::SECOND_AMOUNT == 0 { 0 } else { get_number(&mut bytes)? };
    let slot = if flags & (flag::RESERVATION | flag::RESERVE_DECLINED) == 0 {
        [0; 3]
    } else {
        [get_number(&mut bytes)?, get_number(&mut bytes)?, get_number(&mut bytes)?]
    };
    let ended = [ReservationEnd::Not, ReservationEnd::Settled, ReservationEnd::Released].into_iter().find(|known| *known as u8 == ended)?;
    let decision = decision(kind, verdict, flags, [amount, second_amount, sequence], charged, slot)?;
    bytes.is_empty().then_some(IdempotencyRecord { fingerprint, decision, ended })
}

/// A decision out of its numbers.
fn decision(kind: u8, verdict: u8, flags: u8, numbers: [i64; 3], charged: Option<Charged>, slot: [i64; 3]) -> Option<Decision> {
    let kind = Kind::from_number(kind)?;
    let [amount, second_amount, sequence] = numbers;
    let [slot_amount, report_by, expires_at] = slot;
    let has = |bit: u8| flags & bit != 0;
    Some(Decision {
        kind,
        verdict: [Verdict::Done, Verdict::Declined, Verdict::Unchanged].into_iter().find(|known| *known as u8 == verdict)?,
        amount,
        overdraft: if kind == Kind::Refund { 0 } else { second_amount },
        reservation: has(flag::RESERVATION).then_some(Grant {
            amount: slot_amount,
            report_by,
            expires_at,
            is_final_unit: has(flag::FINAL_UNIT),
        }),
        reserve: if has(flag::RESERVE_GRANTED) {
            ReserveVerdict::Granted
        } else if has(flag::RESERVE_DECLINED) {
            ReserveVerdict::Declined { shortfall: slot_amount }
        } else if has(flag::RESERVE_SUSPENDED) {
            ReserveVerdict::Suspended
        } else if has(flag::RESERVE_TOO_MANY) {
            ReserveVerdict::TooMany
        } else {
            ReserveVerdict::NotAsked
        },
        credit_rounding: if kind == Kind::Refund { second_amount } else { 0 },
        charged,
        sequence: u64::try_from(sequence).ok()?,
    })
}

/// Under which field a sum that was given back is kept: `c` and the sequence of the original's entry, or `b`, the account, NUL and the
/// number of the bill.
#[must_use]
pub fn encode_refund_key(key: &RefundKey) -> Vec<u8> {
    match key {
        RefundKey::Original(sequence) => [b"c".as_slice(), &sequence.to_le_bytes()].concat(),
        RefundKey::Bill(account, bill) => [b"b", account.as_bytes(), b"\0", &bill.to_le_bytes()].concat(),
    }
}

/// The inverse of [`encode_refund_key`].
pub fn decode_refund_key(bytes: &[u8]) -> Result<RefundKey, Undecodable> {
    let key = || match bytes.split_first()? {
        (b'c', sequence) => Some(RefundKey::Original(u64::from_le_bytes(sequence.try_into().ok()?))),
        (b'b', bill) => {
            let (account, bill) = bill.split_last_chunk::<4>()?;
            let account = std::str::from_utf8(account.strip_suffix(b"\0")?).ok()?;
            Some(RefundKey::Bill(account.to_owned(), u32::from_le_bytes(*bill)))
        }
        _ => None,
    };
    key().ok_or(Undecodable("key of a sum that was given back"))
}

/// `<i7i7i7i7`: the sum, what was billed (-1: not known, or not of a bill), the sequence of the last entry that gave back, its time.
#[must_use]
pub fn encode_refunded(refunded: &Refunded) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(REFUNDED_BYTES);
    put_number(&mut bytes, refunded.sum);
    put_number(&mut bytes, refunded.billed.unwrap_or(-1));
    put_sequence(&mut bytes, refunded.sequence);
    put_number(&mut bytes, refunded.time);
    bytes
}

/// The inverse of [`encode_refunded`].
pub fn decode_refunded(bytes: &[u8]) -> Result<Refunded, Undecodable> {
    let read = |mut bytes: &[u8]| {
        let (sum, billed) = (get_number(&mut bytes)?, get_number(&mut bytes)?);
        let (sequence, time) = (get_sequence(&mut bytes)?, get_number(&mut bytes)?);
        bytes.is_empty().then_some(Refunded { sum, billed: (billed >= 0).then_some(billed), sequence, time })
    };
    read(bytes).ok_or(Undecodable("sum that was given back"))
}

/// `<i8i8I2c0` and the rest: low-credit threshold (-1: none), created at, place in the list of names, name.
#[must_use]
pub fn encode_profile(account: &str, profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.put_i64_le(profile.low_credit_threshold.unwrap_or(-1));
    bytes.put_i64_le(profile.created_at);
    put_text(&mut bytes, &encode_place(&NamePlace { folded_name: super::fold_name(&profile.name), account: account.to_owned() }));
    bytes.put_slice(profile.name.as_bytes());
    bytes
}

/// The inverse of [`encode_profile`].
pub fn decode_profile(bytes: &[u8]) -> Result<Profile, Undecodable> {
    read_profile(bytes).ok_or(Undecodable("profile"))
}

fn read_profile(mut bytes: &[u8]) -> Option<Profile> {
    let threshold = bytes.try_get_i64_le().ok()?;
    let created_at = bytes.try_get_i64_le().ok()?;
    get_text(&mut bytes)?;
    Some(Profile { name: String::from_utf8(bytes.to_vec()).ok()?, low_credit_threshold: (threshold >= 0).then_some(threshold), created_at })
}

/// A place in the list of names: folded name, NUL, account. Names hold no control characters, so the order of bytes is the list's.
#[must_use]
pub fn encode_place(place: &NamePlace) -> String {
    format!("{}\0{}", place.folded_name, place.account)
}

/// The inverse of [`encode_place`].
pub fn decode_place(bytes: &[u8]) -> Result<NamePlace, Undecodable> {
    let place = || {
        let (folded_name, account) = std::str::from_utf8(bytes).ok()?.split_once('\0')?;
        Some(NamePlace { folded_name: folded_name.to_owned(), account: account.to_owned() })
    };
    place().ok_or(Undecodable("place in the list of names"))
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.put_u16_le(u16::try_from(text.len()).unwrap_or(u16::MAX));
    bytes.put_slice(text.as_bytes());
}

pub(super) fn get_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::from(bytes.try_get_u16_le().ok()?);
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests;
