//! The step in Redis: whole or not at all, and nobody else's trouble.

mod rights;

use tonic::Status;
use tonic_types::StatusExt;

/// The reason of an error.
fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(|| format!("{status:?}"), |info| info.reason)
}
