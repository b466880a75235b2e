//! The table "Money on paper" through the running service: what the ledger decides, what is open, and what stands on paper, in all forms.

use std::path::PathBuf;
use std::time::Instant;

use rust_decimal::Decimal;
use tollgate::grpc::v1::{self, ChargeCategory, EntryKind, NonUsageBilling, PaymentMode};
use tonic::Status;

use crate::command::Operator;
use crate::forms::{Forms, decimal};
use crate::postgres::PostgresServer;
use crate::refunds::{duration, reason};
use crate::service::{Client, PATIENCE, Service, debit, money};
use crate::support::{RedisServer, temporary_folder};
use crate::table::{About, Amount, Case, Claim, Step, What, cases};

/// A service by a clock that stands, which issues documents.
pub struct Stage {
    pub service: Service,
    pub client: Client,
    clock: PathBuf,
    _store: Box<dyn std::any::Any>,
}

impl Stage {
    pub async fn embedded(now: &str) -> Self {
        let folder = temporary_folder();
        let store = ["--store".to_owned(), folder.path().join("ledger.db").display().to_string()];
        let clock = folder.path().join("clock");
        Self::start(now, &store, clock, Box::new(folder)).await
    }

    pub async fn redis_and_postgres(now: &str) -> Self {
        let (folder, redis, postgres) = (temporary_folder(), RedisServer::redis(), PostgresServer::shared());
        let store = ["--redis".to_owned(), redis.url(), "--billing".into(), postgres.database(), "--aggregate".into()];
        let clock = folder.path().join("clock");
        Self::start(now, &store, clock, Box::new((folder, redis, postgres))).await
    }

    async fn start(now: &str, store: &[String], clock: PathBuf, kept: Box<dyn std::any::Any>) -> Self {
        std::fs::write(&clock, now).unwrap();
        let mut arguments: Vec<&str> = store.iter().map(String::as_str).collect();
        arguments.extend(["--test-clock", clock.to_str().unwrap()]);
        let service = Service::start(&arguments, &[]);
        let mut client = service.client().await;
        client.open("clock", PaymentMode::Prepaid, "1", "0").await;
        Self { service, client, clock, _store: kept }
    }

    pub fn run(&self, words: &[&str]) {
        let ended = tokio::task::block_in_place(|| Operator::of(&self.service).run_words(words));
        assert!(ended.status.success(), "{words:?}: {ended:?}");
    }

