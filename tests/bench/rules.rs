//! What the rules cost: `cargo bench --bench rules`.

use std::hint::black_box;

use divan::Bencher;

use tollgate::domain::account::{Account, Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Debit, ExcessPolicy, LimitChange, Metadata, RemainderPolicy, Reserve};
use tollgate::domain::money::{DecimalAmount, Units};
use tollgate::domain::rules::{LoadedState, StepTime, decide};
use tollgate::domain::time::UnixMillis;

fn main() {
    divan::main();
}

const NOW: UnixMillis = UnixMillis::new(1_764_288_000_000);

fn account() -> Account {
    let opened = Account::opened(Mode::Prepaid, NonUsageBilling::Consolidated, (Currency::parse("EUR").unwrap_or(Currency::NONE), 5, 2));
    Account { balance: Units::new(100_000_000), period_end: NOW + 86_400_000, ..opened }
}

fn command(action: Action) -> Command {
    let (account, request_id) = ("partner-7/customer-42".into(), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6".into());
    Command { account, request_id, first_sent_at: None, currency: None, action, metadata: Metadata::default() }
}

fn decided(bencher: Bencher<'_, '_>, action: Action) {
    let (command, clock) = (command(action), StepTime { now: NOW, period_end: NOW + 86_400_000, window: 86_400_000 });
    let loaded = LoadedState { account: Some(account()), next_sequence: 7, ..LoadedState::default() };
    bencher.bench_local(|| decide(black_box(&loaded), black_box(&command), &[7; 8], &clock));
}

#[divan::bench]
fn a_plain_debit(bencher: Bencher<'_, '_>) {
    let (amount, category) = (DecimalAmount::new(135, 4), Category::Usage);
    let (then, excess) = (RemainderPolicy::Settle, ExcessPolicy::WithinUsableCredit);
    decided(bencher, Action::Debit(Debit { amount, category, reservation: None, then, excess }));
}

#[divan::bench]
fn a_decline(bencher: Bencher<'_, '_>) {
    let (amount, category) = (DecimalAmount::new(1_000_000_000, 0), Category::Usage);
    let (then, excess) = (RemainderPolicy::Settle, ExcessPolicy::WithinUsableCredit);
    decided(bencher, Action::Debit(Debit { amount, category, reservation: None, then, excess }));
}

#[divan::bench]
fn an_authorize(bencher: Bencher<'_, '_>) {
    let (amount, validity, grace) = (DecimalAmount::new(135, 2), 30_000, 60_000);
    decided(bencher, Action::Authorize(Reserve { amount, minimum: None, validity, grace }));
}

#[divan::bench]
fn a_conversion(bencher: Bencher<'_, '_>) {
    let limit = LimitChange::default();
    decided(bencher, Action::Convert { mode: Mode::Postpaid, limit, allow_unusable: true });
}
