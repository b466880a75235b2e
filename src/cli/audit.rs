//! `tollgate audit`: who did what, newest first.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::client::{Client, ServerOptions};
use super::output::{Output, instant_text, parse_instant, to_message};
use super::pages::fetch;
use super::table::{Listing, table_of};
use crate::grpc::v1::{AuditOutcome, AuditRecord, ListAuditRecordsRequest};

/// Which records, and how to show them.
#[derive(Args, Debug)]
pub struct AuditOptions {
    /// Only of this account.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only by this caller.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only of this action, such as account.limit_set or issuer.set.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only with this outcome.
    #[arg(long, value_enum, value_name = "OUTCOME")]
    outcome: Option<Outcome>,
    /// Only at or after this.
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
    from: Option<Timestamp>,
    /// Only before this.
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
    to: Option<Timestamp>,
    /// At most this many.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    count: usize,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Outcome {
    /// It was done.
    Done,
    /// The caller may not do it, or is not known.
    Refused,
    /// It could not be done.
    Failed,
}

/// Lists them.
pub async fn run(options: AuditOptions) -> anyhow::Result<ExitCode> {
    let outcome = match options.outcome {
        None => AuditOutcome::Unspecified,
        Some(Outcome::Done) => AuditOutcome::Done,
        Some(Outcome::Refused) => AuditOutcome::Refused,
        Some(Outcome::Failed) => AuditOutcome::Failed,
    };
    let wanted = ListAuditRecordsRequest {
        account_id: options.account.unwrap_or_default(),
        actor: options.actor.unwrap_or_default(),
        action: options.action.unwrap_or_default(),
        outcome: outcome.into(),
        from: options.from.map(to_message),
        to: options.to.map(to_message),
        ..Default::default()
    };
    let client = Client::connect(&options.server).await?;
    let mut audit = client.audit;
    let page = async |page_size, page_token| {
        let request = ListAuditRecordsRequest { page_size, page_token, ..wanted.clone() };
        audit.list_audit_records(request).await
    };
    options.output.show(&fetch(Some(options.count), page).await?, |found| in_rows(&found.records).to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Why it was done, or why it was refused.
fn reason_of(record: &AuditRecord) -> String {
    if record.is_erased {
        return "(erased)".to_owned();
    }
    let reason = |json: &str| Some(serde_json::from_str::<serde_json::Value>(json).ok()?.get("reason")?.as_str()?.to_owned());
    [&record.personal, &record.details].into_iter().find_map(|json| reason(json)).unwrap_or_default()
}

fn in_rows(found: &[AuditRecord]) -> Listing {
    let mut table = table_of(&["at", "who", "known by", "from", "what", "account", "outcome", "reason"], 8..8);
    for record in found {
        let who =
            if record.on_behalf_of.is_empty() { record.actor.clone() } else { format!("{} for {}", record.actor, record.on_behalf_of) };
        let outcome = record.outcome().as_str_name().trim_start_matches("AUDIT_OUTCOME_").to_lowercase();
        let (by, from, what) = (record.authenticated_by.clone(), record.address.clone(), record.action.clone());
        table.add_row([instant_text(record.at), who, by, from, what, record.account_id.clone(), outcome, reason_of(record)]);
    }
    table
}
