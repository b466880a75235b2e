//! What of a lost end is not applied again, because it would be done twice, or undo what was said since: it stays kept aside.

use std::time::{Duration, Instant};

use tollgate::billing::reconcile::Decision;
use tollgate::billing::reconcile::lost::{accept_loss, reapply_lost};
use tollgate::billing::reconcile::reapply::ReapplyTarget;
use tollgate::domain::account::{Account, Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Create, Debit, ExcessPolicy, Kind, LimitChange, Metadata, RemainderPolicy};
use tollgate::domain::ids::AccountId;
use tollgate::domain::money::{DecimalAmount, Units};
use tollgate::domain::outcome::{Outcome, Verdict};
use tollgate::ledger::Ledger;

use crate::aggregation::load::{START, ledger_of};
use crate::support::RedisServer;

const DAY: i64 = 86_400_000;

/// One unit of money, in units.
const ONE: Units = Units::new(10_000);

/// Asks for something, and repeats it while the store is away.
async fn ask(ledger: &Ledger, account: &str, id: &str, action: Action) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (account, request_id, metadata) = (account.to_owned(), id.to_owned(), Metadata::default());
        let command = Command {
            account: account.into(),
            request_id: request_id.into(),
            first_sent_at: None,
            currency: None,
            action: action.clone(),
            metadata,
        };
        match ledger.submit(command).await {
            Ok(answer) => return answer.unwrap(),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn money(amount: i64) -> DecimalAmount {
    DecimalAmount::new(amount, 0)
}

fn debit(amount: i64) -> Action {
    let (amount, category) = (money(amount), Category::Usage);
    Action::Debit(Debit { amount, category, reservation: None, then: RemainderPolicy::Settle, excess: ExcessPolicy::WithinUsableCredit })
}

fn limit(amount: i64) -> Action {
    Action::SetCreditLimit { limit: LimitChange { permanent: Some(money(amount)), ..LimitChange::default() }, allow_unusable: true }
}

fn withdraw(amount: i64) -> Action {
    Action::Withdraw { amount: money(amount), is_paid_out: false }
}

async fn open(ledger: &Ledger, account: &str) {
    let create = Create {
        name: account.to_owned(),
        currency: Currency::parse("EUR").unwrap(),
        minor_digits: 2,
        decimals: 4,
        mode: Mode::Prepaid,
        limit: LimitChange::default(),
        low_credit_threshold: None,
        non_usage_billing: NonUsageBilling::Consolidated,
        allow_unusable: true,
    };
    ask(ledger, account, "open", Action::Create(create)).await;
    ask(ledger, account, "first", Action::TopUp { amount: money(100) }).await;
}

async fn account(ledger: &Ledger, account: &str) -> Account {
    ledger.observe(&AccountId::from(account), false).await.unwrap().unwrap().account
}

/// Has the store return with its last file, and waits until the loss is kept aside.
async fn lose(redis: &mut RedisServer, ledger: &Ledger) {
    redis.kill();
    redis.start_again();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !matches!(ledger.engine().lost_blocks(0).await, Ok(blocks) if !blocks.is_empty()) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn decision(reapply: bool) -> Decision {
    Decision { actor: "eve".into(), reason: "failover".into(), at: START, reapply }
}

/// Applies what is kept aside again; returns what came of it, and how many blocks are kept aside still.
async fn reapply(ledger: &Ledger, accept_repeats: bool) -> (Vec<String>, usize) {
    let blocks = ledger.engine().lost_blocks(0).await.unwrap();
    let done = reapply_lost(&ReapplyTarget { billing: None, ledger, accept_repeats }, 0, &blocks, &decision(true)).await.unwrap();
    let left = ledger.engine().lost_blocks(0).await.unwrap().len();
    (done.into_iter().map(|reapplied| reapplied.outcome.text).collect(), left)
}

/// Lets four days pass, with a charge on each, so that no request id of before is remembered.
async fn forget_requests(ledger: &Ledger) {
    for day in 1..=4 {
        ledger.clock().set(START + day * DAY + day);
        ask(ledger, "acme", &format!("day-{day}"), debit(1)).await;
        while ledger.engine().sweep(0).await.unwrap() {}
    }
}

#[tokio::test]
async fn what_was_asked_before_request_ids_were_forgotten_is_applied_again_only_if_repeats_are_accepted() {
    let mut redis = RedisServer::redis();
    let ledger = ledger_of(&redis.url(), 1).await;
    open(&ledger, "acme").await;
    redis.command(&["SAVE"]);
    for number in 0..3 {
        ask(&ledger, "acme", &format!("lost-{number}"), debit(1)).await;
    }
    lose(&mut redis, &ledger).await;
    assert!(!ask(&ledger, "acme", "lost-0", debit(1)).await.replayed);
    forget_requests(&ledger).await;
    let refused = "refused: REQUEST_TOO_OLD";
    assert_eq!(reapply(&ledger, false).await, (["applied already", refused, refused].map(str::to_owned).into(), 2));
    assert_eq!(account(&ledger, "acme").await.balance, 95 * ONE);
    assert_eq!(reapply(&ledger, true).await, (["applied", "applied"].map(str::to_owned).into(), 0));
    assert_eq!(account(&ledger, "acme").await.balance, 93 * ONE);
    // Nobody remembers that it was repeated, but for the journal.
    assert!(!ask(&ledger, "acme", "lost-0", debit(1)).await.replayed);
}

#[tokio::test]
async fn what_is_repeated_and_in_the_journal_is_not_applied_again_though_repeats_are_accepted() {
    let mut redis = RedisServer::redis();
    let ledger = ledger_of(&redis.url(), 1).await;
    open(&ledger, "acme").await;
    redis.command(&["SAVE"]);
    ask(&ledger, "acme", "lost", debit(1)).await;
    lose(&mut redis, &ledger).await;
    assert!(!ask(&ledger, "acme", "lost", debit(1)).await.replayed);
    forget_requests(&ledger).await;
    assert_eq!(reapply(&ledger, true).await, (vec!["applied already".to_owned()], 0));
    assert_eq!(account(&ledger, "acme").await.balance, 95 * ONE);
}

#[tokio::test]
async fn what_was_declined_or_set_otherwise_since_stays_kept_aside_and_a_withdrawal_is_one() {
    let mut redis = RedisServer::redis();
    let ledger = ledger_of(&redis.url(), 1).await;
    for name in ["acme", "beta", "gamma"] {
        open(&ledger, name).await;
    }
    redis.command(&["SAVE"]);
    ask(&ledger, "acme", "limit-1", limit(50)).await;
    ask(&ledger, "acme", "big", debit(90)).await;
    ask(&ledger, "beta", "paid-out", withdraw(40)).await;
    ask(&ledger, "gamma", "limit-1", limit(50)).await;
    ask(&ledger, "gamma", "limit-2", limit(60)).await;
    lose(&mut redis, &ledger).await;
    ask(&ledger, "acme", "small", debit(50)).await;
    let declined = ask(&ledger, "acme", "big", debit(90)).await.decision.unwrap();
    assert_eq!(declined.verdict, Verdict::Declined);
    ask(&ledger, "acme", "limit-3", limit(10)).await;
    // Less is left than was paid out.
    ask(&ledger, "beta", "small", debit(80)).await;

    let (outcomes, left) = reapply(&ledger, false).await;
    let expected =
        ["not applied: the account was changed since", "not applied: it was declined meanwhile", "applied", "applied", "applied"];
    assert_eq!((outcomes, left), (expected.map(str::to_owned).into(), 2));
    assert_eq!(account(&ledger, "acme").await.permanent_limit, 10 * ONE);
    assert_eq!(account(&ledger, "gamma").await.permanent_limit, 60 * ONE);
    assert_eq!(account(&ledger, "beta").await.balance, -20 * ONE);
    // Its caller is told what it asked for.
    let repeated = ask(&ledger, "beta", "paid-out", withdraw(40)).await;
    let decision_again = repeated.decision.unwrap();
    assert_eq!((repeated.replayed, decision_again.kind, decision_again.amount), (true, Kind::Withdraw, 40 * ONE));
    // Asked again, what is left is left; it is given up.
    assert_eq!(reapply(&ledger, false).await.1, 2);
    let blocks = ledger.engine().lost_blocks(0).await.unwrap();
    accept_loss(None, &ledger, 0, &blocks, &decision(false)).await.unwrap();
    assert!(ledger.engine().lost_blocks(0).await.unwrap().is_empty());
}
