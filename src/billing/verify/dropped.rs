//! Whether what is marked as dropped was dropped because its term had ended: checked against the terms given to `verify` and against the
//! audit's own records of dropping. Anyone who can write to SQL can mark anything as dropped.

use super::{Findings, Place};
use crate::Billing;
use crate::digest::DigestSum;
use crate::retention::evidence::{DroppedRecords, Evidence};
use crate::retention::{RetainedKind, RetentionSettings};
use domain::time::{Millis, UnixMillis};
use jiff::Timestamp;

/// By how much a day may begin otherwise since: the billing time zone can be changed.
const SLACK: Millis = 24 * 60 * 60 * 1_000;

/// The row of a chain.
#[derive(Debug, Default)]
pub(super) struct StatedChain {
    pub last_place: i64,
    pub head: String,
    pub is_there: bool,
    pub since_sequence: i64,
    pub since_reconciliation: i64,
    /// The place up to which no record is kept any more, the digest of the last of these, and the sum of what they had in common with entries.
    pub dropped_to: i64,
    pub dropped_digest: String,
    pub dropped_sum: String,
}

/// The shortest terms that ever were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    billing: &'a Billing,
    settings: &'a RetentionSettings,
}

impl<'a> Terms<'a> {
    pub fn of(billing: &'a Billing, settings: &'a RetentionSettings) -> Self {
        Self { billing, settings }
    }

    /// What was before this was old enough at an instant; `None` means that it is kept for ever.
    fn kept_since(self, what: RetainedKind, at: UnixMillis) -> Option<UnixMillis> {
        // Before what is no instant, nothing is old enough.
        self.billing.kept_since(self.settings, what, at.saturating_add(SLACK)).unwrap_or(Some(UnixMillis::MIN))
    }

    /// Why the records of a chain that are said to be dropped should be there; `None` if they were dropped by the term.
    pub fn problem(self, stated: &StatedChain, evidence: Option<&DroppedRecords>) -> Option<String> {
        let to = stated.dropped_to;
        let Some(evidence) = evidence else {
            return Some(format!("has no records up to place {to}, and there is no record of dropping them"));
        };
        if (evidence.to, &evidence.digest, &evidence.sum) != (to, &stated.dropped_digest, &stated.dropped_sum) {
            let recorded = evidence.to;
            return Some(format!("has no records up to place {to}, and the record of dropping them, up to {recorded}, says otherwise"));
        }
        match self.kept_since(RetainedKind::AuditRecords, evidence.at) {
            None => Some(format!("has no records up to place {to}: if they were dropped on purpose, give their term, --keep-audit-days")),
            Some(since) if evidence.before > since => {
                let (before, at) = (instant(evidence.before), instant(evidence.at));
                Some(format!("has no records up to place {to}: those before {before} were dropped on {at}, when they were to be kept"))
            }
            Some(_) => None,
        }
    }

    /// Why a document should be there that is said to be dropped; `None` if it was old enough. That there is no term at all is said once.
    pub fn problem_of_document(self, issued_at: UnixMillis, dropped_at: UnixMillis) -> Option<String> {
        let since = self.kept_since(RetainedKind::Documents, dropped_at).filter(|since| issued_at >= *since);
        since.map(|_| format!("is said to be dropped on {}, when it was to be kept", instant(dropped_at)))
    }

    /// Compares what is left of all dropped documents with what was recorded when they were dropped.
    pub fn compare(self, left: DigestSum, evidence: &Evidence, findings: &mut Findings) {
        let recorded = evidence.of_documents.unwrap_or_default();
        if left != recorded.left {
            let count = recorded.left.count;
            let what = format!("{} are said to be dropped; {count} are recorded as such, or what is left of one was changed", left.count);
            findings.add(Place::Documents, None, "dropped documents", what);
        }
        if left.count > 0 && self.settings.document_years.is_none() {
            let what = format!("{} are not kept: if they were dropped on purpose, give their term, --keep-documents-years", left.count);
            findings.add(Place::Documents, None, "dropped documents", what);
        }
    }
}

fn instant(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at.get()).map_or_else(|_| at.get().to_string(), |at| at.to_string())
}
