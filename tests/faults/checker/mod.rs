//! Decides from records and stores whether everything was done as it was said. Written from the domain's rules, apart from the service: it
//! knows nothing of its code.

mod answers;
mod books;
pub mod evidence;
mod model;
mod paper;
mod planted;
mod sample;

use std::collections::BTreeMap;

use evidence::Evidence;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An acknowledged effect is not in the journal.
    Lost,
    /// One request has an effect twice.
    Doubled,
    /// An entry that nobody asked for, or one that does not do what was asked.
    Foreign,
    /// Two answers to one request differ, or one is not what the journal says.
    Contradiction,
    /// The caller was told that nothing was done, and it was.
    ToldNothing,
    /// An answer shows the account as it was before something that was acknowledged earlier.
    Stale,
    /// An entry stands before one that was acknowledged before its request was sent.
    OutOfOrder,
    /// More was approved than there was credit.
    OverCredit,
    /// What is reserved is not the sum of the open reservations.
    ReservationLeaked,
    /// Amounts of entries or accounts do not follow from each other.
    Sum,
    /// A number is missing in a sequence, or used twice.
    Sequence,
    /// A charge is on no line, or on more than one.
    Line,
    /// The billing store does not hold what the journal says.
    Billing,
    /// A mail arrived twice, or was said to be sent and never arrived.
    Mail,
    /// A request was never answered, though everything was whole again.
    NeverAnswered,
}

/// A violation.
#[derive(Clone, Debug)]
pub struct Finding {
    pub fault: Fault,
    pub what: String,
}

/// All violations that are found, counted by their fault.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    fn add(&mut self, fault: Fault, what: String) {
        self.0.push(Finding { fault, what });
    }

    pub fn by_fault(&self) -> BTreeMap<Fault, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.0 {
            *counts.entry(finding.fault).or_default() += 1;
        }
        counts
    }
}

/// Holds what was asked and told against what is stored.
pub fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let histories = books::check(evidence, &mut findings);
    answers::check(evidence, &histories, &mut findings);
    paper::check(evidence, &mut findings);
    findings
}
