//! One run: callers ask while the script breaks things; then all is mended, everything gets its answer, and is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::RwLock;
use tokio::task::{JoinSet, block_in_place};

use tollgate::ledger::prepared_command::partition_of;

use crate::checker::evidence::{Answer, Evidence, What};
use crate::checker::{Findings, check};
use crate::client::Way;
use crate::collect::Reader;
use crate::inject;
use crate::load::{Caller, Stage};
use crate::process::Process;
use crate::script::{Event, Kind, PARTITIONS, Script};
use crate::world::{Store, World};

const CALLERS: u64 = 8;
const ACCOUNTS: usize = 12;

/// How much of the time around an error is looked at in the servers' logs, in microseconds.
const AROUND: u64 = 2_000_000;

/// What became of it.
#[derive(Debug, Default)]
pub struct Report {
    pub injected: BTreeMap<Kind, usize>,
    pub findings: Vec<String>,
    pub requests: usize,
    pub attempts: usize,
    pub acknowledged: usize,
    pub declined: usize,
    pub refused: usize,
    pub unclear: usize,
    /// What attempts that were not done were told.
    pub errors: BTreeMap<String, usize>,
    /// What callers of partitions were told that lost no primary, while others did.
    pub elsewhere: Vec<String>,
    pub entries: usize,
    pub documents: usize,
    pub mails: usize,
}

impl Report {
    pub fn add(&mut self, other: Self) {
        for (kind, count) in other.injected {
            *self.injected.entry(kind).or_default() += count;
        }
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        self.findings.extend(other.findings);
        self.elsewhere.extend(other.elsewhere);
        self.requests += other.requests;
        self.attempts += other.attempts;
        self.acknowledged += other.acknowledged;
        self.declined += other.declined;
        self.refused += other.refused;
        self.unclear += other.unclear;
        self.entries += other.entries;
        self.documents += other.documents;
        self.mails += other.mails;
    }

    /// Notes what attempts were told that had nothing to do with the store's failure, with what the servers logged at that time.
    fn note_elsewhere(&mut self, evidence: &Evidence, deaths: &[Death], world: &World, began: Timestamp) {
        for ask in &evidence.asks {
            let partition = partition_of(&ask.account, PARTITIONS);
            for attempt in &ask.attempts {
                let (Answer::NotDone(said) | Answer::Unclear(said)) = &attempt.answer else { continue };
                let is_of_store = ["STORE_UNAVAILABLE", "OUTCOME_UNKNOWN", "DURABILITY_UNKNOWN"].iter().any(|reason| said.contains(reason));
                let away = deaths.iter().filter(|death| death.from <= attempt.told && attempt.sent <= death.until);
                if !is_of_store || away.clone().any(|death| death.partitions.contains(&partition)) {
                    continue;
                }
                let instant = |micros: u64| (began + Duration::from_micros(micros)).to_string();
                let (sent, told) = (instant(attempt.sent), instant(attempt.told));
                let away: Vec<_> = away.map(|death| (instant(death.from), &death.partitions)).collect();
                let logged = logged_between(world, &instant(attempt.sent.saturating_sub(AROUND)), &instant(attempt.told + AROUND));
                self.elsewhere.push(format!("partition {partition}, {sent} to {told}: {said}\n  away since: {away:?}\n{logged}"));
            }
        }
    }

    fn count(&mut self, evidence: &Evidence) {
        use crate::checker::evidence::Outcome;
        for ask in evidence.asks.iter().filter(|ask| ask.what != What::Look) {
            self.requests += 1;
            self.attempts += ask.attempts.len();
            self.unclear += ask.attempts.iter().filter(|attempt| matches!(attempt.answer, Answer::Unclear(_))).count();
            for attempt in &ask.attempts {
                let error = match &attempt.answer {
                    Answer::Done { .. } => continue,
                    Answer::Refused(reason) | Answer::NotDone(reason) => reason.clone(),
                    Answer::Unclear(what) => what.chars().take(40).collect(),
                };
                *self.errors.entry(error).or_default() += 1;
            }
            let first = ask.attempts.iter().map(|attempt| &attempt.answer).find(|answer| matches!(answer, Answer::Done { .. }));
            match first {
                Some(Answer::Done { outcome: Outcome::Declined { .. }, .. }) => self.declined += 1,
                Some(_) => self.acknowledged += 1,
                None => self.refused += 1,
            }
        }
        self.entries += evidence.journal.values().map(Vec::len).sum::<usize>();
        self.documents += evidence.documents.len();
        self.mails += evidence.mails.len();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: usize = self.injected.values().sum();
        writeln!(formatter, "faults: {faults} of {} kinds: {:?}", self.injected.len(), self.injected)?;
        writeln!(
            formatter,
            "requests: {} ({} attempts, {} of them unclear); acknowledged {}, declined {}, refused {}",
            self.requests, self.attempts, self.unclear, self.acknowledged, self.declined, self.refused
        )?;
        writeln!(formatter, "errors: {:?}", self.errors)?;
        writeln!(formatter, "errors of partitions that lost no primary while others did: {}", self.elsewhere.len())?;
        self.elsewhere.iter().take(5).try_for_each(|error| writeln!(formatter, "  {error}"))?;
        writeln!(formatter, "entries: {}; documents: {}; mails: {}", self.entries, self.documents, self.mails)?;
        writeln!(formatter, "violations: {}", self.findings.len())?;
        self.findings.iter().take(20).try_for_each(|finding| writeln!(formatter, "  {finding}"))
    }
}

