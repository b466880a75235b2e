//! Lines of bank statements become payments, each once, whatever became of a try before.

use access::{Kind, Principal};
use tokio_util::sync::CancellationToken;
use tollgate::billing::bank::{BookedLine, BookingClaim};
use tollgate::domain::account::{Mode, NonUsageBilling};
use tollgate::domain::command::{Action, Metadata};
use tollgate::lanes::offload::Offload;
use tollgate::service::UseCases;
use tollgate::service::admission::Limits;
use tollgate::service::bank::{Booked, Line, Proposal, read};
use tollgate::service::context::{Protocol, RequestContext};

use super::stage::{Stage, millis};

/// A bank's fixture, in February: `acme` has the invoices INV-000001 of 12.00 of January, `beta` one of 30.00.
struct Fixture {
    stage: Stage,
    use_cases: UseCases,
    context: RequestContext,
    acme: String,
    beta: String,
}

impl Fixture {
    async fn open(stage: Stage) -> Self {
        for (account, amount) in [("acme", "12"), ("beta", "30")] {
            stage.open(account, Mode::Postpaid, "100", NonUsageBilling::Consolidated).await;
            stage.charge(account, "c1", amount, "call", "1", None).await;
        }
        stage.open("gamma", Mode::Prepaid, "0", NonUsageBilling::Consolidated).await;
        stage.month_ends("2026-02-01T00:10:00Z", &["acme", "beta"]).await;
        let (ledger, billing, offload) = (stage.ledger.clone(), stage.billing.clone(), Offload::start().unwrap());
        let use_cases =
            UseCases::new(ledger, Some(billing), offload, Limits::default(), CancellationToken::new(), access::Access::open().into());
        let mut caller = Principal::local();
        (caller.name, caller.kind) = ("eve".into(), Kind::User);
        let context = RequestContext::new(Protocol::Console, caller.into(), None, None);
        let acme = stage.documents("acme").await[0].document.number.clone();
        let beta = stage.documents("beta").await[0].document.number.clone();
        Self { stage, use_cases, context, acme, beta }
    }

    /// The lines of a file with these rows: day, amount, text, payer.
    fn lines(&self, rows: &[[&str; 4]]) -> Vec<Line> {
        let rows = rows.iter().map(|[day, amount, text, payer]| format!("{day},{amount},EUR,{text},{payer}\n"));
        read(&format!("date,amount,currency,text,name\n{}", rows.collect::<String>())).unwrap().lines
    }

    async fn proposed(&self, lines: &[Line]) -> Vec<Proposal> {
        self.use_cases.propose_bookings(&self.context, lines).await.unwrap()
    }

    async fn book(&self, line: &Line, said: &str) -> Booked {
        let target = self.use_cases.booking_target(&self.context, said).await.unwrap();
        self.use_cases.book_line(&self.context, line, &target, "from the bank").await.unwrap()
    }

    /// As after a try of which nobody knows what became, and that was not done.
    async fn was_begun(&self, line: &Line, account: &str, invoice: &str, at: &str) {
        let begun = BookedLine { account: account.into(), invoice: invoice.into(), at: millis(at) };
        let movement = format!("{} {} EUR", line.day, line.amount);
        let claim = self.stage.billing.claim_line(&line.digest, &movement, &begun, "eve").await.unwrap();
        assert!(matches!(claim, BookingClaim::Tried(tried) if tried.number == 1));
    }
}

/// The words of a proposal: its kind, and the account and invoice that it names.
fn words(proposal: &Proposal) -> [&str; 3] {
    match proposal {
        Proposal::Booked(line) => ["booked", &line.account, &line.invoice],
        Proposal::Begun(line) => ["begun", &line.account, &line.invoice],
        Proposal::Alike { booked, invoice } => {
            ["alike", &booked.account, invoice.as_ref().map_or("", |matched| matched.invoice.number.as_str())]
        }
        Proposal::Invoice(matched) => {
            [if matched.is_exact { "exact" } else { "differs" }, &matched.invoice.account, &matched.invoice.number]
        }
        Proposal::Unknown => ["unknown", "", ""],
    }
}

