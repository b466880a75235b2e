//! What is receivable as of an earlier day is what was listed when that day ended, whatever has happened since.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tollgate::billing::bills::issue;
use tollgate::billing::store::sqlite_url;
use tollgate::billing::{AccountReceivables, Billing, BillingSettings};
use tollgate::domain::command::{Action, Command, Metadata};
use tollgate::domain::ids::AccountId;
use tollgate::domain::time::UnixMillis;

use crate::aggregation::check::all_is_issued;
use crate::aggregation::load::{Load, START, ledger};
use crate::aggregation::receivables::{Reader, by_hand};
use crate::postgres::PostgresServer;
use crate::support::RedisServer;
use crate::{seed, temporary_folder};

const DAY: i64 = 86_400_000;

/// How many days something happens on; weeks lie between some of them.
const DAYS: usize = 40;

const ACCOUNTS: usize = 30;

/// More than owe anything.
const MANY: usize = 1_000;

/// A billing store, and what it listed when each day ended.
struct Kept {
    reader: Reader,
    days: Vec<(UnixMillis, Vec<AccountReceivables>)>,
}

impl Kept {
    async fn of(url: &str, load: &Load) -> Self {
        let billing = Billing::open(url, BillingSettings::default()).await.unwrap();
        // An issuer and taxes are set; there is nothing to issue yet.
        all_is_issued(&billing).await;
        Self { reader: Reader::of(billing, load).await, days: Vec::new() }
    }

    /// Takes in what has happened, with some acts by hand; issues what can be, most times.
    async fn follow(&mut self, load: &Load, random: &mut StdRng, acts: &mut usize) {
        self.reader.look(load).await;
        for partition in 0..self.reader.partitions() {
            while self.reader.step(partition).await {}
        }
        let (billing, now) = (&self.reader.billing, load.ledger.clock().now());
        if random.random_ratio(3, 4) {
            while issue(billing.store(), billing.settings(), now).await.unwrap() > 0 {}
        }
        for _ in 0..2 {
            *acts += usize::from(by_hand(billing, random, *acts, now).await);
        }
    }

    async fn keep(&mut self, end: UnixMillis) {
        let listed = self.reader.billing.receivables(end - 1, None, None, MANY, None).await.unwrap().0;
        self.days.push((end, listed.into_iter().map(unnamed).collect()));
    }

    async fn as_of(&self, end: UnixMillis, account: Option<&AccountId>, after: Option<&str>, count: usize) -> Vec<AccountReceivables> {
        let found = self.reader.billing.receivables_as_of(end, account, after, count, None).await.unwrap().0;
        found.into_iter().map(unnamed).collect()
    }

    /// Holds each day's list against the one that is made of it now, whole, in pages, and by account.
    async fn holds(&self) -> usize {
        let billing = &self.reader.billing;
        let mut found = 0;
        for (end, listed) in &self.days {
            let then = self.as_of(*end, None, None, MANY).await;
            assert_eq!(then, *listed, "as of {end:?}");
            found += then.len();
            let Some(first) = then.first() else { continue };
            let next = self.as_of(*end, None, Some(first.account.as_str()), 3).await;
            assert_eq!(next, then[1..].iter().take(3).cloned().collect::<Vec<_>>(), "the next page as of {end:?}");
            assert_eq!(self.as_of(*end, Some(&first.account), None, 1).await, then[..1], "of one account as of {end:?}");
        }
        let (last, listed) = self.days.last().unwrap();
        let now = billing.receivables(*last - 1, None, None, MANY, None).await.unwrap().0;
        assert_eq!(now.into_iter().map(unnamed).collect::<Vec<_>>(), *listed, "today is now");
        assert!(billing.receivables_as_of(START - DAY, None, None, MANY, None).await.unwrap().0.is_empty());
        assert_eq!(billing.begins_at().await.unwrap(), Some(START));
        found
    }
}

/// Names are those of now.
fn unnamed(of: AccountReceivables) -> AccountReceivables {
    AccountReceivables { name: String::new(), ..of }
}

/// Touches all accounts, so that the month that has ended is closed for each of them, as the aggregator would have it closed.
async fn touch_all(load: &Load, number: usize) {
    for account in 0..ACCOUNTS {
        let command = Command {
            account: format!("account-{account}").into(),
            request_id: format!("touch-{number}").into(),
            first_sent_at: None,
            currency: None,
            action: Action::Update { name: Some(format!("Touched {number}")), low_credit_threshold: None, non_usage_billing: None },
            metadata: Metadata::default(),
        };
        load.ledger.submit(command).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receivables_as_of_a_day_are_what_was_listed_when_it_ended() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut load = Load::open(ledger(&redis.url()).await, ACCOUNTS, seed, folder.path()).await;
    let mut stores = [Kept::of(&sqlite_url(&folder.path().join("billing.db")), &load).await, Kept::of(&postgres.database(), &load).await];
    let (mut day, mut acts) = (START, 0);
    for number in 0..DAYS {
        load.set_clock(day + random.random_range(0..DAY / 2));
        touch_all(&load, number).await;
        for _ in 0..random.random_range(1..4) {
            load.send(12).await;
            for kept in &mut stores {
                kept.follow(&load, &mut random, &mut acts).await;
            }
            let now = load.ledger.clock().now();
            load.set_clock(now + random.random_range(0..(day + DAY - now) / 2));
        }
        for kept in &mut stores {
            kept.follow(&load, &mut random, &mut acts).await;
            kept.keep(day + DAY).await;
        }
        day = day + DAY * if random.random_ratio(1, 4) { random.random_range(5..25) } else { 1 };
    }
    for kept in &stores {
        let found = kept.holds().await;
        let reopened = kept.days.iter().flat_map(|(_, listed)| listed).filter(|of| !of.reopened.is_empty()).count();
        println!("{DAYS} days, {found} rows, {reopened} of them with something open again, {acts} acts by hand");
        assert!(found > DAYS && reopened > 0 && acts > 10);
    }
}
