//! How long the billing store keeps audit records, documents and details of entries.

use clap::Args;

/// How long each is kept.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Retention")]
pub struct RetentionOptions {
    /// Drop audit records that are older than this many days, 90 to 36500 [default: keep them for ever]
    #[arg(long, env = "TOLLGATE_KEEP_AUDIT_DAYS", value_parser = clap::value_parser!(u16).range(90..=36_500), value_name = "DAYS")]
    pub keep_audit_days: Option<u16>,
    /// Drop lines and customers of issued documents this many years after the end of the calendar year of their issue, 5 to 100, unless they
    /// are not paid; it must be what the law of the issuer's country demands at least [default: keep them for ever]
    #[arg(long, env = "TOLLGATE_KEEP_DOCUMENTS_YEARS", value_parser = clap::value_parser!(u16).range(5..=100), value_name = "YEARS")]
    pub keep_documents_years: Option<u16>,
    /// Empty descriptions, attributes and reasons of entries that are older than this many days, 90 to 36500, once the document of their bill
    /// is issued [default: keep them for ever]
    #[arg(long, env = "TOLLGATE_KEEP_ENTRY_DETAILS_DAYS", value_parser = clap::value_parser!(u16).range(90..=36_500), value_name = "DAYS")]
    pub keep_entry_details_days: Option<u16>,
}
