//! Late reports, and how many reservations there may be.

use tollgate::grpc::v1::charge_command::Command;
use tollgate::grpc::v1::charge_outcome::Outcome;
use tollgate::grpc::v1::charged::ReserveRefused;
use tollgate::grpc::v1::debit_request::Remainder;
use tollgate::grpc::v1::debit_response::Outcome as Debited;
use tollgate::grpc::v1::{self, PaymentMode};

use super::{reason, stages};
use crate::service::{Client, debit, money, until};

fn authorize(request_id: &str, amount: &str, seconds: i64) -> v1::AuthorizeRequest {
    let length = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let reserve = v1::Reserve { amount: money(amount), validity: length(seconds), grace: length(0), ..Default::default() };
    v1::AuthorizeRequest { account_id: "acme".into(), request_id: request_id.into(), reserve: Some(reserve), ..Default::default() }
}

/// A report of what was consumed already, under a reservation's name.
fn report(request_id: &str, reservation: &str) -> v1::DebitRequest {
    let (reservation_id, excess_policy) = (reservation.into(), v1::ExcessPolicy::AlreadyConsumed.into());
    v1::DebitRequest { reservation_id, excess_policy, ..debit("acme", request_id, "2") }
}

fn and_reserve(report: v1::DebitRequest) -> v1::DebitRequest {
    let reserve = authorize("", "1", 600).reserve.unwrap();
    v1::DebitRequest { remainder: Some(Remainder::Reserve(Box::new(reserve))), ..report }
}

async fn expired(client: &Client, reservation: &str) {
    let mut first = client.clone();
    first.charging.authorize(authorize(reservation, "1", 1)).await.unwrap();
    until("the reservation is gone", || async { (client.clone().credit("acme").await.reserved == "0.00").then_some(()) }).await;
}

#[tokio::test]
async fn what_is_reported_late_is_charged_on_expired_reservations_only() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        client.open("acme", PaymentMode::Prepaid, "0", "100").await;
        for name in ["settled", "released"] {
            client.charging.authorize(authorize(name, "5", 600)).await.unwrap();
        }
        client.charging.debit(v1::DebitRequest { reservation_id: "settled".into(), ..debit("acme", "d1", "5") }).await.unwrap();
        let (account_id, request_id, reservation_id) = ("acme".into(), "r1".into(), "released".into());
        client.charging.release(v1::ReleaseRequest { account_id, request_id, reservation_id, ..Default::default() }).await.unwrap();
        for (name, expected) in [("settled", "RESERVATION_SETTLED"), ("released", "RESERVATION_RELEASED")] {
            assert_eq!(reason(&client.charging.debit(report(&format!("late-{name}"), name)).await), expected, "{}", stage.engine);
            let again = and_reserve(report(&format!("again-{name}"), name));
            assert_eq!(reason(&client.charging.debit(again).await), expected, "{}", stage.engine);
        }
        let credit = client.credit("acme").await;
        assert_eq!((credit.balance.as_str(), credit.reserved.as_str()), ("95.00", "0.00"), "{}", stage.engine);

        expired(&client, "expired").await;
        assert_eq!(reason(&client.charging.debit(report("late-expired", "expired")).await), "accepted", "{}", stage.engine);
        assert_eq!(client.credit("acme").await.balance, "93.00", "{}", stage.engine);
    }
}

/// Asks in batches of 500; the outcomes.
async fn ask(client: &mut Client, commands: Vec<Command>) -> Vec<Outcome> {
    let batches: Vec<_> = commands
        .chunks(500)
        .map(|part| v1::ChargeRequest { commands: part.iter().map(|one| v1::ChargeCommand { command: Some(one.clone()) }).collect() })
        .collect();
    let mut answers = client.charging.charge(tokio_stream::iter(batches)).await.unwrap().into_inner();
    let mut outcomes = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        outcomes.extend(answer.outcomes.into_iter().map(|outcome| outcome.outcome.unwrap()));
    }
    outcomes
}

#[tokio::test]
async fn no_way_leads_to_more_than_ten_thousand_open_reservations() {
    for stage in stages() {
        let mut client = stage.service.client().await;
        client.open("acme", PaymentMode::Prepaid, "0", "100000").await;
        expired(&client, "late").await;
        let commands = (0..10_001).map(|number| Command::Authorize(authorize(&format!("a{number}"), "1", 86_400)));
        let outcomes = ask(&mut client, commands.collect()).await;
        let granted = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Authorize(_))).count();
        assert_eq!(granted, 10_000, "{}", stage.engine);
        assert_eq!(reason(&client.charging.authorize(authorize("more", "1", 600)).await), "TOO_MANY_RESERVATIONS", "{}", stage.engine);

        // A late report stands, but what it wants to reserve anew is one too many.
        let reported = client.charging.debit(and_reserve(report("r1", "late"))).await.unwrap().into_inner();
        assert_eq!(client.credit("acme").await.reserved, "10000.00", "{}", stage.engine);
        let Some(Debited::Charged(charged)) = reported.outcome else { panic!("{}: {reported:?}", stage.engine) };
        assert_eq!(charged.reserve_refused, Some(ReserveRefused::ReserveTooMany(true)), "{}", stage.engine);
        assert_eq!((charged.amount.unwrap().amount.as_str(), charged.reservation), ("2.00", None), "{}", stage.engine);

        // One that is open makes room for its own.
        let replaced = client.charging.debit(and_reserve(report("r2", "a7"))).await.unwrap().into_inner();
        let Some(Debited::Charged(charged)) = replaced.outcome else { panic!("{}: {replaced:?}", stage.engine) };
        assert!(charged.reservation.is_some() && charged.reserve_refused.is_none(), "{}: {charged:?}", stage.engine);
        assert_eq!(client.credit("acme").await.reserved, "10000.00", "{}", stage.engine);
        let account = client.accounts.get_account(v1::GetAccountRequest { account_id: "acme".into() }).await.unwrap().into_inner();
        assert_eq!(account.account.unwrap().open_reservations, 10_000, "{}", stage.engine);
    }
}
