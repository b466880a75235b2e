//! What goes wrong, and when: made from a seed, printed and read as text, and made shorter where a shorter one fails as well.

use std::fmt;
use std::str::FromStr;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

macro_rules! kinds {
    ($($kind:ident: $part:ident,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($kind,)* }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// What of the world it befalls: one fault at a time.
            pub fn part(self) -> Part {
                match self { $(Self::$kind => Part::$part,)* }
            }
        }

        impl FromStr for Kind {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text { $(stringify!($kind) => Ok(Self::$kind),)* _ => Err(format!("no kind of fault: {text}")) }
            }
        }
    };
}

kinds! {
    KillServer: Server,
    StopServer: Server,
    EndServer: Server,
    ServerClockAhead: Server,
    ServerClockBehind: Server,
    ServerCertificate: Server,
    CutCalls: Server,
    CutCallsWithinRequest: Server,
    CutCallsWithinAnswer: Server,
    HoldCalls: Server,
    HoldAndCutCalls: Server,
    SlowCalls: Server,
    CutStore: Server,
    CutStoreWithinRequest: Server,
    CutStoreWithinAnswer: Server,
    HoldStore: Server,
    HoldAndCutStore: Server,
    SlowStore: Server,
    KillAggregator: Aggregator,
    StopAggregator: Aggregator,
    KillPostgres: Postgres,
    StopPostgres: Postgres,
    KillMail: Mail,
    CutMail: Mail,
    KillRedis: Redis,
    StopRedis: Redis,
    EndRedis: Redis,
    RedisClockAhead: Redis,
    RedisClockBehind: Redis,
    RedisCertificates: Redis,
    ScriptFlush: Redis,
    FlushAll: Redis,
    AclOff: Redis,
    EvictionPolicy: Redis,
    ClientKill: Redis,
    ClientPause: Redis,
    RewriteAppendOnlyFile: Redis,
    MaxMemory: Redis,
    FullDisk: Redis,
    KillPrimary: Cluster,
    StopPrimary: Cluster,
    FailOver: Cluster,
    PauseReplica: Cluster,
    MoveSlot: Cluster,
    FlushScriptsOfNode: Cluster,
    SplitBrain: Cluster,
}

impl Kind {
    /// What also breaks while a cluster does.
    pub const BESIDE_A_CLUSTER: [Self; 4] = [Self::KillServer, Self::CutCalls, Self::KillAggregator, Self::StopPostgres];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Server,
    Aggregator,
    Postgres,
    Mail,
    Redis,
    /// One of its nodes.
    Cluster,
}

/// How many partitions the store has.
pub const PARTITIONS: u16 = 8;

/// How many servers there are.
pub const SERVERS: usize = 3;

/// One fault: when it begins, in milliseconds of the run, which server it befalls, how long it lasts, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: u64,
    pub kind: Kind,
    pub server: usize,
    pub lasts: u64,
    pub measure: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?} {} {} {}", self.at, self.kind, self.server, self.lasts, self.measure)
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [at, kind, server, lasts, measure] = words[..] else { return Err(format!("not an event: {line}")) };
        let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{line}: {error}"));
        let server = usize::try_from(number(server)?).map_err(|error| error.to_string())?;
        Ok(Self { at: number(at)?, kind: kind.parse()?, server, lasts: number(lasts)?, measure: number(measure)? })
    }
}

/// What a run is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Of what callers ask.
    pub seed: u64,
    pub events: Vec<Event>,
}

impl fmt::Display for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "seed {}", self.seed)?;
        self.events.iter().try_for_each(|event| writeln!(formatter, "{event}"))
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let seed = lines.next().and_then(|line| line.strip_prefix("seed ")).and_then(|seed| seed.parse().ok());
        let seed = seed.ok_or("a script begins with: seed NUMBER")?;
        Ok(Self { seed, events: lines.map(str::parse).collect::<Result<_, _>>()? })
    }
}

impl Script {
    /// Faults one after another and at the same time, for so long: each kind in turn, shuffled.
    pub fn from_seed(seed: u64, kinds: &[Kind], milliseconds: u64) -> Self {
        Self::of_rounds(seed, kinds, usize::MAX, milliseconds)
    }

    /// The same, until each kind has occurred once.
    pub fn each_kind_once(seed: u64, kinds: &[Kind]) -> Self {
        Self::of_rounds(seed, kinds, 1, u64::MAX)
    }

    /// A primary dies every 20 s, for some minutes, and comes back after a replica has taken over.
    pub fn primaries_die(seed: u64, minutes: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let die = |number: u64| Event {
            at: 1_000 + number * 20_000,
            kind: Kind::KillPrimary,
            server: 0,
            lasts: lasts(Kind::KillPrimary, &mut random),
            measure: measure(Kind::KillPrimary, &mut random),
        };
        Self { seed, events: (0..minutes * 3).map(die).collect() }
    }

