//! What operators do when the ledger has lost something: reconcile, restore, and verify that all agrees.

use std::process::{Command, Output};

use sqlx::Row;
use tollgate::billing::Billing;
use tollgate::billing::settings::BillingSettings;
use tollgate::domain::account::{Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{self, Action, Create, Debit, ExcessPolicy, LimitChange, Metadata, RemainderPolicy, Reversal};
use tollgate::domain::ids::AccountId;
use tollgate::domain::money::{DecimalAmount, Units};
use tollgate::ledger::Ledger;

use crate::aggregation::check::until_caught_up;
use crate::aggregation::load::{Load, PARTITIONS, START, ledger};
use crate::aggregation::process::Aggregator;
use crate::aggregation::stops::{start, stopped};
use crate::postgres::PostgresServer;
use crate::support::RedisServer;
use crate::{seed, temporary_folder};

const ACCOUNTS: usize = 12;

/// Runs a command of the binary on the stores.
fn command(command: &str, redis: &RedisServer, billing: &str, clock: &str, more: &[&str]) -> Command {
    let mut tollgate = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let words = [command, "--redis", &redis.url(), "--test-clock", clock];
    tollgate.args(words).args(more).env_clear().env("TOLLGATE_BILLING", billing);
    tollgate
}

fn tollgate(name: &str, redis: &RedisServer, billing: &str, clock: &str, more: &[&str]) -> Output {
    command(name, redis, billing, clock, more).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_all_agrees(redis: &RedisServer, billing: &str, clock: &str) {
    let output = tollgate("verify", redis, billing, clock, &[]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("all agree"), "{}", text(&output));
}

fn account(number: usize) -> String {
    format!("account-{number}")
}

async fn submit(ledger: &Ledger, account: &str, request_id: &str, action: Action) {
    let metadata =
        Metadata { item: "call".into(), unit: "minute".into(), quantity: "2".into(), actor: "eve".into(), ..Metadata::default() };
    let command =
        command::Command { account: account.into(), request_id: request_id.into(), first_sent_at: None, currency: None, action, metadata };
    ledger.submit(command).await.unwrap().unwrap();
}

async fn charge(ledger: &Ledger, account: &str, request_id: &str, amount: i64) {
    let (amount, category) = (DecimalAmount::new(amount, 4), Category::Usage);
    let debit = Debit { amount, category, reservation: None, then: RemainderPolicy::Settle, excess: ExcessPolicy::WithinUsableCredit };
    submit(ledger, account, request_id, Action::Debit(debit)).await;
}

async fn open_accounts(ledger: &Ledger) {
    for number in 0..ACCOUNTS {
        let create = Create {
            name: format!("Customer {number}"),
            currency: Currency::parse("EUR").unwrap(),
            minor_digits: 2,
            decimals: 4,
            mode: if number % 2 == 0 { Mode::Prepaid } else { Mode::Postpaid },
            limit: LimitChange { permanent: Some(DecimalAmount::new(500, 0)), ..LimitChange::default() },
            low_credit_threshold: None,
            non_usage_billing: NonUsageBilling::Consolidated,
            allow_unusable: false,
        };
        submit(ledger, &account(number), "open", Action::Create(create)).await;
        submit(ledger, &account(number), "first", Action::TopUp { amount: DecimalAmount::new(100, 0) }).await;
        charge(ledger, &account(number), "kept", 12_345).await;
    }
}

/// What will be lost: charges, a refund, a payment, a limit.
async fn change_accounts(ledger: &Ledger) {
    for number in 0..ACCOUNTS {
        let id = account(number);
        charge(ledger, &id, "lost", 6_789).await;
        let undo = Reversal::of("lost".into(), Some(DecimalAmount::new(1_789, 4)));
        submit(ledger, &id, "refund", Action::Refund(undo)).await;
        submit(ledger, &id, "payment", Action::RecordPayment { amount: DecimalAmount::new(7, 0), invoices: Vec::new() }).await;
        let limit = LimitChange { permanent: Some(DecimalAmount::new(600, 0)), ..LimitChange::default() };
        submit(ledger, &id, "limit", Action::SetCreditLimit { limit, allow_unusable: false }).await;
        let account = ledger.observe(&AccountId::from(id.as_str()), false).await.unwrap().unwrap().account;
        if account.mode == Mode::Prepaid {
            let limit = LimitChange { permanent: Some(DecimalAmount::new(700, 0)), ..LimitChange::default() };
            submit(ledger, &id, "convert", Action::Convert { mode: Mode::Postpaid, limit, allow_unusable: false }).await;
        }
    }
}

/// Balance, unbilled amount and limit of each account.
async fn money(ledger: &Ledger) -> Vec<(Units, Units, Units)> {
    let mut found = Vec::new();
    for number in 0..ACCOUNTS {
        let account = ledger.observe(&AccountId::from(account(number).as_str()), false).await.unwrap().unwrap().account;
        found.push((account.balance, account.unbilled, account.permanent_limit));
    }
    found
}

#[tokio::test]
async fn what_only_sql_has_is_taken_out_or_applied_again_and_all_agrees_afterwards() {
    for reapply in [false, true] {
        let (mut redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
        let billing = postgres.database();
        let mut load = Load::open(ledger(&redis.url()).await, 0, seed(), folder.path()).await;
        open_accounts(&load.ledger).await;
        redis.command(&["SAVE"]);
        let before = money(&load.ledger).await;
        change_accounts(&load.ledger).await;
        let after = money(&load.ledger).await;
        assert_ne!(before, after);
        let aggregator = start(&redis, &billing, &load);
        let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
        until_caught_up(&store, &load.ledger).await;
        aggregator.kill();

        // A failover to a replica that was behind.
        redis.kill();
        redis.start_again();
        load.ledger = ledger(&redis.url()).await;
        assert_eq!(money(&load.ledger).await, before);
        let aggregator = start(&redis, &billing, &load);
        while stopped(&store).await.len() < usize::from(PARTITIONS) {}
        let shown = tollgate("reconcile", &redis, &billing, load.clock_file(), &[]);
        assert_eq!(shown.status.code(), Some(1), "{}", text(&shown));
        assert!(text(&shown).contains("lost tail: ") && text(&shown).contains("payment"), "{}", text(&shown));

        let how = if reapply { "--reapply" } else { "--accept-loss" };
        // Whether or not anybody reads what it prints, as behind `| head`, it does all of it.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let by = [how, "--actor", "eve", "--reason", "failover"];
        let done = command("reconcile", &redis, &billing, load.clock_file(), &by).stdout(writer).output().unwrap();
        assert!(done.status.success(), "{}", text(&done));
        if reapply {
            // What its callers repeat is known as that, whatever it was.
            assert_eq!(money(&load.ledger).await, after);
            change_accounts(&load.ledger).await;
        }
        assert_eq!(money(&load.ledger).await, if reapply { after } else { before });
        until_caught_up(&store, &load.ledger).await;
        assert_all_agrees(&redis, &billing, load.clock_file());
        let rows = sqlx::query("SELECT actor, reason, action FROM reconciliations").fetch_all(store.store().pool()).await.unwrap();
        // The ledger that this process had open before may have found what was lost, too: then that is on record besides.
        assert!(rows.len() >= usize::from(PARTITIONS), "{}", rows.len());
        for row in rows {
            let found: [String; 3] = [row.get(0), row.get(1), row.get(2)];
            assert_eq!(found, ["eve", "failover", if reapply { "REAPPLIED" } else { "LOSS_ACCEPTED" }]);
        }

        // Done again, there is nothing to do; and what was lost can be charged anew, or was applied already.
        let again = tollgate("reconcile", &redis, &billing, load.clock_file(), &[]);
        assert!(again.status.success() && text(&again).contains("nothing differs"), "{}", text(&again));
        charge(&load.ledger, &account(0), "new", 1).await;
        until_caught_up(&store, &load.ledger).await;
        assert_all_agrees(&redis, &billing, load.clock_file());
        drop(aggregator);
    }
}

#[tokio::test]
async fn an_empty_redis_is_made_whole_and_the_one_from_before_is_refused() {
    let (mut redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let billing = postgres.database();
    let mut load = Load::open(ledger(&redis.url()).await, 40, seed(), folder.path()).await;
    for _ in 0..12 {
        load.send(50).await;
        load.pass_time();
    }
    open_accounts_late(&load.ledger).await;
    let aggregator = start(&redis, &billing, &load);
    let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
    until_caught_up(&store, &load.ledger).await;
    aggregator.kill();

    let refused = tollgate("restore", &redis, &billing, load.clock_file(), &[]);
    assert_eq!(refused.status.code(), Some(1), "a ledger that is not empty is not touched: {}", text(&refused));
    redis.command(&["SAVE"]);
    redis.command(&["FLUSHALL"]);
    let restored = tollgate("restore", &redis, &billing, load.clock_file(), &[]);
    assert!(restored.status.success(), "{}", text(&restored));
    assert_all_agrees(&redis, &billing, load.clock_file());

    // What is repeated is not done again; what is new goes on, and is billed.
    let now = load.ledger.clock().now();
    load.ledger = ledger(&redis.url()).await;
    load.ledger.clock().set(now);
    let before = load.ledger.observe(&"late".into(), false).await.unwrap().unwrap().account;
    let repeated = command::Command {
        account: "late".into(),
        request_id: "first".into(),
        first_sent_at: None,
        currency: None,
        action: Action::TopUp { amount: DecimalAmount::new(100, 0) },
        metadata: Metadata { item: "call".into(), unit: "minute".into(), quantity: "2".into(), actor: "eve".into(), ..Metadata::default() },
    };
    let outcome = load.ledger.submit(repeated).await.unwrap().unwrap();
    assert!(outcome.replayed);
    assert_eq!(outcome.account.balance, before.balance);
    let aggregator = start(&redis, &billing, &load);
    load.send(200).await;
    until_caught_up(&store, &load.ledger).await;
    assert_all_agrees(&redis, &billing, load.clock_file());

    // The Redis from before comes back.
    redis.kill();
    redis.start_again();
    while stopped(&store).await.len() < usize::from(PARTITIONS) {}
    drop(aggregator);
}

async fn open_accounts_late(ledger: &Ledger) {
    let create = Create {
        name: "Late".into(),
        currency: Currency::parse("EUR").unwrap(),
        minor_digits: 2,
        decimals: 4,
        mode: Mode::Prepaid,
        limit: LimitChange::default(),
        low_credit_threshold: None,
        non_usage_billing: NonUsageBilling::Consolidated,
        allow_unusable: false,
    };
    submit(ledger, "late", "open", Action::Create(create)).await;
    submit(ledger, "late", "first", Action::TopUp { amount: DecimalAmount::new(100, 0) }).await;
}

#[tokio::test]
async fn what_was_tampered_with_is_found() {
    let (redis, postgres, folder) = (RedisServer::redis(), PostgresServer::shared(), temporary_folder());
    let billing = postgres.database();
    let load = Load::open(ledger(&redis.url()).await, 0, seed(), folder.path()).await;
    open_accounts(&load.ledger).await;
    load.set_clock(START + 31 * 86_400_000);
    for number in 0..ACCOUNTS {
        charge(&load.ledger, &account(number), "february", 55).await;
    }
    let aggregator = start(&redis, &billing, &load);
    let store = Billing::open(&billing, BillingSettings::default()).await.unwrap();
    until_caught_up(&store, &load.ledger).await;
    let _: Aggregator = aggregator;
    assert_all_agrees(&redis, &billing, load.clock_file());
    let tamperings = [
        ("UPDATE entries SET amount = amount + 1 WHERE account = 'account-1' AND kind = 4", "journal"),
        ("UPDATE entries SET previous = previous - 1 WHERE account = 'account-4' AND previous > 0", "does not say so"),
        ("UPDATE totals SET amount = amount + 1 WHERE account = 'account-1' AND kind = 4", "totals"),
        ("UPDATE accounts SET balance = balance + 1 WHERE account = 'account-2'", "accounts in SQL"),
        ("DELETE FROM documents WHERE account = 'account-3'", "documents"),
    ];
    for (sql, place) in tamperings {
        sqlx::query(sql).execute(store.store().pool()).await.unwrap();
        let output = tollgate("verify", &redis, &billing, load.clock_file(), &[]);
        assert_eq!(output.status.code(), Some(1), "{sql}: {}", text(&output));
        assert!(text(&output).contains(place), "{sql}: {}", text(&output));
    }
    // The ledger itself.
    let key = redis.command(&["KEYS", "*:accounts"]).lines().next().unwrap().to_owned();
    let id = redis.command(&["HKEYS", &key]).lines().find(|line| line.starts_with("account-")).unwrap().to_owned();
    redis.command(&["HDEL", &key, &id]);
    let output = tollgate("verify", &redis, &billing, load.clock_file(), &["--output", "json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let differences = found["differences"].as_array().unwrap();
    assert!(differences.iter().any(|difference| difference["place"] == "ledger" && difference["subject"] == id.as_str()), "{found:#}");
}
