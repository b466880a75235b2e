//! Random months of everything that moves money, in fractions of a cent: what is open of an invoice is in minor units at every instant,
//! what is credited of a document is at most what it charged, and verify agrees.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tollgate::billing::DocumentState;
use tollgate::billing::retention::RetentionSettings;
use tollgate::billing::verify::verify;
use tollgate::domain::account::{Category, Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Debit, ExcessPolicy, LimitChange, Metadata, RemainderPolicy, Reversal};
use tollgate::domain::money::DecimalAmount;

use crate::billing_months::stage::{Stage, decimal};
use crate::paper::is_sound_at_every_instant;

const ACCOUNTS: [&str; 6] = ["prepaid", "postpaid", "one-by-one", "converted", "converted-one-by-one", "tiny"];
const MONTHS: usize = 6;
const OPERATIONS: usize = 150;

#[allow(clippy::disallowed_methods, reason = "which months to live through is the environment's to say")]
fn seed() -> u64 {
    let seed = std::env::var("TOLLGATE_TEST_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("TOLLGATE_TEST_SEED={seed}");
    seed
}

struct Life {
    stage: Stage,
    random: StdRng,
    /// What can be given back: account, request id; charges, payments, write-offs.
    done: [Vec<(&'static str, String)>; 3],
    sent: usize,
}

impl Life {
    /// Of a cent, of some cents and fractions, or of some euros.
    fn amount(&mut self, account: &str) -> DecimalAmount {
        let most = if account == "tiny" { 9_000 } else { *[9_000, 90_000, 50_000_000].choose(&mut self.random).unwrap() };
        DecimalAmount::new(self.random.random_range(1..most), 6)
    }

    fn cents(&mut self) -> DecimalAmount {
        let most = *[3, 100, 9_000].choose(&mut self.random).unwrap();
        DecimalAmount::new(self.random.random_range(1..most), 2)
    }

    fn action(&mut self, account: &'static str) -> (Action, Option<usize>) {
        let converts = account.starts_with("converted");
        match self.random.random_range(0..40) {
            0..18 => {
                let category = *[Category::Usage, Category::Usage, Category::Hardware, Category::Service].choose(&mut self.random).unwrap();
                let amount = self.amount(account);
                let excess = ExcessPolicy::WithinUsableCredit;
                (Action::Debit(Debit { amount, category, reservation: None, then: RemainderPolicy::Settle, excess }), Some(0))
            }
            18..27 => {
                let amount = self.random.random_bool(0.6).then(|| self.amount(account));
                (Action::Refund(Reversal::of(self.earlier(0, account).into(), amount)), None)
            }
            27..29 => (Action::TopUp { amount: self.amount(account) }, Some(1)),
            29..32 => (Action::RecordPayment { amount: self.cents(), invoices: Vec::new() }, Some(1)),
            32..34 => {
                let amount = self.random.random_bool(0.5).then(|| self.amount(account));
                (Action::ReversePayment(Reversal::of(self.earlier(1, account).into(), amount)), None)
            }
            34 => {
                let amount = self.amount(account);
                let signed = if self.random.random() { amount } else { DecimalAmount::new(-amount.mantissa(), amount.scale()) };
                (Action::Adjust { amount: signed }, None)
            }
            35 => (Action::Withdraw { amount: self.cents(), is_paid_out: false }, None),
            36 => (Action::WriteOff { amount: self.random.random_bool(0.5).then(|| self.cents()) }, Some(2)),
            37 => (Action::ReverseWriteOff(Reversal::of(self.earlier(2, account).into(), None)), None),
            _ if converts => {
                let mode = if self.random.random() { Mode::Prepaid } else { Mode::Postpaid };
                let limit = LimitChange { permanent: Some(decimal("500")), ..LimitChange::default() };
                (Action::Convert { mode, limit, allow_unusable: true }, None)
            }
            _ => (Action::ClosePeriod, None),
        }
    }

    fn earlier(&mut self, what: usize, account: &str) -> String {
        let of_account: Vec<_> = self.done[what].iter().filter(|(of, _)| *of == account).collect();
        of_account.choose(&mut self.random).map_or_else(|| "none".to_owned(), |(_, request_id)| request_id.clone())
    }

    /// What is refused or declined changes nothing.
    async fn act(&mut self) {
        let account = *ACCOUNTS.choose(&mut self.random).unwrap();
        let (action, kept) = self.action(account);
        self.sent += 1;
        let request_id = if action.has_request_id() { format!("r{}", self.sent) } else { String::new() };
        let category = if let Action::Debit(debit) = &action { Some(debit.category) } else { None };
        let note = Metadata { category, item: "item".into(), reason: "chance".into(), actor: "chance".into(), ..Metadata::default() };
        if self.stage.try_to(account, &request_id, action, note).await.is_ok()
            && let Some(kept) = kept
        {
            self.done[kept].push((account, request_id));
        }
    }
}

async fn live(stage: Stage) {
    let mut life = Life { stage, random: StdRng::seed_from_u64(seed()), done: Default::default(), sent: 0 };
    for account in ACCOUNTS {
        let mode = if account == "prepaid" { Mode::Prepaid } else { Mode::Postpaid };
        let billing = if account.ends_with("one-by-one") { NonUsageBilling::OneByOne } else { NonUsageBilling::Consolidated };
        life.stage.open(account, mode, "500", billing).await;
    }
    let mut instants = 0;
    for month in 1..=MONTHS {
        for _ in 0..OPERATIONS {
            life.act().await;
        }
        // Sometimes what was cut and what follows come to the billing store together, sometimes not.
        if life.random.random() {
            life.stage.caught_up().await;
        }
        life.stage.at(&format!("2026-{:02}-01T00:10:00Z", month + 1));
    }
    for _ in 0..OPERATIONS {
        life.act().await;
    }
    life.stage.caught_up().await;
    instants += is_sound_at_every_instant(&life.stage.billing).await;
    assert!(instants > 100, "{instants} instants with something open are too few to tell");
    let mut notes = 0;
    for account in ACCOUNTS {
        for stored in life.stage.documents(account).await {
            assert_ne!(stored.state, DocumentState::Held, "{}", stored.held_reason);
            notes += usize::from(!stored.document.refers_to.is_empty());
        }
    }
    assert!(notes > 10, "{notes} credit notes are too few to tell");
    let findings = verify(&life.stage.billing, &life.stage.ledger, &[], &RetentionSettings::default(), |_, _, _| {}).await.unwrap();
    assert_eq!(findings.differences, [], "verify agrees");
    life.stage.end().await;
}

#[tokio::test]
async fn random_months_in_fractions_of_a_cent_are_sound_at_every_instant_on_the_embedded_store_and_sqlite() {
    live(Stage::embedded("2026-01-05T12:00:00Z").await).await;
}

#[tokio::test]
async fn random_months_in_fractions_of_a_cent_are_sound_at_every_instant_on_redis_and_postgresql() {
    live(Stage::redis_and_postgres("2026-01-05T12:00:00Z").await).await;
}
