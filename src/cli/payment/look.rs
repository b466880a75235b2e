//! Payments looked at, and allocated by hand.

use clap::Args;

use crate::cli::account::limit::money;
use crate::cli::client::Client;
use crate::cli::operator::ByHandWithReason;
use crate::cli::output::{Output, instant_text};
use crate::cli::pages::fetch;
use crate::cli::paper::PaperOptions;
use crate::cli::table::{self, table, table_of};
use crate::grpc::v1::{
    AccountPaper, AllocatePaymentRequest, AllocatePaymentResponse, EntryKind, GetAccountFileRequest, GetPaymentRequest, GetPaymentResponse,
    ListPaymentsRequest, Money, Operator, Payment, UnallocatePaymentRequest, UnallocatePaymentResponse,
};

#[derive(Args, Debug)]
pub struct ListOptions {
    /// Only of this account.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only what was received on or after this day, such as 2026-11-03.
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Only what was received on or before this day.
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// Only what was paid in this way.
    #[arg(long, value_name = "WORD")]
    method: Option<String>,
    /// Only payments of which something is not allocated.
    #[arg(long)]
    unallocated: bool,
    /// The maximum number to list [default: all]
    #[arg(long, value_name = "NUMBER")]
    count: Option<usize>,
}

#[derive(Args, Debug)]
pub struct ShowOptions {
    /// The account's id.
    account: String,
    /// The payment: the request id under which it was recorded, or topped up.
    payment: String,
}

#[derive(Args, Debug)]
pub struct AllocateOptions {
    #[command(flatten)]
    payment: ShowOptions,
    /// The number of the invoice [default: none: what is set aside is freed, and pays the oldest first]
    invoice: Option<String>,
    /// How much [default: all that can be]
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<String>,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

#[derive(Args, Debug)]
pub struct UnallocateOptions {
    #[command(flatten)]
    payment: ShowOptions,
    /// The number of the invoice.
    invoice: String,
    /// How much [default: all that it pays of it]
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<String>,
    #[command(flatten)]
    by_hand: ByHandWithReason,
}

#[derive(Args, Debug)]
pub struct ReceiptOptions {
    #[command(flatten)]
    payment: ShowOptions,
    #[command(flatten)]
    paper: PaperOptions,
}

/// Lists payments.
pub async fn list(client: &mut Client, options: ListOptions, output: Output) -> anyhow::Result<()> {
    let wanted = ListPaymentsRequest {
        account_id: options.account.unwrap_or_default(),
        received_from: options.from.unwrap_or_default(),
        received_to: options.to.unwrap_or_default(),
        method: options.method.unwrap_or_default(),
        unallocated_only: options.unallocated,
        ..Default::default()
    };
    let page =
        async |page_size, page_token| client.billing.list_payments(ListPaymentsRequest { page_size, page_token, ..wanted.clone() }).await;
    output.show(&fetch(options.count, page).await?, |found| in_rows(&found.payments).to_string())
}

fn in_rows(found: &[Payment]) -> table::Listing {
    let header = ["received", "account", "payment", "", "amount", "unallocated"];
    let mut table = table_of(&header, 4..header.len());
    for payment in found {
        let details = payment.details.clone().unwrap_or_default();
        table.add_row(vec![
            details.received_on.into(),
            payment.account_id.clone().into(),
            payment.payment_id.clone().into(),
            payment.currency_code.clone().into(),
            table::amount(&payment.amount),
            table::amount(&payment.unallocated),
        ]);
    }
    table
}

/// Shows one.
pub async fn show(client: &mut Client, options: ShowOptions, output: Output) -> anyhow::Result<()> {
    let request = GetPaymentRequest { account_id: options.account, payment_id: options.payment };
    output.show_call(client.billing.get_payment(request), in_full).await
}

fn in_full(found: &GetPaymentResponse) -> String {
    let payment = found.payment.clone().unwrap_or_default();
    let mut text = payment_table(&payment).to_string();
    if !found.parts.is_empty() {
        let mut parts = table_of(&["pays", "at", "by", &payment.currency_code], 3..4);
        for part in &found.parts {
            let invoice = if part.invoice_number.is_empty() { "(no number yet)" } else { &part.invoice_number };
            parts.add_row(vec![
                invoice.into(),
                instant_text(part.allocated_at).into(),
                operator_text(part.operator.as_ref()).into(),
                table::amount(&part.amount),
            ]);
        }
        text += &format!("\n{parts}");
    }
    if !found.reversals.is_empty() {
        let mut reversals = table_of(&["taken back by", "at", "by", &payment.currency_code], 3..4);
        for reversal in &found.reversals {
            reversals.add_row(vec![
                reversal.request_id.clone().into(),
                instant_text(reversal.reversed_at).into(),
                operator_text(reversal.operator.as_ref()).into(),
                table::amount(&reversal.amount),
            ]);
        }
        text += &format!("\n{reversals}");
    }
    text
}

fn payment_table(payment: &Payment) -> table::Listing {
    let details = payment.details.clone().unwrap_or_default();
    let mut table = table([kind_name(payment.kind()), &payment.payment_id], 1);
    let recorded = instant_text(payment.accepted_at);
    let by = operator_text(payment.operator.as_ref());
    let rows = [
        ("account", &payment.account_id),
        ("received", &details.received_on),
        ("method", &details.method),
        ("reference", &details.reference),
        ("remark", &details.remark),
        ("recorded", &recorded),
        ("by", &by),
        ("entry", &payment.entry_id),
    ];
    table.add_rows(rows.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| [name, text.as_str()]));
    let amounts = [
        ("amount", &payment.amount),
        ("allocated", &payment.allocated),
        ("taken back", &payment.reversed),
        ("unallocated", &payment.unallocated),
        ("of this set aside", &payment.set_aside),
    ];
    for (name, amount) in amounts {
        table.add_row(vec![name.into(), comfy_table::Cell::new(format!("{amount} {}", payment.currency_code))]);
    }
    table
}

