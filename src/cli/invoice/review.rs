//! Operators' actions on drafts, and on documents that are held back.

use clap::Args;

use super::Kind;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::operator::ByHand;
use crate::cli::output::{Output, parse_instant, to_message};
use crate::cli::pages::fetch;
use crate::cli::table::table;
use crate::grpc::v1::{ApproveInvoicesRequest, ApproveInvoicesResponse, DraftFilter, InvoiceKind, RetryHeldInvoicesRequest};

/// Which drafts to approve.
#[derive(Args, Debug)]
pub struct ApproveOptions {
    /// The ids of drafts; `invoice list --state draft` shows them.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All that match.
    #[arg(long)]
    all: bool,
    /// Only of this account.
    #[arg(long, value_name = "ID", requires = "all")]
    account: Option<String>,
    /// Only of this kind.
    #[arg(long, value_enum, requires = "all")]
    kind: Option<Kind>,
    /// Only of bills that were cut before this instant, such as 2026-08-01T00:00:00Z, or this day (UTC).
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant, requires = "all")]
    cut_before: Option<jiff::Timestamp>,
    #[command(flatten)]
    by_hand: ByHand,
}

/// Which documents to work out again.
#[derive(Args, Debug)]
pub struct RetryOptions {
    /// Only the one with this id [default: all that are held back]
    #[arg(value_name = "ID")]
    id: Option<String>,
}

/// Approves drafts.
pub async fn approve(client: &mut Client, options: ApproveOptions, output: Output) -> anyhow::Result<()> {
    let ApproveOptions { ids, all, account, kind, cut_before, by_hand } = options;
    let filter = DraftFilter {
        account_id: account.unwrap_or_default(),
        kind: kind.map_or(InvoiceKind::Unspecified, Kind::in_request).into(),
        cut_before: cut_before.map(to_message),
    };
    let request = ApproveInvoicesRequest {
        request_id: by_hand.request_id(),
        document_ids: ids,
        filter: all.then_some(filter),
        operator: by_hand.operator(),
        first_sent_at: None,
    };
    let text = |answer: &ApproveInvoicesResponse| match answer.replayed {
        true => "this request was done before".to_owned(),
        false => format!("{} drafts are approved", answer.approved),
    };
    output.show_call(client.billing.approve_invoices(request), text).await
}

/// Works out documents again that are held back. Fails if some still are.
pub async fn retry(client: &mut Client, options: RetryOptions, output: Output) -> anyhow::Result<()> {
    let document_id = options.id.unwrap_or_default();
    let page = async |_, page_token| {
        client.billing.retry_held_invoices(RetryHeldInvoicesRequest { document_id: document_id.clone(), page_token }).await
    };
    let found = fetch(None, page).await?;
    output.show(&found, |found| {
        if found.retried.is_empty() {
            return "no document is held back".to_owned();
        }
        let mut shown = table(["document", "account", "is"], 3);
        for one in &found.retried {
            let state = if one.held_reason.is_empty() { "a draft now" } else { &one.held_reason };
            shown.add_row([&one.document_id, &one.account_id, state]);
        }
        shown.to_string()
    })?;
    match found.retried.iter().filter(|one| !one.held_reason.is_empty()).count() {
        0 => Ok(()),
        count => Err(Failure::refused(format!("{count} documents are still held back")).into()),
    }
}