async fn a_line_is_booked_once(stage: Stage) {
    let fixture = Fixture::open(stage).await;
    let (acme, beta) = (fixture.acme.as_str(), fixture.beta.as_str());
    let lines = fixture.lines(&[
        ["2026-02-01", "12.00", &format!("Rechnung {acme}"), "Acme"],
        ["2026-02-01", "7.00", &format!("{}, a part", beta.to_lowercase()), "Beta"],
        ["2026-02-01", "5.00", &format!("{beta} again"), "Beta"],
        ["2026-02-01", "3.00", "INV-999999 2026 x1 y2", "Nobody"],
    ]);
    let proposed = fixture.proposed(&lines).await;
    let proposed: Vec<_> = proposed.iter().map(words).collect();
    // An invoice is proposed for one line only.
    assert_eq!(proposed, [["exact", "acme", acme], ["differs", "beta", beta], ["unknown", "", ""], ["unknown", "", ""]]);

    // Begun for an invoice, and nobody knows what became of it: it is proposed as it was begun, and booked so, whatever is said now.
    fixture.was_begun(&lines[1], "beta", beta, "2026-02-01T00:01:00Z").await;
    assert_eq!(words(&fixture.proposed(&lines).await[1]), ["begun", "beta", beta]);
    assert_eq!(fixture.book(&lines[1], "beta").await, Booked::Done);
    assert!(matches!(fixture.book(&lines[1], beta).await, Booked::Before(found) if found.invoice == beta));
    assert!(matches!(fixture.book(&lines[1], "acme").await, Booked::Before(found) | Booked::Begun(found) if found.account == "beta"));
    fixture.stage.caught_up().await;
    assert_eq!(words(&fixture.proposed(&lines).await[1]), ["booked", "beta", beta]);
    assert!(matches!(fixture.book(&lines[1], "acme").await, Booked::Before(found) if found.account == "beta"));
    assert_eq!(fixture.stage.open_amounts("beta").await, [super::units("23")]);

    // The same money in another form of the statement, which words it otherwise: it is said, and not taken for another payment.
    let other = fixture.lines(&[["2026-02-01", "7", &format!("GUTSCHRIFT {beta} A PART"), ""], ["2026-02-02", "7", "the day after", ""]]);
    let proposed = fixture.proposed(&other).await;
    assert_eq!(proposed.iter().map(words).collect::<Vec<_>>(), [["alike", "beta", beta], ["unknown", "", ""]]);
    // In a file that has the line that was booked, another of the same amount is another.
    let both = [lines[1].clone(), other[0].clone()];
    assert_eq!(fixture.proposed(&both).await.iter().map(words).map(|[kind, ..]| kind).collect::<Vec<_>>(), ["booked", "differs"]);

    // Refused for good: the line is free, at once or as soon as the attempt before is over.
    fixture
        .stage
        .act("acme", "closed", Action::RecordPayment { amount: super::decimal("12"), invoices: vec![] }, Metadata::default())
        .await;
    fixture.stage.act("acme", "close", Action::Close, Metadata::default()).await;
    assert!(matches!(fixture.book(&lines[3], "acme").await, Booked::Refused(error) if error.reason == "ACCOUNT_CLOSED"));
    assert_eq!(words(&fixture.proposed(&lines).await[3]), ["unknown", "", ""]);
    fixture.was_begun(&lines[3], "acme", "", "2026-02-01T00:10:00Z").await;
    assert!(matches!(fixture.book(&lines[3], "acme").await, Booked::Refused(_)));
    assert_eq!(words(&fixture.proposed(&lines).await[3]), ["begun", "acme", ""]);
    assert!(matches!(fixture.book(&lines[3], "beta").await, Booked::Begun(found) if found.account == "acme"));
    fixture.stage.at("2026-02-01T00:15:00Z");
    assert!(matches!(fixture.book(&lines[3], "acme").await, Booked::Refused(_)));
    assert_eq!(words(&fixture.proposed(&lines).await[3]), ["unknown", "", ""]);
    assert_eq!(fixture.book(&lines[3], "beta").await, Booked::Done);
    fixture.stage.caught_up().await;
    a_line_that_was_begun_long_ago_is_settled(&fixture).await;
    fixture.stage.end().await;
}

/// The ledger forgets request ids after a day. Tries of before are over then, and the journal tells what came of them.
async fn a_line_that_was_begun_long_ago_is_settled(fixture: &Fixture) {
    let lines = fixture.lines(&[
        ["2026-02-02", "2.00", "begun and done", ""],
        ["2026-02-02", "2.50", "begun for another", ""],
        ["2026-02-02", "2.75", "begun here", ""],
    ]);
    assert_eq!(fixture.book(&lines[0], "beta").await, Booked::Done);
    for line in &lines[1..] {
        fixture.was_begun(line, "beta", "", "2026-02-01T00:15:00Z").await;
    }
    fixture.stage.caught_up().await;
    let kinds = async || fixture.proposed(&lines).await.iter().map(words).map(|[kind, ..]| kind.to_owned()).collect::<Vec<_>>();
    fixture.stage.at("2026-02-02T00:20:00Z");
    assert_eq!(kinds().await, ["booked", "begun", "begun"]);
    assert!(matches!(fixture.book(&lines[1], "gamma").await, Booked::Begun(_)));
    fixture.stage.at("2026-02-02T00:20:01Z");
    assert_eq!(kinds().await, ["booked", "unknown", "unknown"]);
    assert!(matches!(fixture.book(&lines[0], "gamma").await, Booked::Before(found) if found.account == "beta"));
    assert_eq!(fixture.book(&lines[1], "gamma").await, Booked::Done);
    assert_eq!(fixture.book(&lines[2], "beta").await, Booked::Done);
    assert!(matches!(fixture.book(&lines[2], "beta").await, Booked::Before(_)));
    fixture.stage.caught_up().await;
    assert_eq!(kinds().await, ["booked", "booked", "booked"]);
}

#[tokio::test]
async fn a_line_of_a_bank_statement_is_booked_once_whatever_became_of_a_try_before_on_sqlite() {
    a_line_is_booked_once(Stage::embedded("2026-01-05T12:00:00Z").await).await;
}

#[tokio::test]
async fn a_line_of_a_bank_statement_is_booked_once_whatever_became_of_a_try_before_on_postgresql() {
    a_line_is_booked_once(Stage::redis_and_postgres("2026-01-05T12:00:00Z").await).await;
}
