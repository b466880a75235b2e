//! How long what was consumed of a reservation is still charged: a request window after it has expired, whatever window that is.

use tollgate::grpc::v1::{self, ExcessPolicy, PaymentMode};

use crate::refunds::{Stage, duration, reason};
use crate::service::{debit, money};

impl Stage {
    /// Reserves 5; without a time, as long as is usual.
    async fn reserve(&mut self, request_id: &str, hours: Option<i64>) {
        let time = hours.map(|hours| duration(hours * 3_600));
        let request = v1::AuthorizeRequest {
            account_id: "acme".into(),
            request_id: request_id.into(),
            reserve: Some(v1::Reserve { amount: money("5"), validity: time, grace: time, ..Default::default() }),
            ..Default::default()
        };
        self.client.charging.authorize(request).await.unwrap();
    }

    async fn report_late(&mut self, request_id: &str, reservation: &str) -> String {
        let excess_policy = ExcessPolicy::AlreadyConsumed.into();
        let request = v1::DebitRequest { reservation_id: reservation.into(), excess_policy, ..debit("acme", request_id, "5") };
        reason(&self.client.charging.debit(request).await)
    }

    /// Reports what was used, and reserves as long again.
    async fn report_and_reserve(&mut self, request_id: &str, reservation: &str, hours: i64) {
        let time = Some(duration(hours * 3_600));
        let reserve = v1::Reserve { amount: money("5"), validity: time, grace: time, ..Default::default() };
        let remainder = Some(v1::debit_request::Remainder::Reserve(Box::new(reserve)));
        let request = v1::DebitRequest { reservation_id: reservation.into(), remainder, ..debit("acme", request_id, "5") };
        self.client.charging.debit(request).await.unwrap();
    }

    async fn pass(&mut self, instants: &[&str]) {
        for now in instants {
            self.at(now, "acme").await;
            self.let_sweep().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_window_of_a_minute_a_usual_reservation_is_charged_a_minute_after_it_has_expired_and_its_id_is_forgotten_then() {
    for mut stage in Stage::both(&["--request-window", "1m"]).await {
        stage.client.open("acme", PaymentMode::Prepaid, "0", "100").await;
        stage.reserve("session", None).await;
        stage.reserve("other", None).await;
        // Ten minutes, and as much of grace.
        stage.pass(&["2026-01-10T12:02:00Z", "2026-01-10T12:04:00Z", "2026-01-10T12:20:40Z"]).await;
        assert_eq!(stage.report_late("late", "session").await, "accepted", "{}", stage.engine);
        assert_eq!(stage.balance().await, "95.00", "{}", stage.engine);
        stage.pass(&["2026-01-10T12:25:00Z", "2026-01-10T12:27:00Z", "2026-01-10T12:48:00Z"]).await;
        assert_eq!(stage.report_late("later", "other").await, "RESERVATION_NOT_FOUND", "{}", stage.engine);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_of_two_days_is_charged_a_day_after_it_has_expired() {
    for mut stage in Stage::both(&[]).await {
        stage.client.open("acme", PaymentMode::Prepaid, "0", "100").await;
        stage.reserve("session", Some(24)).await;
        stage.pass(&["2026-01-11T13:00:00Z", "2026-01-12T11:00:00Z", "2026-01-12T14:00:00Z", "2026-01-13T11:00:00Z"]).await;
        assert_eq!(stage.report_late("late", "session").await, "accepted", "{}", stage.engine);
        assert_eq!(stage.balance().await, "95.00", "{}", stage.engine);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_reserves_anew_every_twelve_hours_for_three_days_is_charged_after_its_last_reservation_has_expired() {
    for mut stage in Stage::both(&[]).await {
        stage.client.open("acme", PaymentMode::Prepaid, "0", "100").await;
        stage.reserve("session", Some(12)).await;
        for (number, now) in ["11T00", "11T12", "12T00", "12T12", "13T00", "13T12"].iter().enumerate() {
            stage.pass(&[&format!("2026-01-{now}:00:00Z")]).await;
            stage.report_and_reserve(&format!("report-{number}"), "session", 12).await;
        }
        // It expires at noon of the 14th; the id of its Authorize was made four days ago.
        stage.pass(&["2026-01-14T13:00:00Z", "2026-01-15T11:00:00Z"]).await;
        assert_eq!(stage.report_late("late", "session").await, "accepted", "{}", stage.engine);
        // Six reports and the late one, of 5 each.
        assert_eq!(stage.balance().await, "65.00", "{}", stage.engine);
    }
}
