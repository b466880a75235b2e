//! A ledger and its aggregator in this process, by a clock that stands until it is moved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::Row;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tollgate::billing::aggregator::{Aggregator, AggregatorOptions};
use tollgate::billing::change::Change;
use tollgate::billing::document::{Document, Issuer, Item};
use tollgate::billing::issuer::{CategoryRate, MAIN};
use tollgate::billing::lookup::{LookedUp, look_up};
use tollgate::billing::store::sqlite_url;
use tollgate::billing::{Billing, BillingError, BillingSettings, DocumentFilter, MonthBill, StoredDocument, bills};
use tollgate::clock::Clock;
use tollgate::domain::account::{Account, Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Create, Debit, ExcessPolicy, LimitChange, Metadata, RemainderPolicy, Reserve, Reversal};
use tollgate::domain::ids::{AccountId, RequestId};
use tollgate::domain::money::{DecimalAmount, Units};
use tollgate::domain::outcome::{Answer, Outcome, Refusal, Verdict};
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::embedded::EmbeddedEngine;
use tollgate::ledger::redis::RedisOptions;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Engine, Ledger, Opening, Purpose, StoreSettings};

use crate::postgres::PostgresServer;
use crate::support::{RedisServer, temporary_folder, unique_name};

const PATIENCE: Duration = Duration::from_secs(15);

/// The decimals of all accounts here.
pub const DECIMALS: u8 = 6;

pub struct Stage {
    pub ledger: Ledger,
    pub billing: Billing,
    clock: Clock,
    stop: watch::Sender<bool>,
    running: JoinHandle<Result<(), BillingError>>,
    _servers: Box<dyn std::any::Any>,
}

pub fn millis(text: &str) -> UnixMillis {
    UnixMillis::new(text.parse::<Timestamp>().unwrap().as_millisecond())
}

/// An amount as the accounts here keep it.
pub fn units(text: &str) -> Units {
    decimal(text).to_units(DECIMALS).unwrap()
}

pub fn decimal(text: &str) -> DecimalAmount {
    DecimalAmount::parse(text).unwrap()
}

/// One who issues at 19 %, for ever.
async fn with_issuer(billing: Billing) -> Billing {
    let change = |request_id: &str| Change {
        request_id: request_id.into(),
        actor: "test".into(),
        on_behalf_of: String::new(),
        origin: Default::default(),
        first_sent_at: None,
        reason: "it begins".into(),
        at: UnixMillis::NONE,
        valid_from: Some("2000-01-01".parse().unwrap()),
    };
    let issuer = Issuer { name: "Tollgate Ltd".into(), tax_id: "DE1".into(), country: "DE".into(), ..Issuer::default() };
    billing.set_issuer(MAIN, &issuer, &change("issuer")).await.unwrap();
    let rate = CategoryRate { category: None, rate: "19".parse().unwrap() };
    billing.set_tax_rate(MAIN, rate, &change("tax")).await.unwrap();
    billing
}

fn store_settings(partitions: u16) -> StoreSettings {
    StoreSettings { partitions, billing_time_zone: "UTC".into(), window: 86_400_000 }
}

impl Stage {
    pub async fn embedded(start: &str) -> Self {
        let folder = temporary_folder();
        let clock = Clock::manual(millis(start), TimeZone::UTC);
        let path = folder.path().join("ledger.db");
        let engine =
            EmbeddedEngine::open(&path, &store_settings(1), Opening::Creating(Purpose::Charging), clock.clone(), Watchers::default())
                .unwrap();
        let billing = Billing::open(&sqlite_url(&folder.path().join("billing.db")), BillingSettings::default()).await.unwrap();
        Self::start(Arc::new(engine), with_issuer(billing).await, clock, Box::new(folder))
    }

    pub async fn redis_and_postgres(start: &str) -> Self {
        let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
        let clock = Clock::manual(millis(start), TimeZone::UTC);
        let options = RedisOptions {
            url: redis.url(),
            tls: Default::default(),
            store_name: unique_name(),
            response_timeout: Duration::from_secs(30),
            busy_poll: Default::default(),
            durability: platform::durability::Durability::Engine,
            durability_timeout: Duration::from_millis(300),
        };
        let engine = crate::support::connect(options, store_settings(4), clock.clone()).await.unwrap();
        let billing = Billing::open(&postgres.database(), BillingSettings::default()).await.unwrap();
        Self::start(Arc::new(engine), with_issuer(billing).await, clock, Box::new((redis, postgres)))
    }

