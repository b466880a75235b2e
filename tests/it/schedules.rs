//! The batcher and its pace on a link that loses requests and answers, is late, refuses, or does late what it had given up: thousands of
//! schedules in a time of the test's own. A seed always gives the same one: `TOLLGATE_TEST_SEED`; `TOLLGATE_TEST_CASES` has more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use jiff::tz::TimeZone;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tollgate::clock::Clock;
use tollgate::domain::account::{Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Create, Debit, ExcessPolicy, LimitChange, RemainderPolicy};
use tollgate::domain::ids::AccountId;
use tollgate::domain::money::{DecimalAmount, Units};
use tollgate::domain::time::UnixMillis;
use tollgate::lanes::source::Source;
use tollgate::ledger::model::ModelEngine;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Engine, Ledger, LedgerError, PreparedCommand};

use crate::own_time::Time;
use crate::stand_in::StandIn;

const PARTITIONS: u16 = 3;
const ACCOUNTS: usize = 6;
const START: UnixMillis = UnixMillis::new(1_768_435_200_000);

/// What the link does with a step.
#[derive(Clone, Copy, Debug)]
enum InjectedOutcome {
    Done,
    /// The store says that it does nothing now.
    Refused,
    /// The request never arrives.
    RequestLost,
    AnswerLost,
    /// The answer is given up, and the step is taken later.
    DoneLate,
}

/// What the store has done, as a text: two runs of a seed must give the same.
#[derive(Default)]
struct Store {
    partitions: Vec<Arc<ModelEngine>>,
    steps: Mutex<Vec<String>>,
    is_under_way: [AtomicBool; PARTITIONS as usize],
    overlaps: AtomicUsize,
    late: AtomicUsize,
}

struct Link {
    store: Arc<Store>,
    time: Time,
    random: Mutex<StdRng>,
    /// Of a hundred steps, how many have another outcome than to be done.
    trouble: u32,
}

impl Link {
    fn outcome(&self) -> (InjectedOutcome, Duration) {
        let mut random = self.random.lock().unwrap();
        let outcome = match random.random_range(0..100) {
            roll if roll >= self.trouble => InjectedOutcome::Done,
            roll => [InjectedOutcome::Refused, InjectedOutcome::RequestLost, InjectedOutcome::AnswerLost, InjectedOutcome::DoneLate]
                [(roll % 4) as usize],
        };
        (outcome, Duration::from_micros(random.random_range(50..5_000)))
    }

    async fn step(&self, partition: u16, commands: Arc<[PreparedCommand]>) -> Result<tollgate::ledger::BatchAnswer, LedgerError> {
        let store = &self.store;
        let place = usize::from(partition);
        store.overlaps.fetch_add(usize::from(store.is_under_way[place].swap(true, Ordering::SeqCst)), Ordering::SeqCst);
        let (outcome, takes) = self.outcome();
        self.time.sleep(takes).await;
        let engine = Arc::clone(&store.partitions[place]);
        let ids: Vec<&str> = commands.iter().map(|command| &*command.command.request_id).collect();
        store.steps.lock().unwrap().push(format!("{:?} {partition} {outcome:?} {}", self.time.now(), ids.join(" ")));
        let answer = match outcome {
            InjectedOutcome::Done => engine.apply(0, commands).await,
            InjectedOutcome::Refused => Err(LedgerError::not_done("the store is loading")),
            InjectedOutcome::RequestLost => Err(LedgerError::unknown("the connection was closed")),
            InjectedOutcome::AnswerLost => engine.apply(0, commands).await.and(Err(LedgerError::unknown("the connection was closed"))),
            InjectedOutcome::DoneLate => {
                store.late.fetch_add(1, Ordering::SeqCst);
                let time = self.time.clone();
                tokio::spawn(async move {
                    time.sleep(takes * 2).await;
                    let _ = engine.apply(0, commands).await;
                });
                Err(LedgerError::unknown("no answer in time"))
            }
        };
        store.is_under_way[place].store(false, Ordering::SeqCst);
        answer
    }
}

fn command(account: &str, request_id: String, action: Action) -> Command {
    Command::new(account, request_id, action)
}

fn create(account: &str) -> Command {
    let create = Create {
        name: account.into(),
        currency: Currency::parse("EUR").unwrap(),
        minor_digits: 2,
        decimals: 4,
        mode: Mode::Postpaid,
        limit: LimitChange { permanent: Some(DecimalAmount::new(1_000_000, 0)), ..LimitChange::default() },
        low_credit_threshold: None,
        non_usage_billing: NonUsageBilling::Consolidated,
        allow_unusable: true,
    };
    command(account, "create".into(), Action::Create(create))
}

fn debit(account: &str, request_id: String) -> Command {
    let (amount, category, excess) = (DecimalAmount::new(1, 0), Category::Usage, ExcessPolicy::WithinUsableCredit);
    command(account, request_id, Action::Debit(Debit { amount, category, reservation: None, then: RemainderPolicy::Settle, excess }))
}

