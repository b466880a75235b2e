//! Stored records, as bytes: the same in Redis (where Lua packs and unpacks them with `struct`) and in SQLite.
//!
//! What is stored is declared in [`records`]. Whatever was stored, decoding returns or fails; it never panics.
//! [`journal`] holds blocks and entries, [`entry`] the numbers of an entry.

pub mod entry;
pub mod journal;
pub mod record;
pub mod records;

use bytes::{Buf, BufMut};
use record::{Amount, Number, Stored, Time};
use records::{Expiry, Moving, RareTerms, Remembered, RememberedCharge, StoredProfile, StoredRefund, StoredReservation, Terms};

use super::{IdempotencyKey, NamePlace, ReservationPlace};
use domain::account::{Account, Category, Currency, Mode, NonUsageBilling, Profile, Reservation, Status};
use domain::command::Kind;
use domain::entry::EntryKind;
use domain::ids::{AccountId, RequestId};
use domain::money::Units;
use domain::outcome::{Charged, Decision, Grant, ReserveVerdict, Verdict};
use domain::rules::{IdempotencyRecord, RefundKey, Refunded, ReservationEnd};
use domain::time::UnixMillis;

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

pub(crate) const ACCOUNT_BYTES: usize = Moving::BYTES + Terms::BYTES + RareTerms::BYTES;

/// What stands for an amount that there is not.
const NOT_KNOWN: Units = Units::new(-1);

fn put_number(bytes: &mut Vec<u8>, number: i64) {
    Number::put(number, bytes);
}

fn get_number(bytes: &mut &[u8]) -> Option<i64> {
    Number::get(bytes)
}

/// Packs an account. In Redis, [`Expiry`] follows.
#[must_use]
pub fn encode_account(account: &Account) -> Vec<u8> {
    let Account { balance, unbilled, reserved, sequence, permanent_limit, temporary_until, period_end, open_bill, .. } = *account;
    let (status, mode, decimals) = (account.status as u8, account.mode as u8, account.decimals);
    let mut bytes = Vec::with_capacity(ACCOUNT_BYTES + Expiry::BYTES);
    Moving { balance, unbilled, reserved, sequence }.put(&mut bytes);
    Terms { permanent_limit, temporary_until, period_end, open_bill, status, mode, decimals }.put(&mut bytes);
    let rare = RareTerms {
        non_usage_billing: account.non_usage_billing as u8,
        minor_digits: account.minor_digits,
        currency: account.currency.to_number(),
        temporary_limit: account.temporary_limit,
        last_bill: account.last_bill,
        open_reservations: account.open_reservations,
    };
    rare.put(&mut bytes);
    bytes
}

/// The inverse of [`encode_account`], whatever of Redis's follows.
pub fn decode_account(bytes: &[u8]) -> Result<Account, Undecodable> {
    read_account(bytes).ok_or(Undecodable("account"))
}

fn read_account(mut bytes: &[u8]) -> Option<Account> {
    let moving = Moving::get(&mut bytes)?;
    let account = read_tail(&mut bytes, moving)?;
    [0, Expiry::BYTES].contains(&bytes.len()).then_some(account)
}

impl Moving {
    /// The account, moved.
    pub(crate) fn of(self, account: Account) -> Account {
        let Self { balance, unbilled, reserved, sequence } = self;
        Account { balance, unbilled, reserved, sequence, ..account }
    }
}

