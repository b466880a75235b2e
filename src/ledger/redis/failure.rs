//! What the failure of a script says of its commands: that nothing was done, or that nobody knows.
//!
//! An error that the server sends is an answer: it ran no script, or says on which line one ended. All else is a lost answer.

use redis::{ErrorKind, RedisError};

use super::script::Script;
use crate::LedgerError;

/// What an error of a script is to its caller.
pub fn of_script(error: &RedisError, script: &Script) -> LedgerError {
    if !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) {
        return LedgerError::unknown(error);
    }
    match line_of(&error.to_string()) {
        Some(line) if !script.is_before_writes(line) => LedgerError::unknown(error),
        // Not that Redis refuses something (no memory, no permission), but that the script cannot make sense of what it has read.
        Some(_) if matches!(error.code(), None | Some("ERR" | "WRONGTYPE")) => LedgerError::corrupt(error),
        _ if error.code() == Some("BADSTORE") => LedgerError::corrupt(error),
        _ if error.code() == Some("OOM") => LedgerError::Full,
        _ => LedgerError::not_done(error),
    }
}

/// The line that a script ended on: Redis adds "…, on @user_script:12." to what a script ends with.
fn line_of(text: &str) -> Option<usize> {
    let (_, line) = text.rsplit_once("@user_script:")?;
    let digits = line.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_an_error_is_read() {
        let text = "ERR user_script:7: attempt to index a nil value script: 5ab, on @user_script:17.";
        assert_eq!(line_of(text), Some(17));
        assert_eq!(line_of("OOM command not allowed when used memory > 'maxmemory'."), None);
    }
}
