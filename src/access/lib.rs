//! Who calls, and what they may do.
//!
//! [`permission`] names what can be permitted, [`role`] groups it. A [`Principal`] is a known caller with its grants. [`Access`] finds the
//! principal of what a caller presents: an API key, a token of an identity provider, a client certificate. All of it is read from one
//! access file, which is read again when it changes. Without one, everybody who reaches a listener is [`Principal::local`].

mod authenticate;
pub mod file;
mod jwt;
pub mod key;
pub mod permission;
mod principal;
pub mod role;

pub use authenticate::{Access, Denied, Presented};
pub use permission::{Permission, Permissions};
pub use principal::{Accounts, Grant, Kind, Principal};
