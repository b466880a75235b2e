//! One caller: how it reaches the servers, and one attempt at something.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tollgate::grpc::v1::account_service_client::AccountServiceClient;
use tollgate::grpc::v1::billing_service_client::BillingServiceClient;
use tollgate::grpc::v1::charge_outcome::Outcome as Said;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tollgate::grpc::v1::{self, charge_command::Command};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::checker::evidence::{Answer, Ask, Outcome, What};
use crate::service::money;
use crate::wire::{answer, changed, command, done, failed, operator};

/// How callers find a server.
#[derive(Clone)]
pub struct Way {
    pub address: SocketAddr,
    pub authority: String,
}

impl Way {
    pub fn channel(&self) -> Channel {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.authority)).domain_name("localhost");
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).unwrap().tcp_nodelay(true);
        endpoint.connect_timeout(Duration::from_secs(1)).tls_config(tls).unwrap().connect_lazy()
    }
}

struct Stream {
    batches: mpsc::Sender<v1::ChargeRequest>,
    answers: Streaming<v1::ChargeResponse>,
}

/// A caller's connection to one server.
pub struct Connection {
    way: Way,
    channel: Channel,
    stream: Option<Stream>,
}

impl Connection {
    pub fn new(way: Way) -> Self {
        Self { channel: way.channel(), way, stream: None }
    }

    /// Asks once for some things: over the stream, in one call, or one by one.
    pub async fn attempt(&mut self, asks: &[Ask], random: &mut StdRng) -> Vec<Answer> {
        let patience = Duration::from_millis(random.random_range(20..2_500));
        let commands: Option<Vec<_>> = asks.iter().map(command).collect();
        let answers = match (commands, asks) {
            (Some(commands), _) if asks.len() > 1 || random.random_ratio(1, 3) => {
                let commands = commands.into_iter().map(|command| v1::ChargeCommand { command: Some(command) }).collect();
                let is_stream = random.random_ratio(2, 3);
                let called = async { if is_stream { self.stream(commands).await } else { self.batch(commands).await } };
                match tokio::time::timeout(patience, called).await {
                    Ok(Ok(outcomes)) if outcomes.len() == asks.len() => Ok(outcomes.into_iter().map(answer).collect()),
                    Ok(Ok(outcomes)) => panic!("{} outcomes of {} commands", outcomes.len(), asks.len()),
                    // What the stream had read, and what not, is not known.
                    Ok(Err(status)) => Err(if is_stream { Answer::Unclear(status.message().into()) } else { failed(&status) }),
                    Err(_) => Err(Answer::Unclear("the caller gave up".into())),
                }
            }
            (_, [ask]) => {
                // Half of the callers say how long they wait, the others just go.
                let says: bool = random.random();
                let called = self.call(ask, says.then_some(patience));
                match tokio::time::timeout(patience + Duration::from_millis(if says { 200 } else { 0 }), called).await {
                    Ok(answer) => Ok(vec![answer]),
                    Err(_) => Err(Answer::Unclear("the caller gave up".into())),
                }
            }
            _ => unreachable!("only charging commands go together"),
        };
        answers.unwrap_or_else(|answer| {
            self.stream = None;
            // Whether the connection is still of use, it does not know either.
            if random.random() {
                self.channel = self.way.channel();
            }
            vec![answer; asks.len()]
        })
    }

    async fn stream(&mut self, commands: Vec<v1::ChargeCommand>) -> Result<Vec<Said>, Status> {
        if self.stream.is_none() {
            let (batches, sent) = mpsc::channel(4);
            let answers = ChargingServiceClient::new(self.channel.clone()).charge(ReceiverStream::new(sent)).await?.into_inner();
            self.stream = Some(Stream { batches, answers });
        }
        let stream = self.stream.as_mut().unwrap();
        let gone = || Status::unknown("the stream has ended");
        stream.batches.send(v1::ChargeRequest { commands }).await.map_err(|_| gone())?;
        let outcomes = stream.answers.message().await?.ok_or_else(gone)?.outcomes;
        Ok(outcomes.into_iter().map(|outcome| outcome.outcome.unwrap()).collect())
    }

    async fn batch(&mut self, commands: Vec<v1::ChargeCommand>) -> Result<Vec<Said>, Status> {
        let answered = ChargingServiceClient::new(self.channel.clone()).batch_charge(v1::BatchChargeRequest { commands }).await?;
        Ok(answered.into_inner().outcomes.into_iter().map(|outcome| outcome.outcome.unwrap()).collect())
    }

    async fn call(&self, ask: &Ask, says: Option<Duration>) -> Answer {
        self.unary(ask, says).await.unwrap_or_else(|status| failed(&status))
    }

