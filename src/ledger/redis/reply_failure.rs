//! Interprets a failed reply: the command did not run, and is retried elsewhere or later, or its outcome is unknown.
//!
//! An error that the server sends is an answer: it ran no script, or says on which line one ended. All else is a lost answer, and nobody
//! knows. Only what provably did not run is sent again.

use redis::{ConnectionAddr, ErrorKind, RedisError, ServerErrorKind};

use super::script::Script;
use crate::LedgerError;

/// What becomes of what was asked.
#[derive(Clone, Debug)]
pub enum ReplyFailure {
    /// It did not run: another server has it, from now on.
    Moved(ConnectionAddr),
    /// It did not run: another server has it this once, while the slot is on its way there.
    Asked(ConnectionAddr),
    /// It did not run; in a moment it may.
    Later(LedgerError),
    /// It did not run: this server is no primary any more.
    Demoted(LedgerError),
    /// This is what its caller is told.
    Final(LedgerError),
}

/// Interprets the failure of a script.
#[must_use]
pub fn of_script(error: &RedisError, script: &Script) -> ReplyFailure {
    if !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) {
        return ReplyFailure::Final(LedgerError::unknown(error));
    }
    ReplyFailure::Final(match line_of(&error.to_string()) {
        Some(line) if !script.is_before_writes(line) => LedgerError::unknown(error),
        // Not that Redis refuses something (no memory, no permission), but that the script cannot make sense of what it has read.
        Some(_) if matches!(error.code(), None | Some("ERR" | "WRONGTYPE")) => LedgerError::corrupt(error),
        Some(_) => LedgerError::not_done(error),
        None if error.code() == Some("BADSTORE") => LedgerError::corrupt(error),
        None if error.code() == Some("OOM") => LedgerError::Full,
        None => return of_refusal(error),
    })
}

/// Interprets the failure of a read: nothing was done in any case.
#[must_use]
pub fn of_read(error: &RedisError) -> ReplyFailure {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => of_refusal(error),
        _ => ReplyFailure::Final(LedgerError::not_done(error)),
    }
}

/// Interprets an error that the server sends instead of running anything.
fn of_refusal(error: &RedisError) -> ReplyFailure {
    let told = LedgerError::not_done(error);
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved) => redirected(error).map_or(ReplyFailure::Later(told), ReplyFailure::Moved),
        ErrorKind::Server(ServerErrorKind::Ask) => redirected(error).map_or(ReplyFailure::Later(told), ReplyFailure::Asked),
        ErrorKind::Server(ServerErrorKind::ReadOnly) => ReplyFailure::Demoted(told),
        ErrorKind::Server(
            ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown,
        ) => ReplyFailure::Later(told),
        _ if matches!(error.code(), Some("NOREPLICAS" | "BUSY")) => ReplyFailure::Later(told),
        _ => ReplyFailure::Final(told),
    }
}

/// Where a redirection leads. Without a host, it is the one that says so: then the map is the better source.
fn redirected(error: &RedisError) -> Option<ConnectionAddr> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let is_named = !host.is_empty() && host != "?";
    is_named.then(|| Some(ConnectionAddr::Tcp(host.to_owned(), port.parse().ok()?))).flatten()
}

/// The line that a script ended on: Redis adds "…, on @user_script:12." to what a script ends with.
fn line_of(text: &str) -> Option<usize> {
    let (_, line) = text.rsplit_once("@user_script:")?;
    let digits = line.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;
    use crate::redis::script::{BATCH, SWEEP};

    fn error(line: &str) -> RedisError {
        parse_redis_value(format!("-{line}\r\n").as_bytes()).and_then(Value::extract_error).unwrap_err()
    }

    #[test]
    fn the_line_of_an_error_is_read() {
        let text = "ERR user_script:7: attempt to index a nil value script: 5ab, on @user_script:17.";
        assert_eq!(line_of(text), Some(17));
        assert_eq!(line_of("OOM command not allowed when used memory > 'maxmemory'."), None);
    }

    #[test]
    fn what_did_not_run_is_told_apart_from_what_may_have() {
        let reply_failure = |line: &str| of_script(&error(line), &BATCH);
        let address = |host: &str, port| ConnectionAddr::Tcp(host.to_owned(), port);
        assert!(matches!(reply_failure("MOVED 9999 10.0.0.1:7001"), ReplyFailure::Moved(to) if to == address("10.0.0.1", 7001)));
        assert!(matches!(reply_failure("MOVED 9999 ::1:7001"), ReplyFailure::Moved(to) if to == address("::1", 7001)));
        assert!(matches!(reply_failure("ASK 9999 redis-1.local:7001"), ReplyFailure::Asked(to) if to == address("redis-1.local", 7001)));
        for line in ["MISCONF Errors writing to the AOF file", "NOPERM no permission"] {
            assert!(matches!(reply_failure(line), ReplyFailure::Final(LedgerError::NotDone(_))), "{line}");
        }
        for line in
            ["MOVED 9999 :7001", "MOVED 9999 ?:7001", "TRYAGAIN a", "CLUSTERDOWN a", "LOADING a", "MASTERDOWN a", "NOREPLICAS a", "BUSY a"]
        {
            assert!(matches!(reply_failure(line), ReplyFailure::Later(LedgerError::NotDone(_))), "{line}");
        }
        assert!(matches!(reply_failure("READONLY a"), ReplyFailure::Demoted(LedgerError::NotDone(_))));
        assert!(matches!(reply_failure("OOM a"), ReplyFailure::Final(LedgerError::Full)));
        assert!(matches!(reply_failure("BADSTORE a"), ReplyFailure::Final(LedgerError::Corrupt(_))));
    }

    #[test]
    fn a_script_that_ended_within_itself_is_never_sent_again() {
        let (first, last) = (1, SWEEP.text.lines().count());
        for code in ["TRYAGAIN", "READONLY", "MOVED 1 a:1", "OOM"] {
            let reply_failure = |line: usize| of_script(&error(&format!("{code} a script: 5ab, on @user_script:{line}.")), &BATCH);
            assert!(matches!(reply_failure(first), ReplyFailure::Final(LedgerError::NotDone(_))), "{code}");
            assert!(matches!(reply_failure(100 * last), ReplyFailure::Final(LedgerError::Unknown(_))), "{code}");
        }
        assert!(matches!(of_script(&RedisError::from(std::io::Error::other("cut")), &BATCH), ReplyFailure::Final(LedgerError::Unknown(_))));
        assert!(matches!(of_read(&RedisError::from(std::io::Error::other("cut"))), ReplyFailure::Final(LedgerError::NotDone(_))));
    }
}
