//! What is said of a payment besides its amount. The ledger keeps it as it came, in the note of the entry; the rules never look into it.

use super::metadata::Metadata;
use super::time::UnixMillis;

/// The names of what has no field of its own in a note.
const METHOD: &str = "method";
const REFERENCE: &str = "reference";

/// Details of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentDetails {
    /// When the money was received; `None` for when the payment was recorded.
    pub received_at: Option<UnixMillis>,
    /// How it was paid: "sepa", "card", "cash"; empty if not said.
    pub method: String,
    /// What the payer or the bank calls it; empty if not said.
    pub reference: String,
    /// For people; empty for nothing.
    pub remark: String,
}

impl PaymentDetails {
    /// What a note says.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let named =
            |name: &str| metadata.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default();
        Self { received_at: metadata.occurred_at, method: named(METHOD), reference: named(REFERENCE), remark: metadata.description.clone() }
    }

    /// Writes it into the metadata of a payment.
    pub fn write_to(self, metadata: &mut Metadata) {
        let named = [(METHOD, self.method), (REFERENCE, self.reference)].into_iter().filter(|(_, value)| !value.is_empty());
        metadata.attributes.extend(named.map(|(name, value)| (name.to_owned(), value)));
        metadata.occurred_at = self.received_at;
        metadata.description = self.remark;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_keeps_what_is_said_of_a_payment() {
        let said = PaymentDetails {
            received_at: Some(UnixMillis::new(7)),
            method: "sepa".into(),
            reference: "RF18".into(),
            remark: "for May".into(),
        };
        for details in [said, PaymentDetails::default()] {
            let mut metadata = Metadata::default();
            details.clone().write_to(&mut metadata);
            assert_eq!(PaymentDetails::of(&metadata), details);
        }
    }
}
