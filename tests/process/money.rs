//! The charge is right: what the rules decide, through the running service.
