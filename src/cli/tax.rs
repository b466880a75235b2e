//! `tollgate tax ...`: the rates that amounts include, and accounts that are charged no tax.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::client::{Client, ServerOptions};
use super::invoice::category_name;
use super::operator::ByHand;
use super::output::Output;
use super::table::table;
use crate::grpc::v1::{
    ChargeCategory, DatedTaxTreatment, ListTaxRatesRequest, ListTaxRatesResponse, ListTaxTreatmentsRequest, ListTaxTreatmentsResponse,
    SetTaxRateRequest, SetTaxTreatmentRequest, TaxRate, TaxTreatment,
};

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct TaxOptions {
    #[command(subcommand)]
    command: TaxCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum TaxCommand {
    /// Set the rate that amounts include, from a day on. A document has the rates of the end of the period that it covers.
    Set(SetOptions),
    /// List the rates.
    List,
    /// Charge an account no tax, from a day on, or charge it again.
    Exempt(ExemptOptions),
    /// Show whether an account is charged tax.
    Show(ShowOptions),
}

#[derive(Args, Debug)]
struct SetOptions {
    /// In percent, such as 19 or 7.5; "none": no tax is shown.
    percent: String,
    /// Of these charges only [default: of all that have no rate of their own]
    #[arg(long, value_enum)]
    category: Option<Category>,
    /// From which day on.
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: String,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Category {
    /// Calls, messages, data, API calls.
    Usage,
    /// Recurring fees.
    Subscription,
    /// Goods.
    Hardware,
    /// Work done.
    Service,
}

#[derive(Args, Debug)]
struct ExemptOptions {
    /// The account.
    account: String,
    /// Why, as its documents say it.
    #[arg(long, value_name = "TEXT", required_unless_present = "end")]
    text: Option<String>,
    /// The customer owes the tax (reverse charge).
    #[arg(long)]
    reverse_charge: bool,
    /// Charge tax again.
    #[arg(long, conflicts_with_all = ["text", "reverse_charge"])]
    end: bool,
    /// From which day on [default: today, in the billing time zone]
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<String>,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
struct ShowOptions {
    /// The account.
    account: String,
}

pub async fn run(options: TaxOptions) -> anyhow::Result<ExitCode> {
    let TaxOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    match command {
        TaxCommand::Set(options) => {
            if output.make_change(client.billing.set_tax_rate(rate_request(options))).await? {
                show_rates(&mut client, output).await?;
            }
        }
        TaxCommand::List => show_rates(&mut client, output).await?,
        TaxCommand::Exempt(options) => {
            let account = options.account.clone();
            if output.make_change(client.billing.set_tax_treatment(treatment_request(options))).await? {
                show_treatments(&mut client, account, output).await?;
            }
        }
        TaxCommand::Show(ShowOptions { account }) => show_treatments(&mut client, account, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn rate_request(options: SetOptions) -> SetTaxRateRequest {
    let category = match options.category {
        None => ChargeCategory::Unspecified,
        Some(Category::Usage) => ChargeCategory::Usage,
        Some(Category::Subscription) => ChargeCategory::Subscription,
        Some(Category::Hardware) => ChargeCategory::Hardware,
        Some(Category::Service) => ChargeCategory::Service,
    };
    let percent = if options.percent == "none" { String::new() } else { options.percent };
    SetTaxRateRequest {
        issuer_id: String::new(),
        request_id: options.by_hand.request_id(),
        rate: Some(TaxRate { category: category.into(), valid_from: options.from, percent }),
        operator: options.by_hand.operator(),
        first_sent_at: None,
    }
}

fn treatment_request(options: ExemptOptions) -> SetTaxTreatmentRequest {
    let treatment = match (options.end, options.reverse_charge) {
        (true, _) => TaxTreatment::Taxed,
        (false, true) => TaxTreatment::ReverseCharge,
        (false, false) => TaxTreatment::Exempt,
    };
    let (valid_from, reason) = (options.from.unwrap_or_default(), options.text.unwrap_or_default());
    SetTaxTreatmentRequest {
        account_id: options.account,
        request_id: options.by_hand.request_id(),
        treatment: Some(DatedTaxTreatment { valid_from, treatment: treatment.into(), reason }),
        operator: options.by_hand.operator(),
        first_sent_at: None,
    }
}

async fn show_rates(client: &mut Client, output: Output) -> anyhow::Result<()> {
    let text = |found: &ListTaxRatesResponse| {
        let mut shown = table(["from", "category", "percent"], 2);
        for rate in &found.rates {
            let category = if rate.category() == ChargeCategory::Unspecified { "all others" } else { category_name(rate.category()) };
            let percent = if rate.percent.is_empty() { "none" } else { rate.percent.as_str() };
            shown.add_row([rate.valid_from.as_str(), category, percent]);
        }
        shown.to_string()
    };
    output.show_call(client.billing.list_tax_rates(ListTaxRatesRequest::default()), text).await
}

async fn show_treatments(client: &mut Client, account_id: String, output: Output) -> anyhow::Result<()> {
    let text = |found: &ListTaxTreatmentsResponse| {
        let mut shown = table(["from", "tax", "documents say"], 3);
        for dated in &found.treatments {
            shown.add_row([&dated.valid_from, treatment_name(dated.treatment()), &dated.reason]);
        }
        shown.to_string()
    };
    output.show_call(client.billing.list_tax_treatments(ListTaxTreatmentsRequest { account_id }), text).await
}

fn treatment_name(treatment: TaxTreatment) -> &'static str {
    match treatment {
        TaxTreatment::Unspecified => "unknown",
        TaxTreatment::Taxed => "taxed",
        TaxTreatment::Exempt => "exempt",
        TaxTreatment::ReverseCharge => "reverse charge",
    }
}
