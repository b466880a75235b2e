//! `tollgate payment ...`: payments, payments taken back, debts given up.

mod look;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::account::limit::money;
use super::account::show::show_change;
use super::client::{Client, ServerOptions};
use super::operator::{ByHand, ByHandWithReason};
use super::output::Output;
use super::payment_details::DetailsOptions;
use crate::grpc::v1::{
    RecordPaymentRequest, RecordPaymentResponse, ReversePaymentRequest, ReversePaymentResponse, ReverseWriteOffRequest,
    ReverseWriteOffResponse, WriteOffRequest, WriteOffResponse,
};

/// The command, and its output format.
#[derive(Args, Debug)]
pub struct PaymentOptions {
    #[command(subcommand)]
    command: PaymentCommand,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum PaymentCommand {
    /// Record what a customer paid. It pays the oldest invoices first, or those that are named.
    Record(RecordOptions),
    /// Take back a payment that bounced or was charged back.
    Reverse(ReverseOptions),
    /// Give a debt up.
    WriteOff(WriteOffOptions),
    /// Take a write-off back: what it gave up is due again.
    ReverseWriteOff(ReverseWriteOffOptions),
    /// List payments and top-ups, those received last first.
    List(look::ListOptions),
    /// Show one, with what it pays and what took it back.
    Show(look::ShowOptions),
    /// Have a payment pay an invoice; without an invoice, free what was taken off others.
    Allocate(look::AllocateOptions),
    /// Take a payment off an invoice, and set that aside.
    Unallocate(look::UnallocateOptions),
    /// Write its receipt into a file.
    Receipt(look::ReceiptOptions),
}

#[derive(Args, Debug)]
struct RecordOptions {
    /// The account's id.
    account: String,
    /// How much was paid.
    amount: String,
    /// The number of an invoice that it pays; may be given several times.
    #[arg(long, value_name = "NUMBER")]
    invoice: Vec<String>,
    #[command(flatten)]
    details: DetailsOptions,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Args, Debug)]
struct ReverseOptions {
    /// The account's id.
    account: String,
    /// The payment: the request id under which it was recorded, or topped up.
    payment: String,
    /// How much of it [default: all that is left]
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<String>,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

#[derive(Args, Debug)]
struct WriteOffOptions {
    /// The account's id.
    account: String,
    /// How much; at most what is due [default: all that is due]
    amount: Option<String>,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

#[derive(Args, Debug)]
struct ReverseWriteOffOptions {
    /// The account's id.
    account: String,
    /// The write-off: the request id under which it was given up.
    write_off: String,
    /// How much of it [default: all that is left]
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<String>,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

pub async fn run(options: PaymentOptions) -> anyhow::Result<ExitCode> {
    let PaymentOptions { command, output, server } = options;
    let mut client = Client::connect(&server).await?;
    match command {
        PaymentCommand::Record(options) => record(&mut client, options, output).await?,
        PaymentCommand::Reverse(options) => reverse(&mut client, options, output).await?,
        PaymentCommand::WriteOff(options) => write_off(&mut client, options, output).await?,
        PaymentCommand::ReverseWriteOff(options) => reverse_write_off(&mut client, options, output).await?,
        PaymentCommand::List(options) => look::list(&mut client, options, output).await?,
        PaymentCommand::Show(options) => look::show(&mut client, options, output).await?,
        PaymentCommand::Allocate(options) => look::allocate(&mut client, options, output).await?,
        PaymentCommand::Unallocate(options) => look::unallocate(&mut client, options, output).await?,
        PaymentCommand::Receipt(options) => look::receipt(&mut client, options).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn record(client: &mut Client, options: RecordOptions, output: Output) -> anyhow::Result<()> {
    let RecordOptions { account, amount, invoice, details, by_hand } = options;
    let request_id = by_hand.request_id();
    let request = RecordPaymentRequest {
        account_id: account.clone(),
        request_id: request_id.clone(),
        amount: Some(money(&amount)),
        invoice_numbers: invoice,
        details: details.details(),
        operator: by_hand.operator(),
        ..Default::default()
    };
    let sentence = |answer: &RecordPaymentResponse| {
        let mut text = format!("Recorded a payment of {amount}: {request_id}.");
        for allocation in &answer.allocations {
            let amount = allocation.amount.clone().unwrap_or_default();
            text += &format!("\n- {} {} for {}", amount.amount, amount.currency_code, allocation.invoice_number);
        }
        if !answer.allocations_known {
            text += "\nWhat it pays is not known yet.";
        }
        text
    };
    show_change(output, &account, client.billing.record_payment(request), sentence).await?;
    Ok(())
}

async fn reverse(client: &mut Client, options: ReverseOptions, output: Output) -> anyhow::Result<()> {
    let ReverseOptions { account, payment: payment_id, amount, by_hand } = options;
    let request = ReversePaymentRequest {
        account_id: account.clone(),
        request_id: by_hand.request_id(),
        payment_id,
        amount: amount.as_deref().map(money),
        operator: by_hand.operator(),
        ..Default::default()
    };
    let sentence = |answer: &ReversePaymentResponse| format!("Taken back: {}.", answer.reversed.clone().unwrap_or_default().amount);
    show_change(output, &account, client.accounts.reverse_payment(request), sentence).await?;
    Ok(())
}

async fn write_off(client: &mut Client, options: WriteOffOptions, output: Output) -> anyhow::Result<()> {
    let WriteOffOptions { account, amount, by_hand } = options;
    let request_id = by_hand.request_id();
    let request = WriteOffRequest {
        account_id: account.clone(),
        request_id: request_id.clone(),
        amount: amount.as_deref().map(money),
        operator: by_hand.operator(),
        ..Default::default()
    };
    let sentence =
        |answer: &WriteOffResponse| format!("Written off: {} ({request_id}).", answer.written_off.clone().unwrap_or_default().amount);
    show_change(output, &account, client.billing.write_off(request), sentence).await?;
    Ok(())
}

async fn reverse_write_off(client: &mut Client, options: ReverseWriteOffOptions, output: Output) -> anyhow::Result<()> {
    let ReverseWriteOffOptions { account, write_off: write_off_id, amount, by_hand } = options;
    let request = ReverseWriteOffRequest {
        account_id: account.clone(),
        request_id: by_hand.request_id(),
        write_off_id,
        amount: amount.as_deref().map(money),
        operator: by_hand.operator(),
        ..Default::default()
    };
    let sentence = |answer: &ReverseWriteOffResponse| format!("Due again: {}.", answer.reversed.clone().unwrap_or_default().amount);
    show_change(output, &account, client.billing.reverse_write_off(request), sentence).await?;
    Ok(())
}
