//! Charges of every kind, on a ledger in this process, by a clock that jumps over months.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tollgate::clock::Clock;
use tollgate::domain::account::{Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Create, Debit, ExcessPolicy, LimitChange, Metadata, RemainderPolicy, Reserve, Reversal};
use tollgate::domain::money::DecimalAmount;
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::redis::RedisOptions;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Ledger, StoreSettings};

/// 2026-01-15T00:00:00Z.
pub const START: UnixMillis = UnixMillis::new(1_768_435_200_000);

pub const PARTITIONS: u16 = 4;

/// A ledger, and who charges it.
pub struct Load {
    pub ledger: Ledger,
    random: StdRng,
    accounts: Vec<String>,
    clock_file: PathBuf,
    sent: u64,
    charges: Vec<(String, String)>,
    reservations: Vec<(String, String)>,
    payments: Vec<(String, String)>,
}

/// A ledger on a Redis, by a clock that stands until it is moved.
pub async fn ledger(url: &str) -> Ledger {
    ledger_of(url, PARTITIONS).await
}

/// The same, with another number of partitions.
pub async fn ledger_of(url: &str, partitions: u16) -> Ledger {
    let options = RedisOptions {
        url: url.to_owned(),
        tls: Default::default(),
        store_name: "tollgate".into(),
        response_timeout: Duration::from_secs(10),
        busy_poll: Default::default(),
        durability: platform::durability::Durability::Engine,
        durability_timeout: Duration::from_millis(300),
    };
    let settings = StoreSettings { partitions, billing_time_zone: "UTC".into(), window: 86_400_000 };
    let clock = Clock::manual(START, TimeZone::UTC);
    let engine = crate::support::connect(options, settings, clock.clone()).await.unwrap();
    Ledger::start(Arc::new(engine), Watchers::default(), clock)
}

impl Load {
    /// Opens accounts of all kinds.
    pub async fn open(ledger: Ledger, accounts: usize, seed: u64, folder: &Path) -> Self {
        let accounts: Vec<String> = (0..accounts).map(|number| format!("account-{number}")).collect();
        let clock_file = folder.join("clock");
        let mut load = Self {
            ledger,
            random: StdRng::seed_from_u64(seed),
            accounts,
            clock_file,
            sent: 0,
            charges: Vec::new(),
            reservations: Vec::new(),
            payments: Vec::new(),
        };
        load.set_clock(START);
        for (number, id) in load.accounts.clone().into_iter().enumerate() {
            let create = Create {
                name: format!("Customer {number} \"{{,\\"),
                currency: Currency::parse("EUR").unwrap(),
                minor_digits: 2,
                decimals: 4,
                mode: if number % 2 == 0 { Mode::Prepaid } else { Mode::Postpaid },
                limit: LimitChange { permanent: Some(DecimalAmount::new(1_000_000, 0)), ..LimitChange::default() },
                low_credit_threshold: Some(DecimalAmount::new(25, 1)),
                non_usage_billing: if number % 4 == 1 { NonUsageBilling::OneByOne } else { NonUsageBilling::Consolidated },
                allow_unusable: true,
            };
            let command = load.command(&id, Action::Create(create), Metadata::default());
            load.ledger.submit(command).await.unwrap().unwrap();
        }
        load
    }

    /// What was charged: accounts and request ids.
    pub fn charges(&self) -> &[(String, String)] {
        &self.charges
    }

    /// The file that the aggregator reads the time from.
    pub fn clock_file(&self) -> &str {
        self.clock_file.to_str().unwrap()
    }

    pub fn set_clock(&self, now: UnixMillis) {
        self.ledger.clock().set(now);
        let new = self.clock_file.with_extension("new");
        std::fs::write(&new, Timestamp::from_millisecond(now.get()).unwrap().to_string()).unwrap();
        std::fs::rename(new, &self.clock_file).unwrap();
    }

    /// Lets a little time pass; now and then, weeks.
    pub fn pass_time(&mut self) {
        let by = if self.random.random_ratio(1, 25) { 20 * 86_400_000 } else { self.random.random_range(0..5_000) };
        self.set_clock(self.ledger.clock().now() + by);
    }

    /// Sends some commands of all kinds at once, and waits for their answers.
    pub async fn send(&mut self, count: usize) {
        let mut pending = Vec::with_capacity(count);
        for _ in 0..count {
            if let Some(command) = self.any().await {
                pending.push(self.ledger.enqueue(command).unwrap());
            }
        }
        for answer in pending {
            let _ = answer.await.unwrap();
        }
    }

