//! Where acts are that wait for a second person.

use service::error::Error;

/// The list of them.
pub const APPROVALS: &str = "/finance/approvals";

/// The path of an act's page.
#[must_use]
pub fn path_to(id: i64) -> String {
    format!("{APPROVALS}/{id}")
}

/// The path of the act that an error is about: it was refused because it needs a second person, or has ended. Empty if it is about none.
#[must_use]
pub fn path_of_waiting(error: &Error) -> String {
    error.metadata.get("approval_id").and_then(|id| id.parse().ok()).map(path_to).unwrap_or_default()
}
