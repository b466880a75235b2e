//! A sample customer: calls the service like anyone would, and adds up the answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;
use rust_decimal::Decimal;
use tonic::{Response, Status};

use super::tally::{Tally, amount_of, money};
use crate::cli::client::Client;
use crate::cli::failure::explain;
use crate::grpc::v1::{
    AuthorizeRequest, Charged, ConvertRequest, ConvertResponse, CreateAccountRequest, Credit, CreditLimitChange, DebitRequest,
    DebitResponse, GetUsableCreditRequest, Money, Operator, PaymentMode, RefundRequest, Reservation, Reserve, SetCreditLimitRequest,
    TopUpRequest, authorize_response, debit_response,
};

/// How often which call had which outcome.
#[derive(Clone, Debug)]
pub struct CallLog {
    counts: Arc<Mutex<BTreeMap<(&'static str, &'static str), u64>>>,
    progress: ProgressBar,
}

impl CallLog {
    /// An empty one, that also moves a progress bar.
    pub fn new(progress: ProgressBar) -> Self {
        Self { counts: Arc::default(), progress }
    }

    /// Counts a call.
    pub fn count(&self, call: &'static str, outcome: &'static str) {
        *lock(&self.counts).entry((call, outcome)).or_default() += 1;
        self.progress.inc(1);
    }

    /// No more calls are to come.
    pub fn finish(&self) {
        self.progress.finish_and_clear();
    }

    /// What was counted.
    pub fn counts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        lock(&self.counts).clone()
    }
}

/// A customer.
pub struct Customer {
    /// The account's id.
    pub id: String,
    /// Its name.
    pub name: &'static str,
    /// The answers, added up.
    tally: Mutex<Tally>,
    client: Client,
    log: CallLog,
    requests: AtomicU64,
}

impl Customer {
    /// Opens an account.
    pub async fn open(
        client: Client,
        log: CallLog,
        id: String,
        name: &'static str,
        mode: PaymentMode,
        limit: Decimal,
    ) -> anyhow::Result<Self> {
        let tally = Mutex::new(Tally::new(mode));
        let customer = Self { id, name, tally, client, log, requests: AtomicU64::new(0) };
        let request = CreateAccountRequest {
            account_id: customer.id.clone(),
            request_id: customer.next_request(),
            name: name.to_owned(),
            currency_code: "USD".to_owned(),
            mode: mode.into(),
            credit_limit: Some(permanent(limit)),
            operator: operator("a sample customer"),
            ..Default::default()
        };
        customer.logged("create account", customer.client.accounts.clone().create_account(request).await)?;
        Ok(customer)
    }