    /// Has somebody pay for an account.
    pub async fn top_up(&mut self, account: &str) {
        let by_hand = Metadata { actor: "eve".into(), reason: "goodwill".into(), ..Metadata::default() };
        let command = self.command(account, Action::TopUp { amount: DecimalAmount::new(10, 0) }, by_hand);
        self.ledger.submit(command).await.unwrap().unwrap();
    }

    fn command(&mut self, account: &str, action: Action, metadata: Metadata) -> Command {
        self.sent += 1;
        let request_id = format!("request-{}", self.sent);
        Command { account: account.into(), request_id: request_id.into(), first_sent_at: None, currency: None, action, metadata }
    }

    async fn any(&mut self) -> Option<Command> {
        let account = self.accounts.choose(&mut self.random).unwrap().clone();
        let amount = DecimalAmount::new(self.random.random_range(1..90_000), 4);
        let reserve = Reserve { amount, minimum: None, validity: 60_000, grace: 60_000 };
        let category = *[Category::Usage, Category::Usage, Category::Subscription, Category::Hardware].choose(&mut self.random).unwrap();
        let note = Metadata {
            category: Some(category),
            item: ["call", "sms", "data"].choose(&mut self.random).unwrap().to_string(),
            quantity: ["1", "2.5", ""].choose(&mut self.random).unwrap().to_string(),
            unit: "unit".into(),
            attributes: vec![("cell".into(), "17".into())],
            ..Metadata::default()
        };
        let debit = |reservation, then| Action::Debit(Debit { amount, category, reservation, then, excess: ExcessPolicy::AlreadyConsumed });
        let by_hand = Metadata { actor: "eve".into(), reason: "goodwill".into(), ..Metadata::default() };
        let command = match self.random.random_range(0..24) {
            0..10 => {
                let command = self.command(&account, debit(None, RemainderPolicy::Settle), note);
                self.charges.push((account, command.request_id.clone().into()));
                command
            }
            10 | 11 => {
                let command = self.command(&account, Action::Authorize(reserve), Metadata::default());
                self.reservations.push((account, command.request_id.clone().into()));
                command
            }
            12 | 13 => {
                let (account, reservation) = self.reservations.pop()?;
                let then = if self.random.random() { RemainderPolicy::Settle } else { RemainderPolicy::Keep };
                self.command(&account, debit(Some(reservation.into()), then), note)
            }
            14 => {
                let (account, original) = self.charges.choose(&mut self.random)?.clone();
                self.command(&account, Action::Refund(Reversal::of(original.into(), None)), by_hand)
            }
            15 => self.command(&account, Action::TopUp { amount }, by_hand),
            16 => {
                let invoices = vec!["INV-000001".to_owned()];
                self.command(&account, Action::RecordPayment { amount, invoices }, by_hand)
            }
            17 => self.command(&account, Action::Adjust { amount: DecimalAmount::new(-amount.mantissa(), 4) }, by_hand),
            18 => {
                let mode = if self.random.random() { Mode::Prepaid } else { Mode::Postpaid };
                self.command(&account, Action::Convert { mode, limit: LimitChange::default(), allow_unusable: true }, by_hand)
            }
            20 => {
                let amount = DecimalAmount::new(self.random.random_range(1..1_500), 2);
                let command = self.command(&account, Action::RecordPayment { amount, invoices: Vec::new() }, by_hand);
                self.payments.push((account, command.request_id.clone().into()));
                command
            }
            21 => {
                let (account, original) = self.payments.choose(&mut self.random)?.clone();
                let amount = self.random.random::<bool>().then(|| DecimalAmount::new(self.random.random_range(1..500), 2));
                self.command(&account, Action::ReversePayment(Reversal::of(original.into(), amount)), by_hand)
            }
            22 => self.command(&account, Action::WriteOff { amount: None }, by_hand),
            23 => {
                let amount = DecimalAmount::new(self.random.random_range(1..300), 2);
                self.command(&account, Action::Withdraw { amount, is_paid_out: false }, by_hand)
            }
            _ => {
                let name = Some(format!("Renamed {}", self.sent));
                let update = Action::Update { name, low_credit_threshold: Some(None), non_usage_billing: None };
                self.command(&account, update, by_hand)
            }
        };
        Some(command)
    }
}
