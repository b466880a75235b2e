//! What callers ask, at random: all commands, both modes, again and again until there is an answer, and later once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rust_decimal::Decimal;
use tokio::sync::RwLock;

use crate::checker::evidence::{Answer, Ask, Attempt, Debit, Outcome, Then, What};
use crate::client::{Connection, Way};

/// How long a request is repeated after all is whole again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all callers share.
pub struct Stage {
    pub began: Instant,
    pub ways: Vec<Way>,
    pub accounts: Vec<String>,
    /// Nothing new is begun any more.
    pub is_over: AtomicBool,
    /// Held by each attempt; who takes it for writing sees none under way.
    pub quiet: RwLock<()>,
}

impl Stage {
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

/// A caller, with all that it has asked.
pub struct Caller {
    name: String,
    stage: Arc<Stage>,
    random: StdRng,
    connections: Vec<Connection>,
    asks: Vec<Ask>,
    /// Places of what has no answer yet, and is asked again later.
    open: Vec<usize>,
    /// Accounts and names of reservations and charges that were granted.
    reservations: Vec<(String, String)>,
    charges: Vec<(String, String)>,
    number: u64,
}

impl Caller {
    pub fn new(name: String, stage: &Arc<Stage>, seed: u64) -> Self {
        let connections = stage.ways.iter().cloned().map(Connection::new).collect();
        Self {
            name,
            stage: Arc::clone(stage),
            random: StdRng::seed_from_u64(seed),
            connections,
            asks: Vec::new(),
            open: Vec::new(),
            reservations: Vec::new(),
            charges: Vec::new(),
            number: 0,
        }
    }

    /// Opens the accounts, some of each mode, with money in them.
    pub async fn open_accounts(mut self) -> Vec<Ask> {
        for (number, account) in self.stage.accounts.clone().into_iter().enumerate() {
            let limit = Decimal::from([0, 30, 200][number % 3]);
            let create = What::Create { is_postpaid: number % 2 == 1, limit };
            for what in [create, What::TopUp(Decimal::from(50))] {
                let place = self.ask(&account, what);
                self.until_answered(place).await;
            }
        }
        self.asks
    }

