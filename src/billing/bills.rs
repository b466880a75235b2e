//! The bills that entries cut: drafted in the step that takes the entries in, numbered in a step of its own.
//!
//! [`draft`] and [`allocate`] are the rules, without a store. [`apply`](apply()) runs them on a run of records, in the aggregator's
//! transaction; [`issue`](issue()) gives numbers to what is good. What is asked of the bills, is asked of
//! [`Billing`](super::Billing): [`documents`], [`receivables`], [`customers`], [`history`].

pub mod allocate;
pub mod allocations;
pub(super) mod apply;
pub mod customers;
pub mod documents;
pub mod draft;
pub mod history;
mod issue;
pub mod listing;
pub mod preview;
mod ready;
pub mod receivables;
mod taxes;
mod unissue;

pub use apply::apply;
pub use apply::by_hand::{Act, ByHand, ByHandOutcome};
pub use issue::issue;
pub use unissue::{due_again, end_again, forget, forget_by_hand, is_of_end, issued_of};
