//! The SBOM of a release: valid, of its version, and with everything that is in the binary.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::helm::{run, tests};
use super::path;
use crate::service::binary;

/// The crates of which the binary has a path of a source file: what may panic says where. "name-version".
fn crates_in_the_binary() -> BTreeSet<String> {
    let found = run(Command::new("grep").args(["-aoE", "registry/src/[^/]+/[a-zA-Z0-9_.+-]+/"]).arg(binary()));
    found.lines().map(|line| line.trim_end_matches('/').rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn the_sbom_is_valid_is_of_the_release_and_has_every_crate_that_is_in_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.cdx.json");
    let version = run(Command::new(binary()).arg("--version"));
    let version = version.trim().strip_prefix("tollgate ").unwrap();
    run(Command::new(path("sbom")).arg(version).arg(&file));
    run(Command::new(tests(".venv/bin/python")).arg(tests("python/sbom.py")).arg(&file));

    let whole: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let released = &whole["metadata"]["component"];
    assert_eq!((text(&released["name"]), text(&released["version"])), ("tollgate".to_owned(), version.to_owned()));
    let components = whole["components"].as_array().unwrap();
    let listed = |scope: Option<&str>| -> BTreeSet<String> {
        let meant = components.iter().filter(|component| scope.is_none_or(|scope| component["scope"] == scope));
        meant.map(|component| format!("{}-{}", text(&component["name"]), text(&component["version"]))).collect()
    };
    let (found, all) = (crates_in_the_binary(), listed(None));
    assert!(found.len() > 200, "{found:?}");
    let missing: Vec<_> = found.difference(&all).collect();
    assert!(missing.is_empty(), "in the binary, and not in the SBOM: {missing:?}");
    // A build with the tests has features of crates that a release has not.
    let excluded: Vec<_> = found.intersection(&listed(Some("excluded"))).cloned().collect();
    assert!(excluded.len() < 5, "in the binary, and said to be no part of it: {excluded:?}");
    for own in ["access", "billing", "console", "delivery", "domain", "ledger", "platform", "proto", "public", "service"] {
        assert!(listed(Some("required")).contains(&format!("tollgate-{own}-{version}")), "{own}");
    }

    // What is of others is as Cargo.lock pins it, so with a digest; and each has a licence.
    let lock = std::fs::read_to_string(path("../Cargo.lock")).unwrap();
    for component in components {
        let name = text(&component["name"]);
        assert!(component["licenses"][0]["expression"].is_string(), "{name} has no licence");
        if text(&component["purl"]).starts_with("pkg:cargo/") && !name.starts_with("tollgate-") {
            let pinned = format!("name = \"{name}\"\nversion = {}\n", component["version"]);
            let (_, rest) = lock.split_once(&pinned).unwrap_or_else(|| panic!("{name} is not in Cargo.lock"));
            let digest = format!("checksum = {}\n", component["hashes"][0]["content"]);
            assert!(rest.split("[[package]]").next().unwrap().contains(&digest), "{name}");
        }
    }
    assert!(listed(Some("required")).iter().any(|one| one.starts_with("htmx.org-")));
}

#[test]
fn no_sbom_is_made_of_another_version_than_the_sources() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.cdx.json");
    let refused = Command::new(path("sbom")).arg("99.0.0").arg(&file).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("and not of 99.0.0") && !file.exists(), "{said}");
}
