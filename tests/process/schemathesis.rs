//! HTTP/JSON holds to the description that it serves: schemathesis makes requests of it, valid ones and invalid ones, and looks at each answer.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::http::{open_acme, post, start};
use crate::service::seed;

/// How long it looks, in seconds.
const TIME: &str = "60";

/// What the rules refuse cannot all be said in a schema, so that a valid request may be refused.
const NOT_CHECKED: &str = "positive_data_acceptance";

#[test]
fn what_is_served_is_what_the_served_description_says() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let directory = tempfile::tempdir().unwrap();
    let (service, url) = start(&directory);
    open_acme(&url);
    // One that may be suspended and closed.
    let account =
        json!({ "accountId": "mortal", "requestId": "c", "name": "Mortal", "currencyCode": "EUR", "mode": "PAYMENT_MODE_PREPAID" });
    assert_eq!(post(&url, "account/create-account", &account).0, 200);

    let output = Command::new(tests.join(".venv/bin/schemathesis"))
        .args(["run", &format!("{url}/openapi.json"), "--max-time", TIME, "--seed", &(seed() % 1_000_000_000).to_string()])
        .args(["--exclude-checks", NOT_CHECKED, "--continue-on-failure", "--request-timeout", "30", "--generation-database", "none"])
        // It ends only with the service.
        .args(["--exclude-path", "/v1/charging/watch-usable-credit"])
        .env("PYTHONPATH", tests.join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("NO_COLOR", "1")
        .current_dir(directory.path())
        .output()
        .expect("tests/run installs schemathesis");
    let report = String::from_utf8_lossy(&output.stdout);
    println!("{report}");
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(service.stop().success());
}
