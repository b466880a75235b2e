//! Clients in other languages, with a token and with a client certificate, over TLS.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use access::file::{AccessFile, CertificateEntry, GrantEntry, KeyEntry};
use access::key::NewKey;
use tollgate::grpc::v1::PaymentMode;

use crate::authority::Authority;
use crate::clients;
use crate::http;
use crate::service::Service;

fn node(arguments: &[&str]) -> Output {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let mut node = Command::new("node");
    node.arg(format!("{root}/node/credentials.js")).args(arguments);
    node.env("NODE_PATH", format!("{root}/.venv/grpc-js/node_modules")).output().unwrap()
}

fn python(arguments: &[&str]) -> Output {
    clients::script("credentials.py", arguments).output().unwrap()
}

/// By HTTP/JSON: Debian's gRPC for Java speaks no TLS that a server of gRPC takes, because its Netty lacks ALPN.
fn java(arguments: &[&str]) -> Output {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/java/Credentials.java");
    Command::new("java").arg(source).args(arguments).output().unwrap()
}

/// Generates the Go client, and builds it into a folder. Debian's packages of Go are no modules.
fn build_go(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (built, sources) = (folder.join("credentials"), folder.join("src"));
    std::fs::create_dir(&sources).unwrap();
    let mut protoc = Command::new("protoc");
    protoc.current_dir(root.join("proto")).arg("-I.").args(["go", "go-grpc"].map(|what| format!("--{what}_out={}", sources.display())));
    protoc.args(["access", "common", "charging"].map(|name| format!("tollgate/v1/{name}.proto")));
    let mut build = Command::new("go");
    build.env("GO111MODULE", "off").env("GOPATH", format!("{}:/usr/share/gocode", folder.display()));
    build.env("GOCACHE", folder.join("cache")).args(["build", "-o"]).arg(&built).arg(root.join("tests/go/credentials.go"));
    for command in [&mut protoc, &mut build] {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    built
}

#[tokio::test(flavor = "multi_thread")]
async fn python_node_go_and_java_call_with_a_token_and_with_a_client_certificate() {
    let folder = crate::temporary_folder();
    let (authority, of_clients) = (Authority::new(folder.path(), "ca"), Authority::new(folder.path(), "clients"));
    let (certificate, key) = authority.sign("server", None);
    let (shown, its_key) = of_clients.sign("switch", None);
    let new = NewKey::generate().unwrap();
    let grant = GrantEntry { roles: vec!["charge".into()], ..GrantEntry::default() };
    let (id, digest) = (new.id.clone(), new.digest().to_string());
    let file = folder.path().join("access.toml");
    let store = folder.path().join("ledger.db").display().to_string();
    {
        // While nobody is named, the account is opened.
        let service = Service::open(&["--store", &store], &[]);
        service.client().await.open("acme", PaymentMode::Prepaid, "0", "10").await;
        assert!(service.stopped().await.success());
    }
    let entry = KeyEntry { name: "k".into(), id, digest, created: None, expires: None, revoked: None, grant: grant.clone() };
    // The name in a certificate is its first DNS name, before its common name.
    let certificates = vec![CertificateEntry { name: "localhost".into(), grant }];
    AccessFile { keys: vec![entry], certificates, ..AccessFile::default() }.write(&file).unwrap();
    let (of_clients, ca) = (of_clients.path("clients.pem"), authority.path("ca.pem"));
    let tls = ["--tls-cert", &certificate, "--tls-key", &key, "--tls-client-ca", &of_clients, "--tls-client-auth", "optional"];
    let http = ["--http-listen", "127.0.0.1:0"];
    let service = Service::open(&[&["--store", &store, "--access-file", file.to_str().unwrap()], &tls[..], &http].concat(), &[]);
    let address = format!("localhost:{}", service.address.port());
    let http_address = format!("localhost:{}", http::url_of(&service).rsplit_once(':').unwrap().1);
    let built = build_go(folder.path());
    let go = |arguments: &[&str]| Command::new(&built).args(arguments).output().unwrap();
    // UNAUTHENTICATED, and what it is in HTTP.
    let clients = [
        ("Python", &python as &dyn Fn(&[&str]) -> Output, &address, "16"),
        ("Node", &node, &address, "16"),
        ("Go", &go, &address, "16"),
        ("Java", &java, &http_address, "401"),
    ];
    for (language, call, address, refused) in clients {
        let says = |shown: &[&str], expected: &str| {
            let output = call(&[&[address.as_str(), &ca], shown].concat());
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{language} {output:?}");
        };
        says(&[&new.text], "10.00");
        says(&[&shown, &its_key], "10.00");
        says(&[&new.text[..50]], refused);
    }
}
