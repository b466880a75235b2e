//! Interprets a failed reply: the command did not run, and is retried elsewhere or later, or its outcome is unknown.
//!
//! An error that the server sends is an answer: it ran no script, or says on which line one ended. All else is a lost answer, and nobody
//! knows. Only what provably did not run is sent again.

use redis::{ConnectionAddr, ErrorKind, RedisError, ServerErrorKind};

use super::script::Script;
use crate::LedgerError;

/// What becomes of what was asked.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It did not run: another server has it, from now on.
    Moved(ConnectionAddr),
    /// It did not run: another server has it this once, while the slot is on its way there.
    Asked(ConnectionAddr),
    /// It did not run; in a moment it may.
    Later(LedgerError),
    /// It did not run: this server is no primary any more.
    Demoted(LedgerError),
    /// This is what its caller is told.
    Told(LedgerError),
}

/// What the failure of a script is.
#[must_use]
pub fn of_script(error: &RedisError, script: &Script) -> Fate {
    if !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) {
        return Fate::Told(LedgerError::unknown(error));
    }
    Fate::Told(match line_of(&error.to_string()) {
        Some(line) if !script.is_before_writes(line) => LedgerError::unknown(error),
        // Not that Redis refuses something (no memory, no permission), but that the script cannot make sense of what it has read.
        Some(_) if matches!(error.code(), None | Some("ERR" | "WRONGTYPE")) => LedgerError::corrupt(error),
        Some(_) => LedgerError::not_done(error),
        None if error.code() == Some("BADSTORE") => LedgerError::corrupt(error),
        None if error.code() == Some("OOM") => LedgerError::Full,
        None => return of_refusal(error),
    })
}

/// What the failure of a read is: nothing was done, whatever became of it.
#[must_use]
pub fn of_read(error: &RedisError) -> Fate {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => of_refusal(error),
        _ => Fate::Told(LedgerError::not_done(error)),
    }
}

/// What the server says in place of running anything.
fn of_refusal(error: &RedisError) -> Fate {
    let told = LedgerError::not_done(error);
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved) => redirected(error).map_or(Fate::Later(told), Fate::Moved),
        ErrorKind::Server(ServerErrorKind::Ask) => redirected(error).map_or(Fate::Later(told), Fate::Asked),
        ErrorKind::Server(ServerErrorKind::ReadOnly) => Fate::Demoted(told),
        ErrorKind::Server(
            ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown,
        ) => Fate::Later(told),
        _ if matches!(error.code(), Some("NOREPLICAS" | "BUSY")) => Fate::Later(told),
        _ => Fate::Told(told),
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
        let fate = |line: &str| of_script(&error(line), &BATCH);
        let address = |host: &str, port| ConnectionAddr::Tcp(host.to_owned(), port);
        assert!(matches!(fate("MOVED 9999 10.0.0.1:7001"), Fate::Moved(to) if to == address("10.0.0.1", 7001)));
        assert!(matches!(fate("MOVED 9999 ::1:7001"), Fate::Moved(to) if to == address("::1", 7001)));
        assert!(matches!(fate("ASK 9999 redis-1.local:7001"), Fate::Asked(to) if to == address("redis-1.local", 7001)));
        for line in ["MISCONF Errors writing to the AOF file", "NOPERM no permission"] {
            assert!(matches!(fate(line), Fate::Told(LedgerError::NotDone(_))), "{line}");
        }
        for line in
            ["MOVED 9999 :7001", "MOVED 9999 ?:7001", "TRYAGAIN a", "CLUSTERDOWN a", "LOADING a", "MASTERDOWN a", "NOREPLICAS a", "BUSY a"]
        {
            assert!(matches!(fate(line), Fate::Later(LedgerError::NotDone(_))), "{line}");
        }
        assert!(matches!(fate("READONLY a"), Fate::Demoted(LedgerError::NotDone(_))));
        assert!(matches!(fate("OOM a"), Fate::Told(LedgerError::Full)));
        assert!(matches!(fate("BADSTORE a"), Fate::Told(LedgerError::Corrupt(_))));
    }

    #[test]
    fn a_script_that_ended_within_itself_is_never_sent_again() {
        let (first, last) = (1, SWEEP.text.lines().count());
        for code in ["TRYAGAIN", "READONLY", "MOVED 1 a:1", "OOM"] {
            let fate = |line: usize| of_script(&error(&format!("{code} a script: 5ab, on @user_script:{line}.")), &BATCH);
            assert!(matches!(fate(first), Fate::Told(LedgerError::NotDone(_))), "{code}");
            assert!(matches!(fate(100 * last), Fate::Told(LedgerError::Unknown(_))), "{code}");
        }
        assert!(matches!(of_script(&RedisError::from(std::io::Error::other("cut")), &BATCH), Fate::Told(LedgerError::Unknown(_))));
        assert!(matches!(of_read(&RedisError::from(std::io::Error::other("cut"))), Fate::Told(LedgerError::NotDone(_))));
    }
}
