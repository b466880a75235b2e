//! One customer never stops another.
