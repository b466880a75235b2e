//! Messages to commands, and outcomes to messages: nothing is decided here.
//!
//! [`reader`] reads single fields within their bounds and collects what is wrong; [`limits`], [`charging`] and [`accounts`] read
//! whole requests; [`render`] writes answers, [`written`] the most frequent one straight to bytes, [`listing`] what lists show.

pub mod accounts;
pub mod charging;
pub mod filter;
pub mod limits;
pub mod listing;
pub mod reader;
pub mod render;
#[cfg(test)]
mod tests;
pub mod written;
