//! The partitions that a ledger had before it was restored with another number of them.
//!
//! An entry keeps its partition and sequence for ever: the ids of records and documents are made of them. With another number of
//! partitions, each begins behind the sequences of all entries so far. So the sequences of an account's entries grow, whatever partitions
//! they are in, and account and sequence tell the partition.

use sqlx::{Any, Executor};

use super::BillingError;
use super::record::{narrow, number};
use domain::ids::AccountId;
use ledger::prepared_command::partition_of;
use ledger::rebuild::Renumbering;

/// The former layouts of a ledger, the first of them first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layouts {
    former: Vec<Layout>,
}

/// One number of partitions, and how far each of them came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The sequences of its entries lie behind this one.
    pub behind: u64,
    /// The last sequence of each partition.
    pub last: Vec<u64>,
}

/// Sequences of a partition that no entry ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    pub partition: u16,
    /// They lie behind this one, up to the other.
    pub after: i64,
    /// The last of them.
    pub last: i64,
}

/// Where the entries of an account around a sequence are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Their partition.
    pub partition: u16,
    /// Those up to this sequence are elsewhere.
    pub behind: u64,
}

impl Layout {
    /// How many partitions it has.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        u16::try_from(self.last.len()).unwrap_or(u16::MAX)
    }

    /// How many entries it has.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.last.iter().map(|last| last - self.behind).sum()
    }

    /// Maps the sequences of a partition to numbers that no other entry has, nor any of a later layout.
    #[must_use]
    pub fn renumbering(&self, partition: u16) -> Renumbering {
        let before = self.last.iter().take(usize::from(partition));
        Renumbering { behind: self.behind, by: before.map(|last| last - self.behind).sum() }
    }

    /// The sequence that those of the next layout lie behind: no sequence of a partition is above it, and no number made of one.
    fn end(&self) -> u64 {
        self.behind + self.entries()
    }
}

impl Layouts {
    /// Those of a billing store.
    pub async fn read(executor: impl Executor<'_, Database = Any>) -> Result<Self, BillingError> {
        let sql = "SELECT layout, after_sequence, last_sequence FROM former_partitions ORDER BY layout, partition";
        let mut layouts = Self::default();
        for row in sqlx::query(sql).fetch_all(executor).await? {
            let (number, behind): (usize, u64) = (narrow(&row, "layout")?, narrow(&row, "after_sequence")?);
            if number > layouts.former.len() {
                layouts.former.push(Layout { behind, last: Vec::new() });
            }
            if let Some(layout) = layouts.former.last_mut() {
                layout.last.push(narrow::<u64>(&row, "last_sequence")?.max(behind));
            }
        }
        Ok(layouts)
    }

    /// With that of now as the last of the former ones: the last sequence of each of its partitions.
    #[must_use]
    pub fn and(mut self, last: Vec<u64>) -> Self {
        let behind = self.behind();
        self.former.push(Layout { behind, last: last.into_iter().map(|last| last.max(behind)).collect() });
        self
    }

    /// The former layouts.
    #[must_use]
    pub fn former(&self) -> &[Layout] {
        &self.former
    }

