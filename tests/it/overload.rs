//! More than an engine can do, from callers with deadlines: as much of it as the engine can do is done in time, and the rest is refused at once.
//!
//! Time is the test's own, as in [`super::neighbours`]: each run comes out the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::own_time::Time;
use crate::stand_in::StandIn;
use futures_util::FutureExt;
use jiff::tz::TimeZone;
use tollgate::clock::Clock;
use tollgate::domain::command::{Action, Command};
use tollgate::domain::outcome::Refusal;
use tollgate::domain::time::UnixMillis;
use tollgate::lanes::source::Source;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{BatchAnswer, Ledger};

const PARTITIONS: u16 = 4;
const CONNECTIONS: usize = 16;

/// What a step takes by itself, and for each command: a slow engine, of which a full step of each partition takes longer than a caller waits.
const STEP: Duration = Duration::from_micros(200);
const COMMAND: Duration = Duration::from_micros(200);

const DEADLINE: Duration = Duration::from_millis(250);

/// When a caller is told that there is no answer, and how often an expected wait must fit into that: as in `src/service/in_time.rs`.
const PATIENCE: Duration = Duration::from_millis(225);
const TIMES_AS_LONG: u32 = 3;

const MEASURED: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);

fn ledger(time: &Time) -> Ledger {
    let (turn, of_steps, of_engine) = (Arc::new(tokio::sync::Mutex::new(())), time.clone(), time.clone());
    let engine = StandIn::new(PARTITIONS, move |_, orders| {
        let (turn, time) = (Arc::clone(&turn), of_steps.clone());
        async move {
            let _turn = turn.lock().await;
            time.sleep(STEP + COMMAND * u32::try_from(orders.len()).unwrap()).await;
            Ok(BatchAnswer { answers: vec![Err(Refusal::AccountNotFound); orders.len()].into(), has_deferred: false })
        }
        .boxed()
    });
    let engine = engine.in_time(move || of_engine.began + of_engine.now());
    Ledger::start(Arc::new(engine), Watchers::default(), Clock::manual(UnixMillis::NONE, TimeZone::UTC))
}

/// What became of the calls of a run.
#[derive(Debug, Default)]
struct Counts {
    in_time: AtomicUsize,
    too_late: AtomicUsize,
    refused: AtomicUsize,
}

impl Counts {
    fn all(&self) -> [usize; 3] {
        [&self.in_time, &self.too_late, &self.refused].map(|count| count.load(Ordering::Relaxed))
    }
}

/// Sends so many calls each millisecond, whatever becomes of them.
async fn offer(each_millisecond: usize, asks_first: bool) -> [usize; 3] {
    let (time, counts) = (Time::new(), Arc::new(Counts::default()));
    let (ledger, of_work, of_calls) = (ledger(&time), time.clone(), Arc::clone(&counts));
    let sources: Vec<_> = (0..CONNECTIONS).map(|_| Source::new()).collect();
    time.pass(async move {
        let (time, mut number) = (of_work, 0);
        while time.now() < WARM_UP + MEASURED {
            for _ in 0..each_millisecond {
                number += 1;
                let (source, id) = (sources[number % CONNECTIONS], format!("account-{}", number % 1000));
                let (account, is_measured) = (id.as_str().into(), time.now() >= WARM_UP);
                let count = move |of: &AtomicUsize| of.fetch_add(usize::from(is_measured), Ordering::Relaxed);
                if asks_first && source.scope(|| ledger.expected_wait(&account)) * TIMES_AS_LONG > PATIENCE {
                    count(&of_calls.refused);
                    continue;
                }
                let look = Command::new(id.as_str(), "", Action::Observe { watch: false });
                let Ok(pending) = source.scope(|| ledger.enqueue(look)) else {
                    count(&of_calls.refused);
                    continue;
                };
                let (time, counts) = (time.clone(), Arc::clone(&of_calls));
                tokio::spawn(async move {
                    let is_in_time = tokio::select! {
                        biased;
                        _ = pending => true,
                        () = time.sleep(PATIENCE) => false,
                    };
                    let place = if is_in_time { &counts.in_time } else { &counts.too_late };
                    count(place);
                });
            }
            time.sleep(Duration::from_millis(1)).await;
        }
        time.sleep(DEADLINE).await;
    })
    .await;
    counts.all()
}

#[tokio::test]
async fn at_three_times_what_an_engine_can_do_it_does_nine_tenths_of_that_in_time_and_the_rest_is_refused_at_once() {
    let mut peak = 0;
    for each_millisecond in [3, 4, 5] {
        peak = peak.max(offer(each_millisecond, true).await[0]);
    }
    let [in_time, too_late, refused] = offer(15, true).await;
    let [unasked, unanswered, _] = offer(15, false).await;
    println!("peak {peak}; at three times that {in_time} in time, {too_late} too late, {refused} refused; unasked {unasked}, {unanswered}");
    assert!(in_time * 10 >= peak * 9, "{in_time} of {peak} are answered in time");
    assert!(too_late * 100 <= in_time, "{too_late} are answered too late");
    // What is begun for everybody is done for nobody.
    assert!(unasked * 2 < peak, "{unasked} of {peak} are answered in time if nobody is refused");
}
