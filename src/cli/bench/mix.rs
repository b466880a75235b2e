//! What is sent, in which shares.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, ensure};
use rand::{Rng, RngExt};

/// The kinds of command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A direct debit.
    Debit,
    /// A reservation, and then its final debit.
    Authorize,
    /// The final debit on that reservation; comes by itself after each [`Kind::Authorize`].
    Settle,
    /// A reservation that is left open.
    Reserve,
    /// A debit of more than the account can pay.
    Decline,
    /// A change of the payment mode, there and back.
    Convert,
}

impl Kind {
    /// Those that can be asked for.
    const SHARED: [Self; 5] = [Self::Debit, Self::Authorize, Self::Reserve, Self::Decline, Self::Convert];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Authorize => "authorize",
            Self::Settle => "settle",
            Self::Reserve => "reserve",
            Self::Decline => "decline",
            Self::Convert => "convert",
        }
    }
}

/// Shares of kinds: whole numbers, whose sum is the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(Vec<(Kind, u32)>);

impl Mix {
    /// The kind of the next command.
    pub fn pick(&self, random: &mut impl Rng) -> Kind {
        match self.0.as_slice() {
            [(only, _)] => *only,
            shares => kind_at(shares, random.random_range(0..self.whole())),
        }
    }

    fn whole(&self) -> u32 {
        self.0.iter().map(|(_, share)| share).sum()
    }
}

/// The kind into whose share a number below the whole falls.
fn kind_at(shares: &[(Kind, u32)], mut number: u32) -> Kind {
    for (kind, share) in shares {
        match number.checked_sub(*share) {
            Some(rest) => number = rest,
            None => return *kind,
        }
    }
    Kind::Debit
}

impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut shares = Vec::new();
        for part in text.split(',') {
            let (name, share) = part.split_once('=').context("takes shares such as debit=80,authorize=20")?;
            let kind = Kind::SHARED.into_iter().find(|kind| kind.name() == name.trim());
            let kind = kind.with_context(|| format!("{name:?} is none of debit, authorize, reserve, decline, convert"))?;
            let share: u16 = share.trim().parse().context("a share is a whole number up to 65535")?;
            ensure!(shares.iter().all(|(other, _)| *other != kind), "{name} is there twice");
            if share > 0 {
                shares.push((kind, u32::from(share)));
            }
        }
        ensure!(!shares.is_empty(), "all shares are zero");
        Ok(Self(shares))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (kind, share)) in self.0.iter().enumerate() {
            write!(formatter, "{}{}={share}", if place > 0 { "," } else { "" }, kind.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_gets_exactly_its_share() {
        let mix: Mix = "debit=80,authorize=10,decline=5,convert=5".parse().unwrap();
        assert_eq!(mix.whole(), 100);
        let count = |kind| (0..100).filter(|number| kind_at(&mix.0, *number) == kind).count();
        assert_eq!([Kind::Debit, Kind::Authorize, Kind::Decline, Kind::Convert, Kind::Settle].map(count), [80, 10, 5, 5, 0]);
        assert_eq!(mix.to_string(), "debit=80,authorize=10,decline=5,convert=5");
    }

    #[test]
    fn what_is_no_mix_is_refused() {
        for text in ["", "debit", "debit=-1", "debit=0", "debit=1,debit=2", "settle=1", "refund=1"] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }
}
