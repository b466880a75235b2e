//! How long a call waits beside streams that are full, on an engine that takes one step after another, as Redis does. Time is the test's
//! own: it passes only while everybody waits for a step, so each run comes out the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::own_time::Time;
use crate::stand_in::StandIn;
use futures_util::FutureExt;
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tollgate::clock::Clock;
use tollgate::domain::command::{Action, Command, Metadata};
use tollgate::domain::ids::RequestId;
use tollgate::domain::outcome::Refusal;
use tollgate::domain::time::UnixMillis;
use tollgate::lanes::source::Source;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{BatchAnswer, Ledger};

const PARTITIONS: u16 = 4;

/// How long each measurement is.
const MEASURED: Duration = Duration::from_millis(400);

/// What steps take.
#[derive(Clone, Copy)]
struct Costs {
    step: Duration,
    command: Duration,
}

/// About what Redis takes for a debit; and where it syncs each step.
const EVERYSEC: Costs = Costs { step: Duration::from_micros(80), command: Duration::from_micros(12) };
const ALWAYS: Costs = Costs { step: Duration::from_micros(1500), command: Duration::from_micros(12) };

fn ledger(time: &Time, costs: Costs) -> Ledger {
    let (turn, of_steps, of_engine) = (Arc::new(tokio::sync::Mutex::new(())), time.clone(), time.clone());
    let engine = StandIn::new(PARTITIONS, move |_, orders| {
        let (turn, time) = (Arc::clone(&turn), of_steps.clone());
        async move {
            let _turn = turn.lock().await;
            time.sleep(costs.step + costs.command * u32::try_from(orders.len()).unwrap()).await;
            Ok(BatchAnswer { answers: vec![Err(Refusal::AccountNotFound); orders.len()].into(), has_deferred: false })
        }
        .boxed()
    });
    let engine = engine.in_time(move || of_engine.began + of_engine.now());
    Ledger::start(Arc::new(engine), Watchers::default(), Clock::manual(UnixMillis::NONE, TimeZone::UTC))
}

fn look(account: String) -> Command {
    let action = Action::Observe { watch: false };
    Command {
        account: account.into(),
        request_id: RequestId::default(),
        first_sent_at: None,
        currency: None,
        action,
        metadata: Metadata::default(),
    }
}

/// A full stream: batches of 512, 2,048 commands under way, on a thousand accounts. Counts what is answered.
async fn stream(ledger: Ledger, answered: Arc<AtomicUsize>) {
    let (source, free) = (Source::stream(), Arc::new(Semaphore::new(2048)));
    for first in (0..).step_by(512) {
        let permits = Arc::clone(&free).acquire_many_owned(512).await.unwrap();
        let accounts = (first..first + 512).map(|number| format!("account-{}", number % 1000));
        let batch: Vec<_> = accounts.map(|account| source.scope(|| ledger.enqueue(look(account))).unwrap()).collect();
        let answered = Arc::clone(&answered);
        tokio::spawn(async move {
            for pending in batch {
                let _ = pending.await;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            drop(permits);
        });
    }
}

/// The median of calls, one after another; and how many commands of the streams are answered in a second meanwhile.
async fn measure(costs: Costs, streams: usize, has_calls: bool) -> (Duration, f64) {
    let time = Time::new();
    let (ledger, answered) = (ledger(&time, costs), Arc::new(AtomicUsize::new(0)));
    let streams: Vec<_> = (0..streams).map(|_| tokio::spawn(stream(ledger.clone(), Arc::clone(&answered)))).collect();
    let of_work = time.clone();
    let measured = time
        .pass(async move {
            let time = of_work;
            time.sleep(MEASURED / 10).await;
            let (caller, began, before) = (Source::new(), time.now(), answered.load(Ordering::Relaxed));
            let mut times = Vec::new();
            while has_calls && time.now() - began < MEASURED {
                let sent = time.now();
                let pending = caller.scope(|| ledger.enqueue(look("caller".to_owned()))).unwrap();
                let _ = pending.await;
                times.push(time.now() - sent);
                // Not always at the same moment of a step.
                time.sleep(Duration::from_micros(90 + 37 * (times.len() as u64 % 7))).await;
            }
            time.sleep(MEASURED.saturating_sub(time.now() - began)).await;
            let rate = (answered.load(Ordering::Relaxed) - before) as f64 / (time.now() - began).as_secs_f64();
            times.sort();
            (times.get(times.len() / 2).copied().unwrap_or_default(), rate)
        })
        .await;
    streams.iter().for_each(tokio::task::JoinHandle::abort);
    measured
}

#[tokio::test]
async fn a_call_beside_three_full_streams_takes_at_most_three_times_as_long_as_alone_and_they_keep_half_of_their_rate() {
    for costs in [EVERYSEC, ALWAYS] {
        let (alone, _) = measure(costs, 0, true).await;
        let (_, undisturbed) = measure(costs, 3, false).await;
        let (beside, rate) = measure(costs, 3, true).await;
        println!("a call takes {alone:?} alone, {beside:?} beside streams, which have {undisturbed:.0} and {rate:.0} answers a second");
        assert!(beside <= 3 * alone, "a call takes {beside:?} beside streams, and {alone:?} alone");
        assert!(rate >= undisturbed / 2.0, "beside calls, streams have {rate:.0} of {undisturbed:.0} answers a second");
    }
}
