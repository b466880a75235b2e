//! The billing store and its documents: all that was charged is there once, each charge of a bill that was cut is on one document, numbers
//! have no gaps, and a mail arrives once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rust_decimal::Decimal;

use super::evidence::{Evidence, Kind, MailEnd};
use super::{Fault, Findings};

pub fn check(evidence: &Evidence, findings: &mut Findings) {
    everything_is_exported_once(evidence, findings);
    each_charge_is_on_one_line(evidence, findings);
    numbers_have_no_gaps(evidence, findings);
    for (id, (end, times)) in &evidence.mails {
        let is_right = match end {
            MailEnd::Sent => *times == 1,
            MailEnd::Unknown => *times <= 1,
            MailEnd::Failed => *times == 0,
        };
        if !is_right {
            findings.add(Fault::Mail, format!("{id} is {end:?}, and arrived {times} times"));
        }
    }
}

fn everything_is_exported_once(evidence: &Evidence, findings: &mut Findings) {
    let usage = |kind: Kind| kind.is_charge() || matches!(kind, Kind::RefundedBalance | Kind::RefundedUnbilled);
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for entry in evidence.journal.values().flatten().filter(|entry| usage(entry.kind)) {
        expected.insert(format!("{}-{}", entry.partition, entry.sequence));
    }
    for id in &evidence.exported {
        if !expected.remove(id) {
            findings.add(Fault::Billing, format!("{id} was exported twice, or is not in the journal"));
        }
    }
    for id in expected {
        findings.add(Fault::Billing, format!("{id} was not exported"));
    }
}

fn each_charge_is_on_one_line(evidence: &Evidence, findings: &mut Findings) {
    let mut on: HashMap<&str, Vec<&str>> = HashMap::new();
    for document in evidence.documents.iter().filter(|document| !document.is_credit_note) {
        for record in &document.records {
            on.entry(record).or_default().push(&document.number);
        }
    }
    let mut bills: BTreeMap<(&str, u32), (u64, Decimal)> = BTreeMap::new();
    for (account, entries) in &evidence.journal {
        let cut: BTreeSet<u32> = entries.iter().filter(|entry| entry.kind.is_cut()).map(|entry| entry.bill).collect();
        for entry in entries.iter().filter(|entry| entry.kind.is_charge()) {
            let id = format!("{}-{}", entry.partition, entry.sequence);
            let found = on.get(&*id).map_or(&[][..], Vec::as_slice);
            let is_cut = cut.contains(&entry.bill);
            if found.len() != usize::from(is_cut) {
                findings.add(Fault::Line, format!("{account}: charge {id} of bill {} (cut: {is_cut}) is on {found:?}", entry.bill));
            }
            if is_cut {
                let (count, sum) = bills.entry((account, entry.bill)).or_default();
                *count += 1;
                *sum += entry.amount;
            }
        }
    }
    for document in evidence.documents.iter().filter(|document| !document.is_credit_note) {
        let expected = bills.remove(&(&*document.account, document.bill)).unwrap_or_default();
        if document.lines != expected {
            findings.add(Fault::Line, format!("{}: its lines say {:?}, charged were {expected:?}", document.number, document.lines));
        }
    }
    for (bill, charged) in bills {
        findings.add(Fault::Line, format!("bill {bill:?} with {charged:?} has no document"));
    }
}

fn numbers_have_no_gaps(evidence: &Evidence, findings: &mut Findings) {
    let mut series: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for document in &evidence.documents {
        let Some((prefix, number)) = document.number.split_once('-') else { continue };
        series.entry(prefix).or_default().push(number.parse().unwrap_or(0));
    }
    for (prefix, mut numbers) in series {
        numbers.sort_unstable();
        if numbers.iter().zip(1..).any(|(number, place)| *number != place) {
            findings.add(Fault::Sequence, format!("the numbers of {prefix} have gaps: {numbers:?}"));
        }
    }
}