/// A primary that was away, with its partitions.
struct Death {
    from: u64,
    until: u64,
    partitions: BTreeSet<u16>,
}

/// What the servers logged between two instants.
fn logged_between(world: &World, from: &str, to: &str) -> String {
    let mut found = String::new();
    for server in &world.servers {
        for line in server.supervised.process.iter().flat_map(Process::log) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if event["timestamp"].as_str().is_some_and(|at| from <= at && at <= to) {
                found += &format!("  {}: {line}\n", server.supervised.name);
            }
        }
    }
    found
}

/// Runs a script.
pub async fn run(store: Store, script: &Script) -> Report {
    println!("{script}");
    let mut report = Report::default();
    let mut world = World::start(store, script.seed).await;
    let accounts: Vec<String> =
        (0..ACCOUNTS).map(|number| if number % 4 == 3 { format!("group/{number}") } else { format!("c{number}") }).collect();
    let ways = world.servers.iter().map(|server| Way { address: server.front.address, authority: world.authority.pem() }).collect();
    let began = Timestamp::now();
    let stage = Arc::new(Stage {
        began: Instant::now(),
        ways,
        accounts: accounts.clone(),
        is_over: AtomicBool::new(false),
        quiet: RwLock::new(()),
    });
    let mut reader = Reader::new(stage.ways[0].channel());
    until_there(&mut world, &mut reader).await;
    let opened = Caller::new("open".into(), &stage, script.seed).open_accounts().await;
    reader.set_up(&accounts).await;

    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let caller = Caller::new(format!("k{number}"), &stage, script.seed.wrapping_mul(31).wrapping_add(number));
        callers.spawn(caller.run());
    }
    let (restored, deaths) = break_things(&mut world, &stage, &script.events, &mut report, &mut reader).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.is_over.store(true, Ordering::SeqCst);
    let mut asks = opened;
    // Everything is whole: what ends by itself now is started again, and counts.
    while let Some(asked) = {
        tokio::select! {
            asked = callers.join_next() => asked,
            () = tokio::time::sleep(Duration::from_millis(100)) => Some(Ok(Vec::new())),
        }
    } {
        asks.extend(asked.unwrap());
        world.tend();
    }
    match reader.collect(&accounts, || world.mail.taken()).await {
        Ok(mut evidence) => {
            evidence.asks = asks;
            evidence.restored = restored;
            evidence.shows_unproved = store.is_cluster();
            report.count(&evidence);
            report.note_elsewhere(&evidence, &deaths, &world, began);
            let Findings(findings) = check(&evidence);
            report.findings.extend(findings.iter().map(|finding| format!("{:?}: {}", finding.fault, finding.what)));
        }
        Err(what) => report.findings.push(format!("Stuck: {what}")),
    }
    let crashes = world.servers.iter_mut().flat_map(|server| server.supervised.crashes.drain(..));
    report.findings.extend(crashes.chain(world.aggregator.crashes.drain(..)).map(|crash| format!("Crash: {crash}")));
    match block_in_place(|| world.operate(&["verify"])) {
        Ok(_) => {}
        Err(said) => report.findings.push(format!("Verify: {said}")),
    }
    println!("{report}");
    report
}

/// All start at once: one creates the ledger, the aggregator makes the tables of the billing store, and who comes too early comes again.
async fn until_there(world: &mut World, reader: &mut Reader) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !reader.is_there().await {
        world.tend();
        assert!(Instant::now() < deadline, "the first server does not serve");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Begins and ends faults at their time. Returns when the ledger was restored, and which primaries were away.
async fn break_things(
    world: &mut World,
    stage: &Stage,
    events: &[Event],
    report: &mut Report,
    reader: &mut Reader,
) -> (Vec<u64>, Vec<Death>) {
    let began = Instant::now();
    let (mut waiting, mut lasting, mut restored): (Vec<Event>, Vec<Event>, Vec<u64>) = (events.to_vec(), Vec::new(), Vec::new());
    let mut deaths: Vec<Death> = Vec::new();
    waiting.reverse();
    while !(waiting.is_empty() && lasting.is_empty()) {
        let now = u64::try_from(began.elapsed().as_millis()).unwrap();
        let over: Vec<Event> = lasting.extract_if(.., |event| event.at + event.lasts <= now).collect();
        for event in over {
            block_in_place(|| inject::end(world, &event));
            if let Some(death) = deaths.last_mut().filter(|_| event.kind == Kind::KillPrimary) {
                death.until = stage.now();
            }
        }
        if let Some(event) = waiting.pop_if(|event| event.at <= now) {
            if event.kind == Kind::FlushAll {
                for event in lasting.drain(..) {
                    block_in_place(|| inject::end(world, &event));
                }
                block_in_place(|| world.tend());
                // Nobody asks while everything is lost and restored, and the billing store has everything.
                let _quiet = stage.quiet.write().await;
                let patience = Instant::now() + Duration::from_secs(60);
                while !reader.is_aggregated().await && Instant::now() < patience {
                    block_in_place(|| world.tend());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                block_in_place(|| inject::begin(world, &event));
                restored.push(stage.now());
            } else {
                let from = stage.now();
                block_in_place(|| inject::begin(world, &event));
                if let Some((_, partitions)) = world.befallen.clone().filter(|_| event.kind == Kind::KillPrimary) {
                    deaths.push(Death { from, until: u64::MAX, partitions });
                }
            }
            *report.injected.entry(event.kind).or_default() += 1;
            lasting.push(event);
        }
        block_in_place(|| world.tend());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (restored, deaths)
}
