//! BillingService: invoices, payments, and exports for platforms that bill elsewhere.
//!
//! Requests are read, given to a use case, and answered: [`read`] reads requests, [`render`] writes answers; the other modules hold what
//! takes more than that.

pub mod conversions;
pub mod documents;
pub mod export;
pub mod file;
pub mod issuing;
pub mod items;
pub mod links;
pub mod mails;
pub mod papers;
pub mod payments;
pub mod read;
pub mod render;
pub mod settings;
pub mod templates;

use tonic::{Request, Response, Status};

use super::call::{command, read as taken, unary};
use super::charging::Answers;
use super::v1::billing_service_server::BillingService;
use super::wire::reader::FieldReader;
use super::wire::render as answer;
use super::{context, page_token, pages, status, v1};
use crate::billing::change::Applied;
use crate::service::UseCases;
use crate::service::aggregation::Aggregation;

/// The service.
#[derive(Clone)]
pub struct Bills {
    use_cases: UseCases,
}

impl Bills {
    /// The service.
    #[must_use]
    pub fn new(use_cases: UseCases) -> Self {
        Self { use_cases }
    }
}

#[tonic::async_trait]
impl BillingService for Bills {
    async fn list_invoices(&self, request: Request<v1::ListInvoicesRequest>) -> Result<Response<v1::ListInvoicesResponse>, Status> {
        unary(&self.use_cases, request, documents::list).await
    }

    async fn get_invoice(&self, request: Request<v1::GetInvoiceRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        unary(&self.use_cases, request, documents::get).await
    }

    type GetInvoiceFileStream = Answers<v1::GetInvoiceFileResponse>;

    async fn get_invoice_file(&self, request: Request<v1::GetInvoiceFileRequest>) -> Result<Response<Self::GetInvoiceFileStream>, Status> {
        let file = unary(&self.use_cases, request, documents::file).await?.into_inner();
        Ok(Response::new(Box::pin(file::parts(file))))
    }

