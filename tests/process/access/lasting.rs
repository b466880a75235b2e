//! What stays open ends when its caller is no longer let in, or may no longer do it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use access::file::{AccessFile, GrantEntry};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tollgate::grpc::v1::{self, charge_command, charge_outcome};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use super::callers::House;
use crate::authority::Authority;
use crate::service::{PATIENCE, Service, debit, until};

/// Within what time a revoked key is refused.
const SOON: Duration = Duration::from_secs(5);

type Charging = ChargingServiceClient<InterceptedService<Channel, Box<dyn Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync>>>;

fn charging(channel: Channel, key: &str) -> Charging {
    let value: tonic::metadata::MetadataValue<_> = format!("Bearer {key}").parse().unwrap();
    let with_key = move |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", value.clone());
        Ok(request)
    };
    ChargingServiceClient::with_interceptor(channel, Box::new(with_key))
}

async fn opened(house: &House, root: &str, id: &str) {
    let account = json!({ "accountId": id, "requestId": "c", "name": id, "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    house.done(root, "AccountService/CreateAccount", account).await;
    let top_up = json!({ "accountId": id, "requestId": "t", "amount": { "amount": "900000" } });
    house.done(root, "AccountService/TopUp", top_up).await;
}

/// Watches an account.
pub async fn watch(house: &House, key: &str, account: &str) -> Result<Streaming<v1::WatchUsableCreditResponse>, Status> {
    let request = v1::WatchUsableCreditRequest { account_id: account.into() };
    Ok(charging(house.channel.clone(), key).watch_usable_credit(request).await?.into_inner())
}

/// How a stream ends: its status.
async fn end<T>(mut answers: Streaming<T>) -> Status {
    loop {
        match tokio::time::timeout(PATIENCE, answers.message()).await.expect("the stream does not end") {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without an error"),
            Err(status) => return status,
        }
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

fn key<'a>(file: &'a mut AccessFile, name: &str) -> &'a mut access::file::KeyEntry {
    file.keys.iter_mut().find(|key| key.name == name).unwrap()
}

/// A stream of charges with its commands.
async fn stream_of(client: &mut Charging) -> (mpsc::Sender<v1::ChargeRequest>, Streaming<v1::ChargeResponse>) {
    let (commands, sent) = mpsc::channel(4);
    let answers = client.charge(ReceiverStream::new(sent)).await.unwrap().into_inner();
    (commands, answers)
}

/// A batch of one debit under a new request id.
fn batch(account: &str) -> v1::ChargeRequest {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let command = charge_command::Command::Debit(debit(account, &NEXT.fetch_add(1, Ordering::Relaxed).to_string(), "0.01"));
    v1::ChargeRequest { commands: vec![v1::ChargeCommand { command: Some(command) }] }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_what_is_open_in_two_processes_and_nothing_of_others() {
    let (mut house, keys) = House::start(&[("root", "admin", &[]), ("switch", "admin", &[]), ("other", "charge", &[])]).await;
    let second =
        Service::open(&["--store", &house.access_file().replace("access.toml", "second.db"), "--access-file", &house.access_file()], &[]);
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", second.address)).unwrap().connect().await.unwrap();
    opened(&house, &keys[0], "acme").await;
    let mut switch = charging(house.channel.clone(), &keys[1]);
    let mut other = charging(house.channel.clone(), &keys[2]);
    let mut elsewhere = charging(channel, &keys[1]);

    let watch = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let watched = switch.watch_usable_credit(watch.clone()).await.unwrap().into_inner();
    let mut watched_by_another = other.watch_usable_credit(watch).await.unwrap().into_inner();
    let (silent, of_silent) = stream_of(&mut switch).await;
    let (_silent_elsewhere, of_silent_elsewhere) = stream_of(&mut elsewhere).await;
    let (busy, of_busy) = stream_of(&mut switch).await;
    let (of_another, mut answers_of_another) = stream_of(&mut other).await;
    // Commands come all the time.
    let sending = tokio::spawn(async move { while busy.send(batch("acme")).await.is_ok() {} });

    house.change(|file| key(file, "switch").revoked = Some(Timestamp::now()));
    let revoked = Instant::now();
    for status in [end(watched).await, end(of_silent).await, end(of_silent_elsewhere).await, end(of_busy).await] {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CREDENTIALS_ENDED"), "{status:?}");
    }
    assert!(revoked.elapsed() < SOON, "{:?}", revoked.elapsed());
    drop(silent);
    sending.await.unwrap();
    // Others go on.
    of_another.send(batch("acme")).await.unwrap();
    let outcome = answers_of_another.message().await.unwrap().unwrap().outcomes.remove(0).outcome.unwrap();
    assert!(matches!(outcome, charge_outcome::Outcome::Debit(_)), "{outcome:?}");
    assert!(watched_by_another.message().await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_may_is_what_its_key_is_granted_now() {
    let (mut house, keys) = House::start(&[("root", "admin", &[]), ("switch", "charge", &[])]).await;
    for id in ["partner-7/a", "partner-8/a"] {
        opened(&house, &keys[0], id).await;
    }
    let mut switch = charging(house.channel.clone(), &keys[1]);
    let (commands, mut answers) = stream_of(&mut switch).await;
    let mut ask = async |account: &str| {
        commands.send(batch(account)).await.unwrap();
        answers.message().await.map(|answer| answer.unwrap().outcomes.remove(0).outcome.unwrap())
    };
    assert!(matches!(ask("partner-8/a").await.unwrap(), charge_outcome::Outcome::Debit(_)));
    let watch = |id: &str| v1::WatchUsableCreditRequest { account_id: id.into() };
    let theirs = switch.watch_usable_credit(watch("partner-8/a")).await.unwrap().into_inner();
    let mut ours = switch.watch_usable_credit(watch("partner-7/a")).await.unwrap().into_inner();
    house.change(|file| key(file, "switch").grant.accounts = Some(vec!["partner-7/".into()]));
    let changed = Instant::now();
    // The watch of what is no longer granted ends; the stream goes on with what is.
    let status = end(theirs).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"), "{status:?}");
    let charge_outcome::Outcome::Error(error) = ask("partner-8/a").await.unwrap() else { panic!("it was charged") };
    assert_eq!(error.code, i32::from(Code::PermissionDenied));
    assert!(matches!(ask("partner-7/a").await.unwrap(), charge_outcome::Outcome::Debit(_)));
    assert!(ours.message().await.unwrap().is_some());
    // Without the permission to charge at all, it ends.
    house.change(|file| key(file, "switch").grant.roles = vec!["read".into()]);
    let status = end(answers).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"), "{status:?}");
    assert!(changed.elapsed() < 2 * SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_client_certificate_does() {
    let folder = crate::temporary_folder();
    let (authority, of_clients) = (Authority::new(folder.path(), "ca"), Authority::new(folder.path(), "clients"));
    let (certificate, key) = authority.sign("server", None);
    let file = folder.path().join("access.toml");
    std::fs::write(&file, "[[certificates]]\nname = 'localhost'\nroles = ['admin']\n").unwrap();
    let [store, of_clients_pem] = [folder.path().join("ledger.db").display().to_string(), of_clients.path("clients.pem")];
    let arguments = ["--store", &store, "--access-file", file.to_str().unwrap(), "--tls-cert", &certificate, "--tls-key", &key];
    let service = Service::open(&[&arguments[..], &["--tls-client-ca", &of_clients_pem]].concat(), &[]);
    let (shown, its_key) = of_clients.sign_for("switch", 4);
    let ends = Timestamp::now();
    let read = |path: &str| std::fs::read(path).unwrap();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&authority.path("ca.pem"))));
    let tls = tls.identity(Identity::from_pem(read(&shown), read(&its_key)));
    let url = format!("https://localhost:{}", service.address.port());
    let channel = Endpoint::from_shared(url).unwrap().tls_config(tls).unwrap().connect().await.unwrap();
    let mut accounts = v1::account_service_client::AccountServiceClient::new(channel.clone());
    let account = v1::CreateAccountRequest {
        account_id: "acme".into(),
        request_id: "c".into(),
        name: "Acme".into(),
        currency_code: "EUR".into(),
        mode: v1::PaymentMode::Prepaid.into(),
        ..Default::default()
    };
    accounts.create_account(account).await.unwrap();
    let watch = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let status = end(ChargingServiceClient::new(channel).watch_usable_credit(watch).await.unwrap().into_inner()).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CREDENTIALS_ENDED"), "{status:?}");
    assert!(Timestamp::now() < ends + Duration::from_secs(5) + SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_key_expires() {
    let (mut house, keys) = House::start(&[("root", "admin", &[])]).await;
    opened(&house, &keys[0], "acme").await;
    let brief = house.add("brief", GrantEntry { roles: vec!["charge".into()], ..GrantEntry::default() });
    let look = json!({ "accountId": "acme" });
    until("the key is known", || async { house.call(Some(&brief), "ChargingService/GetUsableCredit", &look).await.ok() }).await;
    let watch = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let watched = charging(house.channel.clone(), &brief).watch_usable_credit(watch).await.unwrap().into_inner();
    let expires = Timestamp::now() + Duration::from_secs(3);
    house.change(|file| key(file, "brief").expires = Some(expires));
    let status = end(watched).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CREDENTIALS_ENDED"), "{status:?}");
    assert!(Timestamp::now() >= expires && Timestamp::now() < expires + SOON);
}