    fn start(engine: Arc<dyn Engine>, billing: Billing, clock: Clock, servers: Box<dyn std::any::Any>) -> Self {
        let ledger = Ledger::start(engine, Watchers::default(), clock.clone());
        let (stop, stopped) = watch::channel(false);
        let options = AggregatorOptions { lease: Duration::from_secs(5), ..AggregatorOptions::default() };
        let running = tokio::spawn(Aggregator::new(ledger.clone(), billing.clone(), options).run(stopped));
        Self { ledger, billing, clock, stop, running, _servers: servers }
    }

    pub async fn end(self) {
        self.stop.send_replace(true);
        self.running.await.unwrap().unwrap();
    }

    pub fn clock_at(&self, time: UnixMillis) {
        self.clock.set(time);
    }

    pub fn at(&self, time: &str) {
        self.clock.set(millis(time));
    }

    pub async fn act(&self, account: &str, request_id: &str, action: Action, metadata: Metadata) -> Outcome {
        let (account, request_id) = (account.to_owned(), request_id.to_owned());
        let command = Command {
            account: account.into(),
            request_id: request_id.clone().into(),
            first_sent_at: None,
            currency: None,
            action,
            metadata,
        };
        let outcome = self.decide(command).await.unwrap_or_else(|refusal| panic!("{request_id}: {refusal:?}"));
        assert_eq!(outcome.decision.unwrap().verdict, Verdict::Done, "{request_id}");
        outcome
    }

    /// The same of what may be refused or declined.
    pub async fn try_to(&self, account: &str, request_id: &str, action: Action, metadata: Metadata) -> Result<(), Option<Refusal>> {
        let (account, request_id) = (account.to_owned(), request_id.to_owned());
        let command =
            Command { account: account.into(), request_id: request_id.into(), first_sent_at: None, currency: None, action, metadata };
        let outcome = self.decide(command).await.map_err(Some)?;
        let is_done = outcome.decision.is_none_or(|decision| decision.verdict == Verdict::Done);
        if is_done { Ok(()) } else { Err(None) }
    }

    /// What the step asks for is looked up.
    async fn decide(&self, mut command: Command) -> Answer {
        loop {
            let answer = self.ledger.submit(command.clone()).await.unwrap();
            let Err(needed) = answer else { return answer };
            if !needed.is_internal() {
                return answer;
            }
            let looked_up = look_up(&self.ledger, Some(&self.billing), command, needed).await.unwrap();
            command = match looked_up {
                LookedUp::Completed(completed) => *completed,
                LookedUp::NeverWas => return Err(Refusal::ChargeNotFound),
                LookedUp::NoLongerKnown => panic!("{looked_up:?}"),
            };
        }
    }

    pub async fn open(&self, account: &str, mode: Mode, limit: &str, non_usage_billing: NonUsageBilling) {
        let create = Create {
            name: format!("Customer {account}"),
            currency: Currency::parse("EUR").unwrap(),
            minor_digits: 2,
            decimals: DECIMALS,
            mode,
            limit: limit_of(limit),
            low_credit_threshold: None,
            non_usage_billing,
            allow_unusable: true,
        };
        self.act(account, "create", Action::Create(create), Metadata::default()).await;
    }

    /// A direct charge, or the last one of a reservation: of so much of an item.
    pub async fn charge(&self, account: &str, request_id: &str, amount: &str, item: &str, quantity: &str, reservation: Option<&str>) {
        let category = match item {
            "plan" => Category::Subscription,
            "router" => Category::Hardware,
            _ => Category::Usage,
        };
        let (amount, reservation) = (decimal(amount), reservation.map(str::to_owned));
        let debit = Debit {
            amount,
            category,
            reservation: reservation.map(RequestId::from),
            then: RemainderPolicy::Settle,
            excess: ExcessPolicy::WithinUsableCredit,
        };
        let note = Metadata {
            category: Some(category),
            item: item.into(),
            quantity: quantity.into(),
            unit: "piece".into(),
            ..Metadata::default()
        };
        self.act(account, request_id, Action::Debit(debit), note).await;
    }

    pub async fn authorize(&self, account: &str, request_id: &str, amount: &str) {
        let day = 86_400_000;
        let reserve = Reserve { amount: decimal(amount), minimum: None, validity: 20 * day, grace: day };
        self.act(account, request_id, Action::Authorize(reserve), Metadata::default()).await;
    }

    pub async fn pay(&self, account: &str, request_id: &str, amount: &str, invoices: &[&str]) {
        let invoices = invoices.iter().map(ToString::to_string).collect();
        self.act(account, request_id, Action::RecordPayment { amount: decimal(amount), invoices }, Metadata::default()).await;
    }

    pub async fn top_up(&self, account: &str, request_id: &str, amount: &str) {
        self.act(account, request_id, Action::TopUp { amount: decimal(amount) }, Metadata::default()).await;
    }

