//! TLS to Redis and to PostgreSQL, with users of few rights, and certificates that are rotated.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tollgate::grpc::v1::PaymentMode;

use crate::authority::Authority;
use crate::postgres::PostgresServer;
use crate::service::{PATIENCE, Service, binary, until, without_passwords};
use crate::support::temporary_folder;

/// The rights that the operators' document names.
fn documented_rights() -> String {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/README.md")).unwrap();
    let line = document.lines().find_map(|line| line.strip_prefix("ACL SETUSER tollgate on >SECRET ")).unwrap();
    line.to_owned()
}

/// A Redis that speaks TLS only, to those who show a certificate of its authority.
struct Redis {
    child: Child,
    folder: tempfile::TempDir,
    authority: Authority,
    port: u16,
}

impl Redis {
    fn start() -> Self {
        let folder = temporary_folder();
        let authority = Authority::new(folder.path(), "ca");
        let (certificate, key) = authority.sign("redis", None);
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Another process may take the port before Redis does: then it is another one's turn.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let path = |name: &str| folder.path().join(name).display().to_string();
            let settings = format!(
                "port 0\ntls-port {port}\nbind 127.0.0.1\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {}\n\
                 tls-auth-clients yes\nunixsocket {}\nsave \"\"\nuser default on nopass ~* &* +@all\nuser tollgate on >hush {}\n",
                path("ca.pem"),
                path("socket"),
                documented_rights()
            );
            std::fs::write(path("redis.conf"), settings).unwrap();
            let mut command = Command::new("redis-server");
            command.arg(path("redis.conf")).args(["--dir", folder.path().to_str().unwrap()]).stdout(Stdio::null());
            let mut child = command.spawn().unwrap();
            loop {
                assert!(Instant::now() < deadline, "Redis does not answer");
                if cli(folder.path(), &["PING"]).trim() == "PONG" {
                    return Self { child, folder, authority, port };
                }
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn url(&self, password: &str) -> String {
        format!("rediss://tollgate:{password}@127.0.0.1:{}", self.port)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cli(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli").arg("-s").arg(folder.join("socket")).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A start that fails: what it says.
fn refused(arguments: &[&str]) -> String {
    let mut command = Command::new(binary());
    let (shown, hidden) = without_passwords(arguments);
    command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--create"]).args(shown);
    let output = command.env_clear().envs(hidden).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_reached_over_tls_by_a_user_of_few_rights_and_its_certificates_are_rotated() {
    let redis = Redis::start();
    let (certificate, key) = redis.authority.sign("tollgate", None);
    let (url, ca) = (redis.url("hush"), redis.path("ca.pem"));
    let tls = ["--redis-ca", &ca, "--redis-cert", &certificate, "--redis-key", &key];
    let service = Service::start(&[&["--redis", &url], &tls[..]].concat(), &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    assert!(service.log().iter().all(|line| !line.contains("hush")));

    // Another authority, for the server and for its clients: new connections need it.
    let other = Authority::new(redis.folder.path(), "other");
    let (server, server_key) = other.sign("redis-2", None);
    let set = ["CONFIG", "SET", "tls-cert-file", &server, "tls-key-file", &server_key, "tls-ca-cert-file", &other.path("other.pem")];
    assert_eq!(cli(redis.folder.path(), &set).trim(), "OK");
    std::fs::rename(other.path("other.pem"), &ca).unwrap();
    let (new, new_key) = other.sign("tollgate-2", None);
    std::fs::rename(new, &certificate).unwrap();
    std::fs::rename(new_key, &key).unwrap();
    cli(redis.folder.path(), &["CLIENT", "KILL", "TYPE", "normal"]);
    cli(redis.folder.path(), &["CLIENT", "KILL", "TYPE", "pubsub"]);
    until("it is connected again", async || service.log().iter().any(|line| line.contains("connected to Redis again")).then_some(())).await;
    let request = || tollgate::grpc::v1::GetUsableCreditRequest { account_id: "acme".into() };
    let credit = until("Redis answers", async || client.charging.clone().get_usable_credit(request()).await.ok()).await;
    assert_eq!(credit.into_inner().credit.unwrap().usable, "10.00");
    // Changes made by another process are announced over TLS, too.
    let second = Service::start(&[&["--redis", &url], &tls[..]].concat(), &[]);
    assert_eq!(second.client().await.credit("acme").await.usable, "10.00");
}

#[test]
fn what_is_wrong_with_tls_to_redis_is_said() {
    let redis = Redis::start();
    let (certificate, key) = redis.authority.sign("tollgate", None);
    let stranger = Authority::new(redis.folder.path(), "stranger");
    let (theirs, their_key) = stranger.sign("theirs", None);
    let (url, ca, strange) = (redis.url("hush"), redis.path("ca.pem"), stranger.path("stranger.pem"));
    let wrong = redis.url("guess");
    let shown = ["--redis-cert", &certificate, "--redis-key", &key];
    let says = |arguments: &[&[&str]], texts: &[&str]| {
        let said = refused(&[&arguments.concat()[..], &["--billing", "off"]].concat());
        for text in texts {
            assert!(said.contains(text), "{text:?}: {said}");
        }
        assert!(!said.contains("hush") && !said.contains("guess"), "{said}");
    };
    let place = format!("127.0.0.1:{}", redis.port);
    says(&[&["--redis", &url, "--redis-ca", &strange], &shown], &["UnknownIssuer", &place]);
    says(&[&["--redis", &url], &shown], &["UnknownIssuer"]);
    says(
        &[&["--redis", &url, "--redis-ca", &ca, "--redis-server-name", "redis.example"], &shown],
        &["not valid for name \"redis.example\""],
    );
    says(&[&["--redis", &wrong, "--redis-ca", &ca], &shown], &["Password authentication failed", &place]);
    says(&[&["--redis", &url, "--redis-ca", &ca, "--redis-cert", &theirs, "--redis-key", &their_key]], &[&place]);
    says(&[&["--redis", &url, "--redis-ca", &ca]], &[&place]);
    says(&[&["--redis", &url, "--redis-ca", &redis.path("none.pem")], &shown], &["none.pem", "cannot be read"]);
    let plain = url.replace("rediss", "redis");
    says(&[&["--redis", &plain]], &[&place]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_reached_over_tls_and_only_if_its_certificate_is_right() {
    let folder = temporary_folder();
    let (authority, stranger) = (Authority::new(folder.path(), "ca"), Authority::new(folder.path(), "stranger"));
    let (certificate, key) = authority.sign("postgres", None);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = PostgresServer::start_over_tls(port, Path::new(&certificate), Path::new(&key));
    server.run("CREATE ROLE tollgate LOGIN PASSWORD 'hush'");
    server.run("CREATE DATABASE billing OWNER tollgate");
    let url = |password: &str, host: &str, authority: &str| {
        format!("postgres://tollgate:{password}@{host}:{port}/billing?sslmode=verify-full&sslrootcert={authority}")
    };
    let (ca, strange) = (authority.path("ca.pem"), stranger.path("stranger.pem"));
    let store = folder.path().join("ledger.db").display().to_string();
    let says = |url: &str, text: &str| {
        let said = refused(&["--store", &store, "--billing", url]);
        assert!(said.contains(text), "{said}");
        assert!(!said.contains("hush") && !said.contains("guess"), "{said}");
    };
    says(&url("hush", "127.0.0.1", &strange), "UnknownIssuer");
    says(&url("guess", "127.0.0.1", &ca), "password authentication failed");
    // Its certificate names 127.0.0.1 and localhost.
    says(&url("hush", "127.0.0.2", &ca), "not valid for name");

    let service = Service::open(&["--store", &store, "--billing", &url("hush", "127.0.0.1", &ca), "--create"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    until("the entries are billed", async || {
        let request = tollgate::grpc::v1::GetAggregationRequest::default();
        let found = client.billing.clone().get_aggregation(request).await.ok()?.into_inner();
        (!found.partitions.is_empty() && found.partitions.iter().all(|partition| partition.lag_entries == 0)).then_some(())
    })
    .await;
    assert!(service.log().iter().all(|line| !line.contains("hush")));
}