/// An account out of what moves, and the rest of its record.
pub(crate) fn read_tail(bytes: &mut &[u8], moving: Moving) -> Option<Account> {
    let Moving { balance, unbilled, reserved, sequence } = moving;
    let (terms, rare) = (Terms::get(bytes)?, RareTerms::get(bytes)?);
    Some(Account {
        balance,
        unbilled,
        reserved,
        sequence,
        permanent_limit: terms.permanent_limit,
        temporary_until: terms.temporary_until,
        period_end: terms.period_end,
        open_bill: terms.open_bill,
        status: status(terms.status)?,
        mode: mode(terms.mode)?,
        decimals: decimals(terms.decimals)?,
        non_usage_billing: non_usage_billing(rare.non_usage_billing)?,
        minor_digits: decimals(rare.minor_digits)?,
        currency: Currency::from_number(rare.currency)?,
        temporary_limit: rare.temporary_limit,
        last_bill: rare.last_bill,
        open_reservations: rare.open_reservations,
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

/// Packs a reservation.
#[must_use]
pub fn encode_reservation(reservation: &Reservation) -> Vec<u8> {
    let Reservation { amount, report_by, expires_at, .. } = *reservation;
    let mut bytes = Vec::with_capacity(26 + reservation.account.len() + reservation.request_id.len());
    StoredReservation { amount, report_by, expires_at }.put(&mut bytes);
    put_text(&mut bytes, &reservation.account);
    bytes.put_slice(reservation.request_id.as_bytes());
    bytes
}

/// The inverse of [`encode_reservation`].
pub fn decode_reservation(bytes: &[u8]) -> Result<Reservation, Undecodable> {
    read_reservation(bytes).ok_or(Undecodable("reservation"))
}

fn read_reservation(mut bytes: &[u8]) -> Option<Reservation> {
    let StoredReservation { amount, report_by, expires_at } = StoredReservation::get(&mut bytes)?;
    let account = AccountId::new(get_text(&mut bytes)?);
    let request_id = RequestId::new(String::from_utf8(bytes.to_vec()).ok()?);
    Some(Reservation { account, request_id, amount, report_by, expires_at })
}

/// The place of a reservation in the script's set of them by account: account, NUL, expiry (the greatest byte first), key. So the order of
/// bytes is the list's.
#[must_use]
pub fn encode_reservation_place(account: &str, place: &ReservationPlace) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(account.len() + 24);
    bytes.put_slice(account.as_bytes());
    bytes.put_u8(0);
    bytes.put_int(place.expires_at.get(), Time::BYTES);
    bytes.put_slice(&place.key.0);
    bytes
}

/// The inverse of [`encode_reservation_place`], of an account's own.
pub fn decode_reservation_place(account: &str, bytes: &[u8]) -> Result<ReservationPlace, Undecodable> {
    let place = || {
        let mut bytes = bytes.get(account.len() + 1..)?;
        let expires_at = UnixMillis::new(bytes.try_get_int(Time::BYTES).ok()?);
        Some(ReservationPlace { expires_at, key: IdempotencyKey(bytes.try_into().ok()?) })
    };
    place().ok_or(Undecodable("place of a reservation"))
}

/// Packs a remembered decision: [`Remembered`]; of a charge, [`RememberedCharge`]; if there is an overdraft, or a credit was rounded, that
/// amount; and, if there is a reservation or a declined reserve, [`StoredReservation`], with the shortfall for the amount.
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
    if !second_amount.is_zero() {
        flags |= flag::SECOND_AMOUNT;
    }
    if decision.charged.is_some() {
        flags |= flag::CHARGED;
    }
    let mut bytes = Vec::with_capacity(60);
    let head = Remembered {
        fingerprint: remembered.fingerprint,
        kind: decision.kind as u8,
        verdict: decision.verdict as u8,
        flags,
        ended: remembered.ended as u8,
        amount: decision.amount,
        sequence: decision.sequence,
    };
    head.put(&mut bytes);
    if let Some(Charged { kind, bill }) = decision.charged {
        RememberedCharge { kind: kind as u8, bill }.put(&mut bytes);
    }
    if !second_amount.is_zero() {
        Amount::put(second_amount, &mut bytes);
    }
    let reserved = match (&decision.reservation, decision.reserve) {
        (Some(Grant { amount, report_by, expires_at, .. }), _) => {
            Some(StoredReservation { amount: *amount, report_by: *report_by, expires_at: *expires_at })
        }
        (None, ReserveVerdict::Declined { shortfall }) => {
            Some(StoredReservation { amount: shortfall, report_by: UnixMillis::NONE, expires_at: UnixMillis::NONE })
        }
        (None, _) => None,
    };
    if let Some(reserved) = reserved {
        reserved.put(&mut bytes);
    }
    bytes
}

/// The inverse of [`encode_idempotency_record`].
pub fn decode_idempotency_record(bytes: &[u8]) -> Result<IdempotencyRecord, Undecodable> {
    read_remembered(bytes).ok_or(Undecodable("request"))
}

fn read_remembered(mut bytes: &[u8]) -> Option<IdempotencyRecord> {
    let head = Remembered::get(&mut bytes)?;
    let has = |bit: u8| head.flags & bit != 0;
    let charged = if has(flag::CHARGED) {
        let RememberedCharge { kind, bill } = RememberedCharge::get(&mut bytes)?;
        Some(Charged { kind: EntryKind::from_number(kind)?, bill })
    } else {
        None
    };
    let second_amount = if has(flag::SECOND_AMOUNT) { Amount::get(&mut bytes)? } else { Units::ZERO };
    let reserved = if has(flag::RESERVATION | flag::RESERVE_DECLINED) {
        StoredReservation::get(&mut bytes)?
    } else {
        StoredReservation { amount: Units::ZERO, report_by: UnixMillis::NONE, expires_at: UnixMillis::NONE }
    };
    let known = [ReservationEnd::Not, ReservationEnd::Settled, ReservationEnd::Released];
    let ended = known.into_iter().find(|known| *known as u8 == head.ended)?;
    let decision = decision(head, second_amount, charged, reserved)?;
    bytes.is_empty().then_some(IdempotencyRecord { fingerprint: head.fingerprint, decision, ended })
}

/// A decision out of its numbers.
fn decision(head: Remembered, second_amount: Units, charged: Option<Charged>, reserved: StoredReservation) -> Option<Decision> {
    let kind = Kind::from_number(head.kind)?;
    let StoredReservation { amount: reserved_amount, report_by, expires_at } = reserved;
    let has = |bit: u8| head.flags & bit != 0;
    Some(Decision {
        kind,
        verdict: [Verdict::Done, Verdict::Declined, Verdict::Unchanged].into_iter().find(|known| *known as u8 == head.verdict)?,
        amount: head.amount,
        overdraft: if kind == Kind::Refund { Units::ZERO } else { second_amount },
        reservation: has(flag::RESERVATION).then_some(Grant {
            amount: reserved_amount,
            report_by,
            expires_at,
            is_final_unit: has(flag::FINAL_UNIT),
        }),
        reserve: if has(flag::RESERVE_GRANTED) {
            ReserveVerdict::Granted
        } else if has(flag::RESERVE_DECLINED) {
            ReserveVerdict::Declined { shortfall: reserved_amount }
        } else if has(flag::RESERVE_SUSPENDED) {
            ReserveVerdict::Suspended
        } else if has(flag::RESERVE_TOO_MANY) {
            ReserveVerdict::TooMany
        } else {
            ReserveVerdict::NotAsked
        },
        credit_rounding: if kind == Kind::Refund { second_amount } else { Units::ZERO },
        charged,
        sequence: head.sequence,
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
            Some(RefundKey::Bill(account.into(), u32::from_le_bytes(*bill)))
        }
        _ => None,
    };
    key().ok_or(Undecodable("key of a sum that was given back"))
}

/// Packs a sum that was given back.
#[must_use]
pub fn encode_refunded(refunded: &Refunded) -> Vec<u8> {
    let Refunded { sum, billed, sequence, time } = *refunded;
    let mut bytes = Vec::with_capacity(StoredRefund::BYTES);
    StoredRefund { sum, billed: billed.unwrap_or(NOT_KNOWN), sequence, time }.put(&mut bytes);
    bytes
}

/// The inverse of [`encode_refunded`].
pub fn decode_refunded(bytes: &[u8]) -> Result<Refunded, Undecodable> {
    let read = |mut bytes: &[u8]| {
        let StoredRefund { sum, billed, sequence, time } = StoredRefund::get(&mut bytes)?;
        bytes.is_empty().then_some(Refunded { sum, billed: (!billed.is_negative()).then_some(billed), sequence, time })
    };
    read(bytes).ok_or(Undecodable("sum that was given back"))
}

/// Packs a profile.
#[must_use]
pub fn encode_profile(account: &str, profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let low_credit_threshold = profile.low_credit_threshold.unwrap_or(NOT_KNOWN);
    StoredProfile { low_credit_threshold, created_at: profile.created_at }.put(&mut bytes);
    put_text(&mut bytes, &encode_place(&NamePlace { folded_name: super::fold_name(&profile.name), account: account.into() }));
    bytes.put_slice(profile.name.as_bytes());
    bytes
}

/// The inverse of [`encode_profile`].
pub fn decode_profile(bytes: &[u8]) -> Result<Profile, Undecodable> {
    read_profile(bytes).ok_or(Undecodable("profile"))
}

fn read_profile(mut bytes: &[u8]) -> Option<Profile> {
    let StoredProfile { low_credit_threshold: threshold, created_at } = StoredProfile::get(&mut bytes)?;
    get_text(&mut bytes)?;
    Some(Profile {
        name: String::from_utf8(bytes.to_vec()).ok()?,
        low_credit_threshold: (!threshold.is_negative()).then_some(threshold),
        created_at,
    })
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
        Some(NamePlace { folded_name: folded_name.to_owned(), account: account.into() })
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
