//! Heads of what pays what: for each partition, the sum of all allocations that the entries up to one have led to. A kept one proves that
//! none of these was changed, added or removed since, even if all other sums were worked out again.
//!
//! What operators do by hand has no entry. It belongs to a head if a later entry does, before which it was.

use std::collections::{BTreeMap, HashMap};

use super::{Findings, Place};
use crate::bills::allocations::AllocationRow;
use crate::digest::{DigestSum, Fields};
use crate::record::{Record, number};
use crate::series::{ALLOCATIONS, Head};
use domain::ids::AccountId;

/// One that is worked out, up to an entry.
#[derive(Debug)]
struct Sum {
    partition: u16,
    up_to: u64,
    /// The number of each account's last entry up to there.
    last: HashMap<AccountId, i64>,
    sum: DigestSum,
}

impl Sum {
    fn digest(&self) -> String {
        let mut fields = Fields::of("tollgate allocations 1");
        fields.number(i64::from(self.partition)).number(number(self.up_to)).number(self.sum.count).text(&self.sum.hex());
        fields.hex()
    }

    fn head(&self) -> Head {
        Head { series: format!("{ALLOCATIONS}{}", self.partition), number: self.up_to.to_string(), digest: self.digest() }
    }
}

/// All heads of allocations: those of now, and those that were kept.
#[derive(Debug, Default)]
pub(super) struct AllocationHeads {
    sums: BTreeMap<u16, Vec<Sum>>,
}

impl AllocationHeads {
    /// Begins a partition, with the kept heads of it.
    pub fn begin(&mut self, partition: u16, up_to: u64, kept: &[Head]) {
        let series = format!("{ALLOCATIONS}{partition}");
        let mut places: Vec<u64> = kept.iter().filter(|head| head.series == series).filter_map(|head| head.number.parse().ok()).collect();
        places.retain(|place| *place < up_to);
        places.push(up_to);
        places.sort_unstable();
        places.dedup();
        let sum = |up_to| Sum { partition, up_to, last: HashMap::new(), sum: DigestSum::default() };
        self.sums.insert(partition, places.into_iter().map(sum).collect());
    }

    /// Takes an entry in.
    pub fn take(&mut self, record: &Record) {
        if record.entry.account_sequence == 0 {
            return;
        }
        for sum in self.sums.get_mut(&record.partition).into_iter().flatten().filter(|sum| record.sequence <= sum.up_to) {
            match sum.last.get_mut(&record.entry.account) {
                Some(last) => *last = number(record.entry.account_sequence),
                None => drop(sum.last.insert(record.entry.account.clone(), number(record.entry.account_sequence))),
            }
        }
    }

    /// Takes an allocation in; one by hand was done after an entry of the partition that the account was in then. Others are those of all
    /// partitions that it was ever in, each as far as it came there.
    pub fn add(&mut self, partition: u16, allocation: &AllocationRow, after_entry: u64) {
        for sum in self.sums.values_mut().flatten() {
            let is_in = match allocation.sequence {
                ..0 => sum.partition == partition && after_entry < sum.up_to,
                sequence => sum.last.get(&allocation.account).is_some_and(|last| sequence <= *last),
            };
            if is_in {
                sum.sum.add(allocation.digest());
            }
        }
    }

    /// Checks the kept heads.
    pub fn compare(&self, kept: &[Head], findings: &mut Findings) {
        let now: Vec<&Sum> = self.sums.values().filter_map(|sums| sums.last()).filter(|sum| sum.up_to > 0).collect();
        let all: Vec<Head> = self.sums.values().flatten().map(Sum::head).collect();
        for head in kept.iter().filter(|head| head.series.starts_with(ALLOCATIONS)) {
            let found = all.iter().find(|one| (&one.series, &one.number) == (&head.series, &head.number));
            let what = match found {
                None => "is a kept head of entries that are not there",
                Some(found) if found.digest == head.digest => {
                    findings.proved.push(head.clone());
                    continue;
                }
                Some(_) => "is not what was kept: what pays what up to there was changed since, or taken out by reconcile",
            };
            findings.add(Place::Documents, None, format!("{} {}", head.series, head.number), what);
        }
        findings.heads.extend(now.into_iter().map(Sum::head));
    }
}
