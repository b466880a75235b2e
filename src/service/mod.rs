//! The use cases: domain values in, domain values out. No protocol is known here. What they fail with is one type, [`error::Error`].

pub mod aggregation;
pub mod backup;
pub mod error;
pub mod export;
pub mod issuing;
pub mod items;
pub mod papers;
pub mod payments;
pub mod preview;
pub mod receivables;
pub mod refunds;
pub mod search;
