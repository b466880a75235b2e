//! Refunds: what may be given back, what is credited for it, and what is known of a charge however late they come.

use tollgate::grpc::v1::{self, PaymentMode};
use tonic::{Response, Status};
use tonic_types::StatusExt;

use crate::service::{Client, Service, debit, money};
use crate::support::{RedisServer, temporary_folder};

/// A service on a store of its own, whose time is what a file says.
pub struct Stage {
    service: Service,
    pub client: Client,
    clock: std::path::PathBuf,
    pub engine: &'static str,
    _store: (tempfile::TempDir, Option<RedisServer>),
}

impl Stage {
    async fn start(engine: &'static str, redis: Option<RedisServer>, arguments: &[&str]) -> Self {
        Self::start_in(temporary_folder(), engine, redis, arguments).await
    }

    async fn start_in(folder: tempfile::TempDir, engine: &'static str, redis: Option<RedisServer>, arguments: &[&str]) -> Self {
        let clock = folder.path().join("clock");
        std::fs::write(&clock, "2026-01-10T12:00:00Z").unwrap();
        let store = match &redis {
            Some(redis) => vec!["--redis".to_owned(), redis.url()],
            None => vec!["--store".to_owned(), folder.path().join("ledger.db").to_str().unwrap().to_owned()],
        };
        let mut all: Vec<&str> = store.iter().map(String::as_str).chain(["--test-clock", clock.to_str().unwrap()]).collect();
        all.extend(arguments);
        let service = Service::start(&all, &[]);
        let client = service.client().await;
        Self { service, client, clock, engine, _store: (folder, redis) }
    }

    pub async fn both(arguments: &[&str]) -> [Self; 2] {
        [Self::start("embedded", None, arguments).await, Self::start("Redis", Some(RedisServer::redis()), arguments).await]
    }

