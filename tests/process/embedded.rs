//! The embedded store: stopped, copied, full, and on a clock that moves.
