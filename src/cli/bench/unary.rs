//! Calls, of one command or of a batch: a fixed number at a time (closed loop) or a second (open loop).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::client::{Client, Connection};
use super::answer::{self, Failure, Outcome};
use super::checked::{Answers, batch_charge};
use super::mix::Kind;
use super::operation::{Operation, Writer};
use super::patience::Patience;
use super::schedule::Timer;
use super::worker::Worker;
use crate::grpc::v1::account_service_client::AccountServiceClient;
use crate::grpc::v1::charging_service_client::ChargingServiceClient;
use crate::grpc::v1::{BatchChargeRequest, ChargeCommand, GetAccountRequest, GetUsableCreditRequest};

/// How many calls of a thread may be open in the open loop. Those above it wait, and their wait is part of their latency.
const MAX_OPEN: usize = 50_000;

/// How long after its end the open loop goes on to send what was due before.
const LATENESS: Duration = Duration::from_secs(10);

/// How long a client waits after a call that may not have reached anybody.
const PAUSE: Duration = Duration::from_millis(20);

/// After how many sends without a pause the answers get their turn.
const SENDS_IN_A_ROW: u64 = 16;

/// Sends single calls. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct Caller {
    charging: ChargingServiceClient<Connection>,
    accounts: AccountServiceClient<Connection>,
    /// By which batches are sent.
    connection: Option<Connection>,
}

impl From<Connection> for Caller {
    fn from(connection: Connection) -> Self {
        let (charging, accounts) = (ChargingServiceClient::new(connection.clone()), AccountServiceClient::new(connection.clone()));
        Self { charging, accounts, connection: Some(connection) }
    }
}

impl From<Client> for Caller {
    fn from(Client { charging, accounts, .. }: Client) -> Self {
        Self { charging, accounts, connection: None }
    }
}

/// Sends one operation.
pub async fn send(caller: &mut Caller, writer: &Writer, operation: &Operation, patience: Patience) -> Result<Outcome, Failure> {
    let Caller { charging, accounts, .. } = caller;
    let call = async {
        match operation.kind {
            Kind::Debit | Kind::Report | Kind::Settle | Kind::Decline => {
                answer::debit(operation.kind, charging.debit(patience.request(writer.debit(operation))).await?.get_ref())
            }
            Kind::Authorize | Kind::Reserve => {
                answer::authorize(charging.authorize(patience.request(writer.authorize(operation))).await?.get_ref())
            }
            Kind::Release => Ok(answer::release(charging.release(patience.request(writer.release(operation))).await?.get_ref())),
            Kind::Refund => answer::refund(charging.refund(patience.request(writer.refund(operation))).await?.get_ref()),
            Kind::Convert => Ok(answer::convert(charging.convert(patience.request(writer.convert(operation))).await?.get_ref())),
            Kind::Credit => {
                let account_id = writer.account_id(operation.account);
                charging.get_usable_credit(patience.request(GetUsableCreditRequest { account_id })).await?;
                Ok(Outcome::Read)
            }
            Kind::Account => {
                let account_id = writer.account_id(operation.account);
                accounts.get_account(patience.request(GetAccountRequest { account_id })).await?;
                Ok(Outcome::Read)
            }
        }
    };
    timeout(patience.timeout, call).await.unwrap_or_else(|_| Err(Failure::timeout()))
}

/// Sends a batch.
async fn send_batch(connection: &Connection, commands: Vec<ChargeCommand>, patience: Patience) -> Result<Answers, Failure> {
    let call = batch_charge(connection, patience.request(BatchChargeRequest { commands }));
    timeout(patience.timeout, call).await.map_or_else(|_| Err(Failure::timeout()), |answers| Ok(answers?))
}

