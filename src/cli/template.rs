//! `tollgate template ...`: what is written in place of the usual mails.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use super::client::{Client, ServerOptions};
use super::operator::ByHand;
use super::output::{Output, instant_text};
use super::table::table;
use crate::cli::failure::explain;
use crate::grpc::v1::{
    GetMailTemplateRequest, GetMailTemplateResponse, ListMailTemplatesRequest, ListMailTemplatesResponse, MailTemplate, MailTemplateKind,
    MailTemplateVersion, PreviewMailTemplateRequest, PreviewMailTemplateResponse, SetMailTemplateRequest, SetMailTemplateResponse,
};

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct TemplateOptions {
    #[command(subcommand)]
    command: TemplateCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum TemplateCommand {
    /// List the mails that are not as usual.
    List,
    /// Show a template, its versions, and the names that it may use.
    Show(NameOptions),
    /// Show what a template makes of an example: the one in force, with what is given. Nothing is saved.
    Preview(PartOptions),
    /// Save a template: what is given; all else stays.
    Set(Box<SetOptions>),
    /// Go back to the usual mail.
    Reset(ResetOptions),
}

/// Which template.
#[derive(Args, Clone, Debug)]
struct NameOptions {
    /// The kind of mail.
    kind: Kind,
    /// In which language.
    #[arg(long, value_name = "CODE", default_value = "en")]
    language: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Invoice,
    Statement,
    CreditNote,
    Receipt,
    Reminder,
    LowCredit,
}

#[derive(Args, Clone, Debug)]
struct PartOptions {
    #[command(flatten)]
    name: NameOptions,
    /// The subject, such as "{{ document }} of {{ day }}"; "": as usual.
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// The text, from this file; an empty one: as usual.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// The page, from this file of HTML; an empty one: what the text says.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct SetOptions {
    #[command(flatten)]
    parts: PartOptions,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
struct ResetOptions {
    #[command(flatten)]
    name: NameOptions,
    #[command(flatten)]
    by_hand: ByHand,
}

impl Kind {
    fn in_request(self) -> MailTemplateKind {
        match self {
            Self::Invoice => MailTemplateKind::Invoice,
            Self::Statement => MailTemplateKind::Statement,
            Self::CreditNote => MailTemplateKind::CreditNote,
            Self::Receipt => MailTemplateKind::Receipt,
            Self::Reminder => MailTemplateKind::Reminder,
            Self::LowCredit => MailTemplateKind::LowCredit,
        }
    }
}

pub async fn run(options: TemplateOptions) -> anyhow::Result<ExitCode> {
    let TemplateOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    match command {
        TemplateCommand::List => {
            let text = |found: &ListMailTemplatesResponse| in_rows(&found.templates);
            output.show_call(client.billing.list_mail_templates(ListMailTemplatesRequest {}), text).await?;
        }
        TemplateCommand::Show(NameOptions { kind, language }) => {
            let request = GetMailTemplateRequest { kind: kind.in_request().into(), language };
            output.show_call(client.billing.get_mail_template(request), in_full).await?;
        }
        TemplateCommand::Preview(parts) => {
            let (NameOptions { kind, language }, template) = (parts.name.clone(), changed(&mut client, parts).await?);
            let request = PreviewMailTemplateRequest { kind: kind.in_request().into(), language, template: Some(template) };
            let text = |made: &PreviewMailTemplateResponse| format!("{}\n\n{}", made.subject, made.text);
            output.show_call(client.billing.preview_mail_template(request), text).await?;
        }
        TemplateCommand::Set(options) => {
            let SetOptions { parts, by_hand } = *options;
            let (NameOptions { kind, language }, template) = (parts.name.clone(), changed(&mut client, parts).await?);
            set(&mut client, kind, language, Some(template), &by_hand, output).await?;
        }
        TemplateCommand::Reset(ResetOptions { name: NameOptions { kind, language }, by_hand }) => {
            set(&mut client, kind, language, None, &by_hand, output).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(
    client: &mut Client,
    kind: Kind,
    language: String,
    template: Option<MailTemplate>,
    by_hand: &ByHand,
    output: Output,
) -> anyhow::Result<()> {
    let (request_id, operator) = (by_hand.request_id(), by_hand.operator());
    let request = SetMailTemplateRequest { kind: kind.in_request().into(), language, request_id, template, operator, first_sent_at: None };
    let text = |set: &SetMailTemplateResponse| if set.replayed { "it was saved before" } else { "saved" }.to_owned();
    output.show_call(client.billing.set_mail_template(request), text).await
}

/// The template in force, with what is given.
async fn changed(client: &mut Client, parts: PartOptions) -> anyhow::Result<MailTemplate> {
    let PartOptions { name: NameOptions { kind, language }, subject, text, html } = parts;
    let request = GetMailTemplateRequest { kind: kind.in_request().into(), language };
    let found = client.billing.get_mail_template(request).await.map_err(explain)?.into_inner().template.unwrap_or_default();
    let read = |path: Option<PathBuf>, known: String| match path {
        Some(path) => std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display())),
        None => Ok(known),
    };
    Ok(MailTemplate { subject: subject.unwrap_or(found.subject), text: read(text, found.text)?, html: read(html, found.html)? })
}

fn kind_name(kind: MailTemplateKind) -> &'static str {
    match kind {
        MailTemplateKind::Invoice => "invoice",
        MailTemplateKind::Statement => "statement",
        MailTemplateKind::CreditNote => "credit-note",
        MailTemplateKind::Receipt => "receipt",
        MailTemplateKind::Reminder => "reminder",
        MailTemplateKind::LowCredit => "low-credit",
        MailTemplateKind::Unspecified => "",
    }
}

fn in_rows(versions: &[MailTemplateVersion]) -> String {
    let mut shown = table(["kind", "language", "version", "saved", "by", "why"], 6);
    for version in versions {
        let (number, saved) = (version.version.to_string(), instant_text(version.changed_at));
        shown.add_row([kind_name(version.kind()), &version.language, &number, &saved, &version.changed_by, &version.reason]);
    }
    shown.to_string()
}

fn in_full(found: &GetMailTemplateResponse) -> String {
    let MailTemplate { subject, text, html } = found.template.clone().unwrap_or_default();
    let part = |name: &str, source: &str| match source {
        "" => format!("{name}: as usual\n"),
        source => format!("{name}:\n{source}\n"),
    };
    let mut names = table(["name", "for example"], 2);
    for (name, example) in &found.names {
        names.add_row([name, example]);
    }
    let parts = [part("subject", &subject), part("text", &text), part("page", &html)].concat();
    format!("{parts}\n{names}\n\n{}", in_rows(&found.versions))
}
