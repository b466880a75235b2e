//! Single calls: a fixed number at a time (closed loop) or a second (open loop).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::client::{Client, Connection};
use super::answer::{self, Failure, Outcome};
use super::mix::Kind;
use super::operation::{Operation, Writer};
use super::schedule::Timer;
use super::worker::Worker;
use crate::grpc::v1::account_service_client::AccountServiceClient;
use crate::grpc::v1::charging_service_client::ChargingServiceClient;
use crate::grpc::v1::{GetAccountRequest, GetUsableCreditRequest};

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
}

impl From<Connection> for Caller {
    fn from(connection: Connection) -> Self {
        Self { charging: ChargingServiceClient::new(connection.clone()), accounts: AccountServiceClient::new(connection) }
    }
}

impl From<Client> for Caller {
    fn from(Client { charging, accounts, .. }: Client) -> Self {
        Self { charging, accounts }
    }
}

/// Sends one operation.
pub async fn send(caller: &mut Caller, writer: &Writer, operation: &Operation, patience: Duration) -> Result<Outcome, Failure> {
    let Caller { charging, accounts } = caller;
    let call = async {
        match operation.kind {
            Kind::Debit | Kind::Report | Kind::Settle | Kind::Decline => {
                answer::debit(operation.kind, charging.debit(writer.debit(operation)).await?.get_ref())
            }
            Kind::Authorize | Kind::Reserve => answer::authorize(charging.authorize(writer.authorize(operation)).await?.get_ref()),
            Kind::Release => Ok(answer::release(charging.release(writer.release(operation)).await?.get_ref())),
            Kind::Refund => answer::refund(charging.refund(writer.refund(operation)).await?.get_ref()),
            Kind::Convert => Ok(answer::convert(charging.convert(writer.convert(operation)).await?.get_ref())),
            Kind::Credit => {
                let account_id = writer.account_id(operation.account);
                charging.get_usable_credit(GetUsableCreditRequest { account_id }).await?;
                Ok(Outcome::Read)
            }
            Kind::Account => {
                let account_id = writer.account_id(operation.account);
                accounts.get_account(GetAccountRequest { account_id }).await?;
                Ok(Outcome::Read)
            }
        }
    };
    timeout(patience, call).await.unwrap_or_else(|_| Err(Failure::timeout()))
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
        if worker.take(began, 1) == 0 {
            return;
        }
        let operation = worker.next();
        if !perform(&worker, &mut caller, operation, began).await {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn open_loop(worker: Arc<Worker>, place: f64, callers: Vec<Caller>) -> anyhow::Result<()> {
    let Some((mut schedule, end)) = worker.schedule(1, place).zip(worker.window.end) else { return Ok(()) };
    let timer = Timer::new()?;
    let open = Arc::new(Semaphore::new(MAX_OPEN));
    for (sent, caller) in (0_u64..).zip(callers.iter().cycle()) {
        let due = schedule.due();
        if due >= end {
            break;
        }
        if Instant::now() > end + LATENESS {
            worker.notes().measure.not_sent += schedule.left_before(end);
            break;
        }
        timer.until(due).await?;
        let permit = Arc::clone(&open).acquire_owned().await?;
        let (worker, mut caller) = (Arc::clone(&worker), caller.clone());
        tokio::spawn(async move {
            let operation = worker.next();
            perform(&worker, &mut caller, operation, due).await;
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

/// Sends an operation, and what follows it as long as each is done. Returns whether the service was there.
async fn perform(worker: &Worker, caller: &mut Caller, operation: Operation, began: Instant) -> bool {
    let (writer, patience) = (&worker.shared.writer, worker.shared.options.timeout);
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
