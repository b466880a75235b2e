//! The image and the compose file, as far as a machine without Docker can check them: by hadolint and the schema of compose files; and what
//! they say of tollgate, by the binary: settings, command lines, health checks.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde::Deserialize;

use super::helm::{run, tests};
use super::path;
use crate::aggregation::process::Aggregator;
use crate::postgres::PostgresServer;
use crate::probes::address_in;
use crate::service::{Service, binary, until};
use crate::support::{RedisServer, temporary_folder};

/// What a container is run by.
#[derive(Clone, Debug, Default, Deserialize)]
struct Container {
    environment: BTreeMap<String, String>,
    command: Vec<String>,
    /// Without CMD.
    healthcheck: Vec<String>,
}

/// The image, and the services of the compose file that run it.
#[derive(Debug, Deserialize)]
struct Found {
    image: Container,
    services: BTreeMap<String, Container>,
}

/// Reads both, and writes what the compose file has for others into a folder.
fn found(folder: &std::path::Path) -> Found {
    let shown = run(Command::new(tests(".venv/bin/python")).arg(tests("python/image.py")).arg(path("")).arg(folder));
    serde_json::from_str(&shown).unwrap()
}

impl Found {
    /// Each container that runs tollgate, with what the image says where the compose file does not.
    fn containers(&self) -> Vec<(String, Container)> {
        let of_compose = self.services.iter().map(|(name, service)| {
            let mut container = service.clone();
            let given = container.environment.clone();
            container.environment = self.image.environment.clone().into_iter().chain(given).collect();
            (name.clone(), container)
        });
        [("the image".to_owned(), self.image.clone())].into_iter().chain(of_compose).collect()
    }
}

fn tollgate(words: &[&str], environment: &BTreeMap<String, String>) -> Output {
    Command::new(binary()).args(words).env_clear().envs(environment).output().unwrap()
}

#[test]
fn hadolint_and_the_schema_of_compose_files_find_nothing_wrong() {
    run(Command::new(tests(".venv/bin/hadolint")).arg(path("Dockerfile")));
    let mut schema = Command::new(tests(".venv/bin/check-jsonschema"));
    run(schema.args(["--builtin-schema", "vendor.compose-spec"]).arg(path("compose.yaml")));
}

#[test]
fn prometheus_takes_the_configuration_that_the_compose_file_holds() {
    let folder = temporary_folder();
    found(folder.path());
    run(Command::new("cp").arg("-r").arg(path("prometheus")).arg(folder.path().join("prometheus")));
    run(Command::new("mv").arg(folder.path().join("prometheus.yaml")).arg(folder.path().join("compose.yml")));
    run(Command::new("promtool").args(["check", "config"]).arg(folder.path().join("compose.yml")));
}

#[test]
fn containers_run_by_settings_and_command_lines_that_the_binary_takes() {
    let folder = temporary_folder();
    let found = found(folder.path());
    assert_eq!(found.services.keys().collect::<Vec<_>>(), ["aggregate", "tollgate"]);
    let help = ["serve", "aggregate"].map(|role| run(Command::new(binary()).args([role, "--help"])));
    for (name, container) in found.containers() {
        for variable in container.environment.keys().filter(|name| name.starts_with("TOLLGATE_")) {
            assert!(
                help.iter().any(|help| [']', '='].iter().any(|end| help.contains(&format!("[env: {variable}{end}")))),
                "{name}: {variable} is no setting"
            );
        }
        let words: Vec<&str> = container.command.iter().map(String::as_str).collect();
        let line = tollgate(&[&words[..], &["--help"]].concat(), &container.environment);
        assert!(line.status.success(), "{name}: {words:?}: {line:?}");
        let check: &[&str] = if words[0] == "aggregate" { &["config", "check", "--aggregate"] } else { &["config", "check"] };
        let checked = tollgate(check, &container.environment);
        assert!(checked.status.success(), "{name}: {checked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_checks_of_containers_say_whether_each_role_lives_and_serves() {
    let folder = temporary_folder();
    let found = found(folder.path());
    let (mut redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let (url, billing) = (redis.url(), postgres.database());
    let service = Service::start(&["--redis", &url, "--billing", &billing, "--health-listen", "127.0.0.1:0"], &[]);
    let aggregator = Aggregator::start(&url, &billing, &["--health-listen", "127.0.0.1:0"]);
    let addresses = [address_in(&service, "serving health"), aggregator.wait_for("serving health")["address"].as_str().unwrap().to_owned()];
    // Within a container, both roles have the port that the image says.
    let ports = ["TOLLGATE_HEALTH_LISTEN", "TOLLGATE_AGGREGATE_HEALTH_LISTEN"].map(|name| found.image.environment[name].as_str());
    assert_eq!(ports, ["0.0.0.0:7604"; 2]);
    let check = |container: &Container, address: &str| {
        let (program, words) = container.healthcheck.split_first().unwrap();
        assert_eq!(program, "tollgate");
        let words: Vec<_> = words.iter().map(|word| word.replace("127.0.0.1:7604", address)).collect();
        assert!(words.iter().any(|word| word.contains(address)), "{words:?}");
        let ended = Command::new(binary()).args(words).env_clear().output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stdout).unwrap())
    };
    let serving = (Some(0), "serving\n".to_owned());
    for (container, address) in [("tollgate", &addresses[0]), ("aggregate", &addresses[1])] {
        until(container, async || (check(&found.services[container], address) == serving).then_some(())).await;
        assert_eq!(check(&found.image, address), serving, "{container}");
    }
    // While the store is away, they do not serve, and live: nothing would come of a restart.
    redis.shut_down();
    for (container, address) in [("tollgate", &addresses[0]), ("aggregate", &addresses[1])] {
        until(container, async || (check(&found.services[container], address).0 == Some(1)).then_some(())).await;
        assert_eq!(check(&found.image, address), serving, "{container}");
    }
    assert!(service.stopped().await.success());
    assert_eq!(check(&found.image, &addresses[0]).0, Some(3), "nobody is there");
}
