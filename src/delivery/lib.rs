//! Mail: given to a server, at most once.
//!
//! [`worker`] claims what is in the billing store's outbox, and has it sent; [`message`] writes it; [`smtp`] gives it to the server, and
//! knows how far that came; [`bounce`] reads what came back.

pub mod bounce;
pub mod message;
pub mod smtp;
pub mod status;
pub mod worker;
