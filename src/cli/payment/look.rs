//! Payments looked at, and allocated by hand.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::account::limit::money;
use crate::cli::client::{Client, explain};
use crate::cli::operator::ByHandWithReason;
use crate::cli::output::{Output, instant_json, instant_text, print_json};
use crate::cli::paper::PaperOptions;
use crate::cli::table::{self, table, table_of};
use crate::grpc::v1::{
    AccountPaper, AllocatePaymentRequest, EntryKind, GetAccountFileRequest, GetPaymentRequest, GetPaymentResponse, ListPaymentsRequest,
    Operator, Payment, UnallocatePaymentRequest,
};

/// How many payments a page has.
const PAGE: i32 = 500;

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
    /// At most so many [default: all]
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
    let mut request = ListPaymentsRequest {
        account_id: options.account.unwrap_or_default(),
        received_from: options.from.unwrap_or_default(),
        received_to: options.to.unwrap_or_default(),
        method: options.method.unwrap_or_default(),
        unallocated_only: options.unallocated,
        page_size: PAGE,
        page_token: String::new(),
    };
    let count = options.count.unwrap_or(usize::MAX);
    let mut found = Vec::new();
    loop {
        let page = client.billing.list_payments(request.clone()).await.map_err(explain)?.into_inner();
        found.extend(page.payments);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || found.len() >= count {
            break;
        }
    }
    found.truncate(count);
    match output {
        Output::Table => println!("{}", in_rows(&found)),
        Output::Json => print_json(&found.iter().map(as_json).collect::<Value>()),
    }
    Ok(())
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
    let found = client.billing.get_payment(request).await.map_err(explain)?.into_inner();
    match output {
        Output::Table => println!("{}", in_full(&found)),
        Output::Json => {
            let parts = found.parts.iter().map(|part| {
                json!({
                    "invoice_number": part.invoice_number,
                    "allocated_at": instant_json(part.allocated_at),
                    "amount": part.amount,
                    "operator": operator_json(part.operator.as_ref()),
                })
            });
            let reversals = found.reversals.iter().map(|reversal| {
                json!({
                    "request_id": reversal.request_id,
                    "reversed_at": instant_json(reversal.reversed_at),
                    "amount": reversal.amount,
                    "operator": operator_json(reversal.operator.as_ref()),
                })
            });
            let mut value = as_json(&found.payment.clone().unwrap_or_default());
            if let Value::Object(fields) = &mut value {
                fields.insert("parts".into(), parts.collect());
                fields.insert("reversals".into(), reversals.collect());
            }
            print_json(&value);
        }
    }
    Ok(())
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

fn operator_json(operator: Option<&Operator>) -> Value {
    operator.map_or(Value::Null, |operator| json!({ "actor": operator.actor, "reason": operator.reason }))
}

fn as_json(payment: &Payment) -> Value {
    let details = payment.details.clone().unwrap_or_default();
    json!({
        "account_id": payment.account_id,
        "payment_id": payment.payment_id,
        "entry_id": payment.entry_id,
        "kind": kind_name(payment.kind()),
        "accepted_at": instant_json(payment.accepted_at),
        "received_on": details.received_on,
        "method": details.method,
        "reference": details.reference,
        "remark": details.remark,
        "operator": operator_json(payment.operator.as_ref()),
        "currency_code": payment.currency_code,
        "amount": payment.amount,
        "allocated": payment.allocated,
        "reversed": payment.reversed,
        "unallocated": payment.unallocated,
        "set_aside": payment.set_aside,
    })
}

/// Has a payment pay an invoice.
pub async fn allocate(client: &mut Client, options: AllocateOptions, output: Output) -> anyhow::Result<()> {
    let is_freed = options.invoice.is_none();
    let request = AllocatePaymentRequest {
        account_id: options.payment.account,
        request_id: options.by_hand.request_id(),
        payment_id: options.payment.payment,
        invoice_number: options.invoice.unwrap_or_default(),
        amount: options.amount.as_deref().map(money),
        operator: options.by_hand.operator(),
    };
    let answer = client.billing.allocate_payment(request).await.map_err(explain)?.into_inner();
    let verb = if is_freed { "Freed" } else { "Allocated" };
    let amount = answer.allocated.unwrap_or_default();
    done(verb, "allocated", &amount.amount, &amount.currency_code, answer.payment.as_ref(), answer.replayed, output);
    Ok(())
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
    };
    let answer = client.billing.unallocate_payment(request).await.map_err(explain)?.into_inner();
    let amount = answer.unallocated.unwrap_or_default();
    done("Set aside", "unallocated", &amount.amount, &amount.currency_code, answer.payment.as_ref(), answer.replayed, output);
    Ok(())
}

fn done(verb: &str, field: &str, amount: &str, currency: &str, payment: Option<&Payment>, replayed: bool, output: Output) {
    match output {
        Output::Table => {
            println!("{verb}: {amount} {currency}.{}", if replayed { " It was done before." } else { "" });
            payment.into_iter().for_each(|payment| println!("{}", payment_table(payment)));
        }
        Output::Json => print_json(&json!({ field: amount, "replayed": replayed, "payment": payment.map_or(Value::Null, as_json) })),
    }
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
