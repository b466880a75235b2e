//! Who may call, as the billing store has copied it here: charging starts and goes on without SQL.

/// The copy. What it says is not the ledger's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedCallers {
    /// Which state of the billing store it is: each change there has a greater one.
    pub version: i64,
    /// Who may call.
    pub content: String,
}
