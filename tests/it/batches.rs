//! When batches leave, what is in them, and in which order it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::stand_in::StandIn;
use futures_util::FutureExt;
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tollgate::clock::Clock;
use tollgate::domain::command::{Action, Command};
use tollgate::domain::ids::{AccountId, RequestId};
use tollgate::domain::outcome::{Answer, Refusal};
use tollgate::domain::time::UnixMillis;
use tollgate::lanes::source::Source;
use tollgate::ledger::batcher::QUEUE_COMMANDS;
use tollgate::ledger::batcher::stream_share::LEAST_SHARE;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Answers, BatchAnswer, CROWDED_BATCH, Ledger, LedgerError, Pending};

/// A ledger whose batches return when they may, and what happened in it.
struct Held {
    ledger: Ledger,
    may_return: Arc<Semaphore>,
    events: Arc<Mutex<Vec<String>>>,
    looks: Arc<AtomicUsize>,
}

fn held(partitions: u16) -> Held {
    let (may_return, events) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (permits, log) = (Arc::clone(&may_return), Arc::clone(&events));
    let engine = StandIn::new(partitions, move |partition, orders| {
        let (permits, log, count) = (Arc::clone(&permits), Arc::clone(&log), orders.len());
        async move {
            log.lock().unwrap().push(format!("{count} sent to {partition}"));
            permits.acquire().await.unwrap().forget();
            let read = move || {
                log.lock().unwrap().push(format!("{count} read"));
                Ok(vec![Err(Refusal::AccountNotFound); count])
            };
            Ok(BatchAnswer { answers: Answers::new(read), has_deferred: false })
        }
        .boxed()
    });
    let looks = Arc::clone(&engine.looks);
    let ledger = Ledger::start(Arc::new(engine), Watchers::default(), Clock::manual(UnixMillis::NONE, TimeZone::UTC));
    Held { ledger, may_return, events, looks }
}

impl Held {
    fn ask(&self, account: &str) -> Result<Pending, LedgerError> {
        self.ledger.enqueue(Command::new(account, RequestId::default(), Action::Observe { watch: false }))
    }

    /// Waits until so much has happened.
    async fn happened(&self, count: usize) -> Vec<String> {
        loop {
            let events = self.events.lock().unwrap().clone();
            if events.len() >= count {
                return events;
            }
            tokio::task::yield_now().await;
        }
    }

    /// An account of that partition.
    fn account_in(&self, partition: u16) -> String {
        (0..)
            .map(|number| format!("account-{number}"))
            .find(|account| self.ledger.partition_of(&AccountId::from(account.as_str())) == partition)
            .unwrap()
    }
}

async fn answered(pending: Pending) -> Answer {
    pending.await.unwrap()
}

#[tokio::test]
async fn commands_gather_while_a_batch_is_under_way_and_leave_together_before_its_answers_are_read() {
    let held = held(1);
    let first = held.ask("a").unwrap();
    held.happened(1).await;
    let others: Vec<_> = ["a", "b", "c"].iter().map(|account| held.ask(account).unwrap()).collect();
    held.may_return.add_permits(1);
    assert_eq!(answered(first).await, Err(Refusal::AccountNotFound));
    held.may_return.add_permits(1);
    for other in others {
        assert_eq!(answered(other).await, Err(Refusal::AccountNotFound));
    }
    assert_eq!(held.happened(4).await, ["1 sent to 0", "3 sent to 0", "1 read", "3 read"]);
}

#[tokio::test]
async fn partitions_do_not_wait_for_one_another() {
    let held = held(2);
    let _first = held.ask(&held.account_in(0)).unwrap();
    assert_eq!(held.happened(1).await, ["1 sent to 0"]);
    let _second = held.ask(&held.account_in(1)).unwrap();
    assert_eq!(held.happened(2).await, ["1 sent to 0", "1 sent to 1"]);
}

