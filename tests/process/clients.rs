//! The running binary, called by Python's grpcio as a customer would: with stubs generated from `proto/`, and with none at all.
//! The scripts lie in `tests/python`; the first example is the one of the README.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::service::Service;
use crate::support::{RedisServer, temporary_folder};

/// A service on an engine of its own.
struct Running {
    service: Service,
    redis: Option<RedisServer>,
    _folder: tempfile::TempDir,
}

fn on_embedded() -> Running {
    let folder = temporary_folder();
    Running { service: Service::embedded(folder.path()), redis: None, _folder: folder }
}

fn on_redis() -> Running {
    let redis = RedisServer::redis();
    Running { service: Service::redis(&redis.url()), redis: Some(redis), _folder: temporary_folder() }
}

/// Ends in good order, or the test fails.
fn stop(running: Running) {
    assert!(running.service.stop().success());
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The search path with the virtual environment of the tests first.
fn search_path() -> std::ffi::OsString {
    let binaries = repository().join("tests/.venv/bin");
    assert!(binaries.join("python").exists(), "no Python clients: run tests/run, which installs them");
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(binaries).chain(std::env::split_paths(&others))).unwrap()
}

/// A command that finds this Python and these stubs.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", search_path()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The fenced blocks of the README in a language, in order.
fn readme(language: &str) -> Vec<String> {
    blocks("README.md", language)
}

/// The fenced blocks of a document in a language, in order.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join(document)).unwrap();
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks.map(|rest| rest.split("\n```").next().unwrap().to_owned() + "\n").collect()
}

/// The README's command that generates stubs.
fn stub_command() -> String {
    let line = readme("sh").into_iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>());
    line.into_iter().find(|line| line.contains("grpc_tools.protoc")).expect("the README says how to generate stubs")
}

/// Generates stubs as the README says, in a folder that has `proto/`.
fn generate_stubs(folder: &Path) {
    std::os::unix::fs::symlink(repository().join("proto"), folder.join("proto")).unwrap();
    let output = command("sh").args(["-ec", &stub_command()]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The stubs, generated once.
fn stubs() -> &'static Path {
    static STUBS: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-stubs");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        generate_stubs(&folder);
        folder.join("stubs")
    });
    &STUBS
}

pub fn script(name: &str, arguments: &[&str]) -> Command {
    let mut command = command("python");
    command.arg(repository().join("tests/python").join(name)).args(arguments).env("PYTHONPATH", stubs());
    command
}

/// Runs a script to its end.
fn python(name: &str, arguments: &[&str]) {
    let output = script(name, arguments).output().unwrap();
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{name} failed:\n{}\n{}", show(&output.stdout), show(&output.stderr));
}

/// Runs a script against the service.
fn call(running: &Running, name: &str) {
    python(name, &[&running.service.address.to_string()]);
}

fn run_the_first_example(running: Running) {
    let folder = temporary_folder();
    generate_stubs(folder.path());
    std::fs::write(folder.path().join("first.py"), readme("python").first().expect("the README has an example")).unwrap();
    let run = readme("sh").into_iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>());
    let run = run.into_iter().find(|line| line.contains("first.py")).expect("the README says how to run it");
    // The README's service is at the default address.
    let line = format!("{run} {}", running.service.address);
    let output = command("sh").args(["-ec", &line]).current_dir(folder.path()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    let promised = readme("text").first().expect("the README shows what the example prints").clone();
    assert_eq!(shown, promised);
    stop(running);
}

#[test]
fn the_first_example_of_the_readme_does_what_it_says_on_the_embedded_engine() {
    run_the_first_example(on_embedded());
}

#[test]
fn the_first_example_of_the_readme_does_what_it_says_on_redis() {
    run_the_first_example(on_redis());
}

#[test]
fn the_documented_grpcurl_lines_are_calls_that_work() {
    let running = on_embedded();
    let lines = blocks("proto/README.md", "sh").into_iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>());
    let mut calls = 0;
    // grpcurl is not to be had everywhere; buf can call the same methods with the same JSON, by reflection as well.
    for line in lines.filter(|line| line.starts_with("grpcurl") && line.contains(" -d ")) {
        let (data, rest) = line.split_once("-d '").unwrap().1.split_once("' 127.0.0.1:7600 ").unwrap();
        let mut curl = command("tests/.venv/buf/node_modules/.bin/buf");
        curl.args(["curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", data]).current_dir(repository());
        let output = curl.arg(format!("http://{}/{rest}", running.service.address)).output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        if rest.ends_with("GetUsableCredit") {
            assert_eq!(answer["credit"]["usable"], "9.925");
        }
        calls += 1;
    }
    assert_eq!(calls, 5);
    stop(running);
}

