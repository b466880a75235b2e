//! What it costs to know a caller, and what it may, in processor time of this thread, beside the rules' decision of a debit:
//! `cargo bench -p tollgate-access`.

use std::hint::black_box;

use anyhow::Context;
use domain::account::{Account, Category, Currency, Mode, NonUsageBilling};
use domain::command::{Action, Command, Debit, ExcessPolicy, RemainderPolicy};
use domain::money::{DecimalAmount, Units};
use domain::rules::{LoadedState, StepTime, decide};
use domain::time::UnixMillis;
use rustix::time::{ClockId, clock_gettime};
use tollgate_access::key::NewKey;
use tollgate_access::{Access, Permission, Presented};

const ROUNDS: usize = 9;
const TIMES: u32 = 100_000;
const ACCOUNT: &str = "partner-7/customer-42";

fn main() -> anyhow::Result<()> {
    let euro = Currency::parse("EUR").context("a code")?;
    let debit = decided(euro);
    println!("{:<93}{debit:>7} ns", "the decision of a debit");
    let of = |what: &str, cost: u64| println!("{what:<93}{cost:>7} ns {:>6.1} % of it", cost as f64 * 100.0 / debit as f64);
    let amount = DecimalAmount::new(135, 4);

    let open = Access::open();
    of(
        "open to everybody: the caller, its permission, its share",
        processor_time(|| {
            let caller = open.authenticate(&presented(&[]));
            let _ = black_box(caller.map(|caller| caller.may_on(Permission::Charge, ACCOUNT) && caller.share.take_request().is_ok()));
        }),
    );
    for (name, grant) in
        [("a key", ""), ("a key bound to a prefix and an amount", "accounts = ['partner-7/']\nmost = { charge = { EUR = '100' } }\n")]
    {
        let folder = tempfile::tempdir()?;
        let (path, key) = (folder.path().join("access.toml"), NewKey::generate()?);
        let entry = format!("[[keys]]\nname = 'switch'\nid = '{}'\ndigest = '{}'\nroles = ['charge']\n{grant}", key.id, key.digest());
        std::fs::write(&path, entry)?;
        let access = Access::of_file(&path)?;
        let header = format!("Bearer {}", key.text);
        let authorization = [header.as_str()];
        let caller = access.authenticate(&presented(&authorization))?;
        let changes = access.changes();
        let may = |caller: &tollgate_access::Principal| {
            caller.may_on(Permission::Charge, ACCOUNT)
                && (!caller.is_bounded(Permission::Charge, ACCOUNT) || caller.may_with(Permission::Charge, ACCOUNT, euro, amount))
                && caller.share.take_request().is_ok()
        };
        assert!(may(&caller));
        of(
            &format!("{name}: the caller, its permission, its share"),
            processor_time(|| {
                let _ = black_box(access.authenticate(&presented(&authorization)).map(|caller| may(&caller)));
            }),
        );
        of(
            &format!("{name}: a command of a stream, whose caller is known"),
            processor_time(|| {
                black_box(changes.has_changed().is_ok_and(|has_changed| !has_changed) && may(&caller));
            }),
        );
    }
    Ok(())
}

fn presented<'a>(authorization: &'a [&'a str]) -> Presented<'a> {
    Presented { authorization, certificate: None, address: [127, 0, 0, 1].into() }
}

/// What the rules alone take for a plain debit: what the check stands beside in a call, and the least of it.
fn decided(euro: Currency) -> u64 {
    const NOW: UnixMillis = UnixMillis::new(1_764_288_000_000);
    let opened = Account::opened(Mode::Prepaid, NonUsageBilling::Consolidated, (euro, 5, 2));
    let account = Account { balance: Units::new(100_000_000), period_end: NOW + 86_400_000, ..opened };
    let loaded = LoadedState { account: Some(account), next_sequence: 7, ..LoadedState::default() };
    let (amount, category) = (DecimalAmount::new(135, 4), Category::Usage);
    let (then, excess) = (RemainderPolicy::Settle, ExcessPolicy::WithinUsableCredit);
    let action = Action::Debit(Debit { amount, category, reservation: None, then, excess });
    let command = Command::new(ACCOUNT, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", action);
    let clock = StepTime { now: NOW, period_end: NOW + 86_400_000, window: 86_400_000 };
    processor_time(|| drop(black_box(decide(black_box(&loaded), black_box(&command), &[7; 8], &clock))))
}

/// The median of the rounds, in nanoseconds of processor time each time. What else the machine does counts only by colder caches.
fn processor_time(work: impl Fn()) -> u64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    };
    let mut rounds = [0; ROUNDS];
    for round in &mut rounds {
        let began = now();
        (0..TIMES).for_each(|_| work());
        *round = (now() - began) / u64::from(TIMES);
    }
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}