/// Sends a command until it is accepted; gives up waiting now and then, and sends it again.
async fn insist(ledger: Ledger, source: Source, time: Time, mut random: StdRng, command: Command) {
    loop {
        let pending = source.scope(|| ledger.enqueue(command.clone()));
        let answer = match pending {
            Ok(pending) if random.random_ratio(1, 12) => {
                drop(pending);
                Err(LedgerError::Busy)
            }
            Ok(pending) => pending.await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                answer.unwrap_or_else(|refusal| panic!("{}: {refusal:?}", command.request_id));
                return;
            }
            Err(LedgerError::NotDone(_) | LedgerError::Unknown(_) | LedgerError::Busy) => {
                time.sleep(Duration::from_micros(random.random_range(100..3_000))).await;
            }
            Err(error) => panic!("{}: {error}", command.request_id),
        }
    }
}

/// One schedule, and the steps that were taken.
async fn schedule(seed: u64) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let time = Time::new();
    let clock = Clock::manual(START, TimeZone::UTC);
    let partitions = (0..PARTITIONS).map(|_| Arc::new(ModelEngine::new(clock.clone(), 86_400_000, Watchers::default()))).collect();
    let store = Arc::new(Store { partitions, ..Store::default() });
    let trouble = random.random_range(0..60);
    let link = Arc::new(Link {
        store: Arc::clone(&store),
        time: time.clone(),
        random: Mutex::new(StdRng::seed_from_u64(random.random())),
        trouble,
    });
    let of_engine = time.clone();
    let engine = StandIn::new(PARTITIONS, move |partition, commands| {
        let link = Arc::clone(&link);
        async move { link.step(partition, commands).await }.boxed()
    });
    let engine = engine.in_time(move || of_engine.began + of_engine.now());
    let ledger = Ledger::start(Arc::new(engine), Watchers::default(), clock);
    let accounts: Vec<String> = (0..ACCOUNTS).map(|number| format!("account-{number}")).collect();

    let (callers, each) = (random.random_range(1..8_usize), random.random_range(1..12_usize));
    let (own, names, to_ask) = (time.clone(), accounts.clone(), ledger.clone());
    time.pass(async move {
        let ledger = to_ask;
        let mut opened = tokio::task::JoinSet::new();
        for account in &names {
            opened.spawn(insist(ledger.clone(), Source::PROCESS, own.clone(), StdRng::seed_from_u64(1), create(account)));
        }
        opened.join_all().await;
        let mut asked = tokio::task::JoinSet::new();
        for caller in 0..callers {
            let source = if random.random() { Source::stream() } else { Source::new() };
            for number in 0..each {
                let account = &names[random.random_range(0..names.len())];
                let random = StdRng::seed_from_u64(random.random());
                let debit = debit(account, format!("{caller}-{number}"));
                asked.spawn(insist(ledger.clone(), source, own.clone(), random, debit));
            }
        }
        asked.join_all().await;
        // What is done late is done before it is looked at.
        own.sleep(Duration::from_secs(1)).await;
    })
    .await;

    assert_eq!(store.overlaps.load(Ordering::SeqCst), 0, "seed {seed}: two steps of one partition at a time");
    let mut charges = BTreeSet::new();
    let mut sums: BTreeMap<String, Units> = BTreeMap::new();
    for (number, partition) in store.partitions.iter().enumerate() {
        for entry in partition.blocks_after(0, 0, 100_000).await.unwrap().into_iter().flat_map(|block| block.entries) {
            assert_eq!(usize::from(ledger.partition_of(&entry.account)), number, "seed {seed}: in another's partition");
            if entry.kind().is_charge() {
                assert!(charges.insert(entry.request_id.to_string()), "seed {seed}: {} was charged twice", entry.request_id);
                let amount = entry.amount();
                *sums.entry(entry.account.into()).or_default() += amount;
            }
        }
    }
    let expected: BTreeSet<String> = (0..callers).flat_map(|caller| (0..each).map(move |number| format!("{caller}-{number}"))).collect();
    assert_eq!(charges, expected, "seed {seed}: each acknowledged charge once");
    for account in accounts {
        let place = usize::from(ledger.partition_of(&AccountId::from(account.as_str())));
        let kept = store.partitions[place].load(0, vec![account.clone().into()]).await.unwrap().pop().flatten().unwrap().0;
        assert_eq!(kept.unbilled, Units::new(sums.remove(&account).unwrap_or(Units::ZERO).get()), "seed {seed}: {account}");
    }
    store.steps.lock().unwrap().clone()
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var_os(name).map_or(usual, |text| text.to_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn whatever_a_link_does_each_command_is_done_once() {
    let (seed, cases) = (number("TOLLGATE_TEST_SEED", rand::random::<u32>().into()), number("TOLLGATE_TEST_CASES", 2_000));
    println!("TOLLGATE_TEST_SEED={seed}");
    let (mut steps, mut outcomes) = (0, BTreeMap::new());
    for seed in seed..seed + cases {
        let taken = schedule(seed).await;
        steps += taken.len();
        for outcome in ["Done ", "Refused", "RequestLost", "AnswerLost", "DoneLate"] {
            *outcomes.entry(outcome).or_insert(0) += taken.iter().filter(|step| step.contains(outcome)).count();
        }
    }
    println!("{cases} schedules, {steps} steps: {outcomes:?}");
    assert!(outcomes.values().all(|count| *count > 0), "{outcomes:?}");
}

#[tokio::test]
async fn a_seed_always_gives_the_same_schedule() {
    for seed in 0..20 {
        assert_eq!(schedule(seed).await, schedule(seed).await, "seed {seed}");
    }
}
