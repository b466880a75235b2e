//! Who calls, and what they may do.
//!
//! [`permission`] names what can be permitted, [`role`] groups it. A [`Principal`] is a known caller with its grants. [`Access`] finds the
//! principal of what a caller presents: an API key, a token of an identity provider, a client certificate. All of it is read from one
//! access file, which is read again when it changes, and of the copy of what the billing store says ([`StoredCallers`]). While neither names anybody, everybody who reaches a listener is [`Principal::local`]. What is open
//! longer than a request asks [`Access::renew`] whether its credential still holds. Each caller has a [`Share`] of the service. People may
//! sign in to the web console at a [`provider`] of identities.

mod authenticate;
mod denied;
mod failures;
pub mod file;
mod grant_entry;
mod https;
mod jwt;
pub mod key;
mod key_set;
pub mod permission;
mod principal;
pub mod provider;
mod remote_keys;
pub mod role;
mod share;
mod stored;
pub mod stored_principal;

pub use authenticate::{Access, Presented};
pub use denied::Denied;
pub use permission::{Permission, Permissions};
pub use principal::{Accounts, Grant, Kind, Principal};
pub use share::{Bounds, Call, Reached, Share};
pub use stored::{FigureEntries, StoredCallers};
pub use stored_principal::StoredPrincipal;
