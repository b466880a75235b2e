//! The files agree with each other and with the binary.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use super::{alerts, path, read};
use crate::service::Service;
use crate::support::temporary_folder;

#[test]
fn promtool_fires_every_alert_by_series_that_should_and_by_no_others() {
    let tests = Command::new("promtool").args(["test", "rules"]).arg(path("prometheus/rules_test.yml")).output().unwrap();
    assert!(tests.status.success(), "{tests:?}");
    let tests = read("prometheus/rules_test.yml");
    for (alert, _) in alerts() {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "no test of {alert}");
    }
    for check in [["check", "rules", "prometheus/rules.yml"], ["check", "config", "prometheus.yml"]] {
        let checked = Command::new("promtool").args(check).current_dir(path("")).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
}

#[test]
fn the_runbook_has_a_paragraph_on_each_alert_and_on_no_other() {
    let (runbook, rules) = (read("RUNBOOK.md"), read("prometheus/rules.yml"));
    let paragraphs: BTreeSet<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    let alerts: BTreeSet<_> = alerts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(paragraphs, alerts);
    for alert in alerts {
        assert!(rules.contains(&format!("\"deploy/RUNBOOK.md#{}\"", alert.to_lowercase())), "{alert}");
    }
}

/// The name of a metric as its samples have it.
fn sample_name(line: &str) -> Option<String> {
    let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
    Some(match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_metrics_has_those_that_the_binary_has() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let shown = Command::new("curl")
        .args(["-fsS", "-H", "Accept: application/openmetrics-text", &format!("http://{}/metrics", service.metrics)])
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    let shown: BTreeSet<_> = String::from_utf8(shown.stdout).unwrap().lines().filter_map(sample_name).collect();
    let documents = read("README.md");
    let rows =
        documents.lines().filter(|line| line.starts_with("| `rpc_") || line.starts_with("| `tollgate_") || line.starts_with("| `process_"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let told: BTreeSet<_> = cells.flat_map(|cell| cell.split(',')).map(|name| name.trim().trim_matches('`').to_owned()).collect();
    let untold: Vec<_> = shown.difference(&told).collect();
    // What has no series yet is not shown: the source has its name, without the unit.
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/platform/telemetry");
    let files = std::fs::read_dir(root.join("metrics")).unwrap().map(|file| file.unwrap().path()).chain([root.join("metrics.rs")]);
    let sources: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let is_registered = |name: &str| {
        let name = ["_total", "_info"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        let short = ["_seconds", "_bytes"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        [name, short].iter().any(|name| sources.contains(&format!("\"{name}\"")))
    };
    let unknown: Vec<_> = told.iter().filter(|name| !is_registered(name)).collect();
    assert!(untold.is_empty() && unknown.is_empty(), "not in deploy/README.md: {untold:?}; not of the binary: {unknown:?}");
    assert!(service.stopped().await.success());
}