    /// A name that this customer has not given to a request yet.
    pub fn next_request(&self) -> String {
        format!("r{}", self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The answers, added up.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// Its connection.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// What the service says of its credit.
    pub async fn credit(&self) -> anyhow::Result<Credit> {
        let request = GetUsableCreditRequest { account_id: self.id.clone() };
        let answer = self.logged("get usable credit", self.client.charging.clone().get_usable_credit(request).await)?;
        Ok(answer.credit.unwrap_or_default())
    }

    /// Pays.
    pub async fn top_up(&self, amount: Decimal) -> anyhow::Result<()> {
        let request = TopUpRequest {
            account_id: self.id.clone(),
            request_id: self.next_request(),
            amount: Some(money(amount)),
            ..Default::default()
        };
        self.logged("top up", self.client.accounts.clone().top_up(request).await)?;
        self.tally().pay(amount);
        Ok(())
    }

    /// Reserves an amount, or what there is down to the minimum; `None` if it was declined.
    pub async fn authorize(&self, amount: Decimal, minimum: Option<Decimal>) -> anyhow::Result<Option<Reservation>> {
        let request = AuthorizeRequest {
            account_id: self.id.clone(),
            request_id: self.next_request(),
            reserve: Some(reserve(amount, minimum)),
            ..Default::default()
        };
        let answer = self.answered(self.client.charging.clone().authorize(request).await)?;
        match answer.outcome {
            Some(authorize_response::Outcome::Granted(granted)) => {
                self.log.count("authorize", "granted");
                self.tally().reserve(&granted.reservation_id, amount_of(granted.amount.as_ref())?);
                Ok(Some(granted))
            }
            _ => {
                self.log.count("authorize", "declined");
                Ok(None)
            }
        }
    }

    /// A debit to send, for callers that add to it.
    pub fn direct_debit(&self, amount: Decimal) -> DebitRequest {
        DebitRequest { account_id: self.id.clone(), request_id: self.next_request(), amount: Some(money(amount)), ..Default::default() }
    }

    /// Sends a debit; `None` if it was declined.
    pub async fn debit(&self, request: DebitRequest) -> anyhow::Result<Option<Charged>> {
        let answer = self.answered(self.client.charging.clone().debit(request.clone()).await)?;
        self.debited(&request, answer)
    }

    /// Adds up the answer to a debit, however it was sent.
    pub fn debited(&self, request: &DebitRequest, answer: DebitResponse) -> anyhow::Result<Option<Charged>> {
        let Some(debit_response::Outcome::Charged(charged)) = answer.outcome else {
            self.log.count("debit", if answer.replayed { "replayed" } else { "declined" });
            return Ok(None);
        };
        if answer.replayed {
            self.log.count("debit", "replayed");
            return Ok(Some(charged));
        }
        self.log.count("debit", "charged");
        let mut tally = self.tally();
        tally.charge(&request.request_id, amount_of(charged.amount.as_ref())?);
        match &charged.reservation {
            Some(left) => tally.reserve(&left.reservation_id, amount_of(left.amount.as_ref())?),
            None => tally.end(&request.reservation_id),
        }
        Ok(Some(charged))
    }

    /// Refunds a charge, whole or in part.
    pub async fn refund(&self, charge: &str, amount: Option<Decimal>) -> anyhow::Result<Decimal> {
        let request = RefundRequest {
            account_id: self.id.clone(),
            request_id: self.next_request(),
            charge_id: charge.to_owned(),
            amount: amount.map(money),
            reason: "the call was dropped".to_owned(),
            ..Default::default()
        };
        let answer = self.logged("refund", self.client.charging.clone().refund(request).await)?;
        let refunded = amount_of(answer.refunded.as_ref())?;
        self.tally().refund(charge, refunded);
        Ok(refunded)
    }

    /// Changes the limit.
    pub async fn set_limit(&self, change: CreditLimitChange) -> anyhow::Result<()> {
        let request = SetCreditLimitRequest {
            account_id: self.id.clone(),
            request_id: self.next_request(),
            credit_limit: Some(change),
            operator: operator("agreed with the customer"),
            ..Default::default()
        };
        self.logged("set credit limit", self.client.accounts.clone().set_credit_limit(request).await)?;
        Ok(())
    }

    /// Changes the payment mode.
    pub async fn convert(&self, mode: PaymentMode, limit: Option<Decimal>) -> anyhow::Result<ConvertResponse> {
        let request = ConvertRequest {
            account_id: self.id.clone(),
            request_id: self.next_request(),
            mode: mode.into(),
            credit_limit: limit.map(permanent),
            operator: operator("the customer asked for it"),
            ..Default::default()
        };
        let answer = self.logged("convert", self.client.charging.clone().convert(request).await)?;
        self.tally().convert(mode);
        Ok(answer)
    }

    fn logged<T>(&self, call: &'static str, answer: Result<Response<T>, Status>) -> anyhow::Result<T> {
        let answer = self.answered(answer)?;
        self.log.count(call, "done");
        Ok(answer)
    }

    fn answered<T>(&self, answer: Result<Response<T>, Status>) -> anyhow::Result<T> {
        answer.map(Response::into_inner).map_err(|status| explain(status).context(format!("a call for {} failed", self.name)))
    }
}

/// An amount to reserve.
pub fn reserve(amount: Decimal, minimum: Option<Decimal>) -> Reserve {
    Reserve { amount: Some(money(amount)), minimum: minimum.map(money), ..Default::default() }
}

/// A permanent limit to set.
pub fn permanent(limit: Decimal) -> CreditLimitChange {
    CreditLimitChange { permanent: Some(Money { currency_code: "USD".to_owned(), ..money(limit) }), temporary: None }
}

fn operator(reason: &str) -> Option<Operator> {
    Some(Operator { actor: "demo".to_owned(), reason: reason.to_owned() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
