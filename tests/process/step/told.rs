//! M2: what callers of a step that was torn are told when they repeat what they asked, after `tollgate reconcile --finish`.
//!
//! What is remembered is the first write behind the block. Where it was done, a repetition gets all of the first decision. Where not even it
//! was done, it gets what the block tells; what is charged and reserved is the same.

use tollgate::grpc::v1::charge_command::Command as Asked;
use tollgate::grpc::v1::charge_outcome::Outcome;
use tollgate::grpc::v1::charged::ReserveRefused;
use tollgate::grpc::v1::{self, PaymentMode, authorize_response, debit_response};

use super::what_became_of;
use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, money, until};
use crate::support::RedisServer;

/// A report whose new reservation is declined, a debit that is declined, and an authorization of all that is left.
fn asked() -> Vec<v1::ChargeCommand> {
    let reserve = |amount: &str| v1::Reserve { amount: money(amount), ..Default::default() };
    let remainder = Some(v1::debit_request::Remainder::Reserve(Box::new(reserve("1000"))));
    let report = v1::DebitRequest { reservation_id: "session".into(), remainder, ..debit("acme", "report", "4") };
    let least = Some(v1::Reserve { minimum: money("1"), ..reserve("1000") });
    let (account_id, request_id) = ("acme".into(), "last".into());
    let authorize = v1::AuthorizeRequest { account_id, request_id, reserve: least, ..Default::default() };
    let commands = [Asked::Debit(report), Asked::Debit(debit("acme", "broke", "1000")), Asked::Authorize(authorize)];
    commands.map(|command| v1::ChargeCommand { command: Some(command) }).into()
}

async fn ask(client: &mut Client) -> Vec<v1::ChargeOutcome> {
    let requests = tokio_stream::iter([v1::ChargeRequest { commands: asked() }]);
    client.charging.charge(requests).await.unwrap().into_inner().message().await.unwrap().unwrap().outcomes
}

/// What a repetition is told: whether each was decided before, why the report reserved nothing, and whether the grant was the final unit.
#[derive(Debug, PartialEq)]
struct Told {
    replayed: [bool; 3],
    refused: Option<ReserveRefused>,
    is_final_unit: bool,
}

fn told(outcomes: Vec<v1::ChargeOutcome>) -> Told {
    let [report, broke, last] = outcomes.try_into().unwrap();
    let (Some(Outcome::Debit(report)), Some(Outcome::Debit(broke)), Some(Outcome::Authorize(last))) =
        (report.outcome, broke.outcome, last.outcome)
    else {
        panic!("another outcome")
    };
    let replayed = [report.replayed, broke.replayed, last.replayed];
    let Some(debit_response::Outcome::Charged(charged)) = report.outcome else { panic!("{report:?}") };
    assert_eq!((charged.amount, charged.reservation), (Some(v1::Money { amount: "4.00".into(), currency_code: "EUR".into() }), None));
    assert!(matches!(broke.outcome, Some(debit_response::Outcome::Declined(_))), "{broke:?}");
    let Some(authorize_response::Outcome::Granted(granted)) = last.outcome else { panic!("{last:?}") };
    assert_eq!(granted.amount.unwrap().amount, "96.00");
    Told { replayed, refused: charged.reserve_refused, is_final_unit: granted.final_unit }
}

async fn repeated_after_a_write_without(right: &str) -> Told {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let (url, billing) = (redis.url(), postgres.database());
    let service = Service::start(&["--redis", &url, "--billing", &billing, "--aggregate"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    let reserve = Some(v1::Reserve { amount: money("10"), ..Default::default() });
    let session = v1::AuthorizeRequest { account_id: "acme".into(), request_id: "session".into(), reserve, ..Default::default() };
    client.charging.authorize(session).await.unwrap();

    assert_eq!(redis.command(&["ACL", "SETUSER", "default", &format!("-{right}")]).trim(), "OK");
    let torn: Vec<String> = ask(&mut client).await.into_iter().map(what_became_of).collect();
    assert_eq!(torn, ["OUTCOME_UNKNOWN"; 3], "{right}");
    assert_eq!(redis.command(&["ACL", "SETUSER", "default", &format!("+{right}")]).trim(), "OK");
    let words = ["reconcile", "--redis", &url, "--billing", &billing, "--finish", "--actor", "eve", "--reason", "the right is back"];
    until("the step is finished", async || Operator::nowhere().run_words(&words).status.success().then_some(())).await;

    let told = told(ask(&mut client).await);
    // Asked once more, each is remembered.
    assert_eq!(self::told(ask(&mut client).await), Told { replayed: [true; 3], refused: told.refused.clone(), ..told });
    let credit = client.credit("acme").await;
    assert_eq!((credit.balance, credit.reserved), ("96.00".into(), "96.00".into()), "{right}");
    client.charging.debit(v1::DebitRequest { reservation_id: "last".into(), ..debit("acme", "used", "96") }).await.unwrap();
    let credit = client.credit("acme").await;
    assert_eq!((credit.balance, credit.reserved), ("0.00".into(), "0.00".into()), "{right}");
    let kinds: Vec<_> = client.journal("acme").await.iter().map(v1::Entry::kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == v1::EntryKind::ChargedBalance).count(), 2, "{kinds:?}");
    assert!(service.stopped().await.success());
    let verified = Operator::nowhere().run_words(&["verify", "--redis", &url, "--billing", &billing]);
    assert!(verified.status.success(), "{verified:?}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_of_what_was_remembered_gets_all_of_the_first_decision() {
    let told = repeated_after_a_write_without("zadd").await;
    assert!(matches!(told.refused, Some(ReserveRefused::ReserveDeclined(_))), "{told:?}");
    assert_eq!((told.replayed, told.is_final_unit), ([true; 3], true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_of_what_only_the_block_tells_gets_the_same_amounts_and_a_decline_is_decided_anew() {
    let told = repeated_after_a_write_without("hset").await;
    assert_eq!(told, Told { replayed: [true, false, true], refused: None, is_final_unit: false });
}
