//! The ceiling of the service: the same lanes, sockets and HTTP/2 settings, and a Debit that answers at once what an account of a bench
//! run would be told. What is between this and the service is what charging costs.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tower::Layer;

use crate::app::grpc_server;
use crate::cli::block_on;
use crate::cli::serve::Signals;
use crate::config::LoadOptions;
use crate::grpc::v1::charge_outcome::Outcome as OutcomeKind;
use crate::grpc::v1::charging_service_server::{ChargingService, ChargingServiceServer};
use crate::grpc::v1::{self, DebitResponse, debit_response};
use crate::lanes::socket::AcceptedSocket;
use crate::lanes::{self, Lane};
use platform::rpc::RpcLayer;

/// Where to serve nothing.
#[derive(Args, Debug)]
pub struct EmptyServerOptions {
    /// Where to serve.
    #[arg(long, default_value = "127.0.0.1:7700", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// How many threads serve calls [default: half of the cores]
    #[arg(long, value_name = "COUNT")]
    lanes: Option<NonZeroUsize>,
    /// Measure and trace each call, as the service does.
    #[arg(long)]
    measured: bool,
}

/// Serves until a signal.
pub fn run(options: &EmptyServerOptions) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(options.listen).with_context(|| format!("cannot listen on {}", options.listen))?;
    listener.set_nonblocking(true)?;
    let count = LoadOptions { lanes: options.lanes, ..Default::default() }.lanes();
    let is_measured = options.measured;
    let lanes = (0..count).map(|number| Lane::start(format!("lane-{number}"), move |accepted| serve(accepted, is_measured)));
    let lanes = lanes.collect::<anyhow::Result<Vec<_>>>()?;
    block_on(async {
        let mut signals = Signals::listen()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let ends = lanes::senders_of(&lanes);
        let places = lanes::ConnectionSlots::new(usize::MAX);
        tokio::select! {
            () = lanes::deal(&listener, &ends, &places) => anyhow::bail!("there are no lanes"),
            () = signals.next() => Ok(ExitCode::SUCCESS),
        }
    })
}

async fn serve(accepted: mpsc::Receiver<AcceptedSocket>, is_measured: bool) -> anyhow::Result<()> {
    let routes = Routes::new(ChargingServiceServer::new(Empty::new())).prepare();
    let sockets = lanes::sockets(accepted);
    let served = if is_measured {
        grpc_server().serve_with_incoming(RpcLayer::default().layer(routes), sockets).await
    } else {
        grpc_server().serve_with_incoming(routes, sockets).await
    };
    served.context("the gRPC server failed")
}

/// A service that decides nothing.
#[derive(Clone)]
struct Empty {
    answer: Arc<DebitResponse>,
}

impl Empty {
    fn new() -> Self {
        let text = str::to_owned;
        let money = |amount| Some(v1::Money { amount: text(amount), currency_code: text("EUR") });
        let charged = v1::Charged { amount: money("0.42"), overdraft: money("0.00"), ..Default::default() };
        let credit = v1::Credit {
            mode: v1::PaymentMode::Prepaid.into(),
            status: v1::AccountStatus::Active.into(),
            currency_code: text("EUR"),
            balance: text("-1234.56"),
            unbilled: text("0.00"),
            amount_due: text("0.00"),
            reserved: text("0.00"),
            credit_limit: text("100000000.00"),
            credit_limit_expires_at: None,
            usable: text("99998765.44"),
            current_balance: text("-1234.56"),
        };
        let outcome = Some(debit_response::Outcome::Charged(charged));
        Self { answer: Arc::new(DebitResponse { outcome, credit: Some(credit), replayed: false }) }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn no_such_call<T>() -> Result<T, Status> {
    Err(Status::unimplemented("the empty server knows only Debit and Charge"))
}

#[tonic::async_trait]
impl ChargingService for Empty {
    async fn debit(&self, _: Request<v1::DebitRequest>) -> Result<Response<DebitResponse>, Status> {
        Ok(Response::new(DebitResponse::clone(&self.answer)))
    }

    async fn batch_charge(&self, _: Request<v1::BatchChargeRequest>) -> Result<Response<v1::BatchChargeResponse>, Status> {
        no_such_call()
    }

    type ChargeStream = Answers<v1::ChargeResponse>;

    async fn charge(&self, request: Request<Streaming<v1::ChargeRequest>>) -> Result<Response<Self::ChargeStream>, Status> {
        let answer = Arc::clone(&self.answer);
        let answers = request.into_inner().map(move |batch| {
            let told = || v1::ChargeOutcome { outcome: Some(OutcomeKind::Debit(DebitResponse::clone(&answer))) };
            Ok(v1::ChargeResponse { outcomes: batch?.commands.iter().map(|_| told()).collect() })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn authorize(&self, _: Request<v1::AuthorizeRequest>) -> Result<Response<v1::AuthorizeResponse>, Status> {
        no_such_call()
    }

    async fn release(&self, _: Request<v1::ReleaseRequest>) -> Result<Response<v1::ReleaseResponse>, Status> {
        no_such_call()
    }

    async fn refund(&self, _: Request<v1::RefundRequest>) -> Result<Response<v1::RefundResponse>, Status> {
        no_such_call()
    }

    async fn convert(&self, _: Request<v1::ConvertRequest>) -> Result<Response<v1::ConvertResponse>, Status> {
        no_such_call()
    }

    async fn get_usable_credit(&self, _: Request<v1::GetUsableCreditRequest>) -> Result<Response<v1::GetUsableCreditResponse>, Status> {
        no_such_call()
    }

    type WatchUsableCreditStream = Answers<v1::WatchUsableCreditResponse>;

    async fn watch_usable_credit(
        &self,
        _: Request<v1::WatchUsableCreditRequest>,
    ) -> Result<Response<Self::WatchUsableCreditStream>, Status> {
        no_such_call()
    }
}
