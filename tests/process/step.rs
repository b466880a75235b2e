//! The step in Redis: whole or not at all, and nobody else's trouble.
