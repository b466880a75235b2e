//! Digests by which a chain proves itself.
//!
//! A digest is the SHA-256 of fields, each written as its length in bytes, a colon, and itself: "5:hello".

use super::BillingError;
use sha2::{Digest as _, Sha256};

/// Fields that a digest covers.
pub struct Fields(Sha256);

impl Fields {
    /// Starts the fields of a digest for things of this name and version.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let mut fields = Self(Sha256::new());
        fields.text(name);
        fields
    }

    /// One more.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.0.update(text.len().to_string());
        self.0.update(":");
        self.0.update(text);
        self
    }

    /// One more, in decimal.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.text(&number.to_string())
    }

    /// The digest.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }

    /// The digest as hexadecimal text.
    #[must_use]
    pub fn hex(&self) -> String {
        to_hex(&self.bytes())
    }
}

/// How many things there are, and the sum of their digests: modulo 2^256, the first byte the lowest. It knows no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestSum {
    /// How many.
    pub count: i64,
    sum: [u8; 32],
}

impl DigestSum {
    /// One that was kept.
    pub fn read(count: i64, text: &str) -> Result<Self, BillingError> {
        let mut sum = [0; 32];
        for (place, byte) in sum.iter_mut().enumerate() {
            let pair = text.get(2 * place..2 * place + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
            *byte = pair.ok_or_else(|| BillingError::corrupt(format!("the sum of digests {text:?}")))?;
        }
        Ok(Self { count, sum })
    }

    /// Adds one more.
    pub fn add(&mut self, digest: [u8; 32]) {
        self.count += 1;
        let mut carry = 0;
        for (byte, other) in self.sum.iter_mut().zip(digest) {
            let sum = u16::from(*byte) + u16::from(other) + carry;
            [*byte, _] = sum.to_le_bytes();
            carry = sum >> 8;
        }
    }

    /// Takes one out again.
    pub fn remove(&mut self, digest: [u8; 32]) {
        self.count -= 1;
        let mut borrow = 0;
        for (byte, other) in self.sum.iter_mut().zip(digest) {
            let rest = 256 + u16::from(*byte) - u16::from(other) - borrow;
            [*byte, _] = rest.to_le_bytes();
            borrow = 1 - (rest >> 8);
        }
    }

    /// As hexadecimal text.
    #[must_use]
    pub fn hex(&self) -> String {
        to_hex(&self.sum)
    }
}

/// Bytes as hexadecimal text.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_knows_no_order_and_what_is_taken_out_is_gone() {
        let digest = |number: i64| Fields::of("test").number(number).bytes();
        let mut sum = DigestSum::default();
        (1..=100).for_each(|number| sum.add(digest(number)));
        let mut other = DigestSum::default();
        (1..=101).rev().for_each(|number| other.add(digest(number)));
        assert_ne!(sum, other);
        other.remove(digest(101));
        assert_eq!(sum, other);
        assert_eq!(DigestSum::read(100, &sum.hex()).unwrap(), sum);
        (1..=100).for_each(|number| other.remove(digest(number)));
        assert_eq!(other, DigestSum::default());
    }
}
