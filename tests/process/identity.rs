//! A ledger is never taken for another one.
