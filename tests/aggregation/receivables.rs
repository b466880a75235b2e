//! What is receivable ties to the ledger at every position of the journal, whatever has happened to the accounts.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tollgate::billing::aggregate::step::commit;
use tollgate::billing::aggregate::{Position, follow};
use tollgate::billing::partitions::{Claim, claim, initialize};
use tollgate::billing::store::sqlite_url;
use tollgate::billing::{Billing, BillingSettings, Record};
use tollgate::domain::account::Mode;
use tollgate::ledger::Block;

use crate::load::{Load, PARTITIONS, ledger};
use crate::postgres::PostgresServer;
use crate::support::RedisServer;
use crate::{seed, temporary_folder};

/// The journal of a ledger, taken in block by block.
struct Reader {
    billing: Billing,
    claims: Vec<Claim>,
    positions: Vec<Position>,
    blocks: Vec<VecDeque<Block>>,
    /// Mode and balance of each account, by the entries that were taken in.
    accounts: BTreeMap<String, (Mode, i64)>,
}

impl Reader {
    async fn of(billing: Billing, load: &Load) -> Self {
        initialize(billing.store(), PARTITIONS).await.unwrap();
        let (mut claims, mut blocks) = (Vec::new(), Vec::new());
        for partition in 0..PARTITIONS {
            claims.push(claim(billing.store(), "test", 600_000).await.unwrap().unwrap());
            blocks.push(load.ledger.engine().blocks_after(partition, 0, 10_000_000).await.unwrap().into());
        }
        let positions = vec![Position::BEGINNING; usize::from(PARTITIONS)];
        Self { billing, claims, positions, blocks, accounts: BTreeMap::new() }
    }

    /// Takes the next block of a partition in; returns false if there is none.
    async fn step(&mut self, partition: usize) -> bool {
        let Some(block) = self.blocks[partition].pop_front() else { return false };
        let from = self.positions[partition];
        let number = u16::try_from(partition).unwrap();
        let (mut records, to) = follow(number, from, vec![block]).unwrap();
        let claim = Claim { position: from, ..self.claims[partition] };
        commit(self.billing.store(), &claim, &to, 600_000, &mut records).await.unwrap();
        self.positions[partition] = to;
        for Record { entry, .. } in records {
            self.accounts.insert(entry.account, (entry.mode, entry.balance));
        }
        true
    }

    /// Sums the receivables, page by page, and holds them against the entries.
    async fn ties(&self) {
        let (mut found, mut after) = (HashMap::new(), None::<String>);
        loop {
            let (page, position) = self.billing.receivables(crate::load::START, None, after.as_deref(), 7).await.unwrap();
            let expected: Vec<_> = (0..).zip(&self.positions).map(|(partition, at)| (partition, at.next_sequence - 1)).collect();
            assert_eq!(position, expected, "the answer names the position that it is of");
            let Some(last) = page.last() else { break };
            after = Some(last.account.clone());
            found.extend(page.into_iter().map(|one| (one.account.clone(), one)));
        }
        for (account, (mode, balance)) in &self.accounts {
            let of = found.get(account);
            let due = (-balance).max(0);
            if *mode == Mode::Postpaid {
                assert_eq!(of.map_or(0, |of| of.total()), due, "{account}: {of:?} at {:?}", self.positions);
            } else if let Some(of) = of {
                assert!(of.not_invoiced == 0 && of.total() >= 0, "{account}: {of:?}");
            }
        }
    }
}

async fn receivables_tie(billing: Billing, load: &Load, random: &mut StdRng) {
    let mut reader = Reader::of(billing, load).await;
    let mut checked = 0;
    while reader.blocks.iter().any(|blocks| !blocks.is_empty()) {
        let partition = random.random_range(0..reader.blocks.len());
        if reader.step(partition).await && random.random_ratio(1, 2) {
            reader.ties().await;
            checked += 1;
        }
    }
    reader.ties().await;
    let owing = reader.accounts.values().filter(|(mode, balance)| *mode == Mode::Postpaid && *balance < 0).count();
    println!("{checked} positions, {owing} of {} accounts owe in the end", reader.accounts.len());
    assert!(checked > 50 && owing > 0);
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
