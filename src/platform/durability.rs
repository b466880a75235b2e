//! What an acknowledgement proves of what it tells of.

use std::fmt;
use std::str::FromStr;

/// What an acknowledgement proves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// That the store has it, however safely that keeps it.
    #[default]
    Engine,
    /// That it is on the store's disk.
    Disk,
    /// That this many replicas have it, too.
    Replicas(u32),
}

impl Durability {
    /// How many replicas must have it.
    #[must_use]
    pub fn replicas(self) -> Option<u32> {
        match self {
            Self::Engine | Self::Disk => None,
            Self::Replicas(count) => Some(count),
        }
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let replicas = || text.strip_prefix("replicas:")?.parse().ok().filter(|count| (1..=9).contains(count));
        match text {
            "engine" => Ok(Self::Engine),
            "disk" => Ok(Self::Disk),
            _ => replicas().map(Self::Replicas).ok_or_else(|| "engine, disk, or replicas:N with 1 to 9 replicas".to_owned()),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => formatter.write_str("engine"),
            Self::Disk => formatter.write_str("disk"),
            Self::Replicas(count) => write!(formatter, "replicas:{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for durability in [Durability::Engine, Durability::Disk, Durability::Replicas(2)] {
            assert_eq!(durability.to_string().parse(), Ok(durability));
        }
        for text in ["", "replicas", "replicas:", "replicas:0", "replicas:10", "replicas:-1", "Disk"] {
            assert!(text.parse::<Durability>().is_err(), "{text}");
        }
    }
}
