//! The accounts of a run: how they are called, and which is charged next.
//!
//! An account is its number; its id is made of it when a request is. Numbers stand in the order of a skew's preference: 0 is the hottest.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, ensure};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Zipf};

/// The exponent of a Zipf distribution, unless told otherwise; that of YCSB.
const DEFAULT_EXPONENT: f64 = 0.99;

/// How calls spread over accounts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skew {
    /// Evenly, at random.
    Spread,
    /// The account of rank k is charged in proportion to 1 / k^exponent.
    Zipf(f64),
    /// All on one.
    Hot,
}

impl FromStr for Skew {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "spread" => Ok(Self::Spread),
            None if text == "hot" => Ok(Self::Hot),
            None if text == "zipf" => Ok(Self::Zipf(DEFAULT_EXPONENT)),
            Some(("zipf", exponent)) => {
                let exponent: f64 = exponent.parse().context("the exponent is a number")?;
                ensure!((0.0..=10.0).contains(&exponent), "the exponent must lie within 0 and 10");
                Ok(Self::Zipf(exponent))
            }
            _ => anyhow::bail!("takes spread, zipf, zipf:EXPONENT or hot"),
        }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spread => formatter.write_str("spread"),
            Self::Zipf(exponent) => write!(formatter, "zipf:{exponent}"),
            Self::Hot => formatter.write_str("hot"),
        }
    }
}

/// Returns the next account.
#[derive(Clone, Debug)]
pub enum Picker {
    /// Any.
    Spread(u32),
    /// By rank.
    Zipf(Zipf<f64>),
    /// The first.
    Hot,
}

impl Picker {
    /// The number of accounts.
    pub fn new(skew: Skew, accounts: u32) -> anyhow::Result<Self> {
        Ok(match skew {
            Skew::Spread => Self::Spread(accounts),
            Skew::Zipf(exponent) => Self::Zipf(Zipf::new(f64::from(accounts), exponent).context("no such Zipf distribution")?),
            Skew::Hot => Self::Hot,
        })
    }

    /// The next one.
    pub fn pick(&self, random: &mut impl Rng) -> u32 {
        match self {
            Self::Spread(accounts) => random.random_range(0..*accounts),
            Self::Zipf(ranks) => ranks.sample(random) as u32 - 1,
            Self::Hot => 0,
        }
    }
}

/// The accounts to check: all, or half of them the first, which a skew prefers, the rest at random.
pub fn sample(accounts: u32, wanted: u32, random: &mut impl Rng) -> BTreeSet<u32> {
    let wanted = wanted.min(accounts);
    let mut chosen: BTreeSet<u32> = if wanted == accounts { (0..accounts).collect() } else { (0..wanted.div_ceil(2)).collect() };
    while chosen.len() < wanted as usize {
        chosen.insert(random.random_range(0..accounts));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_stay_among_the_accounts() {
        let mut random = rand::rng();
        for skew in ["spread", "zipf", "zipf:1.5", "hot"] {
            let skew: Skew = skew.parse().unwrap();
            let picker = Picker::new(skew, 10).unwrap();
            let mut counts = [0; 10];
            (0..10_000).for_each(|_| *counts.get_mut(picker.pick(&mut random) as usize).unwrap() += 1);
            match skew {
                Skew::Spread => assert!(counts.iter().all(|count| (700..1300).contains(count)), "{counts:?}"),
                Skew::Zipf(_) => assert!(counts[0] > counts[1] && counts[1] > counts[9], "{counts:?}"),
                Skew::Hot => assert_eq!(counts[0], 10_000),
            }
        }
        assert!("zipf:-1".parse::<Skew>().is_err());
        assert!("warm".parse::<Skew>().is_err());
    }

    #[test]
    fn a_sample_has_the_first_and_others() {
        let chosen = sample(100_000, 10, &mut rand::rng());
        assert_eq!(chosen.len(), 10);
        assert!((0..5).all(|first| chosen.contains(&first)));
        assert_eq!(sample(3, 10, &mut rand::rng()).into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
