//! What is receivable ties to the ledger at every position of the journal, whatever has happened to the accounts.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sqlx::Row;
use tollgate::billing::account_statement::AccountStatement;
use tollgate::billing::aggregate::commit;
use tollgate::billing::partitions::{Claim, claim, initialize};
use tollgate::billing::position::Position;
use tollgate::billing::projection::follow;
use tollgate::billing::receivables::{ReceivablesOrder, ReceivablesTotal};
use tollgate::billing::retention::RetentionSettings;
use tollgate::billing::store::sqlite_url;
use tollgate::billing::verify::verify;
use tollgate::billing::{AccountReceivables, Act, Billing, BillingSettings, ByHand, Record};
use tollgate::domain::account::Mode;
use tollgate::domain::ids::AccountId;
use tollgate::domain::money::Units;
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::Block;

use crate::aggregation::check::all_is_issued;
use crate::aggregation::load::{Load, PARTITIONS, START, ledger};
use crate::postgres::PostgresServer;
use crate::support::RedisServer;
use crate::{seed, temporary_folder};

/// The journal of a ledger, taken in block by block.
pub struct Reader {
    pub billing: Billing,
    claims: Vec<Claim>,
    positions: Vec<Position>,
    blocks: Vec<VecDeque<Block>>,
    /// Mode and balance of each account, by the entries that were taken in.
    accounts: BTreeMap<String, (Mode, Units)>,
}

impl Reader {
    pub async fn of(billing: Billing, load: &Load) -> Self {
        initialize(billing.store(), PARTITIONS).await.unwrap();
        let mut claims = Vec::new();
        for _ in 0..PARTITIONS {
            claims.push(claim(billing.store(), "test", 600_000, PARTITIONS).await.unwrap().unwrap());
        }
        let positions = vec![Position::BEGINNING; usize::from(PARTITIONS)];
        let mut reader = Self { billing, claims, positions, blocks: Vec::new(), accounts: BTreeMap::new() };
        reader.look(load).await;
        reader
    }

    /// Looks what the journal has by now.
    pub async fn look(&mut self, load: &Load) {
        self.blocks.clear();
        for (partition, at) in (0..).zip(&self.positions) {
            let blocks = load.ledger.engine().blocks_after(partition, at.next_sequence - 1, 10_000_000).await.unwrap();
            self.blocks.push(blocks.into());
        }
    }

    pub fn partitions(&self) -> usize {
        self.positions.len()
    }

    /// Takes the next block of a partition in; returns false if there is none.
    pub async fn step(&mut self, partition: usize) -> bool {
        let Some(block) = self.blocks[partition].pop_front() else { return false };
        let from = self.positions[partition];
        let number = u16::try_from(partition).unwrap();
        let (mut records, to) = follow(number, from, vec![block]).unwrap();
        let claim = Claim { position: from, ..self.claims[partition] };
        commit(self.billing.store(), &claim, &to, 600_000, &mut records).await.unwrap();
        self.positions[partition] = to;
        for Record { entry, .. } in records {
            self.accounts.insert(entry.account.into(), (entry.mode, entry.balance));
        }
        true
    }

    /// Sums the receivables, page by page, and holds them against the entries.
    async fn ties(&self) {
        let (mut found, mut after) = (HashMap::new(), None::<String>);
        loop {
            let (page, position) = self.billing.receivables(START, None, after.as_deref(), 7, None).await.unwrap();
            let expected: Vec<_> = (0..).zip(&self.positions).map(|(partition, at)| (partition, at.next_sequence - 1)).collect();
            assert_eq!(position, expected, "the answer names the position that it is of");
            let Some(last) = page.last() else { break };
            after = Some(last.account.clone().into());
            found.extend(page.into_iter().map(|one| (one.account.to_string(), one)));
        }
        self.is_ordered(found.values().cloned().collect()).await;
        for (account, (mode, balance)) in &self.accounts {
            let of = found.get(account);
            let due = (-*balance).max(Units::ZERO);
            if *mode == Mode::Postpaid {
                assert_eq!(of.map_or(Units::ZERO, |of| of.total()), due, "{account}: {of:?} at {:?}", self.positions);
            } else if let Some(of) = of {
                assert!(of.not_invoiced == Units::ZERO && of.total() >= Units::ZERO, "{account}: {of:?}");
            }
        }
    }
}

impl Reader {
    /// Holds the same in each order, page by page, and the sums, against all of them.
    async fn is_ordered(&self, mut all: Vec<AccountReceivables>) {
        for order in [ReceivablesOrder::OldestFirst, ReceivablesOrder::LargestFirst] {
            all.sort_by_key(|of| order.place(of));
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let ordered = (order, after.as_ref());
                let page = self.billing.receivables_in_order(START, ordered, "", 7, true, None).await.unwrap();
                assert_eq!(page.totals, ReceivablesTotal::by_currency(&all), "at {:?}", self.positions);
                let Some(last) = page.receivables.last() else { break };
                after = Some(order.place(last));
                listed.extend(page.receivables);
            }
            assert_eq!(listed, all, "{order:?} at {:?}", self.positions);
        }
    }
}