    /// The sequence that those of now lie behind.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.former.last().map_or(0, Layout::end)
    }

    /// How many entries the former layouts have.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.former.iter().map(Layout::entries).sum()
    }

    /// Where an account's entry of that sequence is, if the account is in this partition now.
    #[must_use]
    pub fn home(&self, account: &AccountId, sequence: u64, now: u16) -> Home {
        match self.former.iter().find(|layout| sequence <= layout.end()) {
            Some(layout) => Home { partition: partition_of(account, layout.partitions()), behind: layout.behind },
            None => Home { partition: now, behind: self.behind() },
        }
    }

    /// The number that the ledger knows an entry by.
    #[must_use]
    pub fn number(&self, partition: u16, sequence: u64) -> u64 {
        let layout = self.former.iter().find(|layout| sequence <= layout.end());
        layout.map_or(sequence, |layout| layout.renumbering(partition).of(sequence))
    }

    /// The largest number of partitions that there ever was, given the current one.
    #[must_use]
    pub fn most_partitions(&self, now: u16) -> u16 {
        self.former.iter().map(Layout::partitions).max().unwrap_or(0).max(now)
    }

    /// What lies between and beside the entries of all partitions that there ever were, given the current number. Those of now have no end.
    #[must_use]
    pub fn holes(&self, now: u16) -> Vec<Hole> {
        let mut holes = Vec::new();
        for partition in 0..self.most_partitions(now) {
            let mut after = i64::MIN;
            let of_former = self.former.iter().filter_map(|layout| Some((layout.behind, Some(*layout.last.get(usize::from(partition))?))));
            let of_now = (partition < now).then(|| (self.behind(), None));
            for (behind, last) in of_former.chain(of_now) {
                holes.push(Hole { partition, after, last: number(behind) });
                after = last.map_or(i64::MAX, number);
            }
            holes.push(Hole { partition, after, last: i64::MAX });
        }
        holes.retain(|hole| hole.after < hole.last);
        holes
    }

    /// The last entries of all partitions that there ever were, if those of now have come so far.
    #[must_use]
    pub fn last_of_all(&self, now: &[(u16, u64)]) -> Vec<(u16, u64)> {
        let mut all: Vec<(u16, u64)> = now.to_vec();
        for layout in self.former.iter().rev() {
            let known = u16::try_from(all.len()).unwrap_or(u16::MAX);
            all.extend((0..).zip(layout.last.iter().copied()).filter(|(partition, _)| *partition >= known));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_entries_have_the_same_number_and_those_of_an_account_grow() {
        let first = Layouts::default().and(vec![5, 0, 7]);
        assert_eq!(first.behind(), 12);
        let second = first.and(vec![12, 15]);
        assert_eq!(second.behind(), 15);
        let mut numbers = Vec::new();
        for (partition, sequences) in [(0, 1..=5), (2, 1..=7), (1, 13..=15), (0, 16..=18)] {
            numbers.extend(sequences.map(|sequence| second.number(partition, sequence)));
        }
        assert_eq!(numbers, (1..=18).collect::<Vec<_>>());
        // A number that was made of a sequence of an earlier layout stays what it is.
        assert_eq!(second.former()[1].renumbering(1).of(9), 9);
    }

    #[test]
    fn an_entry_is_where_its_account_was() {
        let layouts = Layouts::default().and(vec![5, 0, 7]).and(vec![12, 15]);
        let at = |sequence| layouts.home(&"acme".into(), sequence, 9);
        assert_eq!(at(12), Home { partition: partition_of("acme", 3), behind: 0 });
        assert_eq!(at(13), Home { partition: partition_of("acme", 2), behind: 12 });
        assert_eq!(at(16), Home { partition: 9, behind: 15 });
    }

    #[test]
    fn what_is_no_place_of_an_entry_is_a_hole() {
        let holes = |layouts: Layouts, now| {
            layouts.holes(now).into_iter().map(|Hole { partition, after, last }| (partition, after, last)).collect::<Vec<_>>()
        };
        let (least, most) = (i64::MIN, i64::MAX);
        assert_eq!(holes(Layouts::default(), 2), [(0, least, 0), (1, least, 0)]);
        let layouts = Layouts::default().and(vec![5, 0, 7]).and(vec![12, 15]);
        let expected = [(0, least, 0), (0, 5, 12), (0, 12, 15), (1, least, 0), (1, 0, 12), (2, least, 0), (2, 7, most)];
        assert_eq!(holes(layouts, 2), expected);
    }

    #[test]
    fn partitions_that_are_no_more_are_known_by_their_last_entry() {
        let layouts = Layouts::default().and(vec![5, 4, 7]).and(vec![20]);
        assert_eq!(layouts.last_of_all(&[(0, 30)]), [(0, 30), (1, 4), (2, 7)]);
    }
}
