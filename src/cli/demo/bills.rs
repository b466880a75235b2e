//! The end of the demo: the month is closed, and the customers get their documents. One of each kind is shown.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::stage::{Stage, show};
use crate::cli::failure::explain;
use crate::cli::invoice::in_full;
use crate::grpc::v1::{GetInvoiceRequest, Invoice, InvoiceKind, InvoiceState, ListInvoicesRequest};

/// How long the documents of a few customers may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often to look whether they are there.
const PAUSE: Duration = Duration::from_millis(20);

/// Closes the month, checks what was issued, and returns one document of each kind, for people.
///
/// Nobody touches an account in the new month: they are closed anyway.
pub async fn close_the_month(stage: &mut Stage) -> anyhow::Result<Vec<String>> {
    stage.go_to_next_month()?;
    let [cedar, dune, birch] = ["Cedar Clinics", "Dune Logistics", "Birch Bakery"].map(|name| id_of(stage, name));
    let (cedar, dune, birch) = (cedar?, dune?, birch?);
    // Of two months each.
    let unpaid = issued(stage, &cedar, InvoiceKind::Invoice, 2).await?;
    let overpaid = issued(stage, &dune, InvoiceKind::Invoice, 1).await?;
    let statements = issued(stage, &birch, InvoiceKind::Statement, 1).await?;
    let notes = issued(stage, &cedar, InvoiceKind::CreditNote, 1).await?;
    let held = list(stage, "", InvoiceKind::Unspecified, InvoiceState::Held).await?;
    stage.check("no document is held back", 0, held.len());

    let mut shown = Vec::new();
    let invoice = in_order(&overpaid, 0)?;
    stage.check(
        "Dune Logistics, invoice: total, overpaid, to pay",
        "500 424 76",
        amounts(&[&invoice.total, &invoice.credit_applied, &invoice.amount_to_pay])?,
    );
    shown.push(in_full(&document(stage, invoice).await?));
    let statement = in_order(&statements, 0)?;
    stage.check("Birch Bakery, statement: to pay", "0", amounts(&[&statement.amount_to_pay])?);
    shown.push(in_full(&document(stage, statement).await?));
    let note = in_order(&notes, 0)?;
    stage.check("Cedar Clinics, credit note: refers to", &in_order(&unpaid, 0)?.number, &note.refers_to);
    shown.push(in_full(&document(stage, note).await?));
    let [first, second] = [in_order(&unpaid, 0)?, in_order(&unpaid, 1)?];
    stage.check("Cedar Clinics, invoices: open, unpaid", "1175 10", amounts(&[&first.open_amount, &second.open_amount])?);
    Ok(shown)
}

fn id_of(stage: &Stage, name: &str) -> anyhow::Result<String> {
    let customer = stage.customers.iter().find(|customer| customer.name == name);
    Ok(customer.with_context(|| format!("there is no {name}"))?.id.clone())
}

/// An account's documents of a kind, the oldest first, once that many are issued.
async fn issued(stage: &Stage, account: &str, kind: InvoiceKind, count: usize) -> anyhow::Result<Vec<Invoice>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut found = list(stage, account, kind, InvoiceState::Issued).await?;
        if found.len() >= count {
            found.reverse();
            return Ok(found);
        }
        anyhow::ensure!(Instant::now() < deadline, "{account} has {} documents of its kind, and should have {count}", found.len());
        tokio::time::sleep(PAUSE).await;
    }
}

async fn list(stage: &Stage, account: &str, kind: InvoiceKind, state: InvoiceState) -> anyhow::Result<Vec<Invoice>> {
    let (kind, state) = (kind.into(), state.into());
    let request = ListInvoicesRequest { account_id: account.to_owned(), kind, state, page_size: 1000, ..Default::default() };
    Ok(stage.client.billing.clone().list_invoices(request).await.map_err(explain)?.into_inner().invoices)
}

/// The whole of a document that was listed.
async fn document(stage: &Stage, listed: &Invoice) -> anyhow::Result<Invoice> {
    let request = GetInvoiceRequest { number: listed.number.clone(), ..Default::default() };
    let found = stage.client.billing.clone().get_invoice(request).await.map_err(explain)?.into_inner().invoice;
    found.context("a document that was listed is gone")
}

fn in_order(found: &[Invoice], place: usize) -> anyhow::Result<&Invoice> {
    found.get(place).context("a document is missing")
}

fn amounts(texts: &[&String]) -> anyhow::Result<String> {
    let shown: anyhow::Result<Vec<_>> = texts.iter().map(|text| show(text)).collect();
    Ok(shown?.join(" "))
}
