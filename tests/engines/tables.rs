//! The tables of examples, in sentences, on every engine: what the ledger decides of them.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tollgate::billing::lookup::{LookedUp, look_up};
use tollgate::clock::Clock;
use tollgate::domain::account::{Category, Currency, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Create, Debit, Excess, LimitChange, Note, Then, Undo};
use tollgate::domain::entry::{Entry, EntryKind};
use tollgate::domain::money::Quote;
use tollgate::domain::outcome::{Answer, Verdict};
use tollgate::ledger::embedded::EmbeddedEngine;
use tollgate::ledger::model::ModelEngine;
use tollgate::ledger::redis::RedisOptions;
use tollgate::ledger::watch::Watchers;
use tollgate::ledger::{Engine, Ledger, Opening, Purpose};

use super::commands::START;
use super::support::{RedisServer, connect, temporary_folder, unique_name};
use super::table::{About, Amount, Case, Step, What, cases};
use super::{WINDOW, settings};

const MONEY_ON_PAPER: &str = include_str!("../tables/money_on_paper.txt");

fn quote(text: &str) -> Quote {
    Quote::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn limit(text: &str) -> LimitChange {
    LimitChange { permanent: Some(quote(text)), ..LimitChange::default() }
}

fn create(is_postpaid: bool, currency: &str, decimals: u8, permanent: &str, is_one_by_one: bool) -> Create {
    Create {
        name: "Alpha".into(),
        currency: Currency(currency.as_bytes().try_into().unwrap()),
        minor_digits: match currency {
            "JPY" => 0,
            "KWD" => 3,
            _ => 2,
        },
        decimals,
        mode: if is_postpaid { Mode::Postpaid } else { Mode::Prepaid },
        limit: limit(permanent),
        low_credit_threshold: None,
        non_usage_billing: if is_one_by_one { NonUsageBilling::OneByOne } else { NonUsageBilling::Consolidated },
        allow_unusable: true,
    }
}

fn action(what: &What) -> Action {
    match *what {
        What::Open { is_postpaid, currency, decimals, limit, is_one_by_one } => {
            Action::Create(create(is_postpaid, currency, decimals, limit, is_one_by_one))
        }
        What::TopUp(amount) => Action::TopUp { amount: quote(amount) },
        What::Pay(amount) => Action::RecordPayment { amount: quote(amount), invoices: Vec::new() },
        What::PayOut(amount) => Action::Withdraw { amount: quote(amount) },
        What::WriteOff(amount) => Action::WriteOff { amount: amount.map(quote) },
        What::Use { amount, category, .. } => Action::Debit(Debit {
            amount: quote(amount),
            category: match category {
                "hardware" => Category::Hardware,
                "service" => Category::Service,
                "subscription" => Category::Subscription,
                _ => Category::Usage,
            },
            reservation: None,
            then: Then::Settle,
            excess: Excess::WithinUsableCredit,
        }),
        What::Refund { charge, amount } => Action::Refund(Undo::of(charge.into(), amount.map(quote))),
        What::Convert { is_to_postpaid, limit: permanent } => Action::Convert {
            mode: if is_to_postpaid { Mode::Postpaid } else { Mode::Prepaid },
            limit: limit(permanent),
            allow_unusable: false,
        },
        What::MonthEnds => Action::ClosePeriod,
        What::Close => Action::Close,
    }
}

/// One account, on an engine.
struct Stage<'a> {
    engine: &'a str,
    ledger: &'a Ledger,
    account: String,
}