    /// Moves the time, and waits until the service has seen it: a reservation says what time it is.
    pub async fn go_to(&mut self, now: &str) {
        let next = self.clock.with_extension("next");
        std::fs::write(&next, now).unwrap();
        std::fs::rename(&next, &self.clock).unwrap();
        let expected = now.parse::<jiff::Timestamp>().unwrap().as_second();
        let deadline = Instant::now() + PATIENCE;
        for attempt in 0.. {
            let reserve =
                v1::Reserve { amount: money("0.01"), validity: Some(duration(1)), grace: Some(duration(0)), ..Default::default() };
            let request = v1::AuthorizeRequest {
                account_id: "clock".into(),
                request_id: format!("{now}-{attempt}"),
                reserve: Some(reserve),
                ..Default::default()
            };
            let answer = self.client.charging.authorize(request).await.unwrap().into_inner();
            if let Some(v1::authorize_response::Outcome::Granted(granted)) = answer.outcome
                && granted.report_by.unwrap().seconds > expected
            {
                return;
            }
            assert!(Instant::now() < deadline, "the service does not see the time");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// The documents of an account that were issued, the oldest first.
    pub async fn documents(&mut self, account: &str) -> Vec<v1::Invoice> {
        let state = v1::InvoiceState::Issued.into();
        let request = v1::ListInvoicesRequest { account_id: account.into(), state, page_size: 1000, ..Default::default() };
        let mut found = self.client.billing.list_invoices(request).await.unwrap().into_inner().invoices;
        found.reverse();
        found
    }

    pub async fn take(&mut self, account: &str, step: &Step) -> Result<Option<v1::RefundResponse>, Status> {
        let (account_id, request_id) = (account.to_owned(), format!("line-{}", step.line));
        let operator = Some(v1::Operator { actor: "ann".into(), reason: step.sentence.into() });
        let Client { accounts, billing, charging } = &mut self.client;
        let change = |permanent: &str| Some(v1::CreditLimitChange { permanent: money(permanent), temporary: None });
        match step.what {
            What::Open { is_postpaid, currency, decimals, limit, is_one_by_one } => {
                let billing = if is_one_by_one { NonUsageBilling::OneByOne } else { NonUsageBilling::Consolidated };
                let request = v1::CreateAccountRequest {
                    account_id,
                    request_id,
                    name: format!("Customer {account}"),
                    currency_code: currency.into(),
                    mode: mode(is_postpaid).into(),
                    decimals: Some(decimals.into()),
                    credit_limit: change(limit),
                    non_usage_billing: billing.into(),
                    allow_unusable: true,
                    ..Default::default()
                };
                accounts.create_account(request).await.map(|_| None)
            }
            What::TopUp(amount) => {
                let request = v1::TopUpRequest { account_id, request_id, amount: money(amount), ..Default::default() };
                accounts.top_up(request).await.map(|_| None)
            }
            What::Pay(amount) => {
                let request = v1::RecordPaymentRequest { account_id, request_id, amount: money(amount), ..Default::default() };
                billing.record_payment(request).await.map(|_| None)
            }
            What::PayOut(amount) => {
                let request = v1::WithdrawRequest { account_id, request_id, amount: money(amount), operator, ..Default::default() };
                accounts.withdraw(request).await.map(|_| None)
            }
            What::WriteOff(amount) => {
                let amount = amount.and_then(money);
                let request = v1::WriteOffRequest { account_id, request_id, amount, operator, ..Default::default() };
                billing.write_off(request).await.map(|_| None)
            }
            What::Use { amount, category, name } => {
                let category = match category {
                    "hardware" => ChargeCategory::Hardware,
                    "service" => ChargeCategory::Service,
                    "subscription" => ChargeCategory::Subscription,
                    _ => ChargeCategory::Usage,
                };
                let usage = Some(v1::Usage { item: "item".into(), category: category.into(), ..Default::default() });
                let name = name.map_or(request_id, str::to_owned);
                let charged = charging.debit(v1::DebitRequest { usage, ..debit(account, &name, amount) }).await?.into_inner();
                assert!(matches!(charged.outcome, Some(v1::debit_response::Outcome::Charged(_))), "line {}: {charged:?}", step.line);
                Ok(None)
            }
            What::Refund { charge, amount } => {
                let (charge_id, amount) = (charge.into(), amount.and_then(money));
                let request =
                    v1::RefundRequest { account_id, request_id, charge_id, amount, reason: "a complaint".into(), ..Default::default() };
                Ok(Some(charging.refund(request).await?.into_inner()))
            }
            What::Convert { is_to_postpaid, limit } => {
                let (mode, credit_limit) = (mode(is_to_postpaid).into(), change(limit));
                let request = v1::ConvertRequest { account_id, request_id, mode, credit_limit, ..Default::default() };
                charging.convert(request).await.map(|_| None)
            }
            What::Close => {
                let request = v1::CloseAccountRequest { account_id, request_id, operator, ..Default::default() };
                accounts.close_account(request).await.map(|_| None)
            }
            What::MonthEnds => {
                let now = self.clock_says();
                let next = now.date().first_of_month().saturating_add(jiff::Span::new().months(1));
                self.go_to(&format!("{next}T00:05:00Z")).await;
                Ok(None)
            }
        }
    }

    fn clock_says(&self) -> jiff::civil::DateTime {
        let text = std::fs::read_to_string(&self.clock).unwrap();
        text.trim_end_matches('Z').parse().unwrap()
    }

    /// What is found of a claim, and what should be.
    async fn look(&mut self, account: &str, claim: &Claim, entries_before: usize) -> Result<(), String> {
        let equal = |found: Decimal, expected: &str| {
            if found.normalize() == decimal(expected) { Ok(()) } else { Err(format!("it is {found}")) }
        };
        let open = |documents: &[v1::Invoice]| -> Vec<Decimal> {
            let open = documents.iter().map(|document| decimal(&document.open_amount));
            open.filter(|open| !open.is_zero()).collect()
        };
        match &claim.about {
            About::Amount(amount, expected) => {
                let credit = self.client.credit(account).await;
                let journal = self.client.journal(account).await.split_off(entries_before);
                let of = |kind: EntryKind| {
                    let entries = journal.iter().filter(|entry| entry.kind() == kind);
                    entries.map(|entry| decimal(&entry.amount.as_ref().unwrap().amount)).sum::<Decimal>()
                };
                let refund = journal.iter().rev().find(|entry| entry.taken_off.is_some());
                equal(
                    match amount {
                        Amount::Balance => decimal(&credit.balance),
                        Amount::Unbilled => decimal(&credit.unbilled),
                        Amount::Usable => decimal(&credit.usable),
                        Amount::TakenOff => decimal(&refund.unwrap().taken_off.as_ref().unwrap().amount),
                        Amount::Credited => decimal(&refund.unwrap().amount.as_ref().unwrap().amount),
                        Amount::Rounded => of(EntryKind::Rounded),
                        Amount::DueRounded => of(EntryKind::AmountDueRounded),
                    },
                    expected,
                )
            }
            About::Unallocated(expected) => {
                let open: Decimal = open(&self.documents(account).await).iter().sum();
                equal(decimal(&self.client.credit(account).await.balance) + open, expected)
            }
            About::Open(expected) => {
                let found = open(&self.documents(account).await);
                let expected: Vec<_> = expected.iter().map(|amount| decimal(amount)).collect();
                if found == expected { Ok(()) } else { Err(format!("it is {found:?}")) }
            }
            About::Notes(expected) => {
                let documents = self.documents(account).await;
                let notes = documents.iter().filter(|document| document.kind() == v1::InvoiceKind::CreditNote);
                let found: Vec<_> = notes.map(|note| decimal(&note.total)).collect();
                let expected: Vec<_> = expected.iter().map(|amount| decimal(amount)).collect();
                if found == expected { Ok(()) } else { Err(format!("it is {found:?}")) }
            }
            About::Document(kind, figures) => {
                let kind = match *kind {
                    "invoice" => v1::InvoiceKind::Invoice,
                    "statement" => v1::InvoiceKind::Statement,
                    _ => v1::InvoiceKind::CreditNote,
                };
                let documents = self.documents(account).await;
                let Some(last) = documents.iter().rfind(|document| document.kind() == kind) else { return Err("there is none".into()) };
                let forms = Forms::of(&mut self.client, &last.number).await;
                for (name, expected) in figures {
                    let found = forms.figure(name);
                    if found != decimal(expected) {
                        return Err(format!("{name} of {} is {found}", last.number));
                    }
                }
                figures.iter().for_each(|(name, expected)| forms.shows(name, expected));
                forms.agree();
                Ok(())
            }
        }
    }

    /// Runs a case on an account of its own.
    async fn run_case(&mut self, account: &str, case: &Case) {
        for step in &case.steps {
            let place = format!("{account}, line {}: {}", step.line, step.sentence);
            let before = if matches!(step.what, What::Open { .. }) { 0 } else { self.client.journal(account).await.len() };
            let answer = self.take(account, step).await;
            assert_eq!(reason(&answer), step.refused.unwrap_or("accepted"), "{place}");
            if let Ok(Some(refunded)) = answer {
                for claim in &step.then {
                    match claim.about {
                        About::Amount(Amount::TakenOff, amount) => {
                            assert_eq!(decimal(&refunded.refunded.as_ref().unwrap().amount), decimal(amount), "{place}")
                        }
                        About::Amount(Amount::Credited, amount) => {
                            assert_eq!(decimal(&refunded.credited.as_ref().unwrap().amount), decimal(amount), "{place}")
                        }
                        _ => {}
                    }
                }
            }
            for claim in &step.then {
                let deadline = Instant::now() + PATIENCE;
                while let Err(found) = self.look(account, claim, before).await {
                    assert!(Instant::now() < deadline, "{place}\n    line {}: {}: {found}", claim.line, claim.sentence);
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            }
        }
    }
}

fn mode(is_postpaid: bool) -> PaymentMode {
    if is_postpaid { PaymentMode::Postpaid } else { PaymentMode::Prepaid }
}

async fn row_by_row(mut stage: Stage) {
    stage.run(&["issuer", "set", "--name", "Nordlicht GmbH", "--address", "Kai 1", "--city", "Hamburg", "--country", "DE"]);
    stage.run(&["tax", "set", "19", "--from", "2020-01-01"]);
    stage.run(&["tax", "set", "7", "--category", "service", "--from", "2020-01-01"]);
    for (number, case) in cases(include_str!("../tables/money_on_paper.txt")).iter().enumerate() {
        stage.run_case(&format!("case-{number}"), case).await;
    }
    assert!(stage.service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn money_on_paper_row_by_row_on_the_embedded_store_and_sqlite() {
    row_by_row(Stage::embedded("2026-01-10T12:00:00Z").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_on_paper_row_by_row_on_redis_and_postgresql() {
    row_by_row(Stage::redis_and_postgres("2026-01-10T12:00:00Z").await).await;
}