    fn of_rounds(seed: u64, kinds: &[Kind], rounds: usize, milliseconds: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut script = Self { seed, events: Vec::new() };
        // When each part is whole again: one fault at a time for each, several parts at once.
        let mut free: std::collections::BTreeMap<(Part, usize), u64> = std::collections::BTreeMap::new();
        let mut last = 0;
        'all: for _ in 0..rounds {
            let mut round = kinds.to_vec();
            round.shuffle(&mut random);
            for kind in round {
                let server = if kind.part() == Part::Server { random.random_range(0..SERVERS) } else { 0 };
                let whole = free.entry((kind.part(), server)).or_insert(500);
                let at = (*whole).max(last) + random.random_range(20..900);
                let lasts = lasts(kind, &mut random);
                let measure = measure(kind, &mut random);
                *whole = at + lasts + random.random_range(50..600);
                if at + lasts > milliseconds {
                    break 'all;
                }
                // Later faults may begin while this one lasts.
                last = at.saturating_sub(random.random_range(0..400));
                script.events.push(Event { at, kind, server, lasts, measure });
            }
        }
        script.events.sort_by_key(|event| event.at);
        script
    }
}

fn lasts(kind: Kind, random: &mut StdRng) -> u64 {
    match kind {
        // Shorter and longer than the time that the store may take to answer.
        Kind::StopServer | Kind::StopRedis | Kind::ClientPause | Kind::HoldCalls | Kind::HoldStore => random.random_range(50..2_500),
        Kind::HoldAndCutCalls | Kind::HoldAndCutStore => random.random_range(300..3_000),
        // Servers compare clocks four times a second.
        Kind::ServerClockAhead | Kind::ServerClockBehind | Kind::RedisClockAhead | Kind::RedisClockBehind => {
            random.random_range(2_000..4_000)
        }
        Kind::SlowCalls | Kind::SlowStore => random.random_range(300..1_500),
        Kind::KillPostgres | Kind::StopPostgres | Kind::KillAggregator | Kind::StopAggregator => random.random_range(100..3_000),
        Kind::MaxMemory | Kind::FullDisk | Kind::AclOff | Kind::EvictionPolicy => random.random_range(200..1_500),
        Kind::CutCallsWithinRequest | Kind::CutCallsWithinAnswer | Kind::CutStoreWithinRequest | Kind::CutStoreWithinAnswer => 500,
        // Longer than a failover takes: the time after which a node counts as failed, and the election.
        Kind::KillPrimary | Kind::StopPrimary | Kind::SplitBrain => random.random_range(9_000..12_000),
        Kind::PauseReplica => random.random_range(500..2_500),
        _ => random.random_range(0..800),
    }
}

fn measure(kind: Kind, random: &mut StdRng) -> u64 {
    match kind {
        Kind::CutCallsWithinRequest | Kind::CutCallsWithinAnswer => random.random_range(0..3_000),
        Kind::CutStoreWithinRequest | Kind::CutStoreWithinAnswer => random.random_range(0..6_000),
        // Bytes at once.
        Kind::SlowCalls | Kind::SlowStore => random.random_range(1..200),
        // Milliseconds; what is beyond 2 s is refused.
        Kind::ServerClockAhead | Kind::ServerClockBehind | Kind::RedisClockAhead | Kind::RedisClockBehind => {
            random.random_range(500..8_000)
        }
        // Which partition's.
        _ if kind.part() == Part::Cluster => random.random_range(0..u64::from(PARTITIONS)),
        _ => 0,
    }
}

/// The shortest part of a list for which something still holds, found by leaving out halves, quarters and so on (Zeller's ddmin).
pub async fn shortest<T: Clone>(all: &[T], mut holds: impl AsyncFnMut(&[T]) -> bool) -> Vec<T> {
    let (mut kept, mut parts) = (all.to_vec(), 2);
    while kept.len() > 1 {
        let size = kept.len().div_ceil(parts);
        let mut is_shorter = false;
        for place in 0..kept.len().div_ceil(size) {
            let without: Vec<T> = kept.iter().take(place * size).chain(kept.iter().skip((place + 1) * size)).cloned().collect();
            if holds(&without).await {
                (kept, parts, is_shorter) = (without, 2.max(parts - 1), true);
                break;
            }
        }
        if !is_shorter {
            if size == 1 {
                break;
            }
            parts = (parts * 2).min(kept.len());
        }
    }
    kept
}

#[tokio::test]
async fn a_list_is_shortened_to_what_is_needed() {
    let all: Vec<u32> = (0..100).collect();
    let mut tries = 0;
    let short = shortest(&all, async |part: &[u32]| {
        tries += 1;
        [17, 18, 93].iter().all(|needed| part.contains(needed))
    })
    .await;
    assert_eq!(short, [17, 18, 93]);
    assert!(tries < 100, "{tries}");
}

#[test]
fn a_script_is_read_as_it_is_printed_and_a_seed_always_makes_the_same() {
    let script = Script::from_seed(7, Kind::ALL, 200_000);
    assert_eq!(script.to_string().parse(), Ok(script.clone()));
    assert_eq!(Script::from_seed(7, Kind::ALL, 200_000), script);
    assert_ne!(Script::from_seed(8, Kind::ALL, 200_000).events, script.events);
}
