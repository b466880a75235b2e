//! AccountService: changes are read, decided, answered; lists are read in pages.

use tonic::{Request, Response, Status};

use super::billing::render::positions;
use super::front::Front;
use super::v1::account_service_server::AccountService;
use super::wire::reader::Reader;
use super::wire::{Decided, Position};
use super::wire::{accounts as read, listing, render};
use super::{page_token, pages};
use super::{status, v1};
use crate::domain::account::Mode;
use crate::domain::outcome::Outcome;
use crate::ledger::LedgerError;
use crate::ledger::Purpose;
use crate::service::search;

/// The service.
#[derive(Clone)]
pub struct Accounts {
    front: Front,
}

impl Accounts {
    /// The service on a ledger.
    #[must_use]
    pub fn new(front: Front) -> Self {
        Self { front }
    }

    /// An account with its settings. Credit and settings are two reads: one may be newer than the other.
    async fn show(&self, id: &str, outcome: &Outcome) -> Result<v1::Account, LedgerError> {
        let profile = self.front.ledger.profile(id).await?.ok_or_else(|| LedgerError::corrupt("an account has no profile"))?;
        Ok(listing::account(id, &outcome.account, &profile, outcome.now))
    }

    /// The account that a command has changed. That it was decided is known: if it cannot be shown, a repetition shows it.
    async fn show_decided(&self, decided: &Decided) -> Result<v1::Account, Status> {
        let shown = self.show(&decided.subject.command.account, &decided.outcome).await;
        shown.map_err(|error| status::no_answer(&error.after_step()))
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
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let decided = front.decide(front.read(request, Position::default(), read::create)?).await?;
                let account = self.show_decided(&decided).await?;
                Ok(v1::CreateAccountResponse { account: Some(account), replayed: decided.outcome.replayed })
            })
            .await
    }

    async fn get_account(&self, request: Request<v1::GetAccountRequest>) -> Result<Response<v1::GetAccountResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let id = front.read(request.account_id, Position::default(), Reader::account_id)?;
                let outcome = front.observe(&id, false).await?;
                let account = self.show(&id, &outcome).await.map_err(|error| status::no_answer(&error))?;
                Ok(v1::GetAccountResponse { account: Some(account) })
            })
            .await
    }

    async fn get_ledger(&self, request: Request<v1::GetLedgerRequest>) -> Result<Response<v1::GetLedgerResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |_| {
                let ledger = front.ledger.identity();
                Ok(v1::GetLedgerResponse { ledger_id: ledger.id.to_string(), purpose: purpose(ledger.purpose).into() })
            })
            .await
    }

    async fn list_accounts(&self, request: Request<v1::ListAccountsRequest>) -> Result<Response<v1::ListAccountsResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let v1::ListAccountsRequest { name_prefix, mode, page_size, page_token } = request;
                let mode_text = mode.to_string();
                let query = ["accounts", name_prefix.as_str(), mode_text.as_str()];
                let (mode, count, after) = front.read((), Position::default(), |reader, ()| {
                    reader.text("name_prefix", name_prefix.clone(), 0..=200);
                    let mode = match reader.choice("mode", mode) {
                        Some(v1::PaymentMode::Prepaid) => Some(Mode::Prepaid),
                        Some(v1::PaymentMode::Postpaid) => Some(Mode::Postpaid),
                        Some(v1::PaymentMode::Unspecified) | None => None,
                    };
                    (mode, reader.page_size(page_size), page_token::read(reader, "page_token", &query, &page_token))
                })?;
                let page = front.ledger.accounts(&name_prefix, mode, after, count).await.map_err(|error| status::no_answer(&error))?;
                let accounts = page.accounts.iter().map(|of| listing::account(&of.id, &of.account, &of.profile, of.now));
                Ok(v1::ListAccountsResponse {
                    accounts: accounts.collect(),
                    next_page_token: page.next.map(|next| page_token::encode(&query, &next)).unwrap_or_default(),
                })
            })
            .await
    }

    async fn search_accounts(&self, request: Request<v1::SearchAccountsRequest>) -> Result<Response<v1::SearchAccountsResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let v1::SearchAccountsRequest { query: text, page_size, page_token } = request;
                let query = ["search", text.as_str()];
                let (count, after) = front.read((), Position::default(), |reader, ()| {
                    reader.text("query", text.clone(), 1..=200);
                    (reader.page_size(page_size), page_token::read(reader, "page_token", &query, &page_token))
                })?;
                let page = search::page(&front.ledger, front.billing.as_ref(), &text, after, count).await?;
                let accounts = page.accounts.iter().map(|of| listing::account(&of.id, &of.account, &of.profile, of.now));
                Ok(v1::SearchAccountsResponse {
                    accounts: accounts.collect(),
                    next_page_token: page.next.map(|next| page_token::encode(&query, &next)).unwrap_or_default(),
                    r#match: listing::way(page.way).into(),
                    positions: positions(&page.position),
                })
            })
            .await
    }

    async fn update_account(&self, request: Request<v1::UpdateAccountRequest>) -> Result<Response<v1::UpdateAccountResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let decided = front.decide(front.read(request, Position::default(), read::update)?).await?;
                let account = self.show_decided(&decided).await?;
                Ok(v1::UpdateAccountResponse { account: Some(account), replayed: decided.outcome.replayed })
            })
            .await
    }

    async fn top_up(&self, request: Request<v1::TopUpRequest>) -> Result<Response<v1::TopUpResponse>, Status> {
        self.front.answer(request, read::top_up, render::top_up).await
    }

    async fn reverse_payment(&self, request: Request<v1::ReversePaymentRequest>) -> Result<Response<v1::ReversePaymentResponse>, Status> {
        self.front.answer(request, read::reverse_payment, render::reverse_payment).await
    }

    async fn withdraw(&self, request: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawResponse>, Status> {
        self.front.answer(request, read::withdraw, render::withdraw).await
    }

    async fn adjust_balance(&self, request: Request<v1::AdjustBalanceRequest>) -> Result<Response<v1::AdjustBalanceResponse>, Status> {
        self.front.answer(request, read::adjust, render::adjust).await
    }

    async fn set_credit_limit(&self, request: Request<v1::SetCreditLimitRequest>) -> Result<Response<v1::SetCreditLimitResponse>, Status> {
        self.front.answer(request, read::set_credit_limit, render::set_credit_limit).await
    }

    async fn suspend_account(&self, request: Request<v1::SuspendAccountRequest>) -> Result<Response<v1::SuspendAccountResponse>, Status> {
        self.front.answer(request, read::suspend, render::suspend).await
    }

    async fn resume_account(&self, request: Request<v1::ResumeAccountRequest>) -> Result<Response<v1::ResumeAccountResponse>, Status> {
        self.front.answer(request, read::resume, render::resume).await
    }

    async fn close_account(&self, request: Request<v1::CloseAccountRequest>) -> Result<Response<v1::CloseAccountResponse>, Status> {
        self.front.answer(request, read::close, render::close).await
    }

    async fn reopen_account(&self, request: Request<v1::ReopenAccountRequest>) -> Result<Response<v1::ReopenAccountResponse>, Status> {
        self.front.answer(request, read::reopen, render::reopen).await
    }

    async fn list_reservations(
        &self,
        request: Request<v1::ListReservationsRequest>,
    ) -> Result<Response<v1::ListReservationsResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let v1::ListReservationsRequest { account_id: id, page_size, page_token } = request;
                let query = ["reservations", id.as_str()];
                let (count, after) = front.read((), Position::default(), |reader, ()| {
                    reader.account_id(id.clone());
                    (reader.page_size(page_size), page_token::read(reader, "page_token", &query, &page_token))
                })?;
                let outcome = front.observe(&id, false).await?;
                let page = front.ledger.reservations(&id, outcome.now, after, count).await.map_err(|error| status::no_answer(&error))?;
                let shown = page.reservations.iter().map(|reservation| listing::reservation(&outcome.account, reservation));
                Ok(v1::ListReservationsResponse {
                    reservations: shown.collect(),
                    next_page_token: page.next.map(|key| page_token::encode(&query, &key)).unwrap_or_default(),
                })
            })
            .await
    }

    async fn list_entries(&self, request: Request<v1::ListEntriesRequest>) -> Result<Response<v1::ListEntriesResponse>, Status> {
        let front = &self.front;
        front
            .bounded(request, async |request| {
                let v1::ListEntriesRequest { account_id: id, page_size, page_token } = request;
                let query = ["entries", id.as_str()];
                let (count, before) = front.read((), Position::default(), |reader, ()| {
                    reader.account_id(id.clone());
                    (reader.page_size(page_size), page_token::read(reader, "page_token", &query, &page_token))
                })?;
                let account = front.observe(&id, false).await?.account;
                let page = front.entries(&id, before, count).await?;
                let partition = front.ledger.partition_of(&id);
                let sequences: Vec<_> = page.entries.iter().map(|(sequence, _)| *sequence).collect();
                let entries = page.entries.into_iter().map(|(sequence, entry)| listing::entry(&account, partition, sequence, entry));
                let mut entries: Vec<_> = entries.collect();
                let fitting = pages::fitting(&entries);
                let next = if fitting < entries.len() { sequences.get(fitting - 1).copied() } else { page.next_before };
                entries.truncate(fitting);
                let next_page_token = next.map(|next| page_token::encode(&query, &next)).unwrap_or_default();
                Ok(v1::ListEntriesResponse { entries, next_page_token })
            })
            .await
    }
}
