//! What is given back: refunds, reversals, and what is remembered for them.
