//! `tollgate sending ...`: whether documents are sent, how, and what waits.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, ServerOptions};
use super::mail::state_name;
use super::operator::{ByHand, ByHandWithReason};
use super::output::{Output, instant_text};
use super::table::table;
use crate::cli::failure::explain;
use crate::grpc::v1::{
    AccountSending, GetAccountSendingRequest, GetAccountSendingResponse, GetSendingRequest, GetSendingResponse, GoOnSendingRequest,
    GoOnSendingResponse, SetAccountSendingRequest, SetSendingRequest,
};

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct SendingOptions {
    #[command(subcommand)]
    command: SendingCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum SendingCommand {
    /// Show whether documents are sent, how, and what waits.
    Show(ShowOptions),
    /// Set it: what is given; all else stays.
    Set(Box<SetOptions>),
    /// Set what differs for an account: what is given; all else stays.
    SetAccount(Box<SetAccountOptions>),
    /// Go on sending from a billing store that was restored, copied or moved.
    GoOn(GoOnOptions),
}

#[derive(Args, Debug)]
struct ShowOptions {
    /// What differs for this account, instead.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
}

#[derive(Args, Debug)]
struct SetOptions {
    /// Send the documents that are issued from now on.
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Send none.
    #[arg(long)]
    off: bool,
    /// The sender of mail: "Nordlicht <billing@nordlicht.example>".
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Where replies go.
    #[arg(long, value_name = "ADDRESS")]
    reply_to: Option<String>,
    /// Whom operators ask who are unsure whether a customer got an invoice.
    #[arg(long, value_name = "TEXT")]
    contact: Option<String>,
    /// Whether documents are sent that come to nothing.
    #[arg(long, value_name = "true|false")]
    zero_documents: Option<bool>,
    /// The most bytes of an attached file.
    #[arg(long, value_name = "BYTES")]
    attachment_limit: Option<i32>,
    /// Whether mails have a link to their document, if the service makes links (--public-url).
    #[arg(long, value_name = "true|false")]
    links: Option<bool>,
    /// For how many days a link works.
    #[arg(long, value_name = "DAYS")]
    link_days: Option<i32>,
    /// Whether payments are answered by a receipt.
    #[arg(long, value_name = "true|false")]
    receipts: Option<bool>,
    /// Whether customers are told that their usable credit has fallen below the threshold of their account.
    #[arg(long, value_name = "true|false")]
    low_credit: Option<bool>,
    /// For how many hours a customer is not told so again.
    #[arg(long, value_name = "HOURS")]
    low_credit_hours: Option<i32>,
    /// Whether mails whose delivery is unknown are sent again automatically.
    #[arg(long, value_name = "true|false")]
    resend_unknown: Option<bool>,
    /// When unpaid invoices are reminded of, in days after the due date, such as "-3,7,14"; "none": never.
    #[arg(long, value_name = "DAYS", allow_hyphen_values = true)]
    reminders: Option<String>,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
struct SetAccountOptions {
    /// The account's id.
    account: String,
    /// Send it its mail.
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Send it none.
    #[arg(long)]
    off: bool,
    /// To whom; may be given several times; "": to the address of the billing details.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<Vec<String>>,
    /// What is not sent to it: invoice, statement, credit_note, receipt, reminder, low_credit; may be given several times; "": all is.
    #[arg(long, value_name = "KIND")]
    not: Option<Vec<String>>,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
#[group(id = "waiting", required = true, multiple = false)]
struct WaitingOptions {
    /// Send what waits: the original has not sent it.
    #[arg(long)]
    send_waiting: bool,
    /// Do not send what waits: the original may have sent it.
    #[arg(long)]
    drop_waiting: bool,
}

#[derive(Args, Debug)]
struct GoOnOptions {
    #[command(flatten)]
    waiting: WaitingOptions,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

pub async fn run(options: SendingOptions) -> anyhow::Result<ExitCode> {
    let SendingOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    let account = match command {
        SendingCommand::Show(ShowOptions { account }) => account,
        SendingCommand::Set(options) => {
            let request = changed(&mut client, *options).await?;
            if !output.make_change(client.billing.set_sending(request)).await? {
                return Ok(ExitCode::SUCCESS);
            }
            None
        }
        SendingCommand::SetAccount(options) => {
            let request = changed_account(&mut client, *options).await?;
            let account = request.account_id.clone();
            if !output.make_change(client.billing.set_account_sending(request)).await? {
                return Ok(ExitCode::SUCCESS);
            }
            Some(account)
        }
        SendingCommand::GoOn(GoOnOptions { waiting, by_hand }) => {
            let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
            let request = GoOnSendingRequest { request_id, with_waiting: waiting.send_waiting, operator, first_sent_at: None };
            let text = |answer: &GoOnSendingResponse| format!("mail is sent again; {} that waited are not sent", answer.dropped);
            output.show_call(client.billing.go_on_sending(request), text).await?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    match account {
        None => output.show_call(client.billing.get_sending(GetSendingRequest::default()), as_text).await?,
        Some(account_id) => {
            output.show_call(client.billing.get_account_sending(GetAccountSendingRequest { account_id }), account_as_text).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings of now, with what is given.
async fn changed(client: &mut Client, options: SetOptions) -> anyhow::Result<SetSendingRequest> {
    let found = client.billing.get_sending(GetSendingRequest::default()).await.map_err(explain)?.into_inner();
    let mut settings = found.settings.unwrap_or_default();
    settings.enabled = options.on || (settings.enabled && !options.off);
    for (field, given) in
        [(&mut settings.from, options.from), (&mut settings.reply_to, options.reply_to), (&mut settings.contact, options.contact)]
    {
        *field = given.unwrap_or_else(|| std::mem::take(field));
    }
    settings.send_zero_documents = options.zero_documents.unwrap_or(settings.send_zero_documents);
    settings.attachment_limit_bytes = options.attachment_limit.unwrap_or(settings.attachment_limit_bytes);
    settings.send_links = options.links.or(settings.send_links);
    settings.link_days = options.link_days.or(settings.link_days);
    settings.send_receipts = options.receipts.unwrap_or(settings.send_receipts);
    settings.send_low_credit = options.low_credit.or(settings.send_low_credit);
    settings.low_credit_hours = options.low_credit_hours.or(settings.low_credit_hours);
    settings.resend_unknown = options.resend_unknown.unwrap_or(settings.resend_unknown);
    if let Some(days) = options.reminders {
        let days: Vec<_> = days.split(',').filter(|day| *day != "none").map(str::trim).collect();
        settings.reminder_days = days.into_iter().map(str::parse).collect::<Result<_, _>>()?;
    }
    let (request_id, operator) = (options.by_hand.request_id(), options.by_hand.operator());
    Ok(SetSendingRequest { issuer_id: String::new(), request_id, settings: Some(settings), operator, first_sent_at: None })
}

async fn changed_account(client: &mut Client, options: SetAccountOptions) -> anyhow::Result<SetAccountSendingRequest> {
    let request = GetAccountSendingRequest { account_id: options.account.clone() };
    let found = client.billing.get_account_sending(request).await.map_err(explain)?.into_inner();
    let AccountSending { off, recipients, off_for } = found.sending.unwrap_or_default();
    let said = |given: Option<Vec<String>>, known: Vec<String>| match given {
        Some(given) => given.into_iter().filter(|text| !text.is_empty()).collect(),
        None => known,
    };
    let off = options.off || (off && !options.on);
    let sending = AccountSending { off, recipients: said(options.to, recipients), off_for: said(options.not, off_for) };
    let (request_id, operator) = (options.by_hand.request_id(), options.by_hand.operator());
    Ok(SetAccountSendingRequest { account_id: options.account, request_id, sending: Some(sending), operator, first_sent_at: None })
}

fn as_text(found: &GetSendingResponse) -> String {
    let settings = found.settings.clone().unwrap_or_default();
    let days: Vec<_> = settings.reminder_days.iter().map(|day| format!("{day:+}")).collect();
    let mut shown = table(["setting", "is"], 2);
    let rows = [
        ("documents are sent", yes(settings.enabled).to_owned()),
        ("from", settings.from),
        ("reply to", settings.reply_to),
        ("contact", settings.contact),
        ("documents of nothing", yes(settings.send_zero_documents).to_owned()),
        ("largest attachment", format!("{} bytes", settings.attachment_limit_bytes)),
        ("links in mails", yes(settings.send_links.unwrap_or_default()).to_owned()),
        ("a link works", format!("{} days", settings.link_days.unwrap_or_default())),
        ("receipts", yes(settings.send_receipts).to_owned()),
        ("low credit is told", yes(settings.send_low_credit.unwrap_or_default()).to_owned()),
        ("not told again for", format!("{} hours", settings.low_credit_hours.unwrap_or_default())),
        ("unknown is sent again", yes(settings.resend_unknown).to_owned()),
        ("reminders, in days after the due date", if days.is_empty() { "none".to_owned() } else { days.join(", ") }),
    ];
    for (name, value) in rows {
        shown.add_row([name, &value]);
    }
    let mut text = shown.to_string();
    if !found.counts.is_empty() {
        let mut counts = table(["mails", "count", "the oldest since"], 1);
        for count in &found.counts {
            counts.add_row([state_name(count.state()), &count.count.to_string(), &instant_text(count.since)]);
        }
        text += &format!("\n{counts}");
    }
    if found.held_since.is_some() {
        text += &format!(
            "\nNo mail is sent since {}, because the billing store may be a copy: tollgate sending go-on",
            instant_text(found.held_since)
        );
    }
    text
}

fn account_as_text(found: &GetAccountSendingResponse) -> String {
    let AccountSending { off, recipients, off_for } = found.sending.clone().unwrap_or_default();
    let to = if recipients.is_empty() { "the address of the billing details".to_owned() } else { recipients.join(", ") };
    let not = if off_for.is_empty() { "none".to_owned() } else { off_for.join(", ") };
    let mut shown = table(["setting", "is"], 2);
    for (name, value) in [("mail is sent", yes(!off)), ("to", &to), ("not sent", &not)] {
        shown.add_row([name, value]);
    }
    shown.to_string()
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
