//! A billing store that lost what the ledger has.
