//! Page tokens: opaque to callers, bound to the query that they continue.
//!
//! A token is the hexadecimal form of a version, a digest of the query, and a place. Anything else is refused, whatever it is.

use std::fmt::Write;

use super::wire::reader::FieldReader;
use crate::billing::search::{Key, Place};
use crate::domain::time::UnixMillis;
use crate::ledger::{IdempotencyKey, NamePlace, ReservationPlace};
use crate::service::search::{self, SearchMethod};

const VERSION: u8 = 1;
const DIGEST_BYTES: usize = 8;
/// The longest token that is looked at; names and ids are far shorter.
const MAX_TOKEN_BYTES: usize = 8192;

/// Returns the place that a token names; `None` for the start. A text that is not a token is refused.
pub fn read<C: Cursor>(reader: &mut FieldReader, field: &str, query: &[&str], token: &str) -> Option<C> {
    if token.is_empty() {
        return None;
    }
    let place = decode(query, token);
    if place.is_none() {
        reader.refuse(field, "must come from an answer to the same query, or be empty");
    }
    place
}

/// Where a list goes on.
pub trait Cursor: Sized {
    fn to_bytes(&self) -> Vec<u8>;
    /// Of bytes, if they are ones of this kind of place.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// The token of a place in the answer to a query.
#[must_use]
pub fn encode<C: Cursor>(query: &[&str], place: &C) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&digest(query));
    bytes.extend(place.to_bytes());
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The place of a token; `None` if it is not a token of that query.
#[must_use]
pub fn decode<C: Cursor>(query: &[&str], token: &str) -> Option<C> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let bytes = from_hexadecimal(token)?;
    let (version, rest) = bytes.split_first()?;
    let (found, place) = rest.split_at_checked(DIGEST_BYTES)?;
    if *version != VERSION || found != digest(query) {
        return None;
    }
    C::from_bytes(place)
}

fn digest(query: &[&str]) -> [u8; DIGEST_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in query {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut digest = [0; DIGEST_BYTES];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok()).collect()
}

impl Cursor for NamePlace {
    fn to_bytes(&self) -> Vec<u8> {
        // An account id holds no zero byte.
        [self.account.as_bytes(), &[0], self.folded_name.as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (account, folded_name) = std::str::from_utf8(bytes).ok()?.split_once('\0')?;
        Some(Self { folded_name: folded_name.to_owned(), account: account.into() })
    }
}

impl Cursor for IdempotencyKey {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl Cursor for ReservationPlace {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.expires_at.get().to_be_bytes()[..], &self.key.0].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (expires_at, key) = bytes.split_first_chunk()?;
        Some(Self { expires_at: UnixMillis::new(i64::from_be_bytes(*expires_at)), key: IdempotencyKey(key.try_into().ok()?) })
    }
}

impl Cursor for u64 {
    fn to_bytes(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

impl Cursor for String {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

/// Two places, one after the other.
impl<C: Cursor> Cursor for (u64, C) {
    fn to_bytes(&self) -> Vec<u8> {
        [self.0.to_bytes(), self.1.to_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(size_of::<u64>())?;
        Some((u64::from_bytes(first)?, C::from_bytes(second)?))
    }
}

impl Cursor for Place {
    fn to_bytes(&self) -> Vec<u8> {
        let (kind, key) = match &self.key {
            Key::Name(name) => (1, name.as_bytes().to_vec()),
            Key::Amount(amount) => (2, amount.to_be_bytes().to_vec()),
        };
        // An account id holds no zero byte.
        [&[kind], self.account.as_bytes(), &[0], &key].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (account, key) = (rest.get(..end)?, rest.get(end + 1..)?);
        let key = match kind {
            1 => Key::Name(String::from_utf8(key.to_vec()).ok()?),
            2 => Key::Amount(i64::from_be_bytes(key.try_into().ok()?)),
            _ => return None,
        };
        Some(Self { key, account: String::from_utf8(account.to_vec()).ok()?.into() })
    }
}

impl Cursor for search::Cursor {
    fn to_bytes(&self) -> Vec<u8> {
        let way = match self.way {
            SearchMethod::Parts => 1,
            SearchMethod::Beginning => 2,
            SearchMethod::Ledger => 3,
        };
        [&[way], &self.after.to_bytes()[..]].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (way, after) = bytes.split_first()?;
        let way = match way {
            1 => SearchMethod::Parts,
            2 => SearchMethod::Beginning,
            3 => SearchMethod::Ledger,
            _ => return None,
        };
        Some(Self { way, after: Place::from_bytes(after)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place_but_only_for_its_query() {
        let place = NamePlace { folded_name: "ácme ltd".into(), account: "acme/1".into() };
        let token = encode(&["accounts", "ac"], &place);
        assert_eq!(decode(&["accounts", "ac"], &token), Some(place));
        assert_eq!(decode::<NamePlace>(&["accounts", "a"], &token), None);
        assert_eq!(decode::<NamePlace>(&["accountsac"], &token), None);
        let token = encode(&["entries"], &77_u64);
        assert_eq!(decode(&["entries"], &token), Some(77_u64));
        assert_eq!(decode::<IdempotencyKey>(&["entries"], &token), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_token_panic(text in ".*", tail in "[0-9a-f]*") {
            prop_assert_eq!(decode::<u64>(&["entries"], &text), None);
            let valid_head = encode(&["names"], &0_u64).chars().take(18).collect::<String>();
            let _ = decode::<NamePlace>(&["names"], &format!("{valid_head}{tail}"));
            let _ = decode::<IdempotencyKey>(&["names"], &format!("{valid_head}{tail}{text}"));
            let _ = decode::<search::Cursor>(&["names"], &format!("{valid_head}{tail}"));
        }

        #[test]
        fn every_place_comes_back(sequence: u64, key: [u8; 16], name in "[^\0]*", account in "[a-z/]+") {
            prop_assert_eq!(decode(&["a"], &encode(&["a"], &sequence)), Some(sequence));
            prop_assert_eq!(decode(&["a"], &encode(&["a"], &IdempotencyKey(key))), Some(IdempotencyKey(key)));
            let place = NamePlace { folded_name: name.clone(), account: account.clone().into() };
            prop_assert_eq!(decode(&["a"], &encode(&["a"], &place)), Some(place));
            for key in [Key::Name(name), Key::Amount(sequence.cast_signed())] {
                let place = search::Cursor { way: SearchMethod::Parts, after: Place { key, account: account.clone().into() } };
                prop_assert_eq!(decode(&["a"], &encode(&["a"], &place)), Some(place));
            }
        }
    }
}
