//! Who issues documents, and how.

/// Who issues documents, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BillingSettings {}