/// What an operator does at random to a payment: takes it off an invoice, frees it, or allocates it.
pub async fn by_hand(billing: &Billing, random: &mut StdRng, number: usize, at: UnixMillis) -> bool {
    let taken_off = "SELECT credits.account, credits.request_id, issued.number FROM allocations \
                     JOIN credits ON credits.account = allocations.account AND credits.sequence = allocations.credit \
                     JOIN issued ON issued.document = allocations.document WHERE allocations.amount > 0";
    let set_free = "SELECT account, request_id, '' AS number FROM credits WHERE set_aside > 0";
    let allocated = "SELECT credits.account, credits.request_id, issued.number FROM credits \
                     JOIN payables ON payables.account = credits.account AND payables.open_amount > 0 \
                     JOIN issued ON issued.document = payables.document WHERE credits.amount > credits.allocated + credits.reversed";
    let (sql, act) = match random.random_range(0..5) {
        0..3 => (taken_off, Act::TakeOff),
        3 => (set_free, Act::SetFree),
        _ => (allocated, Act::Allocate),
    };
    let rows = sqlx::query(sql).fetch_all(billing.store().pool()).await.unwrap();
    let Some(row) = rows.choose(random) else { return false };
    let asked = ByHand {
        account: row.get::<String, _>("account").into(),
        request_id: format!("by-hand-{number}").into(),
        act,
        credit: row.get::<String, _>("request_id").into(),
        invoice: row.get("number"),
        amount: None,
        actor: "eve".into(),
        on_behalf_of: String::new(),
        origin: Default::default(),
        reason: "a test".into(),
        at,
    };
    let Ok(done) = billing.allocate_by_hand(&asked).await.unwrap() else { return false };
    assert!(done.amount > Units::ZERO && !done.replayed, "{asked:?}: {done:?}");
    let again = billing.allocate_by_hand(&ByHand { actor: "bob".into(), ..asked.clone() }).await.unwrap().unwrap();
    assert_eq!((again.amount, again.replayed), (done.amount, true));
    true
}

/// Statements of account of two spans add up to that of both, and their closing is the ledger's balance.
async fn statements_tie(reader: &Reader, random: &mut StdRng, until: UnixMillis) {
    for (account, (_, balance)) in &reader.accounts {
        let between = START + random.random_range(0..until - START);
        let whole = reader.billing.account_statement(&AccountId::from(account.as_str()), None, until).await.unwrap();
        let first = reader.billing.account_statement(&AccountId::from(account.as_str()), None, between).await.unwrap();
        let second = reader.billing.account_statement(&AccountId::from(account.as_str()), Some(between), until).await.unwrap();
        assert_eq!((whole.opening, whole.closing, first.opening), (Units::ZERO, *balance, Units::ZERO), "{account}");
        assert_eq!((first.closing, second.closing), (second.opening, *balance), "{account}");
        let moved = |statement: &AccountStatement| statement.lines.iter().map(|line| line.amount).sum::<Units>();
        assert_eq!(moved(&first) + moved(&second), *balance, "{account}");
        assert_eq!(whole.lines.last().map_or(Units::ZERO, |last| last.balance), *balance, "{account}");
        let open = "SELECT CAST(COALESCE(SUM(open_amount), 0) AS BIGINT) FROM payables WHERE account = $1";
        let row = sqlx::query(open).bind(account.clone()).fetch_one(reader.billing.store().pool()).await.unwrap();
        assert_eq!(whole.open, Units::new(row.get::<i64, _>(0)), "{account}");
    }
}

async fn receivables_tie(billing: Billing, load: &Load, random: &mut StdRng) {
    let mut reader = Reader::of(billing, load).await;
    let (mut checked, mut acts) = (0, 0);
    while reader.blocks.iter().any(|blocks| !blocks.is_empty()) {
        let partition = random.random_range(0..reader.blocks.len());
        if reader.step(partition).await && random.random_ratio(1, 2) {
            if random.random_ratio(1, 20) {
                all_is_issued(&reader.billing).await;
            }
            if random.random_ratio(1, 2) && by_hand(&reader.billing, random, checked, START).await {
                acts += 1;
            }
            reader.ties().await;
            checked += 1;
        }
    }
    reader.ties().await;
    let owing = reader.accounts.values().filter(|(mode, balance)| *mode == Mode::Postpaid && *balance < Units::ZERO).count();
    statements_tie(&reader, random, load.ledger.clock().now() + 1).await;
    all_is_issued(&reader.billing).await;
    let findings = verify(&reader.billing, &load.ledger, &[], &RetentionSettings::default(), |_, _, _| {}).await.unwrap();
    assert_eq!(findings.differences, [], "verify agrees");
    println!("{checked} positions, {acts} acts by hand, {owing} of {} accounts owe in the end", reader.accounts.len());
    assert!(checked > 50 && owing > 0 && acts > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivables_tie_to_the_ledger_at_every_position_of_the_journal() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let seed = seed();
    let mut load = Load::open(ledger(&redis.url()).await, 40, seed, folder.path()).await;
    for _ in 0..250 {
        load.send(8).await;
        load.pass_time();
    }
    let mut random = StdRng::seed_from_u64(seed);
    let url = sqlite_url(&folder.path().join("billing.db"));
    receivables_tie(Billing::open(&url, BillingSettings::default()).await.unwrap(), &load, &mut random).await;
    receivables_tie(Billing::open(&postgres.database(), BillingSettings::default()).await.unwrap(), &load, &mut random).await;
}
