//! The table "Money on paper" through the running service: what the ledger decides, what is open, and what stands on paper, in all forms.

use std::path::PathBuf;
use std::time::Instant;

use rust_decimal::Decimal;
use tollgate::grpc::v1::{self, EntryKind, PaymentMode};
use tonic::Status;

use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::refunds::{duration, reason};
use crate::renderings::{Forms, decimal};
use crate::service::{Client, PATIENCE, Service, money};
use crate::support::{RedisServer, temporary_folder};
use crate::table::{About, Amount, Case, Claim, Step, Table, What};
use crate::wire::{ByGrpc, call, words};

/// A service by a clock that stands, which issues documents.
pub struct Stage {
    pub service: Service,
    pub client: Client,
    grpc: ByGrpc,
    clock: PathBuf,
    _store: Box<dyn std::any::Any>,
}

impl Stage {
    pub async fn embedded(now: &str) -> Self {
        Self::embedded_with(now, &[]).await
    }

    pub async fn embedded_with(now: &str, options: &[&str]) -> Self {
        let folder = temporary_folder();
        let mut store = vec!["--store".to_owned(), folder.path().join("ledger.db").display().to_string()];
        store.extend(options.iter().map(ToString::to_string));
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
        let (mut client, grpc) = (service.client().await, ByGrpc::connect(service.address).await);
        client.open("clock", PaymentMode::Prepaid, "1000000", "0").await;
        Self { service, client, grpc, clock, _store: kept }
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
        let expected = self.now() + 1000;
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
                && granted.report_by.is_some_and(|at| at.seconds * 1000 + i64::from(at.nanos / 1_000_000) == expected)
            {
                return;
            }
            assert!(Instant::now() < deadline, "the service does not see the time");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// What the clock says, in milliseconds since 1970.
    pub fn now(&self) -> i64 {
        std::fs::read_to_string(&self.clock).unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    /// Lets time pass. When this returns, what was due a millisecond before has happened, too: one look at the clock comes after the other.
    pub async fn pass(&mut self, millis: i64) {
        let before = self.now();
        for instant in [before + millis - 1, before + millis].into_iter().filter(|instant| *instant > before) {
            self.go_to(&jiff::Timestamp::from_millisecond(instant).unwrap().to_string()).await;
        }
    }

    /// Lets time pass to the end of the month.
    pub async fn pass_month(&mut self) {
        let today = jiff::Timestamp::from_millisecond(self.now()).unwrap().to_zoned(jiff::tz::TimeZone::UTC).date();
        let ends = today.first_of_month().saturating_add(jiff::Span::new().months(1)).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
        self.pass(ends.timestamp().as_millisecond() - self.now()).await;
    }

    /// The documents of an account that were issued, the oldest first.
    pub async fn documents(&mut self, account: &str) -> Vec<v1::Invoice> {
        let state = v1::InvoiceState::Issued.into();
        let request = v1::ListInvoicesRequest { account_id: account.into(), state, page_size: 1000, ..Default::default() };
        let mut found = self.client.billing.list_invoices(request).await.unwrap().into_inner().invoices;
        found.reverse();
        found
    }

    /// Takes a step, and says what came of it.
    pub async fn take(&mut self, account: &str, step: &Step) -> Result<String, Status> {
        match &step.request.what {
            What::TimePasses(time) => self.pass(*time).await,
            What::MonthEnds => self.pass_month().await,
            what => return Ok(words(what, &self.grpc.call(&call(step, account, self.now())).await?)),
        }
        Ok("done".to_owned())
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
            About::Amounts(amounts) => {
                let credit = self.client.credit(account).await;
                let journal = self.client.journal(account).await.split_off(entries_before);
                let of = |kind: EntryKind| {
                    let entries = journal.iter().filter(|entry| entry.kind() == kind);
                    entries.map(|entry| decimal(&entry.amount.as_ref().unwrap().amount)).sum::<Decimal>()
                };
                let refund = journal.iter().rev().find(|entry| entry.taken_off.is_some());
                amounts.iter().try_for_each(|(amount, expected)| {
                    let found = match amount {
                        Amount::Balance => decimal(&credit.balance),
                        Amount::CurrentBalance => decimal(&credit.current_balance),
                        Amount::Unbilled => decimal(&credit.unbilled),
                        Amount::Due => decimal(&credit.amount_due),
                        Amount::Reserved => decimal(&credit.reserved),
                        Amount::Limit => decimal(&credit.credit_limit),
                        Amount::Usable => decimal(&credit.usable),
                        Amount::TakenOff => decimal(&refund.unwrap().taken_off.as_ref().unwrap().amount),
                        Amount::Credited => decimal(&refund.unwrap().amount.as_ref().unwrap().amount),
                        Amount::Rounded => of(EntryKind::Rounded),
                        Amount::DueRounded => of(EntryKind::AmountDueRounded),
                    };
                    equal(found, expected)
                })
            }
            About::Writes(_) | About::LooksUp(_) | About::Name(_) | About::LowCredit(_) => Ok(()),
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
            let is_opened = matches!(step.request.what, What::Given { .. });
            let before = if is_opened { 0 } else { self.client.journal(account).await.len() };
            let found = self.take(account, step).await;
            let found = found.unwrap_or_else(|status| format!("refused {}", reason::<()>(&Err(status))));
            assert!(step.expects(&found), "{place}: {found}");
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

async fn row_by_row(mut stage: Stage) {
    stage.run(&["issuer", "set", "--name", "Nordlicht GmbH", "--address", "Kai 1", "--city", "Hamburg", "--country", "DE"]);
    stage.run(&["tax", "set", "19", "--from", "2020-01-01"]);
    stage.run(&["tax", "set", "7", "--category", "service", "--from", "2020-01-01"]);
    for (number, case) in Table::named("money_on_paper").cases.iter().enumerate() {
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
