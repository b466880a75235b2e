//! `tollgate issuing ...`: when drafts are issued, and what waits.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, ServerOptions};
use super::operator::ByHand;
use super::output::{Output, day_text};
use super::table::table;
use crate::grpc::v1::{GetIssuingRequest, GetIssuingResponse, IssuingReview, SetIssuingRequest};

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct IssuingOptions {
    #[command(subcommand)]
    command: IssuingCommand,
    /// Output format.
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
    /// Drafts are issued this many hours after their bill was cut, or when they are approved.
    #[arg(long, value_name = "HOURS")]
    after_hours: Option<u16>,
    /// Drafts are issued when they are approved.
    #[arg(long)]
    on_approval: bool,
}

pub async fn run(options: IssuingOptions) -> anyhow::Result<ExitCode> {
    let IssuingOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    let is_to_show = match command {
        IssuingCommand::Set(options) => output.make_change(client.billing.set_issuing(request(options))).await?,
        IssuingCommand::Show => true,
    };
    if is_to_show {
        output.show_call(client.billing.get_issuing(GetIssuingRequest::default()), as_text).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn request(SetOptions { review, by_hand }: SetOptions) -> SetIssuingRequest {
    let chosen = match (review.on_approval, review.after_hours) {
        (true, _) => IssuingReview::OnApproval,
        (false, Some(_)) => IssuingReview::AfterHours,
        (false, None) => IssuingReview::AtOnce,
    };
    SetIssuingRequest {
        issuer_id: String::new(),
        request_id: by_hand.request_id(),
        review: chosen.into(),
        grace_hours: review.after_hours.unwrap_or_default().into(),
        operator: by_hand.operator(),
        first_sent_at: None,
    }
}

fn as_text(found: &GetIssuingResponse) -> String {
    let mut text = match found.review() {
        IssuingReview::OnApproval => "drafts are issued when they are approved".to_owned(),
        IssuingReview::AfterHours => {
            format!("drafts are issued {} h after their bill was cut, or when they are approved", found.grace_hours)
        }
        _ => "drafts are issued at once".to_owned(),
    };
    if !found.waiting.is_empty() {
        let mut waiting = table(["waits for", "drafts", "the first since"], 1);
        for queue in &found.waiting {
            waiting.add_row([queue.waits_for.as_str(), &queue.count.to_string(), &day_text(queue.since)]);
        }
        text += &format!("\n{waiting}");
    }
    found.warnings.iter().fold(text, |text, warning| text + "\n" + warning)
}
