//! The keys of a partition: a fixed, declared list under one hash tag, all of which always exist.
//!
//! Tags are chosen so that the slots of the partitions are spread evenly over a Cluster's 16,384.

use crc::{CRC_16_XMODEM, Crc};

/// A Cluster's hash slots.
const SLOTS: u32 = 16_384;

const SLOT_OF: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// The names of the keys, in the order in which the script gets them. The state of the partition is a field of the accounts: the empty id.
const NAMES: [&str; 10] = [
    "accounts",
    "profiles",
    "reservations",
    "expiries",
    "reservations-by-account",
    "requests:0",
    "requests:1",
    "refunds",
    "journal",
    "names",
];

/// The keys of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionKeys {
    /// The partition's number.
    pub number: u16,
    /// The slot of all of them in a cluster.
    pub slot: u16,
    /// All of them, in the order in which the script gets them.
    pub all: [String; 10],
    /// The partition's copy of the store's settings, under its tag. The script does not know it.
    pub settings: String,
    /// The sharded channel on which changes are announced.
    pub channel: String,
}

impl PartitionKeys {
    /// The keys of a partition of a store.
    #[must_use]
    pub fn new(store: &str, partition: u16, partitions: u16) -> Self {
        let tag = tag(partition, partitions);
        let key = |name: &str| format!("{store}:{{{tag}}}:{name}");
        let settings = key("settings");
        Self { number: partition, slot: slot_of_key(&settings), all: NAMES.map(key), settings, channel: key("changes") }
    }

    /// The keys of all partitions of a store.
    #[must_use]
    pub fn of_store(store: &str, partitions: u16) -> Vec<Self> {
        (0..partitions).map(|partition| Self::new(store, partition, partitions)).collect()
    }

    /// The place in `KEYS` of the key of that name, from 1 on.
    pub(super) fn place_of(name: &str) -> usize {
        NAMES.iter().position(|known| *known == name).map_or(0, |place| place + 1)
    }

    fn named(&self, name: &str) -> &str {
        NAMES.iter().zip(&self.all).find(|(known, _)| **known == name).map_or("", |(_, key)| key)
    }

    /// The sorted set of reservations by expiry.
    #[must_use]
    pub fn expiries(&self) -> &str {
        self.named("expiries")
    }

    /// The hash of sums that were given back.
    #[must_use]
    pub fn refunds(&self) -> &str {
        self.named("refunds")
    }

    /// The hash of accounts.
    #[must_use]
    pub fn accounts(&self) -> &str {
        self.named("accounts")
    }

    /// The hash of profiles.
    #[must_use]
    pub fn profiles(&self) -> &str {
        self.named("profiles")
    }

    /// The hash of reservations.
    #[must_use]
    pub fn reservations(&self) -> &str {
        self.named("reservations")
    }

    /// The sorted set of reservations by account.
    #[must_use]
    pub fn reservations_by_account(&self) -> &str {
        self.named("reservations-by-account")
    }

    /// The two generations of requests. The parity of a number in the state says which is the younger.
    #[must_use]
    pub fn requests(&self) -> [&str; 2] {
        [self.named("requests:0"), self.named("requests:1")]
    }

    /// The stream of blocks.
    #[must_use]
    pub fn journal(&self) -> &str {
        self.named("journal")
    }

    /// The keys that format version 2 had in place of others: both generations of requests, younger first, and what was given back.
    #[must_use]
    pub fn legacy(&self) -> [String; 3] {
        let prefix = self.accounts().strip_suffix("accounts").unwrap_or_default();
        ["requests", "requests:old", "undone"].map(|name| format!("{prefix}{name}"))
    }

    /// The hash of who may call, beside the keys of the first partition, or in a cluster of each. The script does not know it.
    #[must_use]
    pub fn callers(&self) -> String {
        format!("{}callers", self.accounts().strip_suffix("accounts").unwrap_or_default())
    }

    /// The hash of blocks that were acknowledged, and lost. The script does not know it, and it is there only after a loss.
    #[must_use]
    pub fn lost(&self) -> String {
        format!("{}lost", self.accounts().strip_suffix("accounts").unwrap_or_default())
    }

    /// The sorted set of names.
    #[must_use]
    pub fn names(&self) -> &str {
        self.named("names")
    }
}

#[derive(Clone, Debug)]
pub struct StoreKeys {
    /// In which it says what it is: written last, so that a store with it is whole.
    pub head: String,
    /// Those of its partitions.
    pub partitions: Vec<PartitionKeys>,
}

impl StoreKeys {
    /// The keys of a store of that name.
    #[must_use]
    pub fn new(store: &str, partitions: u16) -> Self {
        Self { head: settings_key(store), partitions: PartitionKeys::of_store(store, partitions) }
    }

    /// The slot of the store's own key in a cluster.
    #[must_use]
    pub fn head_slot(&self) -> u16 {
        slot_of_key(&self.head)
    }
}

/// The key of a store's settings.
#[must_use]
pub fn settings_key(store: &str) -> String {
    format!("{store}:settings")
}

/// The slot of a key in a cluster: that of its hash tag, if it has one. A store's name may have one, too.
#[must_use]
pub fn slot_of_key(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag).filter(|tag| !tag.is_empty());
    slot_of(tag.unwrap_or(key))
}

/// The slot of a hash tag, or of a key without one.
fn slot_of(tag: &str) -> u16 {
    u16::try_from(u32::from(SLOT_OF.checksum(tag.as_bytes())) % SLOTS).unwrap_or(0)
}

/// The first tag of the form `partition` or `partition-n` whose slot lies in the partition's share.
fn tag(partition: u16, partitions: u16) -> String {
    let share = |tag: &str| u32::from(slot_of(tag)) * u32::from(partitions.max(1)) / SLOTS;
    let candidates = std::iter::once(partition.to_string()).chain((0..1_000_000).map(|number| format!("{partition}-{number}")));
    candidates.into_iter().find(|tag| share(tag) == u32::from(partition)).unwrap_or_else(|| partition.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slots_of_the_partitions_are_spread_evenly() {
        for partitions in [1_u16, 4, 64] {
            for partition in 0..partitions {
                let slot = PartitionKeys::new("tollgate", partition, partitions).slot;
                assert_eq!(u32::from(slot) * u32::from(partitions) / SLOTS, u32::from(partition));
            }
        }
    }

    #[test]
    fn the_slot_is_the_one_that_redis_computes() {
        // The check value of CRC-16/XMODEM, which the Cluster specification names.
        assert_eq!(SLOT_OF.checksum(b"123456789"), 0x31C3);
    }
}
