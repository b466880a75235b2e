//! `tollgate issuer ...`: who issues documents, from which day on.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::client::{Client, ServerOptions};
use super::operator::ByHand;
use super::output::Output;
use super::table::table;
use crate::grpc::v1::{GetIssuerRequest, GetIssuerResponse, Issuer, Logo, SetIssuerRequest};

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct IssuerOptions {
    #[command(subcommand)]
    command: IssuerCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum IssuerCommand {
    /// Set who issues documents, all of it. Until it is set, no document is issued.
    Set(Box<SetOptions>),
    /// Show who issues documents, and whether drafts wait.
    Show,
}

#[derive(Args, Debug)]
struct SetOptions {
    /// The name.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// A line of the address above the town; may be given several times.
    #[arg(long, value_name = "LINE")]
    address: Vec<String>,
    /// The postal code.
    #[arg(long, value_name = "CODE", default_value = "")]
    postal_code: String,
    /// The town.
    #[arg(long, value_name = "TOWN", default_value = "")]
    city: String,
    /// The country, as ISO 3166-1 alpha-2 code.
    #[arg(long, value_name = "CODE")]
    country: String,
    /// The tax id.
    #[arg(long, value_name = "ID", default_value = "")]
    tax_id: String,
    /// Where to write to.
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    email: String,
    /// Where to call.
    #[arg(long, value_name = "NUMBER", default_value = "")]
    phone: String,
    /// Where to look.
    #[arg(long, value_name = "URL", default_value = "")]
    website: String,
    /// A line that says how to pay, such as a bank account; may be given several times.
    #[arg(long, value_name = "LINE")]
    payment: Vec<String>,
    /// A line at the end of each document; may be given several times.
    #[arg(long, value_name = "LINE")]
    footer: Vec<String>,
    /// A PNG or JPEG file to stand at the head of each document: at most 256 KiB and 2,000 x 2,000 pixels.
    #[arg(long, value_name = "FILE")]
    logo: Option<PathBuf>,
    /// From which day on [default: today, in the billing time zone]
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<String>,
    #[command(flatten)]
    by_hand: ByHand,
}

pub async fn run(options: IssuerOptions) -> anyhow::Result<ExitCode> {
    let IssuerOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    let is_to_show = match command {
        IssuerCommand::Set(options) => output.make_change(client.billing.set_issuer(request(*options)?)).await?,
        IssuerCommand::Show => true,
    };
    if is_to_show {
        output.show_call(client.billing.get_issuer(GetIssuerRequest::default()), as_text).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn request(options: SetOptions) -> anyhow::Result<SetIssuerRequest> {
    let by_hand = options.by_hand;
    let read = |path: PathBuf| std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
    let logo = options.logo.map(read).transpose()?.map(|content| Logo { content, ..Logo::default() });
    Ok(SetIssuerRequest {
        issuer_id: String::new(),
        request_id: by_hand.request_id(),
        issuer: Some(Issuer {
            name: options.name,
            address: options.address,
            tax_id: options.tax_id,
            email: options.email,
            postal_code: options.postal_code,
            city: options.city,
            country_code: options.country,
            phone: options.phone,
            website: options.website,
            payment_lines: options.payment,
            footer_lines: options.footer,
            logo,
        }),
        valid_from: options.from.unwrap_or_default(),
        operator: by_hand.operator(),
        first_sent_at: None,
    })
}

fn as_text(found: &GetIssuerResponse) -> String {
    let mut text = String::new();
    for version in &found.issuers {
        let issuer = version.issuer.clone().unwrap_or_default();
        let town = format!("{} {}", issuer.postal_code, issuer.city);
        let logo = issuer.logo.map(|logo| format!("{}, {} x {} pixels", logo.media_type, logo.width, logo.height)).unwrap_or_default();
        let mut shown = table(["from", &version.valid_from], 2);
        let rows = [
            ("name", issuer.name),
            ("address", issuer.address.join("\n")),
            ("town", town.trim().to_owned()),
            ("country", issuer.country_code),
            ("tax id", issuer.tax_id),
            ("email", issuer.email),
            ("phone", issuer.phone),
            ("website", issuer.website),
            ("payment", issuer.payment_lines.join("\n")),
            ("footer", issuer.footer_lines.join("\n")),
            ("logo", logo),
        ];
        for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
            shown.add_row([name, &value]);
        }
        text += &format!("{shown}\n");
    }
    match (found.waiting_drafts, found.waits_for.as_str()) {
        (0, _) => text + "no draft waits",
        (count, "") => text + &format!("{count} drafts are about to be issued"),
        (count, waits_for) => text + &format!("{count} drafts are not issued yet: {waits_for}"),
    }
}