    async fn unary(&self, ask: &Ask, says: Option<Duration>) -> Result<Answer, Status> {
        fn request<T>(message: T, says: Option<Duration>) -> Request<T> {
            let mut request = Request::new(message);
            if let Some(patience) = says {
                request.set_timeout(patience);
            }
            request
        }
        let mut charging = ChargingServiceClient::new(self.channel.clone());
        let mut accounts = AccountServiceClient::new(self.channel.clone());
        let mut billing = BillingServiceClient::new(self.channel.clone());
        if let Some(command) = command(ask) {
            let said = match command {
                Command::Authorize(message) => Said::Authorize(charging.authorize(request(message, says)).await?.into_inner()),
                Command::Debit(message) => Said::Debit(charging.debit(request(message, says)).await?.into_inner()),
                Command::Release(message) => Said::Release(charging.release(request(message, says)).await?.into_inner()),
                Command::Refund(message) => Said::Refund(charging.refund(request(message, says)).await?.into_inner()),
                Command::Convert(message) => Said::Convert(charging.convert(request(message, says)).await?.into_inner()),
                Command::GetUsableCredit(message) => {
                    Said::GetUsableCredit(charging.get_usable_credit(request(message, says)).await?.into_inner())
                }
            };
            return Ok(answer(said));
        }
        let (account_id, request_id, operator) = (ask.account.clone(), ask.request.clone(), operator());
        Ok(match &ask.what {
            What::Create { is_postpaid, limit } => {
                let message = v1::CreateAccountRequest {
                    account_id,
                    request_id,
                    name: format!("Customer {}", ask.account),
                    currency_code: "EUR".into(),
                    mode: if *is_postpaid { v1::PaymentMode::Postpaid } else { v1::PaymentMode::Prepaid }.into(),
                    credit_limit: Some(v1::CreditLimitChange { permanent: money(&limit.to_string()), temporary: None }),
                    non_usage_billing: v1::NonUsageBilling::OneByOne.into(),
                    allow_unusable: true,
                    ..Default::default()
                };
                let said = accounts.create_account(request(message, says)).await?.into_inner();
                done(said.replayed, Outcome::Done, None)
            }
            What::TopUp(amount) => {
                let message = v1::TopUpRequest { account_id, request_id, amount: money(&amount.to_string()), ..Default::default() };
                let said = accounts.top_up(request(message, says)).await?.into_inner();
                done(said.replayed, Outcome::Done, said.credit.as_ref())
            }
            What::RecordPayment(amount) => {
                let message =
                    v1::RecordPaymentRequest { account_id, request_id, amount: money(&amount.to_string()), operator, ..Default::default() };
                let said = billing.record_payment(request(message, says)).await?.into_inner();
                done(said.replayed, Outcome::Done, said.credit.as_ref())
            }
            What::Adjust(amount) => {
                let message =
                    v1::AdjustBalanceRequest { account_id, request_id, amount: money(&amount.to_string()), operator, ..Default::default() };
                let said = accounts.adjust_balance(request(message, says)).await?.into_inner();
                done(said.replayed, Outcome::Done, said.credit.as_ref())
            }
            What::Withdraw(amount) => {
                let message =
                    v1::WithdrawRequest { account_id, request_id, amount: money(&amount.to_string()), operator, ..Default::default() };
                let said = accounts.withdraw(request(message, says)).await?.into_inner();
                let outcome = match said.outcome.as_ref().unwrap() {
                    v1::withdraw_response::Outcome::Withdrawn(money) => Outcome::Amount(money.amount.parse().unwrap()),
                    v1::withdraw_response::Outcome::Declined(decline) => {
                        Outcome::Declined { shortfall: decline.shortfall.as_ref().unwrap().amount.parse().unwrap() }
                    }
                };
                done(said.replayed, outcome, said.credit.as_ref())
            }
            What::SetLimit(limit) => {
                let credit_limit = Some(v1::CreditLimitChange { permanent: money(&limit.to_string()), temporary: None });
                let message = v1::SetCreditLimitRequest {
                    account_id,
                    request_id,
                    credit_limit,
                    allow_unusable: true,
                    operator,
                    ..Default::default()
                };
                let said = accounts.set_credit_limit(request(message, says)).await?.into_inner();
                done(said.replayed, Outcome::Done, said.credit.as_ref())
            }
            What::Suspend => {
                let message = v1::SuspendAccountRequest { account_id, request_id, operator, ..Default::default() };
                let said = accounts.suspend_account(request(message, says)).await?.into_inner();
                done(said.replayed, changed(said.changed), said.credit.as_ref())
            }
            What::Resume => {
                let message = v1::ResumeAccountRequest { account_id, request_id, operator, ..Default::default() };
                let said = accounts.resume_account(request(message, says)).await?.into_inner();
                done(said.replayed, changed(said.changed), said.credit.as_ref())
            }
            _ => unreachable!("the rest are charging commands"),
        })
    }
}
