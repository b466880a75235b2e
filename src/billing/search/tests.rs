//! On both stores.
