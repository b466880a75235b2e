//! `tollgate mail ...`: the state of each mail, and what operators do about it.

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use super::client::{Client, ServerOptions};
use super::operator::{ByHand, ByHandWithReason};
use super::output::{Output, instant_text};
use super::pages::fetch;
use super::table::table;
use crate::grpc::v1::{
    DecideMailRequest, DecideMailResponse, GetMailRequest, GetMailResponse, ListMailsRequest, Mail, MailDecision, MailKind, MailState,
    ReportBounceRequest, ReportBounceResponse, SendInvoiceRequest, SendInvoiceResponse,
};

/// The largest mail that is read, in bytes.
const LARGEST: u64 = 2 * 1024 * 1024;

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct MailOptions {
    #[command(subcommand)]
    command: MailCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum MailCommand {
    /// List mails, the newest first.
    List(ListOptions),
    /// Show one.
    Show(ShowOptions),
    /// Hand in a mail that came back, from the standard input: for an alias, or a pipe of the mail server.
    Bounce,
    /// Resolve a mail whose delivery is unknown, or that failed.
    Decide(DecideOptions),
}

#[derive(Args, Debug)]
struct ListOptions {
    /// Only of this account.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only about the document with this number.
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
    /// Only in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// The maximum number to list [default: all]
    #[arg(long, value_name = "NUMBER")]
    count: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Waiting,
    Sending,
    Sent,
    Deferred,
    Failed,
    Bounced,
    Unknown,
    Off,
}

#[derive(Args, Debug)]
struct ShowOptions {
    /// Its id, as a list shows it.
    id: String,
}

#[derive(Args, Debug)]
struct DecideOptions {
    /// Its id, as a list shows it.
    id: String,
    /// What becomes of it.
    decision: Decision,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Decision {
    /// The customer has it.
    Sent,
    /// It is sent again.
    Again,
    /// It is not sent.
    Drop,
}

/// Which document to send.
#[derive(Args, Debug)]
pub struct SendOptions {
    /// The document's number.
    number: String,
    /// To whom; may be given several times [default: to those of its account]
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    #[command(flatten)]
    by_hand: ByHand,
}

pub async fn run(options: MailOptions) -> anyhow::Result<ExitCode> {
    let MailOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    match command {
        MailCommand::List(options) => list(&mut client, options, output).await?,
        MailCommand::Show(ShowOptions { id }) => {
            let text = |found: &GetMailResponse| in_full(&found.mail.clone().unwrap_or_default());
            output.show_call(client.billing.get_mail(GetMailRequest { mail_id: id }), text).await?;
        }
        MailCommand::Bounce => {
            let mut message = Vec::new();
            std::io::stdin().take(LARGEST + 1).read_to_end(&mut message).context("the mail cannot be read")?;
            let text = |found: &ReportBounceResponse| match found.mails.as_slice() {
                [] => "it is about no mail from here, or says of none that it failed".to_owned(),
                mails => in_rows(mails),
            };
            output.show_call(client.billing.report_bounce(ReportBounceRequest { message }), text).await?;
        }
        MailCommand::Decide(DecideOptions { id, decision, by_hand }) => {
            let decision = match decision {
                Decision::Sent => MailDecision::Sent,
                Decision::Again => MailDecision::Again,
                Decision::Drop => MailDecision::Drop,
            };
            let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
            let request = DecideMailRequest { mail_id: id, request_id, decision: decision.into(), operator, first_sent_at: None };
            let text = |found: &DecideMailResponse| in_full(&found.mail.clone().unwrap_or_default());
            output.show_call(client.billing.decide_mail(request), text).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends a document by hand.
pub async fn send(client: &mut Client, options: SendOptions, again: bool, output: Output) -> anyhow::Result<()> {
    let SendOptions { number, to, by_hand } = options;
    let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
    let request = SendInvoiceRequest { number, request_id, recipients: to, again, operator, first_sent_at: None };
    let text = |answer: &SendInvoiceResponse| match answer.replayed {
        true => format!("this request was done before\n{}", in_rows(&answer.mails)),
        false => in_rows(&answer.mails),
    };
    output.show_call(client.billing.send_invoice(request), text).await
}

async fn list(client: &mut Client, options: ListOptions, output: Output) -> anyhow::Result<()> {
    let state = match options.state {
        None => MailState::Unspecified,
        Some(State::Waiting) => MailState::Waiting,
        Some(State::Sending) => MailState::Sending,
        Some(State::Sent) => MailState::Sent,
        Some(State::Deferred) => MailState::Deferred,
        Some(State::Failed) => MailState::Failed,
        Some(State::Bounced) => MailState::Bounced,
        Some(State::Unknown) => MailState::Unknown,
        Some(State::Off) => MailState::Off,
    };
    let wanted = ListMailsRequest {
        account_id: options.account.unwrap_or_default(),
        number: options.number.unwrap_or_default(),
        state: state.into(),
        ..Default::default()
    };
    let page = async |page_size, page_token| client.billing.list_mails(ListMailsRequest { page_size, page_token, ..wanted.clone() }).await;
    output.show(&fetch(options.count, page).await?, |found| in_rows(&found.mails))
}

fn in_rows(mails: &[Mail]) -> String {
    let mut shown = table(["since", "mail", "account", "about", "to", "is"], 6);
    for mail in mails {
        let about = if mail.number.is_empty() { kind_name(mail.kind()) } else { &mail.number };
        let to = if mail.recipient.is_empty() { "-" } else { &mail.recipient };
        let is = if mail.detail.is_empty() {
            state_name(mail.state()).to_owned()
        } else {
            format!("{}: {}", state_name(mail.state()), mail.detail)
        };
        shown.add_row([&instant_text(mail.changed_at), mail.mail_id.as_str(), &mail.account_id, about, to, &is]);
    }
    shown.to_string()
}

fn in_full(mail: &Mail) -> String {
    let mut shown = table(["of the mail", "is"], 2);
    let rows = [
        ("id", mail.mail_id.clone()),
        ("about", format!("{} {}", kind_name(mail.kind()), mail.number)),
        ("account", mail.account_id.clone()),
        ("to", mail.recipient.clone()),
        ("sent for", mail.occasion.clone()),
        ("state", state_name(mail.state()).to_owned()),
        ("why", mail.detail.clone()),
        ("tried", mail.attempts.to_string()),
        ("tried next", instant_text(mail.next_try_at)),
        ("to be sent since", instant_text(mail.created_at)),
        ("in this state since", instant_text(mail.changed_at)),
        ("taken by the server", instant_text(mail.sent_at)),
    ];
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        shown.add_row([name, value.trim()]);
    }
    shown.to_string()
}

fn kind_name(kind: MailKind) -> &'static str {
    match kind {
        MailKind::Receipt => "receipt",
        MailKind::Reminder => "reminder",
        MailKind::LowCredit => "low credit",
        MailKind::Document | MailKind::Unspecified => "document",
    }
}

/// The name of a state, for people.
pub fn state_name(state: MailState) -> &'static str {
    match state {
        MailState::Waiting => "waiting",
        MailState::Sending => "sending",
        MailState::Sent => "sent",
        MailState::Deferred => "tried again",
        MailState::Failed => "failed",
        MailState::Bounced => "bounced",
        MailState::Unknown => "unknown",
        MailState::Off | MailState::Unspecified => "not sent",
    }
}
