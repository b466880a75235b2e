//! `tollgate issuing ...`: when drafts are issued, and what waits.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, ServerOptions, explain};
use super::operator::ByHand;
use super::output::{Output, day_text, instant_json, print_json};
use super::table::table;
use crate::grpc::v1::{GetIssuingRequest, GetIssuingResponse, IssuingReview, SetIssuingRequest};

/// What to do, and how to show it.
#[derive(Args, Debug)]
pub struct IssuingOptions {
    #[command(subcommand)]
    command: IssuingCommand,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum IssuingCommand {
    /// Set whether drafts are looked at before they are issued.
    Set(SetOptions),
    /// Show it, and what waits.
    Show,
}

#[derive(Args, Debug)]
struct SetOptions {
    #[command(flatten)]
    review: ReviewOptions,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct ReviewOptions {
    /// Drafts are issued as soon as they can be.
    #[arg(long)]
    at_once: bool,
    /// Drafts are issued so many hours after their bill was cut, or when they are approved.
    #[arg(long, value_name = "HOURS")]
    after_hours: Option<u16>,
    /// Drafts are issued when they are approved.
    #[arg(long)]
    on_approval: bool,
}

/// Does it.
pub async fn run(options: IssuingOptions) -> anyhow::Result<ExitCode> {
    let IssuingOptions { command, output, server } = options;
    let mut client = Client::connect(&server.server).await?;
    if let IssuingCommand::Set(SetOptions { review, by_hand }) = command {
        let request = SetIssuingRequest {
            issuer_id: String::new(),
            request_id: by_hand.request_id(),
            review: match (review.on_approval, review.after_hours) {
                (true, _) => IssuingReview::OnApproval,
                (false, Some(_)) => IssuingReview::AfterHours,
                (false, None) => IssuingReview::AtOnce,
            }
            .into(),
            grace_hours: review.after_hours.unwrap_or_default().into(),
            operator: by_hand.operator(),
        };
        client.billing.set_issuing(request).await.map_err(explain)?;
    }
    let found = client.billing.get_issuing(GetIssuingRequest::default()).await.map_err(explain)?.into_inner();
    match output {
        Output::Table => show(&found),
        Output::Json => print_json(&as_json(&found)),
    }
    Ok(ExitCode::SUCCESS)
}

fn show(found: &GetIssuingResponse) {
    match found.review() {
        IssuingReview::OnApproval => println!("drafts are issued when they are approved"),
        IssuingReview::AfterHours => {
            println!("drafts are issued {} h after their bill was cut, or when they are approved", found.grace_hours)
        }
        _ => println!("drafts are issued at once"),
    }
    if !found.waiting.is_empty() {
        let mut waiting = table(["waits for", "drafts", "the first since"], 1);
        for queue in &found.waiting {
            waiting.add_row([queue.waits_for.as_str(), &queue.count.to_string(), &day_text(queue.since)]);
        }
        println!("{waiting}");
    }
    for warning in &found.warnings {
        println!("{warning}");
    }
}

fn as_json(found: &GetIssuingResponse) -> Value {
    let review = match found.review() {
        IssuingReview::OnApproval => "on approval",
        IssuingReview::AfterHours => "after hours",
        IssuingReview::AtOnce => "at once",
        IssuingReview::Unspecified => "unknown",
    };
    let waiting =
        found.waiting.iter().map(|queue| json!({ "waits_for": queue.waits_for, "count": queue.count, "since": instant_json(queue.since) }));
    json!({
        "review": review,
        "grace_hours": found.grace_hours,
        "waiting": waiting.collect::<Value>(),
        "held_documents": found.held_documents,
        "held_since": instant_json(found.held_since),
        "warnings": found.warnings,
    })
}
