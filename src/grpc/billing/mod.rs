//! BillingService: what became of the charges, payments, and the way out for whoever bills elsewhere.
//!
//! What changes money goes through the ledger like any other command; what is read comes from the billing store. [`read`] reads requests,
//! [`render`] writes answers; [`settings`], [`payment`], [`batch`] and [`export`] hold what takes more than that.

pub mod batch;
pub mod export;
pub mod file;
pub mod issuing;
pub mod items;
pub mod papers;
pub mod payment;
pub mod payments;
pub mod read;
pub mod render;
pub mod settings;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::{Request, Response, Status};

use super::charging::Answers;
use super::front::Front;
use super::v1::billing_service_server::BillingService;
use super::wire::Position;
use super::wire::reader::Reader;
use super::wire::render as answer;
use super::{page_token, pages, status, v1};
use crate::billing::document::Party;
use crate::billing::suggestion::{Suggestion, suggest};
use crate::billing::{Billing, BillingError, DocumentPage};
use crate::domain::account::Account;
use crate::domain::outcome::Outcome;
use crate::service;
use crate::service::aggregation::unread_journals;
use crate::service::receivables;

/// How long the billing store may take to have an account that the ledger has.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often to look whether it has.
const PAUSE: Duration = Duration::from_millis(20);

/// The service.
#[derive(Clone)]
pub struct Bills {
    front: Front,
}

impl Bills {
    /// The service on a ledger, and the billing store if there is one.
    #[must_use]
    pub fn new(front: Front) -> Self {
        Self { front }
    }
}

/// The account that a request names, as it is now.
pub(super) async fn named(front: &Front, id: String) -> Result<(String, Outcome), Status> {
    let id = front.read(id, Position::default(), Reader::account_id)?;
    let outcome = front.observe(&id, false).await?;
    Ok((id, outcome))
}

/// Whom documents of an account are for. The billing store follows the ledger within moments: they are waited for.
async fn customer(billing: &Billing, id: &str) -> Result<Party, Status> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match billing.customer(id).await {
            Err(BillingError::NotFound(_)) if Instant::now() < deadline => sleep(PAUSE).await,
            Err(BillingError::NotFound(_)) => {
                return Err(status::no_bills(&BillingError::unavailable("it has not taken in the account yet"), ""));
            }
            answer => return answer.map_err(|error| status::no_bills(&error, "")),
        }
    }
}

/// The credit limit that an account would need in postpaid.
pub async fn estimate(front: &Front, id: &str, account: &Account) -> Result<Suggestion, Status> {
    let history = front.billing().await?.history(id).await.map_err(|error| status::no_bills(&error, ""))?;
    Ok(suggest(history, account.non_usage_billing, account.decimals))
}

