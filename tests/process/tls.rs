//! TLS on the running binary: who is let in, and certificates that change while calls are made.

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tollgate::clock::system_now;
use tollgate::grpc::v1::GetUsableCreditRequest;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::authority::Authority;
use crate::service::{PATIENCE, Service, binary, until};

fn serve(folder: &Path, arguments: &[&str]) -> Service {
    let store = folder.join("ledger.db");
    Service::open(&[&["--store", store.to_str().unwrap()], arguments].concat(), &[])
}

/// A start that is refused: what it says.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let store = folder.join("never.db");
    let output = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--store", store.to_str().unwrap()])
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!store.exists());
    String::from_utf8(output.stderr).unwrap()
}

fn tollgate(service: &Service, scheme: &str, arguments: &[&str]) -> Output {
    let server = format!("{scheme}://127.0.0.1:{}", service.address.port());
    Command::new(binary()).args(arguments).args(["--server", &server]).env_clear().output().unwrap()
}

async fn connect(service: &Service, authority: &Authority, identity: Option<(&str, &str)>) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(std::fs::read(certificate).unwrap(), std::fs::read(key).unwrap()));
    }
    Endpoint::from_shared(format!("https://127.0.0.1:{}", service.address.port())).unwrap().tls_config(tls).unwrap().connect().await
}

/// The code of a look at an account that does not exist: NOT_FOUND if the call was let in.
async fn look(channel: Channel) -> Code {
    ChargingServiceClient::new(channel).get_usable_credit(GetUsableCreditRequest { account_id: "nobody".into() }).await.unwrap_err().code()
}

#[tokio::test]
async fn calls_and_metrics_are_served_over_tls_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let (certificate, key) = authority.sign("server", None);
    let service = serve(folder.path(), &["--tls-cert", &certificate, "--tls-key", &key]);
    assert_eq!(look(connect(&service, &authority, None).await.unwrap()).await, Code::NotFound);

    let listed = tollgate(&service, "https", &["account", "list", "--ca", &authority.path("ca.pem")]);
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    let unknown = tollgate(&service, "https", &["account", "list"]);
    assert_eq!(unknown.status.code(), Some(3), "an authority that this machine does not know: {unknown:?}");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("UnknownIssuer"), "{unknown:?}");
    let plain = tollgate(&service, "http", &["account", "list"]);
    assert_eq!(plain.status.code(), Some(3), "{plain:?}");

    let metrics = format!("https://localhost:{}/metrics", service.metrics.port());
    let curl = |arguments: &[&str]| Command::new("curl").args(["-s", "-m", "10", &metrics]).args(arguments).output().unwrap();
    let found = curl(&["--cacert", &authority.path("ca.pem")]);
    assert!(String::from_utf8_lossy(&found.stdout).contains("tollgate_tls_handshakes_failed_total 2"), "{found:?}");
    assert!(!curl(&["--cacert", &authority.path("ca.pem"), "--tls-max", "1.1"]).status.success());
}

#[tokio::test]
async fn with_an_authority_for_clients_only_its_certificates_are_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, clients) = (Authority::new(folder.path(), "ca"), Authority::new(folder.path(), "clients"));
    let past = Authority::until(folder.path(), "past", (2020, 1, 1));
    let begins = system_now() + 15_000;
    let coming = Authority::beginning(folder.path(), "coming", begins);
    std::fs::write(folder.path().join("clients.pem"), clients.pem() + &past.pem() + &coming.pem()).unwrap();
    let (certificate, key) = authority.sign("server", None);
    let (theirs, their_key) = clients.sign("switch-1", None);
    let (stranger, stranger_key) = authority.sign("stranger", None);
    let options = ["--tls-cert", &certificate, "--tls-key", &key, "--tls-client-ca", &clients.path("clients.pem")];
    let service = serve(folder.path(), &options);
    let let_in = |identity| {
        let (service, authority) = (&service, &authority);
        async move {
            match connect(service, authority, identity).await {
                // In TLS 1.3 a client hears of its refusal only after its own handshake.
                Ok(channel) => look(channel).await == Code::NotFound,
                Err(_) => false,
            }
        }
    };
    assert!(let_in(Some((theirs.as_str(), their_key.as_str()))).await);
    assert!(!let_in(None).await, "no certificate");
    assert!(!let_in(Some((stranger.as_str(), stranger_key.as_str()))).await, "that of another authority");
    let (expired, expired_key) = clients.sign("old", Some((2020, 1, 1)));
    assert!(!let_in(Some((expired.as_str(), expired_key.as_str()))).await, "one that has expired");
    let (late, late_key) = past.sign("late", None);
    assert!(!let_in(Some((late.as_str(), late_key.as_str()))).await, "one of an authority that has expired");
    let (early, early_key) = coming.sign("early", None);
    let early = Some((early.as_str(), early_key.as_str()));
    let is_early_let_in = let_in(early).await;
    assert!(!is_early_let_in || system_now() >= begins, "one of an authority that does not hold yet");
    until("an authority begins to hold, though no file changed", async || let_in(early).await.then_some(())).await;

    let listed =
        tollgate(&service, "https", &["account", "list", "--ca", &authority.path("ca.pem"), "--cert", &theirs, "--key", &their_key]);
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    // Who shows none learns why there is no answer, as far as the connection knows it.
    let refused = tollgate(&service, "https", &["account", "list", "--ca", &authority.path("ca.pem")]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.starts_with("tollgate: ") && !told.contains("transport error (") && told.contains(": "), "{told}");
}

