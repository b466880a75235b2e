//! What an operator says of a payment: when and how it came.

use clap::Args;

use crate::grpc::v1::PaymentDetails;

/// When and how it was paid.
#[derive(Args, Clone, Debug)]
pub struct DetailsOptions {
    /// The day on which the money was received, such as 2026-11-03 [default: when it is recorded]
    #[arg(long, value_name = "DAY")]
    received: Option<String>,
    /// How it was paid, such as sepa or card.
    #[arg(long, value_name = "WORD")]
    method: Option<String>,
    /// What the payer or the bank calls it.
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// For people.
    #[arg(long, value_name = "TEXT")]
    remark: Option<String>,
}

impl DetailsOptions {
    /// As a message; `None` for nothing is said.
    #[must_use]
    pub fn details(&self) -> Option<PaymentDetails> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let details = PaymentDetails {
            received_on: text(&self.received),
            method: text(&self.method),
            reference: text(&self.reference),
            remark: text(&self.remark),
        };
        (details != PaymentDetails::default()).then_some(details)
    }
}
