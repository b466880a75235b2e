//! Behind a proxy that ends TLS, HAProxy: names, cookies and origins are those of the client's call, and addresses are the client's. What
//! anybody else says of that is not believed.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tollgate::grpc::v1::GetUsableCreditRequest;
use tollgate::grpc::v1::charging_service_client::ChargingServiceClient;
use tonic::Request;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::access::callers::House;
use crate::audit::records;
use crate::authority::Authority;
use crate::http::url_of;
use crate::service::{Service, binary, until};

/// The proxy's listeners: with TLS, and without.
struct Proxy {
    child: Child,
    tls: SocketAddr,
    plain: SocketAddr,
}

impl Proxy {
    /// In front of a service: by the name that is called, the console, HTTP/JSON, or gRPC.
    fn start(folder: &Path, authority: &Authority, [console, http, grpc]: [SocketAddr; 3]) -> Self {
        let (certificate, key) = authority.sign("proxy", None);
        let both = std::fs::read_to_string(certificate).unwrap() + &std::fs::read_to_string(key).unwrap();
        let pem = folder.join("proxy.pem");
        std::fs::write(&pem, both).unwrap();
        let configuration = format!(
            "global\n  maxconn 100\n\
             defaults\n  mode http\n  timeout connect 20s\n  timeout client 60s\n  timeout server 60s\n  option forwardfor\n\
             frontend tls\n  bind fd@0 ssl crt {} alpn h2,http/1.1\n  http-request set-header X-Forwarded-Proto https\n  \
             use_backend api if {{ hdr(host) -m beg api. }}\n  use_backend grpc if {{ hdr(host) -m beg grpc. }}\n  default_backend console\n\
             frontend plain\n  bind fd@1\n  http-request set-header X-Forwarded-Proto http\n  \
             use_backend api if {{ hdr(host) -m beg api. }}\n  default_backend console\n\
             backend console\n  server one {console}\nbackend api\n  server one {http}\nbackend grpc\n  server one {grpc} proto h2\n",
            pem.display()
        );
        let path = folder.join("haproxy.cfg");
        std::fs::write(&path, configuration).unwrap();
        // It is given its listeners, so that it needs no port of which nobody knows whether it is free.
        let [tls, plain] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [tls_address, plain_address] = [&tls, &plain].map(|listener| listener.local_addr().unwrap());
        let [tls, plain] = [tls, plain].map(|listener| Stdio::from(OwnedFd::from(listener)));
        let child = Command::new("haproxy").args(["-db", "-f"]).arg(path).stdin(tls).stdout(plain).spawn();
        let child = child.expect("haproxy does not start; tests/run installs it");
        Self { child, tls: tls_address, plain: plain_address }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl got: the status, and all headers.
fn curl(from: &str, to: SocketAddr, url: &str, arguments: &[&str]) -> (u16, String) {
    let (_, host) = url.split_once("://").unwrap();
    let host = host.split('/').next().unwrap();
    let port = if url.starts_with("https") { 443 } else { 80 };
    let connect = format!("{host}:{port}:{}:{}", to.ip(), to.port());
    let output = Command::new("curl")
        .args(["-s", "-k", "-m", "20", "-D", "-", "-o", "/dev/null", "--interface", from, "--connect-to", &connect, url])
        .args(arguments)
        .output()
        .unwrap();
    let head = String::from_utf8(output.stdout).unwrap();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{url} {arguments:?}: {head}")), head.to_lowercase())
}

fn console_of(service: &Service) -> SocketAddr {
    let line =
        service.log().into_iter().find(|line| line.contains("serving the web console")).expect("it says where it serves the console");
    serde_json::from_str::<Value>(&line).unwrap()["address"].as_str().unwrap().parse().unwrap()
}

/// Where the last record of an action came from, by the audit records.
async fn address_of(house: &House, root: &str, action: &str) -> String {
    let found = until("it is recorded", async || records(house, root, json!({ "action": action })).await.pop()).await;
    found["address"].as_str().unwrap().to_owned()
}

const CONSOLE: &str = "https://console.example.org";
const API: &str = "https://api.example.org";

#[tokio::test(flavor = "multi_thread")]
async fn names_cookies_and_addresses_are_right_behind_a_proxy_and_others_are_not_believed() {
    let settings = ["--console", "127.0.0.1:0", "--console-url", CONSOLE, "--http-url", API, "--trusted-proxies", "127.0.0.1"];
    let (house, keys) = House::start_with(&[("root", "admin", &[])], &settings).await;
    let root = &keys[0];
    let folder = crate::temporary_folder();
    let authority = Authority::new(folder.path(), "ca");
    let (console, http) = (console_of(&house.service), url_of(&house.service)["http://".len()..].parse().unwrap());
    let proxy = Proxy::start(folder.path(), &authority, [console, http, house.service.address]);

    // The console: its name, its cookie, its origin.
    let page = format!("{CONSOLE}/sign-in");
    let form = |to, url: &str, from: &str, more: &[&str]| {
        let origin = format!("origin: {CONSOLE}");
        curl(from, to, url, &[&["-H", &origin, "-d", "name=nobody&password=wrong"], more].concat())
    };
    assert_eq!(curl("127.0.0.2", proxy.tls, &page, &[]).0, 200);
    assert_eq!(curl("127.0.0.2", proxy.tls, "https://evil.example/sign-in", &[]).0, 403, "another name");
    assert_eq!(curl("127.0.0.2", proxy.plain, "http://console.example.org/sign-in", &[]).0, 403, "without TLS");
    assert_eq!(curl("127.0.0.2", proxy.tls, &page, &["-H", "origin: https://evil.example", "-d", "name=a"]).0, 403, "another origin");
    let store = Path::new(&house.access_file()).with_file_name("ledger.db").display().to_string();
    let create = ["user", "create", "erika", "--role", "admin", "--store", &store, "--console-url", CONSOLE];
    let created = Command::new(binary()).args(create).env_clear().output().unwrap();
    let link = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let (status, head) = curl(
        "127.0.0.2",
        proxy.tls,
        &link,
        &["-H", &format!("origin: {CONSOLE}"), "-X", "POST", "-H", "content-type: application/x-www-form-urlencoded"],
    );
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or_else(|| panic!("{status} {head}"));
    assert!(cookie.starts_with("__host-tollgate=") && cookie.contains("; secure"), "{cookie}");

    // Its addresses: those of clients, not of the proxy, and not what a client claims to be behind.
    let claimed = ["-H", "x-forwarded-for: 203.0.113.9", "-H", "forwarded: for=203.0.113.9"];
    assert_eq!(form(proxy.tls, &page, "127.0.0.2", &claimed).0, 403);
    // Each wait is twice as long, until it is longer than an attempt takes.
    assert!((0..20).any(|_| form(proxy.tls, &page, "127.0.0.2", &claimed).0 == 429), "who guesses waits");
    assert_eq!(form(proxy.tls, &page, "127.0.0.3", &[]).0, 403, "and others behind the proxy do not");
    assert_eq!(address_of(&house, root, "console.signed_in").await, "127.0.0.2");
    // Who is no proxy may say what it likes.
    let forged = ["-H", "x-forwarded-for: 127.0.0.9", "-H", "x-forwarded-proto: http"];
    assert_eq!(form(console, "http://console.example.org/sign-in", "127.0.0.4", &forged).0, 403);
    let failed = async || {
        let found = records(&house, root, json!({ "outcome": "AUDIT_OUTCOME_REFUSED" })).await;
        let of: Vec<String> = found.iter().map(|record| record["address"].as_str().unwrap_or_default().to_owned()).collect();
        ["127.0.0.2", "127.0.0.3", "127.0.0.4"].iter().all(|one| of.contains(&(*one).to_owned())).then_some(of)
    };
    let of = until("failures are recorded with their addresses", failed).await;
    assert!(!of.iter().any(|address| address == "127.0.0.9" || address == "203.0.113.9"), "{of:?}");

    // HTTP/JSON: its name, its origin, and where an act came from.
    let key = format!("authorization: Bearer {root}");
    let post = |name: &str, more: &[&str], from: &str, to: SocketAddr| {
        let account =
            json!({ "accountId": name, "requestId": "c", "name": "x", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" }).to_string();
        let words = ["-H", "content-type: application/json", "-H", &key, "-d", &account];
        curl(from, to, &format!("{API}/v1/account/create-account"), &[&words, more].concat()).0
    };
    assert_eq!(post("one", &["-H", "origin: https://api.example.org"], "127.0.0.5", proxy.tls), 200);
    assert_eq!(address_of(&house, root, "account.created").await, "127.0.0.5");
    let plain = API.replace("https", "http");
    assert_eq!(curl("127.0.0.5", proxy.plain, &format!("{plain}/openapi.json"), &["-H", &key]).0, 403, "without TLS");
    assert_eq!(curl("127.0.0.5", proxy.tls, &format!("{API}/openapi.json"), &["-H", &key]).0, 200);
    assert_eq!(post("two", &["-H", "origin: https://evil.example"], "127.0.0.5", proxy.tls), 403);
    assert_eq!(post("two", &["-H", "host: api.evil.example"], "127.0.0.5", proxy.tls), 403);

    // gRPC, by the same proxy.
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem())).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", proxy.tls)).unwrap().origin("https://grpc.example.org".parse().unwrap());
    let channel = endpoint.local_address(Some([127, 0, 0, 6].into())).tls_config(tls).unwrap().connect().await.unwrap();
    let mut asked = Request::new(GetUsableCreditRequest { account_id: "one".into() });
    asked.metadata_mut().insert("authorization", "Bearer tg_unknown".parse().unwrap());
    let refused = ChargingServiceClient::new(channel).get_usable_credit(asked).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated, "{refused:?}");
    let is_told = async || {
        let found = records(&house, root, json!({ "outcome": "AUDIT_OUTCOME_REFUSED" })).await;
        found.iter().any(|record| record["address"] == "127.0.0.6" && record["protocol"] == "grpc").then_some(())
    };
    until("the refusal is recorded with the client's address", is_told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forwarded_is_not_of_this_machine_where_only_that_is_let_in() {
    let folder = crate::temporary_folder();
    let (_service, url) = crate::http::start(&folder);
    let to = url["http://".len()..].parse().unwrap();
    let get = |more: &[&str]| curl("127.0.0.1", to, "http://any.example/openapi.json", &[&["-H", &format!("host: {to}")], more].concat()).0;
    assert_eq!(get(&[]), 200);
    for header in ["x-forwarded-for: 127.0.0.1", "forwarded: for=127.0.0.1"] {
        assert_eq!(get(&["-H", header]), 401, "{header}");
    }
    // Nor is a proxy named while nobody is named who may call by it.
    let store = folder.path().join("other.db").display().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--console", "off", "--store", &store];
    let refused = |network: &str| {
        let output = Command::new(binary()).args(serve).args(["--trusted-proxies", network]).env_clear().output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let text = refused("10.0.0.0/8");
    assert!(text.contains("--trusted-proxies") && text.contains("names nobody"), "{text}");
    assert!(refused("0.0.0.0/0").contains("must not be all addresses"));
}