impl Stage<'_> {
    /// What the step asks for is looked up, as the service does.
    async fn decide(&self, step: &Step) -> Answer {
        let name = match step.what {
            What::Use { name: Some(name), .. } => name.to_owned(),
            _ => format!("line-{}", step.line),
        };
        let (account, action) = (self.account.clone(), action(&step.what));
        let request_id = if action.has_request_id() { name } else { String::new() };
        let mut command = Command { account, request_id, first_sent_at: None, currency: None, action, note: Note::default() };
        loop {
            let answer = self.ledger.submit(command.clone()).await.unwrap();
            let Err(needed) = answer else { return answer };
            if !needed.is_internal() {
                return answer;
            }
            let LookedUp::Completed(completed) = look_up(self.ledger, None, command, needed).await.unwrap() else { return answer };
            command = *completed;
        }
    }

    async fn entries(&self) -> Vec<Entry> {
        let partition = self.ledger.partition_of(&self.account);
        let blocks = self.ledger.engine().blocks_after(partition, 0, 1_000_000).await.unwrap();
        blocks.into_iter().flat_map(|block| block.entries).filter(|entry| entry.account == self.account).collect()
    }

    async fn take(&self, step: &Step) {
        let place = format!("{}, line {}: {}", self.engine, step.line, step.sentence);
        let before = self.entries().await.len();
        let answer = self.decide(step).await;
        if let Some(reason) = step.refused {
            assert_eq!(answer.map_err(|refusal| refusal.reason()), Err(reason), "{place}");
            return;
        }
        let outcome = answer.unwrap_or_else(|refusal| panic!("{place}: {}", refusal.reason()));
        assert!(outcome.decision.is_none_or(|decision| decision.verdict == Verdict::Done), "{place}: {outcome:?}");
        let written = self.entries().await.split_off(before);
        for claim in &step.then {
            let About::Amount(amount, expected) = claim.about else { continue };
            let account = &outcome.account;
            let rounded = |kind| written.iter().filter(|entry| entry.kind == kind).map(|entry| entry.amount).sum();
            let refund = written.iter().find(|entry| entry.kind.is_refund());
            let found = match amount {
                Amount::Balance => account.balance,
                Amount::Unbilled => account.unbilled,
                Amount::Usable => account.usable_credit(outcome.now),
                Amount::TakenOff => refund.unwrap().taken_off(),
                Amount::Credited => refund.unwrap().amount,
                Amount::Rounded => rounded(EntryKind::Rounded),
                Amount::DueRounded => rounded(EntryKind::AmountDueRounded),
            };
            assert_eq!(found, quote(expected).to_units(account.decimals).unwrap(), "{place}\n    line {}: {}", claim.line, claim.sentence);
        }
    }
}

/// Runs all cases, each on an account of its own. Time goes on from month to month.
async fn run(engine: Arc<dyn Engine>, clock: &Clock, name: &str, table: &[Case]) {
    let ledger = Ledger::start(engine, Watchers::default(), clock.clone());
    for (number, case) in table.iter().enumerate() {
        let stage = Stage { engine: name, ledger: &ledger, account: format!("case-{number}") };
        for step in &case.steps {
            if matches!(step.what, What::MonthEnds) {
                clock.set(clock.period_ends(clock.now())[0]);
            }
            stage.take(step).await;
        }
    }
}

async fn run_everywhere(table: &'static str) {
    let cases = cases(table);
    let clock = || Clock::standing(START, TimeZone::UTC);
    let standing = clock();
    let rules = ModelEngine::new(standing.clone(), WINDOW, Watchers::default());
    run(Arc::new(rules), &standing, "rules", &cases).await;

    let (folder, standing) = (temporary_folder(), clock());
    let (path, opening) = (folder.path().join("ledger.db"), Opening::Creating(Purpose::Charging));
    let embedded = EmbeddedEngine::open(&path, &settings(), opening, standing.clone(), Watchers::default()).unwrap();
    run(Arc::new(embedded), &standing, "SQLite", &cases).await;

    for (server, name) in [(RedisServer::redis(), "Redis"), (RedisServer::valkey(), "Valkey")] {
        let standing = clock();
        let options = RedisOptions {
            url: server.url(),
            store_name: unique_name(),
            response_timeout: Duration::from_secs(30),
            busy_poll: Default::default(),
        };
        run(Arc::new(connect(options, settings(), standing.clone()).await.unwrap()), &standing, name, &cases).await;
    }
}

#[tokio::test]
async fn money_on_paper_row_by_row_as_the_ledger_decides_it_on_every_engine() {
    run_everywhere(MONEY_ON_PAPER).await;
}
