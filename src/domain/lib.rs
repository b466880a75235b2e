//! The rules of charging, pure: no I/O, no clock, no async, no float.
//!
//! This is the specification. The in-memory model and the embedded engine run it as it stands; Redis runs the same rules as Lua,
//! and a property test compares the two.
//!
//! Order of reading: [`money`] (what an amount is), [`time`] (what an instant is), [`ids`] (how accounts and requests are named), [`account`] (what is kept of an account and what follows from it), [`metadata`] (what
//! a caller sends along), [`entry`] (what is recorded), [`fold`] (what an account becomes by it), [`command`] (what can be asked),
//! [`outcome`] (what can be answered), [`rules`] (what happens). Each knows only those before it. [`approval`] says what of a command may
//! need a second person.

pub mod account;
pub mod approval;
pub mod command;
pub mod entry;
pub mod fold;
pub mod ids;
pub mod metadata;
pub mod money;
pub mod origin;
pub mod outcome;
pub mod payment;
pub mod rules;
pub mod time;
