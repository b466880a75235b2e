//! What the coming document of an account says at the last instant of a month is what is issued at its end.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;
use tollgate::billing::ComingDocument;
use tollgate::domain::account::{Category, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Command, Debit, ExcessPolicy, LimitChange, Metadata, RemainderPolicy, Reversal};
use tollgate::domain::ids::AccountId;
use tollgate::domain::money::DecimalAmount;
use tollgate::domain::time::UnixMillis;
use tollgate::lanes::offload::Offload;
use tollgate::service::UseCases;
use tollgate::service::admission::Limits;
use tollgate::service::context::{Protocol, RequestContext};

use crate::billing_months::stage::{Stage, millis};

/// A seed for random choices: printed, and taken from TOLLGATE_TEST_SEED if that is set.
fn seed() -> u64 {
    let given = std::env::var_os("TOLLGATE_TEST_SEED").map(|text| text.to_str().unwrap().parse().unwrap());
    let seed = given.unwrap_or_else(rand::random);
    println!("TOLLGATE_TEST_SEED={seed}");
    seed
}

/// Something that may happen to an account; what is refused is left.
async fn anything(stage: &Stage, account: &str, number: u32, charges: &mut Vec<(String, String)>, random: &mut StdRng) {
    let amount = DecimalAmount::new(random.random_range(1..900_000), 4);
    let cents = DecimalAmount::new(random.random_range(1..9_000), 2);
    let request_id = format!("r{number}");
    let item = *["call", "gb", "router"].choose(random).unwrap();
    let category = if item == "router" { Category::Hardware } else { Category::Usage };
    let usage =
        Metadata { category: Some(category), item: item.into(), quantity: "1.5".into(), unit: "piece".into(), ..Metadata::default() };
    let by_hand = Metadata { actor: "eve".into(), reason: "a test".into(), ..Metadata::default() };
    let (action, metadata) = match random.random_range(0..12) {
        0..6 => {
            charges.push((account.to_owned(), request_id.clone()));
            let excess = ExcessPolicy::AlreadyConsumed;
            (Action::Debit(Debit { amount, category, reservation: None, then: RemainderPolicy::Settle, excess }), usage)
        }
        6 => {
            let Some((_, original)) = charges.iter().filter(|(of, _)| of == account).collect::<Vec<_>>().choose(random).copied() else {
                return;
            };
            (Action::Refund(Reversal::of(original.clone().into(), None)), by_hand)
        }
        7 => (Action::TopUp { amount }, Metadata::default()),
        8 => (Action::RecordPayment { amount: cents, invoices: Vec::new() }, Metadata::default()),
        9 => (Action::Adjust { amount: DecimalAmount::new(-amount.mantissa(), 4) }, by_hand),
        10 => {
            let mode = if random.random() { Mode::Prepaid } else { Mode::Postpaid };
            (Action::Convert { mode, limit: LimitChange::default(), allow_unusable: true }, by_hand)
        }
        _ => (Action::WriteOff { amount: None }, by_hand),
    };
    let command = Command { account: account.into(), request_id: request_id.into(), first_sent_at: None, currency: None, action, metadata };
    let _ = stage.ledger.submit(command).await.unwrap();
}

#[tokio::test]
async fn the_preview_at_the_last_instant_of_a_month_is_the_document_of_its_end() {
    let mut random = StdRng::seed_from_u64(seed());
    let stage = Stage::embedded("2026-01-05T12:00:00Z").await;
    let accounts: Vec<String> = (0..24).map(|number| format!("account-{number}")).collect();
    for (number, account) in accounts.iter().enumerate() {
        let mode = if number % 2 == 0 { Mode::Prepaid } else { Mode::Postpaid };
        let billing = if number % 3 == 0 { NonUsageBilling::OneByOne } else { NonUsageBilling::Consolidated };
        stage.open(account, mode, "100000", billing).await;
    }
    let (ledger, billing, offload) = (stage.ledger.clone(), stage.billing.clone(), Offload::start().unwrap());
    let use_cases =
        UseCases::new(ledger, Some(billing), offload, Limits::default(), CancellationToken::new(), access::Access::open().into());
    let context = RequestContext::new(Protocol::Grpc, access::Principal::local().into(), None, None);
    let (mut charges, mut compared, mut number) = (Vec::new(), 0, 0);
    for (days, end, after) in [
        ("2026-01", "2026-01-31T23:59:59.999Z", "2026-02-01T00:10:00Z"),
        ("2026-02", "2026-02-28T23:59:59.999Z", "2026-03-01T00:10:00Z"),
        ("2026-03", "2026-03-31T23:59:59.999Z", "2026-04-01T00:10:00Z"),
    ] {
        for day in 6..25 {
            stage.clock_at(millis(&format!("{days}-{day:02}T09:00:00Z")));
            for _ in 0..12 {
                number += 1;
                let account = accounts.choose(&mut random).unwrap();
                anything(&stage, account, number, &mut charges, &mut random).await;
            }
        }
        stage.caught_up().await;
        stage.clock_at(millis(end));
        let mut coming: Vec<(&String, ComingDocument)> = Vec::new();
        let documents = "SELECT CAST(COUNT(*) AS BIGINT) FROM documents";
        let before = stage.number(documents).await;
        for account in &accounts {
            coming.push((account, use_cases.coming_document(&context, &AccountId::from(account.as_str())).await.unwrap()));
        }
        assert_eq!(stage.number(documents).await, before, "a preview has no effect");
        // What is billed is waited for; an account without a document is closed by then, too.
        let billed: Vec<&str> =
            coming.iter().filter(|(_, coming)| coming.document.is_some()).map(|(account, _)| account.as_str()).collect();
        stage.month_ends(after, &billed).await;
        for (account, coming) in &coming {
            let cut_at = millis(after) - 600_000;
            let issued = stage.documents(account).await.into_iter().map(|stored| stored.document);
            let issued = issued.filter(|document| document.period_to == cut_at).collect::<Vec<_>>();
            let Some(document) = &coming.document else {
                assert_eq!(issued, [], "{account}: {coming:?}");
                continue;
            };
            let [expected] = issued.as_slice() else { panic!("{account}: {issued:?}") };
            let mut document = document.clone();
            assert!(document.number.is_empty() && document.issued_at == UnixMillis::NONE && coming.waits_for.is_empty(), "{account}");
            (document.number, document.issued_at, document.due_at) = (expected.number.clone(), expected.issued_at, expected.due_at);
            assert_eq!(document, *expected, "{account}");
            compared += 1;
        }
    }
    println!("{compared} documents");
    assert!(compared > 40);
    stage.end().await;
}