#[test]
fn what_cannot_be_trusted_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let (certificate, key) = authority.sign("server", None);
    let (_, other_key) = authority.sign("other", None);
    let says = |certificate: &str, key: &str, more: &[&str], what: &str| {
        let said = refused(folder.path(), &[&["--tls-cert", certificate, "--tls-key", key], more].concat());
        assert!(said.contains(what), "{said}");
    };
    let (old, old_key) = authority.sign("old", Some((2020, 1, 1)));
    says(&old, &old_key, &[], "has expired at 2020-01-01T00:00:00Z");
    says(&certificate, &other_key, &[], "do not belong together");
    says(&certificate, &authority.path("none.key"), &[], "cannot be read");
    says(&key, &key, &[], "has no certificate in it");
    says(&certificate, &key, &["--tls-client-ca", &key], "has no certificate in it");
    Authority::until(folder.path(), "past", (2020, 1, 1));
    says(&certificate, &key, &["--tls-client-ca", &authority.path("past.pem")], "--tls-client-ca");
    says(&certificate, &key, &["--tls-client-ca", &authority.path("past.pem")], "has expired at 2020-01-01T00:00:00Z");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    says(&certificate, &key, &[], "can be read by everybody on this machine");
}

#[tokio::test]
async fn certificates_change_under_load_without_a_failed_call() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let (certificate, key) = authority.sign("server", None);
    let service = serve(folder.path(), &["--tls-cert", &certificate, "--tls-key", &key]);
    // One connection that was there before, and one after another that is new.
    let lasting = connect(&service, &authority, None).await.unwrap();
    let told = |service: &Service| service.log().iter().filter(|line| line.contains("the files of TLS were read again")).count();
    for turn in 1..=5 {
        authority.sign("server", None);
        let began = Instant::now();
        // The two files may be seen between their changes: then they do not belong together, and what was read before stays.
        while told(&service) < turn {
            assert!(began.elapsed() < PATIENCE, "the files were not read again");
            assert_eq!(look(lasting.clone()).await, Code::NotFound);
            assert_eq!(look(connect(&service, &authority, None).await.unwrap()).await, Code::NotFound);
        }
    }
    // A broken file changes nothing, and is told.
    std::fs::write(&certificate, "nothing").unwrap();
    let began = Instant::now();
    while !service.log().iter().any(|line| line.contains("keeping the previous version")) {
        assert!(began.elapsed() < PATIENCE, "nobody tells of the broken file");
        assert_eq!(look(connect(&service, &authority, None).await.unwrap()).await, Code::NotFound);
    }
}

#[tokio::test]
async fn other_authorities_are_believed_without_a_restart_and_those_before_are_not() {
    let (folder, next) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [ours, theirs] = ["ca", "clients"].map(|name| Authority::new(folder.path(), name));
    let (certificate, key) = ours.sign("server", None);
    let (switch, switch_key) = theirs.sign("switch", None);
    let service = serve(folder.path(), &["--tls-cert", &certificate, "--tls-key", &key, "--tls-client-ca", &theirs.path("clients.pem")]);
    let lasting = connect(&service, &ours, Some((&switch, &switch_key))).await.unwrap();
    assert_eq!(look(lasting.clone()).await, Code::NotFound);

    // The server's certificate and its clients' authority are both replaced.
    let [our_next, their_next] = ["ca", "clients"].map(|name| Authority::new(next.path(), name));
    let (other, other_key) = their_next.sign("switch", None);
    for (from, to) in [
        (our_next.sign("server", None).0, certificate),
        (our_next.path("server.key"), key),
        (their_next.path("clients.pem"), theirs.path("clients.pem")),
    ] {
        std::fs::rename(from, to).unwrap();
    }
    let is_let_in = async |authority: &Authority, identity: (&str, &str)| match connect(&service, authority, Some(identity)).await {
        // In TLS 1.3 a client hears of its refusal only after its own handshake.
        Ok(channel) => look(channel).await == Code::NotFound,
        Err(_) => false,
    };
    until("the new authorities are believed", async || is_let_in(&our_next, (&other, &other_key)).await.then_some(())).await;
    assert!(!is_let_in(&our_next, (&switch, &switch_key)).await, "a client of the authority before");
    assert!(!is_let_in(&ours, (&other, &other_key)).await, "the server's certificate before");
    assert_eq!(look(lasting).await, Code::NotFound, "a connection that was there stays");
}

#[test]
fn a_peer_that_never_shakes_hands_is_closed_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let (certificate, key) = authority.sign("server", None);
    let service = serve(folder.path(), &["--tls-cert", &certificate, "--tls-key", &key]);
    let mut silent = TcpStream::connect(service.address).unwrap();
    // Others come in beside many of them; the silent ones are closed only after 10 s.
    let many: Vec<_> = (0..64).map(|_| TcpStream::connect(service.address).unwrap()).collect();
    let listed = tollgate(&service, "https", &["account", "list", "--ca", &authority.path("ca.pem")]);
    assert!(listed.status.success(), "{listed:?}");
    drop(many);
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "closed within the limit of a handshake");
}