    async fn record_payment(&self, request: Request<v1::RecordPaymentRequest>) -> Result<Response<v1::RecordPaymentResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let recorded = use_cases.record_payment(context, taken(use_cases, request, read::payment)?).await?;
            Ok(answer::record_payment(recorded))
        })
        .await
    }

    async fn write_off(&self, request: Request<v1::WriteOffRequest>) -> Result<Response<v1::WriteOffResponse>, Status> {
        command(&self.use_cases, request, read::write_off, answer::write_off).await
    }

    async fn reverse_write_off(
        &self,
        request: Request<v1::ReverseWriteOffRequest>,
    ) -> Result<Response<v1::ReverseWriteOffResponse>, Status> {
        command(&self.use_cases, request, read::reverse_write_off, answer::reverse_write_off).await
    }

    async fn list_receivables(
        &self,
        request: Request<v1::ListReceivablesRequest>,
    ) -> Result<Response<v1::ListReceivablesResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let as_of_day = request.as_of_day.clone();
            let (account, as_of, count, after) = taken(use_cases, request, read::receivables)?;
            let page = use_cases.list_receivables(context, account.as_ref(), as_of, after.as_deref(), count).await?;
            let query = read::receivables_query(account.as_deref().unwrap_or_default(), &as_of_day);
            let places: Vec<_> = page.receivables.iter().map(|of| of.account.to_string()).collect();
            let receivables = page.receivables.into_iter().map(render::receivables).collect();
            let (receivables, next) = pages::page(receivables, &places, page.next_after);
            Ok(v1::ListReceivablesResponse {
                receivables,
                next_page_token: next.map(|last| page_token::encode(&query, &last)).unwrap_or_default(),
                positions: render::positions(&page.position),
            })
        })
        .await
    }

    async fn get_billing_details(
        &self,
        request: Request<v1::GetBillingDetailsRequest>,
    ) -> Result<Response<v1::GetBillingDetailsResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let account = taken(use_cases, request.account_id, FieldReader::account_id)?;
            let customer = use_cases.customer(context, &account).await?;
            Ok(v1::GetBillingDetailsResponse { customer: Some(render::party(customer)) })
        })
        .await
    }

    async fn set_billing_details(
        &self,
        request: Request<v1::SetBillingDetailsRequest>,
    ) -> Result<Response<v1::SetBillingDetailsResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let (account, customer, change) = taken(use_cases, request, |reader, request| {
                let v1::SetBillingDetailsRequest { account_id, customer, request_id, operator, first_sent_at } = request;
                let change = settings::change_if_said(reader, request_id, operator, first_sent_at);
                (reader.account_id(account_id), read::customer(reader, customer), change)
            })?;
            let applied = use_cases.set_customer(context, &account, customer.clone(), &change).await?;
            Ok(v1::SetBillingDetailsResponse { customer: Some(render::party(customer)), replayed: applied == Applied::Before })
        })
        .await
    }

    async fn get_issuer(&self, request: Request<v1::GetIssuerRequest>) -> Result<Response<v1::GetIssuerResponse>, Status> {
        unary(&self.use_cases, request, settings::get_issuer).await
    }

    async fn set_issuer(&self, request: Request<v1::SetIssuerRequest>) -> Result<Response<v1::SetIssuerResponse>, Status> {
        unary(&self.use_cases, request, settings::set_issuer).await
    }

    async fn list_tax_rates(&self, request: Request<v1::ListTaxRatesRequest>) -> Result<Response<v1::ListTaxRatesResponse>, Status> {
        unary(&self.use_cases, request, settings::list_tax_rates).await
    }

    async fn set_tax_rate(&self, request: Request<v1::SetTaxRateRequest>) -> Result<Response<v1::SetTaxRateResponse>, Status> {
        unary(&self.use_cases, request, settings::set_tax_rate).await
    }

    async fn list_tax_treatments(
        &self,
        request: Request<v1::ListTaxTreatmentsRequest>,
    ) -> Result<Response<v1::ListTaxTreatmentsResponse>, Status> {
        unary(&self.use_cases, request, settings::list_treatments).await
    }

    async fn set_tax_treatment(
        &self,
        request: Request<v1::SetTaxTreatmentRequest>,
    ) -> Result<Response<v1::SetTaxTreatmentResponse>, Status> {
        unary(&self.use_cases, request, settings::set_treatment).await
    }

    async fn suggest_credit_limit(
        &self,
        request: Request<v1::SuggestCreditLimitRequest>,
    ) -> Result<Response<v1::SuggestCreditLimitResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let account = taken(use_cases, request.account_id, FieldReader::account_id)?;
            let (seen, suggestion) = use_cases.suggest_limit(context, &account).await?;
            Ok(render::suggestion(&suggestion, &seen.account, seen.now))
        })
        .await
    }

    type BatchConvertStream = Answers<v1::BatchConvertResponse>;

    async fn batch_convert(&self, request: Request<v1::BatchConvertRequest>) -> Result<Response<Self::BatchConvertStream>, Status> {
        let context = context::of(&request);
        let answers = conversions::convert(&self.use_cases, context, request.into_inner()).await.map_err(status::of)?;
        Ok(Response::new(Box::pin(answers)))
    }

    type ExportUsageStream = Answers<v1::ExportUsageResponse>;

    async fn export_usage(&self, request: Request<v1::ExportUsageRequest>) -> Result<Response<Self::ExportUsageStream>, Status> {
        let context = context::of(&request);
        let answers = export::usage(&self.use_cases, context, request.into_inner()).await.map_err(status::of)?;
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_aggregation(&self, request: Request<v1::GetAggregationRequest>) -> Result<Response<v1::GetAggregationResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, _| {
            Ok(match use_cases.aggregation(context).await? {
                Aggregation::Unread(journals) => {
                    let partitions = journals.into_iter().map(render::unread).collect();
                    v1::GetAggregationResponse { partitions, ..v1::GetAggregationResponse::default() }
                }
                Aggregation::Followed(journals, held, retention) => {
                    let held = held.into_iter().map(|series| v1::HeldSeries { prefix: series.prefix, last_number: series.place });
                    let partitions = journals.into_iter().map(render::partition).collect();
                    let retention = retention.into_iter().map(render::retention).collect();
                    v1::GetAggregationResponse { partitions, held_series: held.collect(), retention }
                }
            })
        })
        .await
    }

    async fn set_item(&self, request: Request<v1::SetItemRequest>) -> Result<Response<v1::SetItemResponse>, Status> {
        unary(&self.use_cases, request, items::set).await
    }

    async fn delete_item(&self, request: Request<v1::DeleteItemRequest>) -> Result<Response<v1::DeleteItemResponse>, Status> {
        unary(&self.use_cases, request, items::delete).await
    }

    async fn list_items(&self, request: Request<v1::ListItemsRequest>) -> Result<Response<v1::ListItemsResponse>, Status> {
        unary(&self.use_cases, request, items::list).await
    }

    async fn get_issuing(&self, request: Request<v1::GetIssuingRequest>) -> Result<Response<v1::GetIssuingResponse>, Status> {
        unary(&self.use_cases, request, issuing::get).await
    }

    async fn set_issuing(&self, request: Request<v1::SetIssuingRequest>) -> Result<Response<v1::SetIssuingResponse>, Status> {
        unary(&self.use_cases, request, issuing::set).await
    }

    async fn approve_invoices(
        &self,
        request: Request<v1::ApproveInvoicesRequest>,
    ) -> Result<Response<v1::ApproveInvoicesResponse>, Status> {
        unary(&self.use_cases, request, issuing::approve).await
    }

    async fn retry_held_invoices(
        &self,
        request: Request<v1::RetryHeldInvoicesRequest>,
    ) -> Result<Response<v1::RetryHeldInvoicesResponse>, Status> {
        unary(&self.use_cases, request, issuing::retry).await
    }

    async fn list_payments(&self, request: Request<v1::ListPaymentsRequest>) -> Result<Response<v1::ListPaymentsResponse>, Status> {
        unary(&self.use_cases, request, payments::list).await
    }

    async fn get_payment(&self, request: Request<v1::GetPaymentRequest>) -> Result<Response<v1::GetPaymentResponse>, Status> {
        unary(&self.use_cases, request, payments::get).await
    }

    async fn allocate_payment(
        &self,
        request: Request<v1::AllocatePaymentRequest>,
    ) -> Result<Response<v1::AllocatePaymentResponse>, Status> {
        unary(&self.use_cases, request, payments::allocate).await
    }

    async fn unallocate_payment(
        &self,
        request: Request<v1::UnallocatePaymentRequest>,
    ) -> Result<Response<v1::UnallocatePaymentResponse>, Status> {
        unary(&self.use_cases, request, payments::unallocate).await
    }

    async fn preview_invoice(&self, request: Request<v1::PreviewInvoiceRequest>) -> Result<Response<v1::PreviewInvoiceResponse>, Status> {
        unary(&self.use_cases, request, papers::preview).await
    }

    async fn get_account_statement(
        &self,
        request: Request<v1::GetAccountStatementRequest>,
    ) -> Result<Response<v1::GetAccountStatementResponse>, Status> {
        unary(&self.use_cases, request, papers::statement).await
    }

    type GetAccountFileStream = Answers<v1::GetAccountFileResponse>;

    async fn get_account_file(&self, request: Request<v1::GetAccountFileRequest>) -> Result<Response<Self::GetAccountFileStream>, Status> {
        let file = unary(&self.use_cases, request, papers::file).await?.into_inner();
        Ok(Response::new(Box::pin(file::paper_parts(file))))
    }

    async fn get_sending(&self, request: Request<v1::GetSendingRequest>) -> Result<Response<v1::GetSendingResponse>, Status> {
        unary(&self.use_cases, request, mails::get_sending).await
    }

    async fn set_sending(&self, request: Request<v1::SetSendingRequest>) -> Result<Response<v1::SetSendingResponse>, Status> {
        unary(&self.use_cases, request, mails::set_sending).await
    }

    async fn get_account_sending(
        &self,
        request: Request<v1::GetAccountSendingRequest>,
    ) -> Result<Response<v1::GetAccountSendingResponse>, Status> {
        unary(&self.use_cases, request, mails::get_account_sending).await
    }

    async fn set_account_sending(
        &self,
        request: Request<v1::SetAccountSendingRequest>,
    ) -> Result<Response<v1::SetAccountSendingResponse>, Status> {
        unary(&self.use_cases, request, mails::set_account_sending).await
    }

    async fn list_mails(&self, request: Request<v1::ListMailsRequest>) -> Result<Response<v1::ListMailsResponse>, Status> {
        unary(&self.use_cases, request, mails::list).await
    }

    async fn get_mail(&self, request: Request<v1::GetMailRequest>) -> Result<Response<v1::GetMailResponse>, Status> {
        unary(&self.use_cases, request, mails::get).await
    }

    async fn send_invoice(&self, request: Request<v1::SendInvoiceRequest>) -> Result<Response<v1::SendInvoiceResponse>, Status> {
        unary(&self.use_cases, request, mails::send).await
    }

    async fn decide_mail(&self, request: Request<v1::DecideMailRequest>) -> Result<Response<v1::DecideMailResponse>, Status> {
        unary(&self.use_cases, request, mails::decide).await
    }

    async fn report_bounce(&self, request: Request<v1::ReportBounceRequest>) -> Result<Response<v1::ReportBounceResponse>, Status> {
        unary(&self.use_cases, request, mails::bounce).await
    }

    async fn go_on_sending(&self, request: Request<v1::GoOnSendingRequest>) -> Result<Response<v1::GoOnSendingResponse>, Status> {
        unary(&self.use_cases, request, mails::go_on).await
    }

    async fn list_mail_templates(
        &self,
        request: Request<v1::ListMailTemplatesRequest>,
    ) -> Result<Response<v1::ListMailTemplatesResponse>, Status> {
        unary(&self.use_cases, request, templates::list).await
    }

    async fn get_mail_template(
        &self,
        request: Request<v1::GetMailTemplateRequest>,
    ) -> Result<Response<v1::GetMailTemplateResponse>, Status> {
        unary(&self.use_cases, request, templates::get).await
    }

    async fn set_mail_template(
        &self,
        request: Request<v1::SetMailTemplateRequest>,
    ) -> Result<Response<v1::SetMailTemplateResponse>, Status> {
        unary(&self.use_cases, request, templates::set).await
    }

    async fn preview_mail_template(
        &self,
        request: Request<v1::PreviewMailTemplateRequest>,
    ) -> Result<Response<v1::PreviewMailTemplateResponse>, Status> {
        unary(&self.use_cases, request, templates::preview).await
    }

    async fn create_document_link(
        &self,
        request: Request<v1::CreateDocumentLinkRequest>,
    ) -> Result<Response<v1::CreateDocumentLinkResponse>, Status> {
        unary(&self.use_cases, request, links::create).await
    }

    async fn list_document_links(
        &self,
        request: Request<v1::ListDocumentLinksRequest>,
    ) -> Result<Response<v1::ListDocumentLinksResponse>, Status> {
        unary(&self.use_cases, request, links::list).await
    }

    async fn revoke_document_link(
        &self,
        request: Request<v1::RevokeDocumentLinkRequest>,
    ) -> Result<Response<v1::RevokeDocumentLinkResponse>, Status> {
        unary(&self.use_cases, request, links::revoke).await
    }
}
