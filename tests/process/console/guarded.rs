//! A service whose callers are known, and where acts above a figure wait for a second person: some do.

use std::path::Path;

use serde_json::{Value, json};
use tollgate::grpc::v1::PaymentMode;

use super::{console_url, link, rename};
use crate::access::stored::{done, tollgate};
use crate::service::Service;

/// Who works there.
const USERS: [(&str, &[&str]); 5] = [
    ("chief", &["--role", "admin"]),
    ("ada", &["--role", "finance"]),
    ("bob", &["--role", "finance"]),
    ("otto", &["--role", "operate"]),
    ("reader", &["--role", "read"]),
];

/// What a key has asked for: the request, and the command.
const ASKED: [(&str, &str); 5] = [
    ("goodwill", "account adjust acme 250.50 --reason goodwill"),
    ("mistake", "account adjust acme -300 --reason mistake"),
    ("plain", "account adjust globex 400 --reason plain"),
    ("late", "account adjust globex 500 --reason late"),
    ("limit", "account limit globex --permanent 7000 --reason growing"),
];

/// The service, and how to get into its console.
pub struct Guarded {
    pub url: String,
    /// The users' links: who has one made later is no second person for what was asked for before.
    pub links: serde_json::Map<String, Value>,
    _service: Service,
}

impl Guarded {
    /// Opens it in a folder.
    pub async fn open(folder: &Path) -> Self {
        let store = folder.join("guarded.db").display().to_string();
        let terms = ["--keep-audit-days", "400", "--keep-documents-years", "8"];
        let service = Service::start(&[&["--store", &store, "--console", "127.0.0.1:0"], &terms[..]].concat(), &[]);
        let mut client = service.client().await;
        for (id, name) in [("acme", "Acme AG"), ("globex", "Globex GmbH"), ("bulk", "Bulk eG")] {
            client.open(id, PaymentMode::Prepaid, "0", "1000").await;
            rename(&mut client, id, name).await;
        }
        let root = done(&service, None, "access --in-store create-key root --role admin");
        let teller = done(&service, Some(&root), "access --in-store create-key teller --role admin");
        for (act, above) in [("adjust", 100), ("write-off", 100), ("raise-limit", 5000)] {
            done(&service, Some(&root), &format!("approvals set {act} --currency EUR --above {above}"));
        }
        // Who is let in after something was asked for is no second person.
        let url = console_url(&service).await;
        let links = USERS.iter().map(|(name, access)| ((*name).to_owned(), json!(link(&store, &url, name, access)))).collect();
        for (request, line) in ASKED {
            let output = tollgate(&service, Some(&teller), &format!("{line} --request-id {request}"));
            assert!(String::from_utf8_lossy(&output.stderr).contains("APPROVAL_NEEDED"), "{line}: {output:?}");
        }
        Self { url, links, _service: service }
    }
}
