//! Payments: they go through the ledger, so that usable credit and the amount due change in one step.

use std::time::Duration;

use tokio::time::sleep;
use tonic::Status;

use super::read;
use crate::billing::Billing;
use crate::domain::command::Command;
use crate::grpc::front::Front;
use crate::grpc::wire::Position;
use crate::grpc::wire::render::money;
use crate::grpc::{deadline, status, v1};

/// How long to wait for the billing store to have a payment.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often to look whether it has.
const PAUSE: Duration = Duration::from_millis(25);

/// How many of an account's allocations are looked through.
const ALLOCATIONS: usize = 200;

/// Records a payment, and tells what it has paid, if that is known soon.
pub async fn record(front: &Front, request: v1::RecordPaymentRequest) -> Result<v1::RecordPaymentResponse, Status> {
    let command = front.read(request, Position::default(), read::payment)?;
    if !command.action.invoices().is_empty() && !is_repeated(front, &command).await? {
        check_invoices(front.billing().await?, &command).await?;
    }
    let decided = front.decide(command).await?;
    let allocations = match &front.billing {
        Some(billing) => paid(billing, &decided.subject.command).await,
        None => None,
    };
    let account = &decided.outcome.account;
    let told = |(invoice_number, units)| v1::Allocation { invoice_number, amount: Some(money(account, units)) };
    Ok(v1::RecordPaymentResponse {
        credit: decided.credit(),
        allocations_known: allocations.is_some(),
        allocations: allocations.unwrap_or_default().into_iter().map(told).collect(),
        replayed: decided.outcome.replayed,
    })
}

/// A repetition is answered as the first time, whatever has become of what it refers to.
async fn is_repeated(front: &Front, command: &Command) -> Result<bool, Status> {
    front.ledger.is_remembered(&command.account, &command.request_id).await.map_err(|error| status::no_answer(&error))
}

/// The invoices that a payment names must be ones of the account.
async fn check_invoices(billing: &Billing, command: &Command) -> Result<(), Status> {
    let missing = billing.not_invoices_of(&command.account, command.action.invoices()).await;
    match missing.map_err(|error| status::no_bills(&error, ""))?.first() {
        Some(number) => Err(status::invoice_not_found(number)),
        None => Ok(()),
    }
}

/// What a payment has paid: invoices and amounts; none, if the billing store does not have it soon.
async fn paid(billing: &Billing, command: &Command) -> Option<Vec<(String, i64)>> {
    let known = async {
        while billing.entry_of_request(&command.account, &command.request_id).await.ok()?.is_none() {
            sleep(PAUSE).await;
        }
        let found = billing.allocations(&command.account, ALLOCATIONS).await.ok()?;
        let own = found.into_iter().filter(|allocation| allocation.credit == command.request_id && allocation.amount > 0);
        Some(own.map(|allocation| (allocation.invoice, allocation.amount)).collect())
    };
    deadline::addition(PATIENCE, known).await.flatten()
}
