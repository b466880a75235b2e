//! `tollgate approvals ...`: acts that need a second person, and from which figures on they do.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::client::{Client, ServerOptions};
use super::failure::explain;
use super::operator::{ByHand, ByHandWithReason};
use super::output::{Output, instant_text};
use super::pages::fetch;
use super::table::{Listing, table, table_of};
use crate::grpc::v1;
use v1::approval_service_client::ApprovalServiceClient;

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct ApprovalsOptions {
    #[command(subcommand)]
    command: ApprovalsCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum ApprovalsCommand {
    /// List the acts that wait for a second person.
    List(ListOptions),
    /// Approve an act that somebody else has asked for, and have it done.
    Approve(ApproveOptions),
    /// Reject an act.
    Reject(RejectOptions),
    /// Set from which figure on an act needs a second person.
    Set(SetOptions),
    /// Show the figures.
    Show,
}

#[derive(Args, Debug)]
struct ListOptions {
    /// Only of this account.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Also those that wait no longer.
    #[arg(long)]
    all: bool,
    /// At most this many.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    count: usize,
}

#[derive(Args, Debug)]
struct ApproveOptions {
    /// Its number, as the list shows it.
    id: String,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
struct RejectOptions {
    /// Its number, as the list shows it.
    id: String,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

#[derive(Args, Debug)]
struct SetOptions {
    /// The act.
    #[arg(value_enum)]
    act: Act,
    /// In which currency.
    #[arg(long, value_name = "CODE")]
    currency: String,
    #[command(flatten)]
    figure: FigureOptions,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct FigureOptions {
    /// What is above this needs a second person.
    #[arg(long, value_name = "AMOUNT")]
    above: Option<String>,
    /// No amount does.
    #[arg(long)]
    off: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Act {
    /// Write-offs.
    WriteOff,
    /// Adjustments, up or down.
    Adjust,
    /// Credit limits that are raised.
    RaiseLimit,
}

pub async fn run(options: ApprovalsOptions) -> anyhow::Result<ExitCode> {
    let ApprovalsOptions { command, output, server } = options;
    let mut approvals = Client::connect(&server).await?.approvals;
    match command {
        ApprovalsCommand::List(ListOptions { account, all, count }) => {
            let account_id = account.unwrap_or_default();
            let page = async |page_size, page_token| {
                let (account_id, include_ended) = (account_id.clone(), all);
                approvals.list_approvals(v1::ListApprovalsRequest { account_id, include_ended, page_size, page_token }).await
            };
            output.show(&fetch(Some(count), page).await?, |found| in_rows(&found.approvals).to_string())?;
        }
        ApprovalsCommand::Approve(ApproveOptions { id, by_hand }) => {
            let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
            let request = v1::ApproveActRequest { approval_id: id, request_id, operator, first_sent_at: None };
            let answer = approvals.approve_act(request).await.map_err(explain)?.into_inner();
            output.show(&answer, |answer| in_rows(answer.approval.as_slice()).to_string())?;
        }
        ApprovalsCommand::Reject(RejectOptions { id, by_hand }) => {
            let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
            let request = v1::RejectActRequest { approval_id: id, request_id, operator, first_sent_at: None };
            let answer = approvals.reject_act(request).await.map_err(explain)?.into_inner();
            output.show(&answer, |answer| in_rows(answer.approval.as_slice()).to_string())?;
        }
        ApprovalsCommand::Set(options) => {
            if output.make_change(approvals.set_approval_figure(figure(options))).await? {
                show(&mut approvals, output).await?;
            }
        }
        ApprovalsCommand::Show => show(&mut approvals, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn figure(SetOptions { act, currency, figure, by_hand }: SetOptions) -> v1::SetApprovalFigureRequest {
    let act = match act {
        Act::WriteOff => v1::GuardedAct::WriteOff,
        Act::Adjust => v1::GuardedAct::Adjust,
        Act::RaiseLimit => v1::GuardedAct::RaiseLimit,
    };
    v1::SetApprovalFigureRequest {
        request_id: by_hand.request_id(),
        act: act.into(),
        currency_code: currency,
        above: figure.above.unwrap_or_default(),
        operator: by_hand.operator(),
        first_sent_at: None,
    }
}

async fn show(approvals: &mut ApprovalServiceClient<super::client::Connection>, output: Output) -> anyhow::Result<()> {
    output
        .show_call(approvals.list_approval_figures(v1::ListApprovalFiguresRequest {}), |found| {
            if found.figures.is_empty() {
                return "no act needs a second person".to_owned();
            }
            let mut rows = table(["act", "needs a second person above", ""], 1);
            for figure in &found.figures {
                let above = figure.above.clone().unwrap_or_default();
                rows.add_row([act_text(figure.act()), above.amount, above.currency_code]);
            }
            rows.to_string()
        })
        .await
}

fn in_rows(found: &[v1::Approval]) -> Listing {
    let mut rows = table_of(&["number", "account", "what", "amount", "", "asked by", "why", "until", "state", "decided by"], 3..4);
    for approval in found {
        let v1::Money { amount, currency_code } = match &approval.amount {
            Some(amount) => amount.clone(),
            None => v1::Money { amount: "all that is due".to_owned(), currency_code: String::new() },
        };
        let asked = approval.asked.clone().unwrap_or_default();
        let state = approval.state().as_str_name().trim_start_matches("APPROVAL_STATE_").to_lowercase();
        let state = if approval.failure.is_empty() { state } else { format!("{state}: {}", approval.failure) };
        rows.add_row([
            approval.approval_id.clone(),
            approval.account_id.clone(),
            what(approval),
            amount,
            currency_code,
            party_text(&asked),
            asked.reason,
            instant_text(approval.ends_at),
            state,
            approval.decided.as_ref().map(party_text).unwrap_or_default(),
        ]);
    }
    rows
}

fn act_text(act: v1::GuardedAct) -> String {
    act.as_str_name().trim_start_matches("GUARDED_ACT_").to_lowercase().replace('_', "-")
}

/// What is to be done, in a few words.
fn what(approval: &v1::Approval) -> String {
    let to_do = approval.to_do.clone().unwrap_or_default();
    let is_negative = to_do.amount.starts_with('-');
    match approval.act() {
        v1::GuardedAct::Adjust if is_negative => "adjust down".to_owned(),
        v1::GuardedAct::Adjust => "adjust up".to_owned(),
        v1::GuardedAct::WriteOff => "write off".to_owned(),
        _ => {
            let mut words = Vec::new();
            let mode = to_do.mode().as_str_name().trim_start_matches("PAYMENT_MODE_").to_lowercase();
            match (to_do.new_account_name.as_str(), to_do.mode()) {
                ("", v1::PaymentMode::Unspecified) => {}
                ("", _) => words.push(format!("convert to {mode}")),
                (name, _) => words.push(format!("create {mode} {name:?}")),
            }
            if !to_do.permanent_limit.is_empty() {
                words.push(format!("limit {}", to_do.permanent_limit));
            }
            if !to_do.temporary_limit.is_empty() {
                let span = to_do.temporary_for.map(|span| format!("for {} h", span.seconds / 3600));
                let until = span.unwrap_or_else(|| format!("until {}", instant_text(to_do.temporary_until)));
                words.push(format!("temporary limit {} {until}", to_do.temporary_limit));
            }
            words.join(", ")
        }
    }
}

fn party_text(party: &v1::ApprovalParty) -> String {
    if party.on_behalf_of.is_empty() { party.actor.clone() } else { format!("{} for {}", party.actor, party.on_behalf_of) }
}
