//! Amounts as commands send them, in the units of an account.

use crate::money::{DecimalAmount, NotAnAmount, Units};
use crate::outcome::Refusal;

/// Two amounts of one command; else the earlier in the order of precedence of the reasons against them.
pub(super) fn both<A, B>(one: Result<A, Refusal>, other: Result<B, Refusal>) -> Result<(A, B), Refusal> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(Refusal::TooManyDecimals), _) | (_, Err(Refusal::TooManyDecimals)) => Err(Refusal::TooManyDecimals),
        (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
    }
}

/// In units of an account with that many decimals.
pub(super) fn units(decimal: DecimalAmount, decimals: u8) -> Result<Units, Refusal> {
    decimal.to_units(decimals).map_err(|error| match error {
        NotAnAmount::TooManyDecimals => Refusal::TooManyDecimals,
        NotAnAmount::Malformed | NotAnAmount::OutOfRange => Refusal::AmountOutOfRange,
    })
}
