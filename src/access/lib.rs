//! Who calls, and what they may do.
//!
//! [`permission`] names what can be permitted, [`role`] groups it. A [`Principal`] is a known caller with its grants.

pub mod permission;
mod principal;
pub mod role;

pub use permission::{Permission, Permissions};
pub use principal::{Accounts, Grant, Kind, Principal};
