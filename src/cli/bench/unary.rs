//! Single calls: a fixed number at a time (closed loop) or a second (open loop).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::client::Connection;
use super::answer::{self, Failure, Outcome};
use super::mix::Kind;
use super::operation::{Operation, Writer};
use super::schedule::Timer;
use super::worker::Worker;
use crate::grpc::v1::charging_service_client::ChargingServiceClient;

/// How many calls of a thread may be open in the open loop. Those above it wait, and their wait is part of their latency.
const MAX_OPEN: usize = 50_000;

/// How long after its end the open loop goes on to send what was due before.
const LATENESS: Duration = Duration::from_secs(10);

/// How long a client waits after a call that may not have reached anybody.
const PAUSE: Duration = Duration::from_millis(20);

/// After how many sends without a pause the answers get their turn.
const SENDS_IN_A_ROW: u64 = 16;

/// Sends one operation.
pub async fn send(
    client: &mut ChargingServiceClient<Connection>,
    writer: &Writer,
    operation: &Operation,
    patience: Duration,
) -> Result<Outcome, Failure> {
    let call = async {
        match operation.kind {
            Kind::Debit | Kind::Settle | Kind::Decline => answer::debit(client.debit(writer.debit(operation)).await?.get_ref()),
            Kind::Authorize | Kind::Reserve => answer::authorize(client.authorize(writer.authorize(operation)).await?.get_ref()),
            Kind::Convert => Ok(answer::convert(client.convert(writer.convert(operation)).await?.get_ref())),
        }
    };
    timeout(patience, call).await.unwrap_or_else(|_| Err(Failure::timeout()))
}

/// Runs a thread's part of a trial.
pub async fn run(worker: Arc<Worker>, place: f64, channels: Vec<Connection>, concurrency: usize) -> anyhow::Result<()> {
    let clients: Vec<_> = channels.into_iter().map(ChargingServiceClient::new).collect();
    match worker.rate {
        Some(_) => open_loop(worker, place, clients).await,
        None => {
            let clients = clients.iter().cycle().take(concurrency).cloned();
            try_join_all(clients.map(|client| tokio::spawn(closed_loop(Arc::clone(&worker), client)))).await?;
            Ok(())
        }
    }
}

async fn closed_loop(worker: Arc<Worker>, mut client: ChargingServiceClient<Connection>) {
    loop {
        let began = Instant::now();
        if worker.take(began, 1) == 0 {
            return;
        }
        let operation = worker.next();
        if !perform(&worker, &mut client, operation, began).await {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn open_loop(worker: Arc<Worker>, place: f64, clients: Vec<ChargingServiceClient<Connection>>) -> anyhow::Result<()> {
    let Some((mut schedule, end)) = worker.schedule(1, place).zip(worker.window.end) else { return Ok(()) };
    let timer = Timer::new()?;
    let open = Arc::new(Semaphore::new(MAX_OPEN));
    for (sent, client) in (0_u64..).zip(clients.iter().cycle()) {
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
        let (worker, mut client) = (Arc::clone(&worker), client.clone());
        tokio::spawn(async move {
            let operation = worker.next();
            perform(&worker, &mut client, operation, due).await;
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

/// Sends an operation, and the final debit after a reservation. Returns whether the service was there.
async fn perform(worker: &Worker, client: &mut ChargingServiceClient<Connection>, operation: Operation, began: Instant) -> bool {
    let (writer, patience) = (&worker.shared.writer, worker.shared.options.timeout);
    let answer = send(client, writer, &operation, patience).await;
    worker.note(&operation, began, &answer);
    match answer {
        Ok(Outcome::Reserved(_)) if operation.kind == Kind::Authorize => {
            let settlement = operation.settlement(worker.number());
            let began = Instant::now();
            let answer = send(client, writer, &settlement, patience).await;
            worker.note(&settlement, began, &answer);
            !answer.is_err_and(|failure| failure.is_unknown)
        }
        answer => !answer.is_err_and(|failure| failure.is_unknown),
    }
}
