//! What is sent, in which shares: each share is of a sequence of commands, and each command is measured by its kind.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, ensure};
use rand::{Rng, RngExt};

/// The kinds of command, and of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A direct debit.
    Debit,
    /// A reservation.
    Authorize,
    /// A part of it is charged, and the next amount reserved in the same step.
    Report,
    /// The final debit on it.
    Settle,
    /// It is given back.
    Release,
    /// A reservation that is left open.
    Reserve,
    /// A debit of more than the account can pay.
    Decline,
    /// A charge is given back.
    Refund,
    /// A change of the payment mode, there and back.
    Convert,
    /// What an account can use is read.
    Credit,
    /// An account is read.
    Account,
}

impl Kind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Authorize => "authorize",
            Self::Report => "report",
            Self::Settle => "settle",
            Self::Release => "release",
            Self::Reserve => "reserve",
            Self::Decline => "decline",
            Self::Refund => "refund",
            Self::Convert => "convert",
            Self::Credit => "credit",
            Self::Account => "account",
        }
    }

    /// Whether it only reads; such are no commands of a stream.
    pub fn reads(self) -> bool {
        matches!(self, Self::Credit | Self::Account)
    }
}

/// Commands on one account, each sent when the one before has done what it was to do.
pub type Sequence = &'static [Kind];

/// What can be asked for.
const SEQUENCES: [(&str, Sequence); 10] = [
    ("debit", &[Kind::Debit]),
    ("authorize", &[Kind::Authorize, Kind::Settle]),
    ("session", &[Kind::Authorize, Kind::Report, Kind::Settle]),
    ("release", &[Kind::Authorize, Kind::Release]),
    ("reserve", &[Kind::Reserve]),
    ("decline", &[Kind::Decline]),
    ("refund", &[Kind::Debit, Kind::Refund]),
    ("convert", &[Kind::Convert]),
    ("credit", &[Kind::Credit]),
    ("account", &[Kind::Account]),
];

/// A sequence by its name, and its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    name: &'static str,
    sequence: Sequence,
    share: u32,
}

/// Shares of sequences: whole numbers, whose sum is the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(Vec<Share>);

impl Mix {
    /// What to send next.
    pub fn pick(&self, random: &mut impl Rng) -> Sequence {
        match self.0.as_slice() {
            [only] => only.sequence,
            shares => sequence_at(shares, random.random_range(0..self.whole())),
        }
    }

    /// Whether anything only reads.
    pub fn reads(&self) -> bool {
        self.0.iter().flat_map(|share| share.sequence).any(|kind| kind.reads())
    }

    /// Whether all are commands that nothing follows.
    pub fn is_single(&self) -> bool {
        self.0.iter().all(|share| matches!(share.sequence, [only] if !only.reads()))
    }

    fn whole(&self) -> u32 {
        self.0.iter().map(|share| share.share).sum()
    }
}

/// The sequence into whose share a number below the whole falls.
fn sequence_at(shares: &[Share], mut number: u32) -> Sequence {
    for share in shares {
        match number.checked_sub(share.share) {
            Some(rest) => number = rest,
            None => return share.sequence,
        }
    }
    &[Kind::Debit]
}

impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut shares = Vec::new();
        for part in text.split(',') {
            let (name, share) = part.split_once('=').context("takes shares such as debit=80,authorize=20")?;
            let found = SEQUENCES.into_iter().find(|(known, _)| *known == name.trim());
            let (name, sequence) =
                found.with_context(|| format!("{name:?} is none of {}", SEQUENCES.map(|(known, _)| known).join(", ")))?;
            let share: u16 = share.trim().parse().context("a share is a whole number up to 65535")?;
            ensure!(shares.iter().all(|other: &Share| other.name != name), "{name} is there twice");
            if share > 0 {
                shares.push(Share { name, sequence, share: u32::from(share) });
            }
        }
        ensure!(!shares.is_empty(), "all shares are zero");
        Ok(Self(shares))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Share { name, share, .. }) in self.0.iter().enumerate() {
            write!(formatter, "{}{name}={share}", if place > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_gets_exactly_its_share() {
        let mix: Mix = "debit=80,authorize=10,decline=5,convert=5".parse().unwrap();
        assert_eq!(mix.whole(), 100);
        let count = |kind| (0..100).filter(|number| sequence_at(&mix.0, *number)[0] == kind).count();
        assert_eq!([Kind::Debit, Kind::Authorize, Kind::Decline, Kind::Convert, Kind::Settle].map(count), [80, 10, 5, 5, 0]);
        assert_eq!(mix.to_string(), "debit=80,authorize=10,decline=5,convert=5");
    }

    #[test]
    fn what_is_no_mix_is_refused() {
        for text in ["", "debit", "debit=-1", "debit=0", "debit=1,debit=2", "settle=1", "report=1"] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }
}
