//! From usage records to the monthly bill: what the journal says, exactly once, in SQL, and the documents that follow from it.

pub mod document;
pub mod error;
pub mod settings;
pub mod stub;
pub mod suggestion;

pub use error::BillingError;
pub use stub::*;
