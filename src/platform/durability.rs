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
    /// That it is on the disks of the store and of this many replicas.
    ReplicasDisk(u32),
}

impl Durability {
    /// How many replicas must have it.
    #[must_use]
    pub fn replicas(self) -> Option<u32> {
        match self {
            Self::Engine | Self::Disk => None,
            Self::Replicas(count) | Self::ReplicasDisk(count) => Some(count),
        }
    }

    /// Whether it must be on disk wherever it must be.
    #[must_use]
    pub fn is_on_disk(self) -> bool {
        matches!(self, Self::Disk | Self::ReplicasDisk(_))
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = |count: &str| count.parse().ok().filter(|count| (1..=9).contains(count));
        let found = match text.split_once(':') {
            None if text == "engine" => Some(Self::Engine),
            None if text == "disk" => Some(Self::Disk),
            Some(("replicas", replicas)) => count(replicas).map(Self::Replicas),
            Some(("replicas-disk", replicas)) => count(replicas).map(Self::ReplicasDisk),
            _ => None,
        };
        found.ok_or_else(|| "engine, disk, replicas:N, or replicas-disk:N with 1 to 9 replicas".to_owned())
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => formatter.write_str("engine"),
            Self::Disk => formatter.write_str("disk"),
            Self::Replicas(count) => write!(formatter, "replicas:{count}"),
            Self::ReplicasDisk(count) => write!(formatter, "replicas-disk:{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for durability in [Durability::Engine, Durability::Disk, Durability::Replicas(2), Durability::ReplicasDisk(9)] {
            assert_eq!(durability.to_string().parse(), Ok(durability));
        }
        for text in
            ["", "replicas", "replicas:", "replicas:0", "replicas:10", "replicas:-1", "Disk", "replicas-disk", "replicas-disk:0", "disk:1"]
        {
            assert!(text.parse::<Durability>().is_err(), "{text}");
        }
    }
}
