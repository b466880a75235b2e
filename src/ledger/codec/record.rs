//! How records of fixed fields are declared: once, for the codec, which writes and reads them by it, and for the script, whose formats of
//! `struct`, numbers of fields and places come from it.
//!
//! Integers are little-endian. Amounts and times have 7 bytes, which is more than they can need: each byte less is time saved in the
//! script, which copies records byte by byte.

use bytes::{Buf, BufMut};
use domain::money::Units;
use domain::time::UnixMillis;

/// A field of a record, as the script knows it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its format for `struct`.
    pub format: &'static str,
    /// How many bytes it has.
    pub bytes: usize,
}

/// How a field is stored.
pub trait Stored {
    /// What it is here.
    type Value;
    /// What `struct` calls it.
    const FORMAT: &'static str;
    /// How many bytes it has.
    const BYTES: usize;

    /// Appends it.
    fn put(value: Self::Value, bytes: &mut Vec<u8>);

    /// Takes it off the front; `None` if there are too few bytes.
    fn get(bytes: &mut &[u8]) -> Option<Self::Value>;
}

/// Ties a kind of field to the methods of `bytes` that write and read it.
macro_rules! stored {
    ($(#[$doc:meta])* $Kind:ident: $Value:ty, $format:literal, $bytes:literal, $put:expr, $get:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $Kind;

        impl Stored for $Kind {
            type Value = $Value;
            const FORMAT: &'static str = $format;
            const BYTES: usize = $bytes;

            #[inline]
            fn put(value: $Value, bytes: &mut Vec<u8>) {
                $put(bytes, value);
            }

            #[inline]
            fn get(bytes: &mut &[u8]) -> Option<$Value> {
                $get(bytes)
            }
        }
    };
}

stored!(
    /// An amount.
    Amount: Units, "i7", 7, |bytes: &mut Vec<u8>, amount: Units| bytes.put_int_le(amount.get(), 7), |bytes: &mut &[u8]| {
        bytes.try_get_int_le(7).ok().map(Units::new)
    }
);
stored!(
    /// An amount, of the machine's own size.
    LongAmount: Units, "i8", 8, |bytes: &mut Vec<u8>, amount: Units| bytes.put_i64_le(amount.get()), |bytes: &mut &[u8]| {
        bytes.try_get_i64_le().ok().map(Units::new)
    }
);
stored!(
    /// A number.
    Number: i64, "i7", 7, |bytes: &mut Vec<u8>, value| bytes.put_int_le(value, 7), |bytes: &mut &[u8]| bytes.try_get_int_le(7).ok()
);
stored!(
    /// A time.
    Time: UnixMillis, "i7", 7, |bytes: &mut Vec<u8>, at: UnixMillis| bytes.put_int_le(at.get(), 7), |bytes: &mut &[u8]| {
        bytes.try_get_int_le(7).ok().map(UnixMillis::new)
    }
);
stored!(
    /// The sequence of an entry in its account's or its partition's journal.
    Sequence: u64, "i7", 7, |bytes: &mut Vec<u8>, value| bytes.put_uint_le(value, 7), |bytes: &mut &[u8]| bytes.try_get_uint_le(7).ok()
);
stored!(
    /// A number of the machine's own size.
    Long: i64, "i8", 8, |bytes: &mut Vec<u8>, value| bytes.put_i64_le(value), |bytes: &mut &[u8]| bytes.try_get_i64_le().ok()
);
stored!(
    /// A time, of the machine's own size.
    LongTime: UnixMillis, "i8", 8, |bytes: &mut Vec<u8>, at: UnixMillis| bytes.put_i64_le(at.get()), |bytes: &mut &[u8]| {
        bytes.try_get_i64_le().ok().map(UnixMillis::new)
    }
);
stored!(
    /// A sequence of the machine's own size.
    LongSequence: u64, "i8", 8, |bytes: &mut Vec<u8>, value| bytes.put_u64_le(value), |bytes: &mut &[u8]| bytes.try_get_u64_le().ok()
);
stored!(
    /// A count, or a code.
    Count: u32, "I4", 4, |bytes: &mut Vec<u8>, value| bytes.put_u32_le(value), |bytes: &mut &[u8]| bytes.try_get_u32_le().ok()
);
stored!(
    /// A place in a list, or the length of a text.
    Short: u16, "I2", 2, |bytes: &mut Vec<u8>, value| bytes.put_u16_le(value), |bytes: &mut &[u8]| bytes.try_get_u16_le().ok()
);
stored!(
    /// A choice, or flags.
    Byte: u8, "B", 1, |bytes: &mut Vec<u8>, value| bytes.put_u8(value), |bytes: &mut &[u8]| bytes.try_get_u8().ok()
);
stored!(
    /// A short digest, or the short id of a ledger.
    Bytes8: [u8; 8], "c8", 8, |bytes: &mut Vec<u8>, value: [u8; 8]| bytes.put_slice(&value), get_array
);
stored!(
    /// The id of a block.
    Bytes16: [u8; 16], "c16", 16, |bytes: &mut Vec<u8>, value: [u8; 16]| bytes.put_slice(&value), get_array
);

fn get_array<const BYTES: usize>(bytes: &mut &[u8]) -> Option<[u8; BYTES]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Declares a record.
macro_rules! record {
    ($(#[$attribute:meta])* struct $Record:ident { $($(#[$doc:meta])* $field:ident: $Kind:ident,)* }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        pub struct $Record {
            $($(#[$doc])* pub $field: <$Kind as Stored>::Value,)*
        }

        impl $Record {
            /// Its fields, in their order.
            pub const FIELDS: &'static [Field] =
                &[$(Field { name: stringify!($field), format: <$Kind as Stored>::FORMAT, bytes: <$Kind as Stored>::BYTES },)*];

            /// How many bytes it has.
            pub const BYTES: usize = 0 $(+ <$Kind as Stored>::BYTES)*;

            /// Appends it.
            #[inline]
            pub fn put(self, bytes: &mut Vec<u8>) {
                $(<$Kind as Stored>::put(self.$field, bytes);)*
            }

            /// Takes it off the front; `None` if there are too few bytes.
            #[inline]
            pub fn get(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: <$Kind as Stored>::get(bytes)?,)* })
            }
        }
    };
}

pub(super) use record;

/// The format of a record for `struct`.
#[must_use]
pub fn format(fields: &[Field]) -> String {
    format!("<{}", joined(fields))
}

/// The formats of fields, one after another.
pub fn joined<'a>(fields: impl IntoIterator<Item = &'a Field>) -> String {
    fields.into_iter().map(|field| field.format).collect()
}

/// Behind how many bytes a field begins.
#[must_use]
pub fn offset(fields: &[Field], name: &str) -> usize {
    fields.iter().take_while(|field| field.name != name).map(|field| field.bytes).sum()
}
