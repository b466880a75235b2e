//! `tollgate invoice ...`: documents, as tables, JSON, and files; drafts that are approved, and what is held back.

mod files;
mod review;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::client::{Client, ServerOptions};
use super::mail::{self, SendOptions};
use super::output::{Output, parse_instant, to_message};
use super::pages::fetch;
use super::paper::{self, PaperOptions};
use super::receivables::position_text;
use crate::cli::failure::explain;
use crate::grpc::v1::{
    AccountPaper, DocumentSending, GetAccountFileRequest, GetInvoiceFileRequest, GetInvoiceRequest, InvoiceForm, InvoiceKind, InvoiceState,
    ListInvoicesRequest, PreviewInvoiceRequest, PreviewInvoiceResponse,
};
use files::FilesOptions;
pub use show::{category_name, in_full};

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct InvoiceOptions {
    #[command(subcommand)]
    command: InvoiceCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum InvoiceCommand {
    /// List invoices, statements and credit notes, the newest first.
    List(ListOptions),
    /// Show one, with its lines.
    Show(NameOptions),
    /// Approve drafts, where they wait for that.
    Approve(review::ApproveOptions),
    /// Send an issued one to the customer by hand.
    Send(SendOptions),
    /// Send one again.
    Resend(SendOptions),
    /// Work documents out again that are held back.
    Retry(review::RetryOptions),
    /// Write all documents of a month into a folder or an archive.
    Files(FilesOptions),
    /// Show what an account's bill comes to so far: the coming document, as a draft.
    Preview(PreviewOptions),
    /// Write it as PDF.
    Pdf(FileOptions),
    /// Write it as a page for the browser and the printer.
    Html(FileOptions),
    /// Write the usage records that it bills as CSV.
    Csv(CsvOptions),
}

#[derive(Args, Debug)]
struct ListOptions {
    /// Only of this account.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only of this kind.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only what is not yet paid in full.
    #[arg(long)]
    unpaid: bool,
    /// Only what was cut at or after this instant, such as 2026-11-01T00:00:00Z, or this day (UTC).
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
    from: Option<Timestamp>,
    /// Only what was cut before this instant.
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
    to: Option<Timestamp>,
    /// Only what is due at or after this instant; what is due first in front.
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
    due_from: Option<Timestamp>,
    /// Only what is due before this instant.
    #[arg(long, value_name = "INSTANT|DAY", value_parser = parse_instant)]
    due_to: Option<Timestamp>,
    /// Only what is due by now, and not yet paid in full.
    #[arg(long)]
    overdue: bool,
    /// Only issued ones that hold each of these words in their number or in the customer's name as they print it, whatever case and accents;
    /// one word has at least 3 characters.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only documents whose mail is as far as that.
    #[arg(long, value_enum)]
    sending: Option<Sending>,
    /// Only documents whose total is this, in whatever currency, such as 113.90.
    #[arg(long, value_name = "AMOUNT")]
    total: Option<String>,
    /// The maximum number to list [default: all]
    #[arg(long, value_name = "NUMBER")]
    count: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// An invoice, with an amount to pay.
    Invoice,
    /// Summarizes what was deducted from a prepaid account.
    Statement,
    /// Documents a refund of what was invoiced.
    CreditNote,
}

/// State of the mail of a document.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sending {
    /// It was never to be sent.
    Never,
    /// Sending is switched off for its account, or its kind, or it comes to nothing.
    Off,
    /// It was sent to all.
    Sent,
    /// It is to be sent, or tried again.
    Waiting,
    /// It failed for good.
    Failed,
    /// It came back.
    Bounced,
    /// Unknown whether it was sent.
    Unknown,
}

impl Sending {
    fn in_request(self) -> DocumentSending {
        match self {
            Self::Never => DocumentSending::Never,
            Self::Off => DocumentSending::Off,
            Self::Sent => DocumentSending::Sent,
            Self::Waiting => DocumentSending::Waiting,
            Self::Failed => DocumentSending::Failed,
            Self::Bounced => DocumentSending::Bounced,
            Self::Unknown => DocumentSending::Unknown,
        }
    }
}