/// Runs a thread's part of a trial.
pub async fn run(worker: Arc<Worker>, place: f64, channels: Vec<Connection>, concurrency: usize) -> anyhow::Result<()> {
    let callers: Vec<_> = channels.into_iter().map(Caller::from).collect();
    match worker.rate {
        Some(_) => open_loop(worker, place, callers).await,
        None => {
            let callers = callers.iter().cycle().take(concurrency).cloned();
            try_join_all(callers.map(|caller| tokio::spawn(closed_loop(Arc::clone(&worker), caller)))).await?;
            Ok(())
        }
    }
}

async fn closed_loop(worker: Arc<Worker>, mut caller: Caller) {
    loop {
        let began = Instant::now();
        let count = worker.take(began, worker.shared.options.of_each_call());
        if count == 0 {
            return;
        }
        if !call(&worker, &mut caller, count, began).await {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn open_loop(worker: Arc<Worker>, place: f64, callers: Vec<Caller>) -> anyhow::Result<()> {
    let Some((mut schedule, end)) = worker.schedule(worker.shared.options.of_each_call(), place).zip(worker.window.end) else {
        return Ok(());
    };
    let timer = Timer::new()?;
    let open = Arc::new(Semaphore::new(MAX_OPEN));
    for (sent, caller) in (0_u64..).zip(callers.iter().cycle()) {
        let due = schedule.due();
        if due >= end {
            break;
        }
        if Instant::now() > end + LATENESS {
            worker.notes().measure.not_sent += schedule.left_before(end) * worker.shared.options.of_each_call();
            break;
        }
        timer.until(due).await?;
        let permit = Arc::clone(&open).acquire_owned().await?;
        let (worker, mut caller) = (Arc::clone(&worker), caller.clone());
        tokio::spawn(async move {
            call(&worker, &mut caller, worker.shared.options.of_each_call(), due).await;
            drop(permit);
        });
        schedule.advance();
        if sent % SENDS_IN_A_ROW == 0 {
            tokio::task::yield_now().await;
        }
    }
    // Every call ends, by its answer or by its patience.
    let _ = open.acquire_many(MAX_OPEN as u32).await?;
    Ok(())
}

/// Sends what is to be sent next, by one call or one after another. Returns whether the service was there.
async fn call(worker: &Worker, caller: &mut Caller, count: u64, began: Instant) -> bool {
    let connection = caller.connection.clone().filter(|_| worker.shared.options.batch_calls);
    match connection {
        Some(connection) => perform_batch(worker, &connection, count, began).await,
        None => perform(worker, caller, worker.next(), began).await,
    }
}

/// Sends a batch of operations. Returns whether the service was there.
async fn perform_batch(worker: &Worker, connection: &Connection, count: u64, began: Instant) -> bool {
    let operations: Vec<_> = (0..count).map(|_| worker.next()).collect();
    let commands = operations.iter().map(|operation| worker.shared.writer.command(operation)).collect();
    let answers = send_batch(connection, commands, worker.shared.options.patience()).await;
    let answer_to = |(place, operation): (usize, Operation)| {
        let told = answers.as_ref().map(|answers| answers.outcomes.get(place).and_then(|outcome| outcome.told.as_ref()));
        (operation, told.map_err(Clone::clone).and_then(|told| answer::streamed(operation.kind, told)))
    };
    let answered: Vec<_> = operations.into_iter().enumerate().map(answer_to).collect();
    worker.note_together(&answered, began);
    answers.map_or_else(|failure| !failure.is_unknown, |_| true)
}

/// Sends an operation, and what follows it as long as each is done. Returns whether the service was there.
async fn perform(worker: &Worker, caller: &mut Caller, operation: Operation, began: Instant) -> bool {
    let (writer, patience) = (&worker.shared.writer, worker.shared.options.patience());
    let (mut operation, mut began) = (operation, began);
    loop {
        let answer = send(caller, writer, &operation, patience).await;
        worker.note(&operation, began, &answer);
        let next = match answer {
            Ok(outcome) if outcome.goes_on() => operation.then(|| worker.number()),
            Ok(_) => None,
            Err(failure) => return !failure.is_unknown,
        };
        let Some(next) = next else { return true };
        (operation, began) = (next, Instant::now());
    }
}
