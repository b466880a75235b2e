//! The chart, as far as a machine without Helm can check it: rendered by Go's template engine with sprig, validated against the schemas of
//! Kubernetes.

use std::path::Path;
use std::process::Command;

use super::path;
use crate::service::binary;

pub(super) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {shown}{}", String::from_utf8_lossy(&output.stderr));
    shown
}

pub(super) fn tests(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

#[test]
fn the_chart_renders_to_what_kubernetes_takes_and_each_value_changes_something() {
    let folder = tempfile::tempdir().unwrap();
    let renderer = folder.path().join("render");
    let mut build = Command::new("go");
    // Debian's packages of Go are no modules.
    build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOCACHE", folder.path().join("cache"));
    run(build.args(["build", "-o"]).arg(&renderer).arg(tests("helm/render.go")));
    let shown = run(Command::new(tests(".venv/bin/python")).arg(tests("python/helm.py")).arg(path("helm/tollgate")).arg(&renderer));
    // What it sets are settings.
    let help = ["serve", "aggregate"].map(|role| run(Command::new(binary()).args([role, "--help"])));
    for variable in shown.lines().filter(|line| line.starts_with("TOLLGATE_")) {
        let name = variable.strip_suffix("_FILE").filter(|name| !name.ends_with("_ACCESS")).unwrap_or(variable);
        assert!(help.iter().any(|help| help.contains(name)), "{variable} is no setting");
    }
}