impl Kind {
    fn in_request(self) -> InvoiceKind {
        match self {
            Self::Invoice => InvoiceKind::Invoice,
            Self::Statement => InvoiceKind::Statement,
            Self::CreditNote => InvoiceKind::CreditNote,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// Its bill is cut; it has no number yet.
    Draft,
    /// It has a number.
    Issued,
    /// Held back: its lines do not add up.
    Held,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct NameOptions {
    /// The document's number.
    number: Option<String>,
    /// Of a draft, or of a document that is held back: its id, as a list shows it.
    #[arg(long)]
    id: Option<String>,
}

#[derive(Args, Debug)]
struct FileOptions {
    #[command(flatten)]
    name: NameOptions,
    /// Write to this file; "-": to the standard output [default: named by the number, in the current folder]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct CsvOptions {
    #[command(flatten)]
    file: FileOptions,
    /// Mark text that a spreadsheet would take for a formula as text.
    #[arg(long)]
    for_spreadsheets: bool,
}

#[derive(Args, Debug)]
struct PreviewOptions {
    /// The account's id.
    account: String,
    #[command(flatten)]
    paper: PaperOptions,
}

pub async fn run(options: InvoiceOptions) -> anyhow::Result<ExitCode> {
    let InvoiceOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    match command {
        InvoiceCommand::List(options) => list(&mut client, options, output).await?,
        InvoiceCommand::Approve(options) => review::approve(&mut client, options, output).await?,
        InvoiceCommand::Send(options) => mail::send(&mut client, options, false, output).await?,
        InvoiceCommand::Resend(options) => mail::send(&mut client, options, true, output).await?,
        InvoiceCommand::Retry(options) => review::retry(&mut client, options, output).await?,
        InvoiceCommand::Show(NameOptions { number, id }) => {
            let (number, document_id) = (number.unwrap_or_default(), id.unwrap_or_default());
            let page = async |page_size, page_token| {
                let request = GetInvoiceRequest { number: number.clone(), document_id: document_id.clone(), page_size, page_token };
                client.billing.get_invoice(request).await
            };
            output.show(&fetch(None, page).await?, |found| show::in_full(&found.invoice.clone().unwrap_or_default()))?;
        }
        InvoiceCommand::Files(options) => return files::run(&mut client, options).await,
        InvoiceCommand::Preview(options) => preview(&mut client, options, output).await?,
        InvoiceCommand::Pdf(options) => write(&mut client, options, InvoiceForm::Pdf, false).await?,
        InvoiceCommand::Html(options) => write(&mut client, options, InvoiceForm::Html, false).await?,
        InvoiceCommand::Csv(CsvOptions { file, for_spreadsheets }) => write(&mut client, file, InvoiceForm::Csv, for_spreadsheets).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &mut Client, options: ListOptions, output: Output) -> anyhow::Result<()> {
    let kind = options.kind.map_or(InvoiceKind::Unspecified, Kind::in_request);
    let state = match options.state {
        None => InvoiceState::Unspecified,
        Some(State::Draft) => InvoiceState::Draft,
        Some(State::Issued) => InvoiceState::Issued,
        Some(State::Held) => InvoiceState::Held,
    };
    let wanted = ListInvoicesRequest {
        account_id: options.account.unwrap_or_default(),
        kind: kind.into(),
        state: state.into(),
        unpaid_only: options.unpaid,
        cut_from: options.from.map(to_message),
        cut_to: options.to.map(to_message),
        due_from: options.due_from.map(to_message),
        due_to: options.due_to.map(to_message),
        overdue_only: options.overdue,
        text: options.search.unwrap_or_default(),
        sending: options.sending.map_or(DocumentSending::Unspecified, Sending::in_request).into(),
        total: options.total.unwrap_or_default(),
        ..Default::default()
    };
    let page =
        async |page_size, page_token| client.billing.list_invoices(ListInvoicesRequest { page_size, page_token, ..wanted.clone() }).await;
    output.show(&fetch(options.count, page).await?, |found| {
        let note = "\ncompared with how numbers and names begin only: the billing store cannot look for parts of them";
        format!("{}{}", show::in_rows(&found.invoices), if found.compared_beginnings { note } else { "" })
    })
}

async fn preview(client: &mut Client, options: PreviewOptions, output: Output) -> anyhow::Result<()> {
    let PreviewOptions { account: account_id, paper } = options;
    if paper.is_given() {
        let request = GetAccountFileRequest { account_id, paper: AccountPaper::Preview.into(), ..Default::default() };
        return paper.write(client, request).await;
    }
    let text = |answer: &PreviewInvoiceResponse| {
        let positions = position_text(&answer.positions);
        match &answer.invoice {
            None => format!("There is nothing to bill so far.\n{positions}"),
            Some(invoice) => {
                format!("PREVIEW: what the bill comes to so far; nothing is issued.\n{}\n{positions}", show::in_full(invoice))
            }
        }
    };
    output.show_call(client.billing.preview_invoice(PreviewInvoiceRequest { account_id }), text).await
}

/// Fetches a file, all of it before anything is written.
async fn write(client: &mut Client, options: FileOptions, form: InvoiceForm, for_spreadsheets: bool) -> anyhow::Result<()> {
    let NameOptions { number, id } = options.name;
    let request = GetInvoiceFileRequest {
        number: number.unwrap_or_default(),
        document_id: id.unwrap_or_default(),
        form: form.into(),
        for_spreadsheets,
    };
    let mut parts = client.billing.get_invoice_file(request).await.map_err(explain)?.into_inner();
    let (mut name, mut content) = (String::new(), Vec::new());
    while let Some(part) = parts.message().await.map_err(explain)? {
        if name.is_empty() {
            name = part.file_name;
        }
        content.extend(part.content);
    }
    paper::save(options.file.as_deref(), &name, &content)
}
