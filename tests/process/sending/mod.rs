//! Documents that are sent: through a mail server that does all that one can do, and through Debian's postfix.

mod hostile;
mod links;
mod low_credit;
mod postfix;
mod switches;
mod templates;
mod ways;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tollgate::grpc::v1::{self, DocumentSending, PaymentMode};

use crate::command::Operator;
use crate::postgres::PostgresServer;
use crate::service::{Client, Service, debit, until};
use crate::support::{RedisServer, temporary_folder};

/// The hostile mail server of `python/hostile_smtp.py`.
pub struct MailServer {
    child: Child,
    pub port: u16,
    log: PathBuf,
}

impl MailServer {
    pub fn start(folder: &Path, seed: u64, hostility: f64, certificate: Option<[&Path; 2]>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let log = folder.join("mail.log");
        let mut command = Command::new(root.join("tests/.venv/bin/python"));
        command.arg(root.join("tests/python/hostile_smtp.py")).arg(&log).arg(seed.to_string()).arg(hostility.to_string());
        command.args(certificate.into_iter().flatten());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the mail server does not run: {line:?}; tests/run installs aiosmtpd"));
        Self { child, port, log }
    }

    /// What happened, in order.
    fn events(&self, event: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.filter(|one| one["event"] == event).collect()
    }

    /// The last mail that it took.
    fn last(&self) -> Vec<u8> {
        std::fs::read(format!("{}.last", self.log.display())).unwrap()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service by a clock that stands, with an issuer and a rate of tax, and what it is started with.
pub struct Fixture {
    pub folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Fixture {
    fn new(billing: Option<&PostgresServer>) -> Self {
        let folder = temporary_folder();
        std::fs::write(folder.path().join("clock"), "2026-06-10T12:00:00Z").unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let billing = billing.map_or_else(|| format!("sqlite://{}", path("ledger.billing.db")), PostgresServer::database);
        let arguments =
            ["--store", &path("ledger.db"), "--test-clock", &path("clock"), "--billing", &billing, "--aggregation-lease", "500ms"];
        let arguments = arguments.map(str::to_owned).to_vec();
        Self { folder, arguments }
    }

    /// The same, with its ledger in Redis and its bills in PostgreSQL.
    pub fn on_redis(redis: &RedisServer, postgres: &PostgresServer) -> Self {
        let mut fixture = Self::new(Some(postgres));
        let place = fixture.arguments.iter().position(|argument| argument == "--store").unwrap();
        fixture.arguments.splice(place..place + 2, ["--redis".to_owned(), redis.url()]);
        fixture
    }

    /// The URL of its billing store.
    pub fn billing(&self) -> String {
        let place = self.arguments.iter().position(|argument| argument == "--billing").unwrap();
        self.arguments[place + 1].clone()
    }

    /// Starts it, beside these arguments.
    pub fn serve(&self, more: &[&str], environment: &[(&str, &str)]) -> Service {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Service::start(&arguments, environment)
    }

    pub fn go_to(&self, time: &str) {
        let [next, clock] = ["next", "clock"].map(|name| self.folder.path().join(name));
        std::fs::write(&next, time).unwrap();
        std::fs::rename(next, clock).unwrap();
    }
}

pub fn run(service: &Service, words: &[&str]) -> String {
    let ended = Operator::of(service).run_words(words);
    assert!(ended.status.success(), "{words:?}: {ended:?}");
    ended.output
}

/// Sets who issues, and that documents are sent.
pub fn set_up(service: &Service) {
    run(
        service,
        &["issuer", "set", "--name", "Nordlicht", "--city", "Hamburg", "--country", "DE", "--payment", "IBAN DE02 1203 0000 0000 2020 51"],
    );
    run(service, &["tax", "set", "19", "--from", "2020-01-01"]);
    run(service, &["sending", "set", "--on", "--from", "Nordlicht <billing@nordlicht.example>", "--contact", "Ann"]);
}

/// A postpaid account with an address, which was charged.
pub async fn customer(client: &mut Client, id: &str, email: &str, language: &str, amount: &str) {
    client.open(id, PaymentMode::Postpaid, "5000", "0").await;
    let customer = Some(v1::Party { name: format!("Customer {id}"), email: email.into(), language: language.into(), ..Default::default() });
    client
        .billing
        .set_billing_details(v1::SetBillingDetailsRequest { account_id: id.into(), customer, ..Default::default() })
        .await
        .unwrap();
    client.charging.debit(debit(id, "use", amount)).await.unwrap();
}

/// All mails.
async fn mails(client: &Client) -> Vec<v1::Mail> {
    let mut request = v1::ListMailsRequest { page_size: 1000, ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page = client.clone().billing.list_mails(request.clone()).await.unwrap().into_inner();
        found.extend(page.mails);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return found;
        }
    }
}

/// Waits until there are so many mails.
async fn mails_are(client: &Client, count: usize) -> Vec<v1::Mail> {
    until(&format!("there are {count} mails"), || async { Some(mails(client).await).filter(|mails| mails.len() == count) }).await
}

/// Looks whether each document is in the list of how far its mail is, and in no other.
async fn lists_by_sending_agree(client: &Client) {
    let listed = async |sending: DocumentSending| {
        let state = v1::InvoiceState::Issued.into();
        let request = v1::ListInvoicesRequest { state, sending: sending.into(), page_size: 1000, ..Default::default() };
        let found = client.clone().billing.list_invoices(request).await.unwrap().into_inner().invoices;
        found.into_iter().map(|invoice| (invoice.number.clone(), invoice.sending())).collect::<BTreeMap<_, _>>()
    };
    let all = listed(DocumentSending::Unspecified).await;
    assert!(!all.is_empty());
    for number in 1..=7 {
        let wanted = DocumentSending::try_from(number).unwrap();
        let shown = if wanted == DocumentSending::Never { DocumentSending::Unspecified } else { wanted };
        let expected = all.iter().filter(|(_, sending)| **sending == shown).map(|(number, sending)| (number.clone(), *sending)).collect();
        assert_eq!(listed(wanted).await, expected, "{wanted:?}");
    }
}

/// Waits until the one mail about a document, or the newest, is in a state.
pub async fn becomes(client: &Client, number: &str, state: v1::MailState) -> v1::Mail {
    until(&format!("the mail of {number:?} is {state:?}"), || async {
        let request = v1::ListMailsRequest { number: number.into(), ..Default::default() };
        let found = client.clone().billing.list_mails(request).await.ok()?.into_inner().mails;
        found.into_iter().next().filter(|mail| mail.state() == state)
    })
    .await
}
