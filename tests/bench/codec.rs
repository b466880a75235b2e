//! What stored records cost to write and to read: `cargo bench --bench codec`.

use std::hint::black_box;
use tollgate::domain::money::Units;

use divan::Bencher;
use divan::counter::ItemsCount;

use tollgate::domain::account::{Account, Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Debit, ExcessPolicy, Metadata, RemainderPolicy};
use tollgate::domain::entry::Entry;
use tollgate::domain::money::DecimalAmount;
use tollgate::domain::rules::{LoadedState, StepTime, decide};
use tollgate::domain::time::UnixMillis;
use tollgate::ledger::codec::journal::{decode_block, encode_block};
use tollgate::ledger::codec::{decode_account, encode_account};
use tollgate::ledger::{Block, PreparedCommand};

fn main() {
    divan::main();
}

const NOW: UnixMillis = UnixMillis::new(1_764_288_000_000);
const ENTRIES: usize = 64;

fn account() -> Account {
    let opened = Account::opened(Mode::Prepaid, NonUsageBilling::Consolidated, (Currency::parse("EUR").unwrap_or(Currency::NONE), 5, 2));
    Account { balance: Units::new(100_000_000), period_end: NOW + 86_400_000, ..opened }
}

fn debit(number: usize) -> Command {
    let (account, request_id) = ("partner-7/customer-42".into(), format!("f81d4fae-7dec-11d0-a765-{number:012}").into());
    let (amount, category, reservation) = (DecimalAmount::new(135, 4), Category::Usage, None);
    let (then, excess) = (RemainderPolicy::Settle, ExcessPolicy::WithinUsableCredit);
    let action = Action::Debit(Debit { amount, category, reservation, then, excess });
    Command { account, request_id, first_sent_at: None, currency: None, action, metadata: Metadata::default() }
}

/// A block of charges, as a full step writes it.
fn block() -> Block {
    let clock = StepTime { now: NOW, period_end: NOW + 86_400_000, window: 86_400_000 };
    let loaded = LoadedState { account: Some(account()), next_sequence: 7, ..LoadedState::default() };
    let entries = |number| decide(&loaded, &debit(number), &[7; 8], &clock).writes.map(|writes| writes.entries).unwrap_or_default();
    let entries: Vec<Entry> = (0..ENTRIES).flat_map(entries).collect();
    Block { first_sequence: 1, id: [1; 16], previous: [0; 16], time: NOW, entries }
}

#[divan::bench]
fn a_block_of_64_charges_is_written(bencher: Bencher<'_, '_>) {
    let block = block();
    bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| encode_block(black_box(&block)));
}

#[divan::bench]
fn a_block_of_64_charges_is_read(bencher: Bencher<'_, '_>) {
    let bytes = encode_block(&block());
    bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| decode_block(black_box(&bytes)));
}

#[divan::bench]
fn an_account_is_written_and_read(bencher: Bencher<'_, '_>) {
    let account = account();
    bencher.bench_local(|| decode_account(&encode_account(black_box(&account))));
}

#[divan::bench]
fn a_command_is_prepared(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(|| debit(1)).bench_local_values(PreparedCommand::new);
}