    /// Moves the time, and waits until the service has seen it.
    pub async fn at(&mut self, now: &str, account: &str) {
        let moved = self.clock.with_extension("new");
        std::fs::write(&moved, now).unwrap();
        std::fs::rename(&moved, &self.clock).unwrap();
        let expected = now.parse::<jiff::Timestamp>().unwrap().as_second();
        // A reservation says what time it is.
        for attempt in 0.. {
            let request = v1::AuthorizeRequest {
                account_id: account.into(),
                request_id: format!("time-{now}-{attempt}"),
                reserve: Some(v1::Reserve {
                    amount: money("0.01"),
                    validity: Some(duration(1)),
                    grace: Some(duration(0)),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let answer = self.client.charging.authorize(request).await.unwrap().into_inner();
            let Some(v1::authorize_response::Outcome::Granted(granted)) = answer.outcome else { panic!("{answer:?}") };
            if granted.report_by.unwrap().seconds > expected {
                return;
            }
            assert!(attempt < 3_000, "the service does not see the time");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Lets the service sweep: whatever has expired is gone then.
    pub async fn let_sweep(&mut self) {
        for _ in 0..3 {
            self.client.credit("acme").await;
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        }
    }

    async fn charge(&mut self, request_id: &str, amount: &str) {
        self.client.charging.debit(debit("acme", request_id, amount)).await.unwrap();
    }

    async fn convert(&mut self, request_id: &str, mode: PaymentMode) {
        let (account_id, request_id) = ("acme".into(), request_id.into());
        let request = v1::ConvertRequest { account_id, request_id, mode: mode.into(), allow_unusable: true, ..Default::default() };
        self.client.charging.convert(request).await.unwrap();
    }

    async fn refund_part(&mut self, request_id: &str, charge: &str, amount: &str) -> String {
        let (account_id, request_id, charge_id, amount) = ("acme".into(), request_id.into(), charge.into(), money(amount));
        reason(&self.send(v1::RefundRequest { account_id, request_id, charge_id, amount, ..Default::default() }).await)
    }

    /// Lets hours pass with charges in between, until the journal is trimmed and holds nothing of before; and, where a test can look, until
    /// nothing is kept of what was given back.
    async fn outlive_the_journal(&mut self) {
        for hour in 13..17 {
            self.at(&format!("2026-01-10T{hour}:00:00Z"), "acme").await;
            self.let_sweep().await;
            for number in 0..10 {
                self.charge(&format!("later-{hour}-{number}"), "0.01").await;
            }
        }
        let metrics = format!("http://{}/metrics", self.service.metrics);
        crate::service::until("what was given back is dropped with the journal", async || {
            let redis = self._store.1.as_ref();
            let is_dropped = redis.is_none_or(|redis| {
                let keys = redis.command(&["KEYS", "*:refunds"]);
                // All that is left is what makes the key exist.
                redis.command(&["HLEN", keys.trim()]).trim() == "1"
            });
            let text = std::process::Command::new("curl").args(["-s", &metrics]).output().unwrap().stdout;
            let text = String::from_utf8(text).unwrap();
            let entries =
                text.lines().find_map(|line| line.strip_prefix("tollgate_journal_entries{partition=\"0\"} ")?.parse::<u32>().ok());
            (is_dropped && entries.is_some_and(|entries| entries <= 6)).then_some(())
        })
        .await;
    }

    async fn refund(&mut self, request_id: &str, charge: &str) -> Result<Response<v1::RefundResponse>, Status> {
        let (account_id, request_id, charge_id) = ("acme".into(), request_id.into(), charge.into());
        self.send(v1::RefundRequest { account_id, request_id, charge_id, ..Default::default() }).await
    }

    /// Sends it, and again while the billing store is away: where it has just been made, it may be busy for longer than a call waits.
    async fn send(&mut self, request: v1::RefundRequest) -> Result<Response<v1::RefundResponse>, Status> {
        let until = std::time::Instant::now() + crate::service::PATIENCE;
        loop {
            let answer = self.client.charging.refund(request.clone()).await;
            if reason(&answer) != "BILLING_UNAVAILABLE" || std::time::Instant::now() > until {
                return answer;
            }
        }
    }

    pub async fn balance(&mut self) -> String {
        self.client.credit("acme").await.balance
    }
}

pub fn duration(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

pub fn reason<T>(answer: &Result<T, Status>) -> String {
    match answer {
        Ok(_) => "accepted".to_owned(),
        Err(status) => status.get_details_error_info().map_or_else(|| format!("{status:?}"), |info| info.reason),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_due_is_in_minor_units_after_a_final_bill() {
    for mut stage in Stage::both(&[]).await {
        stage.client.open("acme", PaymentMode::Prepaid, "1000", "100").await;
        stage.charge("c1", "13.89852").await;
        stage.convert("to-postpaid", PaymentMode::Postpaid).await;
        stage.charge("c2", "200").await;
        stage.convert("to-prepaid", PaymentMode::Prepaid).await;
        // 86.10148 - 200.00 = -113.89852.
        assert_eq!(stage.balance().await, "-113.90", "{}", stage.engine);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_of_billed_charges_are_credited_in_minor_units_and_in_all_exactly_what_the_invoice_was() {
    // What was charged on one bill; and the balance after it, and after each refund.
    let bills: [(&[&str], &[&str]); 3] = [
        (&["0.004", "0.004", "0.004"], &["-0.01", "-0.01", "0.00", "0.00"]),
        (&["33.333333", "66.666667"], &["-100.00", "-66.67", "0.00"]),
        (&["68.333333", "57.501111", "85.004444", "68.333333"], &["-279.17", "-210.84", "-153.34", "-68.33", "0.00"]),
    ];
    for mut stage in Stage::both(&[]).await {
        stage.client.open("acme", PaymentMode::Prepaid, "1000", "0").await;
        for (number, (charges, balances)) in bills.into_iter().enumerate() {
            stage.convert(&format!("to-postpaid-{number}"), PaymentMode::Postpaid).await;
            for (place, amount) in charges.iter().enumerate() {
                stage.charge(&format!("charge-{number}-{place}"), amount).await;
            }
            stage.convert(&format!("to-prepaid-{number}"), PaymentMode::Prepaid).await;
            let mut found = vec![stage.balance().await];
            for (place, charged) in charges.iter().enumerate() {
                let refunded = stage.refund(&format!("refund-{number}-{place}"), &format!("charge-{number}-{place}")).await;
                assert_eq!(reason(&refunded), "accepted");
                assert_eq!(refunded.unwrap().into_inner().refunded.unwrap().amount.trim_end_matches('0'), charged.trim_end_matches('0'));
                found.push(stage.balance().await);
            }
            assert_eq!(found, balances, "{}: {charges:?}", stage.engine);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_of_its_own_is_credited_whole_when_its_charge_is_refunded() {
    for mut stage in Stage::both(&[]).await {
        stage.client.open("acme", PaymentMode::Postpaid, "1000", "0").await;
        let (account_id, request_id) = ("acme".into(), "settings".into());
        let non_usage_billing = v1::NonUsageBilling::OneByOne.into();
        let request = v1::UpdateAccountRequest { account_id, request_id, non_usage_billing, ..Default::default() };
        stage.client.accounts.update_account(request).await.unwrap();
        let usage = Some(v1::Usage { category: v1::ChargeCategory::Hardware.into(), item: "router".into(), ..Default::default() });
        stage.client.charging.debit(v1::DebitRequest { usage, ..debit("acme", "router", "19.995") }).await.unwrap();
        assert_eq!(stage.balance().await, "-20.00", "{}", stage.engine);
        assert_eq!(reason(&stage.refund("r1", "router").await), "accepted");
        assert_eq!(stage.balance().await, "0.00", "{}", stage.engine);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_on_a_closed_account_says_that_it_is_closed_whatever_it_refers_to() {
    for mut stage in Stage::both(&[]).await {
        stage.client.open("acme", PaymentMode::Prepaid, "0", "0").await;
        let operator = Some(v1::Operator { actor: "ann".into(), reason: "a test".into() });
        let request = v1::CloseAccountRequest { account_id: "acme".into(), request_id: "close".into(), operator, ..Default::default() };
        stage.client.accounts.close_account(request).await.unwrap();
        assert_eq!(reason(&stage.refund("r1", "never").await), "ACCOUNT_CLOSED", "{}", stage.engine);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_under_an_id_that_was_forgotten_and_used_again_can_be_refunded() {
    for mut stage in Stage::both(&["--request-window", "1m"]).await {
        stage.client.open("acme", PaymentMode::Prepaid, "1000", "100").await;
        stage.charge("twice", "10").await;
        assert_eq!(reason(&stage.refund("r1", "twice").await), "accepted");
        // The id is forgotten after two windows at the latest.
        for now in ["2026-01-10T13:00:00Z", "2026-01-10T14:00:00Z", "2026-01-10T15:00:00Z", "2026-01-10T16:00:00Z"] {
            stage.at(now, "acme").await;
            stage.let_sweep().await;
        }
        stage.charge("twice", "7").await;
        assert_eq!(reason(&stage.refund("r2", "twice").await), "accepted", "{}", stage.engine);
        assert_eq!(stage.balance().await, "100.00", "{}", stage.engine);
        assert_eq!(reason(&stage.refund("r3", "twice").await), "EXCEEDS_ORIGINAL", "{}", stage.engine);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_never_was_is_not_found_however_long_the_journal_is() {
    let mut stage = Stage::start("embedded", None, &[]).await;
    stage.client.open("acme", PaymentMode::Prepaid, "1000000", "0").await;
    for batch in 0..45 {
        let debits = (0..500).map(|place| v1::ChargeCommand {
            command: Some(v1::charge_command::Command::Debit(debit("acme", &format!("d-{batch}-{place}"), "0.01"))),
        });
        let request = v1::ChargeRequest { commands: debits.collect() };
        let mut answers = stage.client.charging.charge(futures_util::stream::iter([request])).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().outcomes.len(), 500);
    }
    // Once the billing store has taken them in, it can tell.
    crate::service::until("CHARGE_NOT_FOUND", async || {
        let mut charging = stage.client.charging.clone();
        let refused = charging.refund(v1::RefundRequest {
            account_id: "acme".into(),
            request_id: "r1".into(),
            charge_id: "never".into(),
            ..Default::default()
        });
        (reason(&refused.await) == "CHARGE_NOT_FOUND").then_some(())
    })
    .await;
    assert!(stage.service.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_back_is_known_by_the_billing_store_once_the_ledger_has_dropped_it() {
    for (engine, redis) in [("embedded", None), ("Redis", Some(RedisServer::redis()))] {
        let folder = temporary_folder();
        let billing = format!("sqlite://{}", folder.path().join("billing.db").display());
        let mut arguments = vec!["--request-window", "1m", "--journal-tail", "5", "--billing", &billing];
        if redis.is_some() {
            arguments.extend(["--aggregate", "--partitions", "1"]);
        }
        let mut stage = Stage::start_in(folder, engine, redis, &arguments).await;
        stage.client.open("acme", PaymentMode::Prepaid, "1000", "100").await;
        stage.charge("prepaid", "10").await;
        assert_eq!(stage.refund_part("r1", "prepaid", "4").await, "accepted");
        stage.convert("to-postpaid", PaymentMode::Postpaid).await;
        stage.charge("billed", "66.666667").await;
        stage.charge("billed-too", "33.333333").await;
        stage.convert("to-prepaid", PaymentMode::Prepaid).await;
        assert_eq!(reason(&stage.refund("r2", "billed-too").await), "accepted");
        // 100 - 10 + 4 - 100.00 + 33.33.
        assert_eq!(stage.balance().await, "27.33", "{engine}");
        stage.outlive_the_journal().await;
        // Forty charges of a cent.
        assert_eq!(stage.balance().await, "26.93", "{engine}");

        assert_eq!(stage.refund_part("r3", "prepaid", "6.01").await, "EXCEEDS_ORIGINAL", "{engine}");
        assert_eq!(stage.refund_part("r4", "prepaid", "6").await, "accepted", "{engine}");
        assert_eq!(stage.refund_part("r5", "prepaid", "0.01").await, "EXCEEDS_ORIGINAL", "{engine}");
        assert_eq!(stage.refund_part("r6", "billed-too", "0.000001").await, "EXCEEDS_ORIGINAL", "{engine}");
        assert_eq!(reason(&stage.refund("r7", "billed").await), "accepted", "{engine}");
        // What is credited of the bill is 100.00 in all: 66.67 here. 26.93 + 6 + 66.67.
        assert_eq!(stage.balance().await, "99.60", "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_billing_store_a_charge_cannot_be_refunded_any_more_once_nobody_knows_what_was_given_back_of_it() {
    let arguments = ["--request-window", "1m", "--billing", "off", "--journal-tail", "5", "--partitions", "1"];
    let mut stage = Stage::start("Redis", Some(RedisServer::redis()), &arguments).await;
    stage.client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    stage.charge("charge", "10").await;
    assert_eq!(stage.refund_part("r1", "charge", "4").await, "accepted");
    stage.outlive_the_journal().await;
    assert_eq!(stage.refund_part("r2", "charge", "1").await, "CHARGE_NO_LONGER_KNOWN");
    assert_eq!(stage.balance().await, "93.60");
}