#[tonic::async_trait]
impl BillingService for Bills {
    async fn list_invoices(&self, request: Request<v1::ListInvoicesRequest>) -> Result<Response<v1::ListInvoicesResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let listing = front.read(request, Position::default(), read::invoices)?;
                let found = front.billing().await?.documents(listing.filter, listing.after, listing.count + 1).await;
                let DocumentPage { documents: mut found, compared_beginnings } = found.map_err(|error| status::no_bills(&error, ""))?;
                let is_last = found.len() <= listing.count;
                found.truncate(listing.count);
                let ids: Vec<_> = found.iter().map(|stored| stored.id).collect();
                let mut invoices: Vec<_> = found.into_iter().map(render::invoice).collect();
                let fitting = pages::fitting(&invoices);
                let has_more = !is_last || fitting < invoices.len();
                invoices.truncate(fitting);
                let next = ids.get(fitting - 1).filter(|_| has_more).and_then(|id| u64::try_from(*id).ok());
                let query: Vec<_> = listing.query.iter().map(String::as_str).collect();
                let next_page_token = next.map(|place| page_token::encode(&query, &place)).unwrap_or_default();
                Ok(v1::ListInvoicesResponse { invoices, next_page_token, compared_beginnings })
            })
            .await
    }

    async fn get_invoice(&self, request: Request<v1::GetInvoiceRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let (name, lines) = front.read(request, Position::default(), read::lines_of_invoice)?;
                let mut found = service::issuing::document(front.billing().await?, &name, front.ledger.clock().now()).await?;
                let next = found.document.keep_lines(lines).and_then(|next| u64::try_from(next).ok());
                let next_page_token = next.map(|next| page_token::encode(&["lines", &name.to_string()], &next)).unwrap_or_default();
                Ok(v1::GetInvoiceResponse { invoice: Some(render::invoice(found)), next_page_token })
            })
            .await
    }

    type GetInvoiceFileStream = Answers<v1::GetInvoiceFileResponse>;

    async fn get_invoice_file(&self, request: Request<v1::GetInvoiceFileRequest>) -> Result<Response<Self::GetInvoiceFileStream>, Status> {
        let front = &self.front;
        let file = front.bounded(request, async |request| file::write(front, request).await).await?.into_inner();
        Ok(Response::new(Box::pin(file.into_parts())))
    }

    async fn record_payment(&self, request: Request<v1::RecordPaymentRequest>) -> Result<Response<v1::RecordPaymentResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| payment::record(front, request).await).await
    }

    async fn write_off(&self, request: Request<v1::WriteOffRequest>) -> Result<Response<v1::WriteOffResponse>, Status> {
        self.front.answer(request, read::write_off, answer::write_off).await
    }

    async fn reverse_write_off(
        &self,
        request: Request<v1::ReverseWriteOffRequest>,
    ) -> Result<Response<v1::ReverseWriteOffResponse>, Status> {
        self.front.answer(request, read::reverse_write_off, answer::reverse_write_off).await
    }

    async fn list_receivables(
        &self,
        request: Request<v1::ListReceivablesRequest>,
    ) -> Result<Response<v1::ListReceivablesResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let (account, count, after) = front.read(request, Position::default(), read::receivables)?;
                let now = front.ledger.clock().now();
                let page = receivables::page(front.billing().await?, now, account.as_deref(), after.as_deref(), count).await?;
                let query = read::receivables_query(account.as_deref().unwrap_or_default());
                Ok(v1::ListReceivablesResponse {
                    receivables: page.receivables.into_iter().map(render::receivables).collect(),
                    next_page_token: page.next_after.map(|last| page_token::encode(&query, &last)).unwrap_or_default(),
                    positions: render::positions(&page.position),
                })
            })
            .await
    }

    async fn get_billing_details(
        &self,
        request: Request<v1::GetBillingDetailsRequest>,
    ) -> Result<Response<v1::GetBillingDetailsResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let (id, _) = named(front, request.account_id).await?;
                let customer = customer(front.billing().await?, &id).await?;
                Ok(v1::GetBillingDetailsResponse { customer: Some(render::party(customer)) })
            })
            .await
    }

    async fn set_billing_details(
        &self,
        request: Request<v1::SetBillingDetailsRequest>,
    ) -> Result<Response<v1::SetBillingDetailsResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let v1::SetBillingDetailsRequest { account_id, customer } = request;
                let customer = front.read(customer, Position::default(), read::customer)?;
                let (id, _) = named(front, account_id).await?;
                let set = front.billing().await?.set_customer(&id, customer.clone()).await;
                set.map_err(|error| status::no_bills(&error, ""))?;
                Ok(v1::SetBillingDetailsResponse { customer: Some(render::party(customer)) })
            })
            .await
    }

    async fn get_issuer(&self, request: Request<v1::GetIssuerRequest>) -> Result<Response<v1::GetIssuerResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| settings::get_issuer(front, request).await).await
    }

    async fn set_issuer(&self, request: Request<v1::SetIssuerRequest>) -> Result<Response<v1::SetIssuerResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| settings::set_issuer(front, request).await).await
    }

    async fn list_tax_rates(&self, request: Request<v1::ListTaxRatesRequest>) -> Result<Response<v1::ListTaxRatesResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| settings::list_tax_rates(front, request).await).await
    }

    async fn set_tax_rate(&self, request: Request<v1::SetTaxRateRequest>) -> Result<Response<v1::SetTaxRateResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| settings::set_tax_rate(front, request).await).await
    }

    async fn list_tax_treatments(
        &self,
        request: Request<v1::ListTaxTreatmentsRequest>,
    ) -> Result<Response<v1::ListTaxTreatmentsResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| settings::list_treatments(front, request).await).await
    }

    async fn set_tax_treatment(
        &self,
        request: Request<v1::SetTaxTreatmentRequest>,
    ) -> Result<Response<v1::SetTaxTreatmentResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| settings::set_treatment(front, request).await).await
    }

    async fn suggest_credit_limit(
        &self,
        request: Request<v1::SuggestCreditLimitRequest>,
    ) -> Result<Response<v1::SuggestCreditLimitResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let (id, Outcome { account, now, .. }) = named(front, request.account_id).await?;
                let suggestion = estimate(front, &id, &account).await?;
                Ok(render::suggestion(&suggestion, &account, now))
            })
            .await
    }

    type BatchConvertStream = Answers<v1::BatchConvertResponse>;

    async fn batch_convert(&self, request: Request<v1::BatchConvertRequest>) -> Result<Response<Self::BatchConvertStream>, Status> {
        Ok(Response::new(Box::pin(batch::convert(self.front.clone(), request.into_inner()).await?)))
    }

    type ExportUsageStream = Answers<v1::ExportUsageResponse>;

    async fn export_usage(&self, request: Request<v1::ExportUsageRequest>) -> Result<Response<Self::ExportUsageStream>, Status> {
        Ok(Response::new(Box::pin(export::usage(self.front.clone(), request.into_inner()).await?)))
    }

    async fn get_aggregation(&self, request: Request<v1::GetAggregationRequest>) -> Result<Response<v1::GetAggregationResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |_| {
                if front.billing.is_none() {
                    let unread = unread_journals(&front.ledger).await.map_err(|error| status::no_answer(&error))?;
                    let partitions = unread.into_iter().map(render::unread).collect();
                    return Ok(v1::GetAggregationResponse { partitions, held_series: Vec::new() });
                }
                let found = front.billing().await?.partitions().await.map_err(|error| status::no_bills(&error, ""))?;
                let now = front.ledger.clock().now();
                let mut partitions = Vec::with_capacity(found.len());
                for partition in found {
                    let rest = front.ledger.journal_after(partition.partition, partition.position.next_sequence).await;
                    let (entries, since) = rest.map_err(|error| status::no_answer(&error))?;
                    let span = front.ledger.engine().journal_span(partition.partition).await.map_err(|error| status::no_answer(&error))?;
                    partitions.push(render::partition(partition, entries, since.map_or(0, |since| now - since), span.now - now));
                }
                let held = front.billing().await?.held_series().await.map_err(|error| status::no_bills(&error, ""))?;
                let held_series = held.into_iter().map(|series| v1::HeldSeries { prefix: series.prefix, last_number: series.place });
                Ok(v1::GetAggregationResponse { partitions, held_series: held_series.collect() })
            })
            .await
    }

    async fn set_item(&self, request: Request<v1::SetItemRequest>) -> Result<Response<v1::SetItemResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| items::set(front, request).await).await
    }

    async fn delete_item(&self, request: Request<v1::DeleteItemRequest>) -> Result<Response<v1::DeleteItemResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| items::delete(front, request).await).await
    }

    async fn list_items(&self, request: Request<v1::ListItemsRequest>) -> Result<Response<v1::ListItemsResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| items::list(front, request).await).await
    }

    async fn get_issuing(&self, request: Request<v1::GetIssuingRequest>) -> Result<Response<v1::GetIssuingResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| issuing::get(front, request).await).await
    }

    async fn set_issuing(&self, request: Request<v1::SetIssuingRequest>) -> Result<Response<v1::SetIssuingResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| issuing::set(front, request).await).await
    }

    async fn approve_invoices(
        &self,
        request: Request<v1::ApproveInvoicesRequest>,
    ) -> Result<Response<v1::ApproveInvoicesResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| issuing::approve(front, request).await).await
    }

    async fn retry_held_invoices(
        &self,
        request: Request<v1::RetryHeldInvoicesRequest>,
    ) -> Result<Response<v1::RetryHeldInvoicesResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| issuing::retry(front, request).await).await
    }

    async fn list_payments(&self, request: Request<v1::ListPaymentsRequest>) -> Result<Response<v1::ListPaymentsResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| payments::list(front, request).await).await
    }

    async fn get_payment(&self, request: Request<v1::GetPaymentRequest>) -> Result<Response<v1::GetPaymentResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| payments::get(front, request).await).await
    }

    async fn allocate_payment(
        &self,
        request: Request<v1::AllocatePaymentRequest>,
    ) -> Result<Response<v1::AllocatePaymentResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| payments::allocate(front, request).await).await
    }

    async fn unallocate_payment(
        &self,
        request: Request<v1::UnallocatePaymentRequest>,
    ) -> Result<Response<v1::UnallocatePaymentResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| payments::unallocate(front, request).await).await
    }

    async fn preview_invoice(&self, request: Request<v1::PreviewInvoiceRequest>) -> Result<Response<v1::PreviewInvoiceResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| papers::preview(front, request).await).await
    }

    async fn get_account_statement(
        &self,
        request: Request<v1::GetAccountStatementRequest>,
    ) -> Result<Response<v1::GetAccountStatementResponse>, Status> {
        let front = &self.front;
        front.bounded(request, async |request| papers::statement(front, request).await).await
    }

    type GetAccountFileStream = Answers<v1::GetAccountFileResponse>;

    async fn get_account_file(&self, request: Request<v1::GetAccountFileRequest>) -> Result<Response<Self::GetAccountFileStream>, Status> {
        let front = &self.front;
        let file = front.bounded(request, async |request| papers::file(front, request).await).await?.into_inner();
        Ok(Response::new(Box::pin(file.into_paper_parts())))
    }
}
