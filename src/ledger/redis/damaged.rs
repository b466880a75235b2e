//! Records that cannot be read, among others that can: they are left out, and told to the operator.

use crate::codec::Undecodable;
use platform::telemetry::personal::LoggedAccount;

/// What was read of an account. A record that cannot be read is logged and counted.
pub(super) fn readable<T>(account: &str, decoded: Result<T, Undecodable>) -> Option<T> {
    decoded
        .inspect_err(|error| {
            platform::telemetry::metrics().count_damaged_record();
            let account = LoggedAccount(account);
            tracing::error!(%account, %error, "a record of the store is damaged: it is left out, and its account's commands are refused");
        })
        .ok()
}
