//! What operators are given: dashboards and alerts that say something, by the real Prometheus; the runbook and the table of metrics.

mod collector;
mod commands;
mod declines;
mod files;
mod helm;
mod image;
mod installed;
mod metrics;
mod moved;
mod package;
mod prometheus;
mod sbom;
mod traces;

use std::path::PathBuf;

/// A file of `deploy`.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// The names and expressions of all alerts.
fn alerts() -> Vec<(String, String)> {
    let rules = read("prometheus/rules.yml");
    let value = |line: &str, key: &str| Some(line.trim().strip_prefix(key)?.trim_matches(['\'', '"']).to_owned());
    let names = rules.lines().filter_map(|line| value(line, "- alert: "));
    let expressions = rules.lines().filter_map(|line| value(line, "expr: "));
    let alerts: Vec<_> = names.zip(expressions).collect();
    assert!(alerts.len() >= 30, "{alerts:?}");
    alerts
}

/// The panels of all dashboards, each by its title, and their expressions as Grafana would send them.
fn panels() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(path("grafana")).unwrap() {
        let dashboard: serde_json::Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = format!("{}, {}", dashboard["title"], panel["title"]);
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap().replace("$instance", ".*").replace("$__rate_interval", "1m");
                found.push((title.clone(), expression));
            }
        }
    }
    assert!(found.len() >= 60, "{}", found.len());
    found
}
