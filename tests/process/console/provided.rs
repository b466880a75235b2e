//! A service whose people sign in at an identity provider, and one whose provider is away.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::{console_url, link, until_users_are_kept};
use crate::service::Service;

const SECRET: &str = "what the console shows";

/// The services, and where their consoles are.
pub struct Provided {
    pub url: String,
    pub away: String,
    _services: [Service; 2],
    _provider: Provider,
}

struct Provider {
    child: Child,
    /// What it prints: it must be able to.
    _printed: BufReader<ChildStdout>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Provided {
    /// Opens them in a folder.
    pub async fn open(folder: &Path) -> Self {
        let folder = folder.join("provided");
        std::fs::create_dir(&folder).unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(at("provider.pem"), key.cert.pem()).unwrap();
        std::fs::write(at("provider.key"), key.signing_key.serialize_pem()).unwrap();
        std::fs::write(
            at("access.toml"),
            "[oidc]\nclaim = 'groups'\ngrants.readers = { roles = ['read'] }\ngrants.operators = { roles = ['operate'] }\n\
             grants.admins = { roles = ['admin'] }\n",
        )
        .unwrap();
        let secret = at("secret");
        std::fs::write(&secret, SECRET).unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let port = free_port();
        let issuer = format!("https://localhost:{port}");
        let serve = |name: &str, issuer: &str, more: &[&str]| {
            let (store, access, authority) = (at(&format!("{name}.db")), at("access.toml"), at("provider.pem"));
            let settings = ["--store", &store, "--access-file", &access, "--console", "127.0.0.1:0", "--require-second-factor"];
            let provider = ["--oidc-issuer", issuer, "--oidc-client-id", "console", "--oidc-ca", &authority];
            let all = [settings.as_slice(), provider.as_slice(), more].concat();
            (Service::start(&all, &[("TOLLGATE_OIDC_CLIENT_SECRET_FILE", &secret)]), store)
        };
        let (service, store) = serve("provided", &issuer, &["--oidc-only"]);
        let (away, _) = serve("away", &format!("https://localhost:{}", free_port()), &[]);
        let url = console_url(&service).await;
        until_users_are_kept(&service).await;
        let settings = json!({
            "issuer": issuer,
            "port": port,
            "secret": SECRET,
            "redirects": [format!("{url}/sign-in/provider/callback")],
            "after": [format!("{url}/sign-in")],
            "certificate": at("provider.pem"),
            "key": at("provider.key"),
        });
        let provider = start_provider(&settings);
        // Somebody whose name a user of the provider has, too.
        link(&store, &url, "root", &["--role", "admin"]);
        Self { away: console_url(&away).await, url, _services: [service, away], _provider: provider }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start_provider(settings: &Value) -> Provider {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut node = Command::new("node");
    node.arg(root.join("process/console/provider.mjs")).env("NODE_MODULES", root.join(".venv/oidc-provider/node_modules"));
    let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("no Node: tests/run installs it");
    writeln!(child.stdin.take().unwrap(), "{settings}").unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line.trim() != "ready" {
        line.clear();
        assert!(printed.read_line(&mut line).unwrap() > 0, "the identity provider did not start");
    }
    Provider { child, _printed: printed }
}
