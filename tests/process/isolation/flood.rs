//! Thousands of single calls at once whose callers wait for 50 ms: what could not be answered in time is refused at once, a neighbour is
//! served as ever, and the money is right.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tokio::sync::Barrier;
use tokio::time::timeout;
use tollgate::grpc::v1::{self, PaymentMode, debit_response};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use super::metric;
use crate::burst::Burst;
use crate::service::{PATIENCE, Service, debit};
use crate::support::temporary_folder;

/// How long a caller of the flood waits.
const HASTE: Duration = Duration::from_millis(50);

/// The calls of a connection, and the most connections of a flood: together fewer than may wait for their answer (10,000).
const CALLS: usize = 400;
const MOST_CONNECTIONS: usize = 16;

/// The most floods, each twice as large as the one before until it has the most connections.
const FLOODS: usize = 12;

/// What is in each account; a debit costs 1.
const FUNDS: usize = 1_000_000;

/// What is known of a call of the flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Charged,
    /// At once, by who has too much to do.
    Refused,
    /// It came too late to be begun.
    NotDone,
    Unknown,
}

/// What an answer says. Any that no overload explains is an error.
fn end(answer: Result<Response<v1::DebitResponse>, Status>) -> End {
    let status = match answer {
        Ok(response) => {
            let outcome = response.into_inner().outcome;
            assert!(matches!(outcome, Some(debit_response::Outcome::Charged(_))), "{outcome:?}");
            return End::Charged;
        }
        Err(status) => status,
    };
    let reason = status.get_details_error_info().map(|info| info.reason);
    match (status.code(), reason.as_deref()) {
        (Code::ResourceExhausted, Some("OVERLOADED")) => {
            assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()), "{status:?}");
            End::Refused
        }
        (Code::Unavailable, Some("STORE_UNAVAILABLE")) => End::NotDone,
        (Code::Unavailable, Some("OUTCOME_UNKNOWN")) | (Code::DeadlineExceeded | Code::Cancelled, _) => End::Unknown,
        _ => panic!("a call of the flood ended with {status:?}"),
    }
}

/// The debits of one connection: their request ids, and how each ended.
async fn calls(address: SocketAddr, name: String, together: Arc<Barrier>) -> Vec<(String, End)> {
    let charging = Burst::connect(address, CALLS, together).await.charging();
    let call = |number: usize| {
        let (mut charging, id) = (charging.clone(), format!("{name}-{number}"));
        async move {
            let mut request = Request::new(debit("acme", &id, "1"));
            request.set_timeout(HASTE);
            let answer = charging.debit(request).await;
            (id, end(answer))
        }
    };
    join_all((0..CALLS).map(call)).await
}

/// The same of so many connections, which all arrive at once.
async fn flood(address: SocketAddr, name: usize, connections: usize) -> Vec<(String, End)> {
    let together = Arc::new(Barrier::new(connections));
    let of = |connection: usize| tokio::spawn(calls(address, format!("d-{name}-{connection}"), Arc::clone(&together)));
    let begun: Vec<_> = (0..connections).map(of).collect();
    let mut ends = Vec::new();
    for connection in begun {
        ends.extend(timeout(PATIENCE, connection).await.expect("calls of the flood have no answer").unwrap());
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_flood_of_hasty_calls_a_neighbour_is_never_refused_and_of_the_flood_exactly_what_was_accepted_is_charged() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let service = Service::start(&["--store", store.to_str().unwrap(), "--lanes", "1"], &[]);
    let mut client = service.client().await;
    for account in ["acme", "neighbour"] {
        client.open(account, PaymentMode::Prepaid, "0", &FUNDS.to_string()).await;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let neighbour = {
        let (is_over, mut client) = (Arc::clone(&is_over), service.client().await);
        tokio::spawn(async move {
            let mut served = 0;
            while !is_over.load(Ordering::Relaxed) {
                let mut request = Request::new(debit("neighbour", &format!("n-{served}"), "1"));
                request.set_timeout(PATIENCE);
                client.charging.debit(request).await.unwrap();
                served += 1;
            }
            served
        })
    };

    // How many calls at once a machine cannot answer in time is not known before.
    let (mut ends, mut floods) = (Vec::new(), 0);
    while metric(&service, r#"tollgate_calls_refused_total{limit="thread"}"#).await.unwrap_or_default() == 0.0 {
        assert!(floods < FLOODS, "of {} calls the thread refuses none", ends.len());
        ends.extend(flood(service.address, floods, MOST_CONNECTIONS.min(2 << floods)).await);
        floods += 1;
    }
    is_over.store(true, Ordering::Relaxed);
    let served: usize = timeout(PATIENCE, neighbour).await.expect("the neighbour waits").unwrap();
    assert!(ends.iter().any(|(_, end)| *end == End::Refused));

    // Repeated, what is unknown is charged once, whatever became of it.
    let unknown = ends.iter().filter(|(_, end)| *end == End::Unknown).map(|(id, _)| {
        let mut charging = client.charging.clone();
        async move { charging.debit(debit("acme", id, "1")).await.unwrap() }
    });
    stream::iter(unknown).buffer_unordered(64).collect::<Vec<_>>().await;
    let charged = ends.iter().filter(|(_, end)| matches!(end, End::Charged | End::Unknown)).count();
    assert_eq!(client.credit("acme").await.balance, format!("{}.00", FUNDS - charged));
    assert_eq!(client.credit("neighbour").await.balance, format!("{}.00", FUNDS - served));
}
