//! How long the billing store keeps audit records, documents and details of entries.

use std::ops::RangeInclusive;

use clap::Args;

/// How long each is kept; 0 for ever.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Retention")]
pub struct RetentionOptions {
    /// Drop audit records that are older than this many days, 90 to 36500, from a day after this was first said; 0 takes back what was said
    /// before, and they are kept for ever [default: keep them for ever]
    #[arg(long, env = "TOLLGATE_KEEP_AUDIT_DAYS", value_parser = |text: &str| term(text, 90..=36_500), value_name = "DAYS")]
    pub keep_audit_days: Option<u16>,
    /// Drop lines and customers of issued documents this many years after the end of the calendar year of their issue, 5 to 100, unless an
    /// invoice of the account is not paid, from a day after this was first said; it must be what the law of the issuer's country demands at
    /// least; 0 takes back what was said before, and they are kept for ever [default: keep them for ever]
    #[arg(long, env = "TOLLGATE_KEEP_DOCUMENTS_YEARS", value_parser = |text: &str| term(text, 5..=100), value_name = "YEARS")]
    pub keep_documents_years: Option<u16>,
    /// Empty descriptions, attributes and reasons of entries that are older than this many days, 90 to 36500, once the document of their bill
    /// is issued; 0 takes a term back [default: keep them for ever]
    #[arg(long, env = "TOLLGATE_KEEP_ENTRY_DETAILS_DAYS", value_parser = |text: &str| term(text, 90..=36_500), value_name = "DAYS")]
    pub keep_entry_details_days: Option<u16>,
}

fn term(text: &str, range: RangeInclusive<u16>) -> Result<u16, String> {
    let term = text.parse().ok().filter(|term| *term == 0 || range.contains(term));
    term.ok_or_else(|| format!("must be {} to {}, or 0 for ever", range.start(), range.end()))
}