    /// Asks until it is over, and then until everything has its answer.
    pub async fn run(mut self) -> Vec<Ask> {
        while !self.stage.is_over() {
            let (account, count) = (self.stage.accounts.choose(&mut self.random).unwrap().clone(), self.random.random_range(1..6));
            match self.random.random_range(0..100) {
                // Together over a stream or in one call, on one account or several.
                0..30 => {
                    let mut places = Vec::new();
                    for _ in 0..count {
                        let account = if self.random.random() { &account } else { self.stage.accounts.choose(&mut self.random).unwrap() };
                        let (account, what) = (account.clone(), self.charging());
                        let (account, what) = self.fitting(account, what);
                        places.push(self.ask(&account, what));
                    }
                    self.attempt(&places).await;
                    self.open.extend(places);
                }
                30..38 => self.repeat_something_old().await,
                38..70 => {
                    let what = self.charging();
                    let (account, what) = self.fitting(account, what);
                    let place = self.ask(&account, what);
                    self.begin(place).await;
                }
                _ => {
                    let what = self.by_hand();
                    let place = self.ask(&account, what);
                    self.begin(place).await;
                }
            }
            self.go_on().await;
            let pause = self.random.random_range(0..15);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        for place in std::mem::take(&mut self.open) {
            self.until_answered(place).await;
        }
        self.asks
    }

    fn ask(&mut self, account: &str, what: What) -> usize {
        self.number += 1;
        let request = format!("{}-{}", self.name, self.number);
        self.asks.push(Ask { account: account.to_owned(), request, what, attempts: Vec::new() });
        self.asks.len() - 1
    }

    /// Asks; mostly until there is an answer, sometimes leaves it for later.
    async fn begin(&mut self, place: usize) {
        self.attempt(&[place]).await;
        self.open.push(place);
    }

    /// Asks again what has no answer.
    async fn go_on(&mut self) {
        let open = std::mem::take(&mut self.open);
        for place in open {
            if self.is_answered(place) {
                continue;
            }
            // A look that failed is none.
            if self.asks[place].what != What::Look && self.random.random_ratio(2, 3) {
                self.attempt(&[place]).await;
            }
            if !self.is_answered(place) {
                self.open.push(place);
            }
        }
    }

    async fn repeat_something_old(&mut self) {
        if self.asks.is_empty() {
            return;
        }
        let place = self.random.random_range(0..self.asks.len());
        let is_done = self.asks[place].attempts.iter().any(|attempt| matches!(attempt.answer, Answer::Done { .. }));
        if is_done && self.asks[place].what != What::Look {
            self.attempt(&[place]).await;
        }
    }

    fn is_answered(&self, place: usize) -> bool {
        self.asks[place].attempts.iter().any(|attempt| matches!(attempt.answer, Answer::Done { .. } | Answer::Refused(_)))
    }

    async fn until_answered(&mut self, place: usize) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_answered(place) && Instant::now() < deadline {
            self.attempt(&[place]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One attempt, at any of the servers.
    async fn attempt(&mut self, places: &[usize]) {
        let stage = Arc::clone(&self.stage);
        let _loud = stage.quiet.read().await;
        let asks: Vec<Ask> = places.iter().map(|place| Ask { attempts: Vec::new(), ..self.asks[*place].clone() }).collect();
        let server = self.random.random_range(0..self.connections.len());
        let sent = stage.now();
        let answers = self.connections[server].attempt(&asks, &mut self.random).await;
        let told = stage.now();
        for (place, answer) in places.iter().zip(answers) {
            self.keep(*place, &answer);
            self.asks[*place].attempts.push(Attempt { sent, told, answer });
        }
    }

    /// Remembers what can be used further.
    fn keep(&mut self, place: usize, answer: &Answer) {
        let ask = &self.asks[place];
        let name = (ask.account.clone(), ask.request.clone());
        if let Answer::Done { replayed: false, outcome: Outcome::Amount(_), .. } = answer {
            match &ask.what {
                What::Authorize { .. } => self.reservations.push(name),
                What::Debit(debit) => {
                    self.charges.push(name);
                    if let (Some(against), true) = (&debit.against, debit.then != Then::Settle) {
                        self.reservations.push((ask.account.clone(), against.clone()));
                    }
                }
                _ => {}
            }
        }
    }

    fn amount(&mut self, most: u32) -> Decimal {
        Decimal::new(i64::from(self.random.random_range(0..most * 10_000)), 4)
    }

    fn cents(&mut self, most: i64) -> Decimal {
        Decimal::new(self.random.random_range(1..most * 100), 2)
    }

    /// Milliseconds that a reservation lasts: an even number of seconds.
    fn lasts(&mut self) -> i64 {
        [2_000, 2_000, 4_000, 600_000][self.random.random_range(0..4)]
    }

    fn charging(&mut self) -> What {
        let lasts = self.lasts();
        match self.random.random_range(0..100) {
            0..40 => self.debit(None),
            40..58 => {
                let amount = self.amount(8) + Decimal::new(1, 4);
                let minimum =
                    self.random.random_ratio(1, 3).then(|| amount / Decimal::TWO).map(|half| half.round_dp(4).max(Decimal::new(1, 4)));
                What::Authorize { amount, minimum, lasts }
            }
            58..80 => self.debit(Some(String::new())),
            80..86 => What::Release { reservation: String::new() },
            86..93 => {
                let amount = self.random.random_ratio(1, 2).then(|| self.amount(1) + Decimal::new(1, 4));
                What::Refund { charge: String::new(), amount }
            }
            93..96 => What::Convert { to_postpaid: self.random.random() },
            _ => What::Look,
        }
    }

    fn debit(&mut self, against: Option<String>) -> What {
        let is_report = against.is_some();
        let then = match (is_report, self.random.random_range(0..4)) {
            (true, 0) => Then::Keep,
            (true, 1) => Then::Reserve { amount: self.amount(5) + Decimal::new(1, 4), lasts: self.lasts() },
            _ => Then::Settle,
        };
        let (is_hardware, is_consumed) = (self.random.random_ratio(1, 25), self.random.random_ratio(1, 10));
        What::Debit(Debit { amount: self.amount(4), is_hardware, against, then, is_consumed })
    }

    /// What refers to something refers to something that there is, on its account.
    fn fitting(&mut self, account: String, what: What) -> (String, What) {
        let mut names = |names: &mut Vec<(String, String)>, keeps: bool| {
            let place = (!names.is_empty()).then(|| self.random.random_range(0..names.len()))?;
            Some(if keeps { names[place].clone() } else { names.swap_remove(place) })
        };
        match what {
            What::Debit(Debit { against: Some(_), amount, is_hardware, is_consumed, then }) => match names(&mut self.reservations, false) {
                Some((account, name)) => (account, What::Debit(Debit { against: Some(name), amount, is_hardware, is_consumed, then })),
                None => (account, What::Look),
            },
            What::Release { .. } => match names(&mut self.reservations, false) {
                Some((account, reservation)) => (account, What::Release { reservation }),
                None => (account, What::Look),
            },
            What::Refund { amount, .. } => match names(&mut self.charges, true) {
                Some((account, charge)) => (account, What::Refund { charge, amount }),
                None => (account, What::Look),
            },
            what => (account, what),
        }
    }

    fn by_hand(&mut self) -> What {
        match self.random.random_range(0..100) {
            0..30 => What::TopUp(self.amount(12) + Decimal::new(1, 4)),
            30..40 => What::RecordPayment(self.cents(10)),
            40..48 => What::Adjust(self.amount(3) - Decimal::new(15_001, 4)),
            48..60 => What::Withdraw(self.cents(8)),
            60..70 => What::SetLimit(self.cents(60)),
            70..72 => What::Suspend,
            72..90 => What::Resume,
            _ => What::Look,
        }
    }
}
