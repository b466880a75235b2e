//! From usage records to the monthly bill: what the journal says, exactly once, in SQL, and the documents that follow from it.

pub mod document;
pub mod forms;
