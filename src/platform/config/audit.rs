//! The audit trail: who did what.

use std::path::PathBuf;

use clap::Args;

/// The audit trail.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Audit")]
pub struct AuditOptions {
    /// With --billing off: append audit records to this file, as lines of JSON. With a billing store they are kept there [default: stderr]
    #[arg(long, env = "TOLLGATE_AUDIT_LOG", value_name = "PATH")]
    pub audit_log: Option<PathBuf>,
    /// Record who looks at names and addresses, too: at billing details, documents, previews, and files of them.
    #[arg(long, env = "TOLLGATE_AUDIT_READS")]
    pub audit_reads: bool,
}