fn kind_name(kind: EntryKind) -> &'static str {
    if kind == EntryKind::ToppedUp { "top-up" } else { "payment" }
}

fn operator_text(operator: Option<&Operator>) -> String {
    operator.map_or_else(String::new, |operator| format!("{}: {}", operator.actor, operator.reason))
}

/// Allocates a payment to an invoice.
pub async fn allocate(client: &mut Client, options: AllocateOptions, output: Output) -> anyhow::Result<()> {
    let is_freed = options.invoice.is_none();
    let request = AllocatePaymentRequest {
        account_id: options.payment.account,
        request_id: options.by_hand.request_id(),
        payment_id: options.payment.payment,
        invoice_number: options.invoice.unwrap_or_default(),
        amount: options.amount.as_deref().map(money),
        operator: options.by_hand.operator(),
        first_sent_at: None,
    };
    let verb = if is_freed { "Freed" } else { "Allocated" };
    let text = |answer: &AllocatePaymentResponse| done(verb, answer.allocated.as_ref(), answer.payment.as_ref(), answer.replayed);
    output.show_call(client.billing.allocate_payment(request), text).await
}

/// Takes a payment off an invoice.
pub async fn unallocate(client: &mut Client, options: UnallocateOptions, output: Output) -> anyhow::Result<()> {
    let request = UnallocatePaymentRequest {
        account_id: options.payment.account,
        request_id: options.by_hand.request_id(),
        payment_id: options.payment.payment,
        invoice_number: options.invoice,
        amount: options.amount.as_deref().map(money),
        operator: options.by_hand.operator(),
        first_sent_at: None,
    };
    let text =
        |answer: &UnallocatePaymentResponse| done("Set aside", answer.unallocated.as_ref(), answer.payment.as_ref(), answer.replayed);
    output.show_call(client.billing.unallocate_payment(request), text).await
}

fn done(verb: &str, amount: Option<&Money>, payment: Option<&Payment>, replayed: bool) -> String {
    let Money { amount, currency_code } = amount.cloned().unwrap_or_default();
    let again = if replayed { " It was done before." } else { "" };
    let payment = payment.map_or_else(String::new, |payment| format!("\n{}", payment_table(payment)));
    format!("{verb}: {amount} {currency_code}.{again}{payment}")
}

/// Writes a receipt.
pub async fn receipt(client: &mut Client, options: ReceiptOptions) -> anyhow::Result<()> {
    let request = GetAccountFileRequest {
        account_id: options.payment.account,
        payment_id: options.payment.payment,
        paper: AccountPaper::Receipt.into(),
        ..Default::default()
    };
    options.paper.write(client, request).await
}