    pub async fn adjust(&self, account: &str, request_id: &str, amount: &str, reason: &str) {
        let note = Metadata { reason: reason.into(), actor: "eve".into(), ..Metadata::default() };
        self.act(account, request_id, Action::Adjust { amount: decimal(amount) }, note).await;
    }

    pub async fn convert(&self, account: &str, request_id: &str, mode: Mode, limit: &str) {
        let action = Action::Convert { mode, limit: limit_of(limit), allow_unusable: false };
        self.act(account, request_id, action, Metadata::default()).await;
    }

    pub async fn refund(&self, account: &str, request_id: &str, original: &str, amount: &str) {
        let undo = Reversal::of(original.into(), Some(decimal(amount)));
        let note = Metadata { reason: "complaint".into(), ..Metadata::default() };
        self.act(account, request_id, Action::Refund(undo), note).await;
    }

    pub async fn reverse(&self, account: &str, request_id: &str, original: &str, amount: &str) {
        let undo = Reversal::of(original.into(), Some(decimal(amount)));
        self.act(account, request_id, Action::ReversePayment(undo), Metadata::default()).await;
    }

    pub async fn account(&self, account: &str) -> Account {
        self.ledger.observe(&AccountId::from(account), false).await.unwrap().unwrap().account
    }

    pub async fn usable(&self, account: &str) -> Units {
        self.account(account).await.usable_credit(self.clock.now())
    }

    /// Waits until all that is journaled is aggregated, and all that is good is issued.
    pub async fn caught_up(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut journaled = 0;
            for partition in 0..self.ledger.partitions() {
                journaled += self.ledger.engine().journal_span(partition).await.unwrap().next as i64;
            }
            if self.number("SELECT CAST(COALESCE(SUM(next_sequence), 0) AS BIGINT) FROM partitions").await == journaled {
                break;
            }
            if Instant::now() >= deadline {
                panic!("the aggregator does not catch up: {:#?}", self.billing.partitions().await);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while self.number("SELECT CAST(COUNT(*) AS BIGINT) FROM drafts").await > 0 {
            bills::issue(self.billing.store(), self.billing.settings(), self.clock.now()).await.unwrap();
            assert!(Instant::now() < deadline, "drafts are not issued");
        }
    }

    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query(sql).fetch_one(self.billing.store().pool()).await.unwrap().try_get(0).unwrap()
    }

    /// Passes the end of a month, and waits until all these are billed: most by the scan, since nobody touches them.
    pub async fn month_ends(&self, now: &str, accounts: &[&str]) {
        self.caught_up().await;
        self.at(now);
        let deadline = Instant::now() + PATIENCE;
        for account in accounts {
            while self.billing.last_month(&AccountId::from(*account), self.clock.now()).await.unwrap() == MonthBill::NotYetGenerated {
                assert!(Instant::now() < deadline, "{account} is not billed");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        self.caught_up().await;
    }

    /// The account's documents, oldest first.
    pub async fn documents(&self, account: &str) -> Vec<StoredDocument> {
        let filter = DocumentFilter { account: Some(account.into()), ..DocumentFilter::default() };
        let mut documents = self.billing.documents_in_full(filter, None, 100).await.unwrap();
        documents.reverse();
        documents
    }

    /// What is open of each of the account's invoices, oldest first, in whole numbers of `units`.
    pub async fn open_amounts(&self, account: &str) -> Vec<Units> {
        self.caught_up().await;
        let documents = self.documents(account).await;
        let open: Vec<Units> = documents
            .iter()
            .filter(|one| one.document.amount_to_pay > Units::ZERO || one.open_amount > Units::ZERO)
            .map(|one| one.open_amount)
            .collect();
        // What is open is the negative balance, but for what no invoice holds.
        let balance = self.account(account).await.balance;
        let unallocated = balance + open.iter().sum::<Units>();
        assert!(
            unallocated <= Units::ZERO || open.iter().all(|open| open.is_zero()),
            "{account}: {unallocated} is unallocated, and {open:?} open"
        );
        open
    }
}

fn limit_of(limit: &str) -> LimitChange {
    LimitChange { permanent: Some(decimal(limit)), ..LimitChange::default() }
}

/// Items and amounts.
pub fn lines(items: &[Item]) -> Vec<(&str, &str, Units)> {
    items.iter().map(|item| (item.item.as_str(), item.quantity.as_str(), item.amount)).collect()
}

/// Items, rounding, brought forward, total, credit applied, to pay, tax contained.
pub fn sums(document: &Document) -> [Units; 7] {
    [
        document.items_total,
        document.rounding,
        document.brought_forward,
        document.total,
        document.credit_applied,
        document.amount_to_pay,
        document.tax_contained(),
    ]
}
