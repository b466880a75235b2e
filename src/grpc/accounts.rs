//! AccountService: requests are read, given to a use case, and answered; lists are read in pages.

use tonic::{Request, Response, Status};

use super::billing::render::positions;
use super::billing::settings::change;
use super::call::{command, read as taken, unary};
use super::v1::account_service_server::AccountService;
use super::wire::reader::FieldReader;
use super::wire::{accounts as read, filter, listing, render};
use super::{notes, page_token, pages, v1};
use crate::billing::change::Applied;
use crate::ledger::Purpose;
use crate::service::UseCases;
use crate::service::accounts::AccountEntries;

/// The service.
#[derive(Clone)]
pub struct Accounts {
    use_cases: UseCases,
}

impl Accounts {
    /// The service.
    #[must_use]
    pub fn new(use_cases: UseCases) -> Self {
        Self { use_cases }
    }
}

fn purpose(purpose: Purpose) -> v1::LedgerPurpose {
    match purpose {
        Purpose::Charging => v1::LedgerPurpose::Charging,
        Purpose::Demo => v1::LedgerPurpose::Demo,
        Purpose::Bench => v1::LedgerPurpose::Bench,
    }
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn create_account(&self, request: Request<v1::CreateAccountRequest>) -> Result<Response<v1::CreateAccountResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let (decided, account) = use_cases.change_account(context, taken(use_cases, request, read::create)?).await?;
            Ok(v1::CreateAccountResponse { account: Some(listing::account(account)), replayed: decided.outcome.replayed })
        })
        .await
    }

    async fn get_account(&self, request: Request<v1::GetAccountRequest>) -> Result<Response<v1::GetAccountResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let id = taken(use_cases, request.account_id, FieldReader::account_id)?;
            let account = use_cases.account(context, id).await?;
            Ok(v1::GetAccountResponse { account: Some(listing::account(account)) })
        })
        .await
    }

    async fn get_ledger(&self, request: Request<v1::GetLedgerRequest>) -> Result<Response<v1::GetLedgerResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, _| {
            let ledger = use_cases.ledger_identity(context).await?;
            Ok(v1::GetLedgerResponse { ledger_id: ledger.id.to_string(), purpose: purpose(ledger.purpose).into() })
        })
        .await
    }

    async fn list_accounts(&self, request: Request<v1::ListAccountsRequest>) -> Result<Response<v1::ListAccountsResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let v1::ListAccountsRequest { name_prefix, mode, page_size, page_token, status, currency_code } = request;
            let limits = format!("{mode} {status} {currency_code}");
            let query = ["accounts", name_prefix.as_str(), limits.as_str()];
            let (filter, count, after) = taken(use_cases, (), |reader, ()| {
                reader.text("name_prefix", name_prefix.clone(), 0..=200);
                let filter = filter::accounts(reader, mode, status, &currency_code);
                (filter, reader.page_size(page_size), page_token::read(reader, "page_token", &query, &page_token))
            })?;
            let page = use_cases.list_accounts(context, &name_prefix, &filter, after, count).await?;
            Ok(v1::ListAccountsResponse {
                accounts: page.accounts.into_iter().map(listing::account).collect(),
                next_page_token: page.next.map(|next| page_token::encode(&query, &next)).unwrap_or_default(),
            })
        })
        .await
    }

    async fn search_accounts(&self, request: Request<v1::SearchAccountsRequest>) -> Result<Response<v1::SearchAccountsResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let v1::SearchAccountsRequest { page_size, ref page_token, .. } = request;
            let limits = format!("{} {} {} {} {}", request.mode, request.status, request.currency_code, request.low_credit, request.owing);
            let query = ["search", request.query.as_str(), limits.as_str(), request.order_by.as_str()];
            let (search, count, after) = taken(use_cases, (), |reader, ()| {
                let search = filter::account_search(reader, &request);
                (search, reader.page_size(page_size), page_token::read(reader, "page_token", &query, page_token))
            })?;
            let page = use_cases.search_accounts(context, &search, after, count).await?;
            Ok(v1::SearchAccountsResponse {
                accounts: page.accounts.into_iter().map(listing::account).collect(),
                next_page_token: page.next.map(|next| page_token::encode(&query, &next)).unwrap_or_default(),
                r#match: listing::way(page.way).into(),
                positions: positions(&page.position),
            })
        })
        .await
    }

    async fn update_account(&self, request: Request<v1::UpdateAccountRequest>) -> Result<Response<v1::UpdateAccountResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let (decided, account) = use_cases.change_account(context, taken(use_cases, request, read::update)?).await?;
            Ok(v1::UpdateAccountResponse { account: Some(listing::account(account)), replayed: decided.outcome.replayed })
        })
        .await
    }

    async fn top_up(&self, request: Request<v1::TopUpRequest>) -> Result<Response<v1::TopUpResponse>, Status> {
        command(&self.use_cases, request, read::top_up, render::top_up).await
    }

    async fn reverse_payment(&self, request: Request<v1::ReversePaymentRequest>) -> Result<Response<v1::ReversePaymentResponse>, Status> {
        command(&self.use_cases, request, read::reverse_payment, render::reverse_payment).await
    }

    async fn withdraw(&self, request: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawResponse>, Status> {
        command(&self.use_cases, request, read::withdraw, render::withdraw).await
    }

    async fn adjust_balance(&self, request: Request<v1::AdjustBalanceRequest>) -> Result<Response<v1::AdjustBalanceResponse>, Status> {
        command(&self.use_cases, request, read::adjust, render::adjust).await
    }

    async fn set_credit_limit(&self, request: Request<v1::SetCreditLimitRequest>) -> Result<Response<v1::SetCreditLimitResponse>, Status> {
        command(&self.use_cases, request, read::set_credit_limit, render::set_credit_limit).await
    }

    async fn suspend_account(&self, request: Request<v1::SuspendAccountRequest>) -> Result<Response<v1::SuspendAccountResponse>, Status> {
        command(&self.use_cases, request, read::suspend, render::suspend).await
    }

    async fn resume_account(&self, request: Request<v1::ResumeAccountRequest>) -> Result<Response<v1::ResumeAccountResponse>, Status> {
        command(&self.use_cases, request, read::resume, render::resume).await
    }

    async fn close_account(&self, request: Request<v1::CloseAccountRequest>) -> Result<Response<v1::CloseAccountResponse>, Status> {
        command(&self.use_cases, request, read::close, render::close).await
    }

    async fn reopen_account(&self, request: Request<v1::ReopenAccountRequest>) -> Result<Response<v1::ReopenAccountResponse>, Status> {
        command(&self.use_cases, request, read::reopen, render::reopen).await
    }

    async fn erase_account(&self, request: Request<v1::EraseAccountRequest>) -> Result<Response<v1::EraseAccountResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let (account, change) = taken(use_cases, request, |reader, request| {
                let v1::EraseAccountRequest { account_id, request_id, operator, first_sent_at } = request;
                let change = change(reader, request_id, None, operator, first_sent_at);
                (reader.account_id(account_id), change)
            })?;
            let applied = use_cases.erase_account(context, &account, &change).await?;
            Ok(v1::EraseAccountResponse { replayed: applied == Applied::Before })
        })
        .await
    }

    async fn add_note(&self, request: Request<v1::AddNoteRequest>) -> Result<Response<v1::AddNoteResponse>, Status> {
        unary(&self.use_cases, request, notes::add).await
    }

    async fn remove_note(&self, request: Request<v1::RemoveNoteRequest>) -> Result<Response<v1::RemoveNoteResponse>, Status> {
        unary(&self.use_cases, request, notes::remove).await
    }

    async fn list_notes(&self, request: Request<v1::ListNotesRequest>) -> Result<Response<v1::ListNotesResponse>, Status> {
        unary(&self.use_cases, request, notes::list).await
    }

    async fn list_reservations(
        &self,
        request: Request<v1::ListReservationsRequest>,
    ) -> Result<Response<v1::ListReservationsResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let v1::ListReservationsRequest { account_id: id, page_size, page_token } = request;
            let query = ["reservations", id.as_str()];
            let (id, count, after) = taken(use_cases, (), |reader, ()| {
                let (id, count) = (reader.account_id(id.clone()), reader.page_size(page_size));
                (id, count, page_token::read(reader, "page_token", &query, &page_token))
            })?;
            let (account, page) = use_cases.list_reservations(context, &id, after, count).await?;
            Ok(v1::ListReservationsResponse {
                reservations: page.reservations.iter().map(|reservation| listing::reservation(&account, reservation)).collect(),
                next_page_token: page.next.map(|key| page_token::encode(&query, &key)).unwrap_or_default(),
            })
        })
        .await
    }

    async fn list_declines(&self, request: Request<v1::ListDeclinesRequest>) -> Result<Response<v1::ListDeclinesResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let v1::ListDeclinesRequest { account_id: id } = request;
            let id = taken(use_cases, id, FieldReader::account_id)?;
            Ok(listing::declines(use_cases.list_declines(context, &id).await?))
        })
        .await
    }

    async fn list_entries(&self, request: Request<v1::ListEntriesRequest>) -> Result<Response<v1::ListEntriesResponse>, Status> {
        unary(&self.use_cases, request, async |use_cases, context, request| {
            let v1::ListEntriesRequest { account_id: id, page_size, page_token, kinds, accepted_from, accepted_to } = request;
            let limits = format!("{kinds:?} {accepted_from:?} {accepted_to:?}");
            let query = ["entries", id.as_str(), limits.as_str()];
            let (id, filter, count, before) = taken(use_cases, (), |reader, ()| {
                let id = reader.account_id(id.clone());
                let filter = filter::entries(reader, &kinds, accepted_from, accepted_to);
                (id, filter, reader.page_size(page_size), page_token::read(reader, "page_token", &query, &page_token))
            })?;
            let AccountEntries { account, page } = use_cases.list_entries(context, &id, &filter, before, count).await?;
            let sequences: Vec<_> = page.entries.iter().map(|(place, _)| place.sequence).collect();
            let entries = page.entries.into_iter().map(|(place, entry)| listing::entry(&account, place, entry));
            let (entries, next) = pages::page(entries.collect(), &sequences, page.next_before);
            let next_page_token = next.map(|next| page_token::encode(&query, &next)).unwrap_or_default();
            Ok(v1::ListEntriesResponse { entries, next_page_token })
        })
        .await
    }
}