#[tokio::test]
async fn an_answer_is_looked_out_for_only_where_lonely_commands_follow_one_another() {
    let held = held(2);
    let (account, elsewhere) = (held.account_in(0), held.account_in(1));
    let mut is_looked_out_for = Vec::new();
    for number in 0..12 {
        let pending = held.ask(&account).unwrap();
        // The seventh has company.
        let company = (number == 6).then(|| held.ask(&elsewhere).unwrap());
        let commands = 1 + usize::from(company.is_some());
        let sent_before = held.events.lock().unwrap().len();
        held.happened(sent_before + commands).await;
        let looks = held.looks.load(Ordering::Relaxed);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        is_looked_out_for.push(held.looks.load(Ordering::Relaxed) - looks > 10);
        held.may_return.add_permits(commands);
        for pending in [Some(pending), company].into_iter().flatten() {
            assert_eq!(answered(pending).await, Err(Refusal::AccountNotFound));
        }
    }
    assert_eq!(is_looked_out_for, [false, false, false, false, true, true, false, false, false, false, false, true]);
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_any_more_is_not_sent() {
    let held = held(1);
    let first = held.ask("a").unwrap();
    held.happened(1).await;
    let (given_up, last) = (held.ask("b").unwrap(), held.ask("c").unwrap());
    drop(given_up);
    held.may_return.add_permits(2);
    for pending in [first, last] {
        assert_eq!(answered(pending).await, Err(Refusal::AccountNotFound));
    }
    assert_eq!(held.happened(4).await, ["1 sent to 0", "1 sent to 0", "1 read", "1 read"]);
}

#[tokio::test]
async fn a_source_that_is_alone_may_fill_half_of_a_queue_and_others_have_room() {
    let held = held(2);
    let (full, free) = (held.account_in(0), held.account_in(1));
    let _under_way = held.ask(&full).unwrap();
    held.happened(1).await;
    let waiting: Vec<_> = (0..QUEUE_COMMANDS / 2).map(|_| held.ask(&full).unwrap()).collect();
    assert!(matches!(held.ask(&full), Err(LedgerError::Busy)));
    let other = Source::new();
    assert!(other.scope(|| held.ask(&full)).is_ok());
    let _free = held.ask(&free).unwrap();
    assert_eq!(held.happened(2).await, ["1 sent to 0", "1 sent to 1"]);
    // Once a batch has left, there is room again.
    held.may_return.add_permits(1);
    held.happened(3).await;
    assert!(held.ask(&full).is_ok());
    drop(waiting);
}

#[tokio::test]
async fn streams_take_turns_and_share_smaller_batches() {
    let held = held(1);
    let streams = [Source::stream(), Source::stream(), Source::stream()];
    let _under_way = streams[0].scope(|| held.ask("a").unwrap());
    held.happened(1).await;
    let flood = streams.map(|stream| (0..1000).map(|_| stream.scope(|| held.ask("a").unwrap())).collect::<Vec<_>>());
    held.may_return.add_permits(2);
    assert_eq!(held.happened(4).await[1], format!("{CROWDED_BATCH} sent to 0"));
    let served = flood.map(|stream| stream.into_iter().filter_map(|pending| pending.now_or_never()).count());
    assert!(served.iter().all(|served| CROWDED_BATCH / 3 <= *served && *served <= CROWDED_BATCH / 3 + 1), "{served:?}");
}

#[tokio::test]
async fn a_call_goes_with_few_commands_of_streams_which_have_one_step_under_way_in_all_partitions() {
    let held = held(2);
    let (here, elsewhere) = (held.account_in(0), held.account_in(1));
    let (stream, caller) = (Source::stream(), Source::new());
    let _under_way = stream.scope(|| held.ask(&here).unwrap());
    held.happened(1).await;
    let ask = |account: &str| (0..1000).map(|_| stream.scope(|| held.ask(account).unwrap())).collect::<Vec<_>>();
    let _flood = (ask(&here), ask(&elsewhere));
    let pending = caller.scope(|| held.ask(&here).unwrap());
    // What the stream has sent before is with the engine: no more of it is sent, not to the other partition either.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(held.happened(1).await, ["1 sent to 0"]);
    held.may_return.add_permits(1);
    let with_call = format!("{} sent to 0", 1 + LEAST_SHARE);
    assert_eq!(held.happened(3).await[1..], [with_call.as_str(), "1 read"]);
    held.may_return.add_permits(1);
    assert_eq!(answered(pending).await, Err(Refusal::AccountNotFound));
    // The partitions take turns.
    let events = held.happened(5).await;
    assert!(events[3].ends_with(" sent to 1"), "{events:?}");
}

#[tokio::test]
async fn a_stream_that_has_gone_leaves_its_turn_to_others() {
    let held = held(2);
    let (here, elsewhere) = (held.account_in(0), held.account_in(1));
    let call = held.ask(&here).unwrap();
    held.happened(1).await;
    let gone: Vec<_> = (0..100).map(|_| Source::stream().scope(|| held.ask(&here).unwrap())).collect();
    drop(gone);
    let pending = Source::stream().scope(|| held.ask(&elsewhere).unwrap());
    held.may_return.add_permits(2);
    assert_eq!((answered(call).await, answered(pending).await), (Err(Refusal::AccountNotFound), Err(Refusal::AccountNotFound)));
}

#[tokio::test]
async fn all_is_answered_after_the_last_handle_is_gone() {
    let held = held(1);
    let (first, second) = (held.ask("a").unwrap(), held.ask("b").unwrap());
    held.may_return.add_permits(2);
    drop(held.ledger);
    assert_eq!((answered(first).await, answered(second).await), (Err(Refusal::AccountNotFound), Err(Refusal::AccountNotFound)));
}

#[tokio::test]
async fn what_a_step_leaves_for_a_later_one_goes_out_with_the_next_before_all_that_waits() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (log, may_return) = (Arc::clone(&sent), Arc::new(Semaphore::new(0)));
    let permits = Arc::clone(&may_return);
    let engine = StandIn::new(1, move |_, orders| {
        let ids: Vec<String> = orders.iter().map(|order| format!("{}{}", order.command.account, order.command.request_id)).collect();
        let is_first = log.lock().unwrap().is_empty();
        log.lock().unwrap().push(ids);
        let permits = Arc::clone(&permits);
        async move {
            permits.acquire().await.unwrap().forget();
            let answer = |account: &str| Err(if is_first && account == "b" { Refusal::Deferred } else { Refusal::AccountNotFound });
            let answers: Vec<Answer> = orders.iter().map(|order| answer(&order.command.account)).collect();
            Ok(BatchAnswer { answers: answers.into(), has_deferred: is_first })
        }
        .boxed()
    });
    let ledger = Ledger::start(Arc::new(engine), Watchers::default(), Clock::manual(UnixMillis::NONE, TimeZone::UTC));
    let ask =
        |account: &str, request_id: &str| ledger.enqueue(Command::new(account, request_id, Action::Observe { watch: false })).unwrap();
    let first = [ask("a", "1"), ask("b", "1"), ask("c", "1"), ask("b", "2")];
    while sent.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let later = [ask("b", "3"), ask("a", "2")];
    may_return.add_permits(2);
    for pending in first.into_iter().chain(later) {
        assert_eq!(answered(pending).await, Err(Refusal::AccountNotFound));
    }
    assert_eq!(*sent.lock().unwrap(), [vec!["a1", "b1", "c1", "b2"], vec!["b1", "b2", "b3", "a2"]]);
}