#[test]
fn the_documented_curl_lines_charge_an_account() {
    let folder = temporary_folder();
    let store = folder.path().join("tollgate.db");
    let service = Service::start(&["--store", store.to_str().unwrap(), "--http-listen", "127.0.0.1:0"], &[]);
    let line = service.log().into_iter().find(|line| line.contains("serving HTTP/JSON")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for document in ["README.md", "proto/README.md"] {
        let lines = blocks(document, "sh").into_iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>());
        let mut answers = Vec::new();
        for curl in lines.filter(|line| line.starts_with("curl ")) {
            let curl = curl.replace("127.0.0.1:7602", line["address"].as_str().unwrap());
            let output = command("sh").args(["-ec", &curl]).output().unwrap();
            answers.push(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_else(|error| panic!("{curl}: {error}")));
        }
        assert_eq!(answers.len(), 4, "{document}");
        assert_eq!(answers[2]["charged"]["amount"]["amount"], "0.075", "{document}");
        assert_eq!(answers[3]["credit"]["usable"], "9.925", "{document}");
    }
    assert!(service.stop().success());
}

fn check_the_figures(store: &[&str]) {
    let folder = temporary_folder();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "2026-11-20T12:00:00Z").unwrap();
    let clock = clock.to_str().unwrap();
    let service = Service::start(&[store, &["--test-clock", clock]].concat(), &[]);
    python("figures.py", &[&service.address.to_string(), clock]);
    assert!(service.log().iter().any(|line| line.contains("test clock in use")));
    assert!(service.stop().success());
}

#[test]
fn the_published_figures_come_out_on_the_embedded_engine() {
    let folder = temporary_folder();
    check_the_figures(&["--store", folder.path().join("ledger.db").to_str().unwrap()]);
}

#[test]
fn the_published_figures_come_out_on_redis() {
    let redis = RedisServer::redis();
    check_the_figures(&["--redis", &redis.url()]);
}

#[test]
fn errors_carry_details_that_a_client_can_decode() {
    for running in [on_embedded(), on_redis()] {
        call(&running, "errors.py");
        stop(running);
    }
}

#[test]
fn a_client_without_stubs_charges_by_reflection() {
    for running in [on_embedded(), on_redis()] {
        call(&running, "reflection.py");
        stop(running);
    }
}

#[test]
fn payments_exports_and_batches_can_be_called_from_python() {
    let running = on_embedded();
    call(&running, "billing.py");
    stop(running);
}

#[test]
fn a_stream_of_batches_is_answered_in_order() {
    for running in [on_embedded(), on_redis()] {
        call(&running, "stream.py");
        stop(running);
    }
}

#[test]
fn a_watcher_sees_what_another_client_changes() {
    let running = on_embedded();
    let address = running.service.address.to_string();
    python("watch.py", &[&address, &address]);
    stop(running);
}

#[test]
fn a_watcher_sees_what_another_process_changes() {
    let running = on_redis();
    let other = Service::redis(&running.redis.as_ref().unwrap().url());
    python("watch.py", &[&running.service.address.to_string(), &other.address.to_string()]);
    assert!(other.stop().success());
    stop(running);
}

#[test]
fn health_follows_the_store() {
    let mut running = on_redis();
    let address = running.service.address.to_string();
    python("health.py", &[&address, "SERVING"]);
    let redis = running.redis.as_mut().unwrap();
    redis.shut_down();
    python("health.py", &[&address, "NOT_SERVING"]);
    running.redis.as_mut().unwrap().start_again();
    // What it had kept is there again, so the service is.
    python("health.py", &[&address, "SERVING"]);
    stop(running);
}

#[test]
fn a_redis_that_was_killed_and_comes_back_empty_is_not_served_from() {
    let mut running = on_redis();
    let address = running.service.address.to_string();
    python("health.py", &[&address, "SERVING"]);
    running.redis.as_mut().unwrap().kill();
    python("health.py", &[&address, "NOT_SERVING"]);
    running.redis.as_mut().unwrap().start_again();
    python("health.py", &[&address, "NOT_SERVING"]);
    stop(running);
}

#[test]
fn calls_and_decisions_are_counted() {
    for running in [on_embedded(), on_redis()] {
        python("metrics.py", &[&running.service.address.to_string(), &running.service.metrics.to_string()]);
        stop(running);
    }
}

#[test]
fn a_callers_trace_goes_on_in_the_service_with_the_address_that_a_trusted_proxy_says() {
    let folder = temporary_folder();
    let mut collector = script("trace.py", &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(collector.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let endpoint = format!("http://127.0.0.1:{}", port.trim());
    let store = folder.path().join("ledger.db");
    let arguments = [
        "--store",
        store.to_str().unwrap(),
        "--otlp-endpoint",
        &endpoint,
        "--trace-ratio",
        "0",
        "--trusted-proxies",
        "127.0.0.1",
        "--insecure",
    ];
    let service = Service::start(&arguments, &[("OTEL_BSP_SCHEDULE_DELAY", "100")]);
    writeln!(collector.stdin.take().unwrap(), "{}", service.address).unwrap();
    let output = collector.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(service.stop().success());
}
