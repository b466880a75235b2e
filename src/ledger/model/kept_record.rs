//! What a partition in memory keeps of an idempotency record. Nearly all of them are of plain debits, of which a third of the bytes is enough.

use domain::command::Kind;
use domain::money::Units;
use domain::outcome::{Charged, Decision, ReserveVerdict, Verdict};
use domain::rules::{Fingerprint, IdempotencyRecord, ReservationEnd};

/// An idempotency record, in few bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptRecord {
    /// Of a debit that was done, had to do with no reservation, and stayed within usable credit.
    PlainDebit {
        fingerprint: Fingerprint,
        amount: Units,
        charged: Charged,
        sequence: u64,
    },
    Other(Box<IdempotencyRecord>),
}

impl KeptRecord {
    /// The whole record.
    pub fn whole(&self) -> IdempotencyRecord {
        match self {
            Self::PlainDebit { fingerprint, amount, charged, sequence } => plain_debit(*fingerprint, *amount, *charged, *sequence),
            Self::Other(record) => **record,
        }
    }
}

impl From<IdempotencyRecord> for KeptRecord {
    fn from(record: IdempotencyRecord) -> Self {
        let IdempotencyRecord { fingerprint, decision: Decision { amount, charged, sequence, .. }, .. } = record;
        match charged {
            Some(charged) if record == plain_debit(fingerprint, amount, charged, sequence) => {
                Self::PlainDebit { fingerprint, amount, charged, sequence }
            }
            _ => Self::Other(Box::new(record)),
        }
    }
}

fn plain_debit(fingerprint: Fingerprint, amount: Units, charged: Charged, sequence: u64) -> IdempotencyRecord {
    let decision = Decision {
        kind: Kind::Debit,
        verdict: Verdict::Done,
        amount,
        overdraft: Units::ZERO,
        reservation: None,
        reserve: ReserveVerdict::NotAsked,
        credit_rounding: Units::ZERO,
        charged: Some(charged),
        sequence,
    };
    IdempotencyRecord { fingerprint, decision, ended: ReservationEnd::Not }
}

#[cfg(test)]
mod tests {
    use domain::entry::EntryKind;

    use super::*;

    #[test]
    fn a_record_is_kept_as_it_was_in_few_bytes_if_it_is_of_a_plain_debit() {
        let charged = Charged { kind: EntryKind::ChargedBalance, bill: 7 };
        let plain = plain_debit([1; 8], Units::new(135), charged, 12);
        let with = |change: fn(&mut IdempotencyRecord)| {
            let mut record = plain;
            change(&mut record);
            record
        };
        assert!(matches!(KeptRecord::from(plain), KeptRecord::PlainDebit { .. }));
        let others = [
            with(|record| record.ended = ReservationEnd::Settled),
            with(|record| record.decision.kind = Kind::Authorize),
            with(|record| record.decision.verdict = Verdict::Declined),
            with(|record| record.decision.overdraft = Units::new(1)),
            with(|record| record.decision.reserve = ReserveVerdict::Granted),
            with(|record| record.decision.credit_rounding = Units::new(1)),
            with(|record| record.decision.charged = None),
        ];
        assert!(others.into_iter().all(|record| matches!(KeptRecord::from(record), KeptRecord::Other(_))));
        assert!(others.into_iter().chain([plain]).all(|record| KeptRecord::from(record).whole() == record));
        assert!(size_of::<KeptRecord>() <= 40 && size_of::<IdempotencyRecord>() >= 100, "{}", size_of::<IdempotencyRecord>());
    }
}
