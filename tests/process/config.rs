//! Settings from a file, from the environment and from the command line.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::service::{Service, binary};

fn config(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(binary()).args(arguments).env_clear().envs(environment.iter().copied()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_service_takes_its_settings_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.toml");
    std::fs::write(&file, format!("store = {:?}\nlanes = 2\nlog_format = 'json'\n", folder.path().join("here.db"))).unwrap();
    let service = Service::open(&["--config", file.to_str().unwrap()], &[]);
    assert!(service.log().iter().any(|line| line.contains("\"serving\"") && line.contains("\"lanes\":2")), "{:#?}", service.log());
    assert!(folder.path().join("here.db").exists());
}

#[test]
fn each_setting_is_shown_with_where_it_comes_from_and_secrets_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (folder.path().join("tollgate.toml"), folder.path().join("redis"));
    std::fs::write(&file, "shutdown_grace = '3s'\nbilling = 'off'\n").unwrap();
    std::fs::write(&secret, "redis://tollgate:hush@127.0.0.1:6379").unwrap();
    for path in [&file, &secret] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let environment = [("TOLLGATE_REDIS_FILE", secret.to_str().unwrap()), ("TOLLGATE_LANES", "3"), ("COLUMNS", "200")];
    let shown = said(&config(&["config", "show", "--config", file.to_str().unwrap()], &environment));
    let row = |setting: &str| shown.lines().find(|line| line.contains(setting)).unwrap_or_else(|| panic!("{setting}: {shown}")).to_owned();
    assert!(row("shutdown_grace").contains("3s") && row("shutdown_grace").contains("tollgate.toml"));
    assert!(row("lanes").contains("TOLLGATE_LANES") && row("store_name").contains("default"));
    assert!(row("redis ").contains("(hidden)") && row("redis ").contains("TOLLGATE_REDIS_FILE"));
    assert!(!shown.contains("hush"));
    // Who may call is said, as by the start.
    let (access, open) = (folder.path().join("access.toml"), "everybody who reaches a listener may do everything");
    std::fs::write(&access, "").unwrap();
    let named = || said(&config(&["config", "show"], &[("TOLLGATE_ACCESS_FILE", access.to_str().unwrap())]));
    assert!(shown.contains(open) && named().contains(open), "{shown}");
    std::fs::write(&access, "[[certificates]]\nname = 'a'\nroles = ['read']\n").unwrap();
    assert!(!named().contains(open), "{}", named());
    let checked = config(&["config", "check", "--config", file.to_str().unwrap()], &environment);
    assert_eq!((checked.status.code(), said(&checked).as_str()), (Some(0), "The settings are sound.\n"));
}

#[test]
fn a_password_on_the_command_line_is_refused_since_all_on_the_machine_can_read_it() {
    let redis = ["redis://tollgate:hush@a:1,b:2/0", "redis+sentinel://:hush@s1/main", "redis://h?sentinel-password=hush"];
    let billing = ["postgres://tollgate:hush@db/tollgate", "postgres://db/tollgate?user=tollgate&password=hush"];
    for (option, variable, urls) in [
        ("--redis", "TOLLGATE_REDIS", &redis[..]),
        ("--billing", "TOLLGATE_BILLING", &billing),
        ("--otlp-endpoint", "TOLLGATE_OTLP_ENDPOINT", &["http://tollgate:hush@collector:4317"]),
    ] {
        for url in urls {
            let output = config(&["serve", option, url], &[]);
            let text = said(&output);
            assert_eq!(output.status.code(), Some(2), "{text}");
            assert!(
                text.contains(&format!("the password in {option} can be read by everybody on this machine: put it into {variable}")),
                "{text}"
            );
            assert!(!text.contains("hush"), "{text}");
        }
    }
    let output = config(&["verify", "--store", "none", "--billing", "postgres://tollgate@127.0.0.1:1/none"], &[]);
    assert!(!said(&output).contains("can be read by everybody"), "{output:?}");
}

#[test]
fn half_of_tls_in_a_file_is_refused_and_a_password_in_a_url_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.toml");
    let path = file.to_str().unwrap();
    for half in ["tls_cert = 'cert.pem'", "tls_key = 'key.pem'", "tls_client_ca = 'ca.pem'"] {
        std::fs::write(&file, format!("store = {:?}\n{half}\n", folder.path().join("here.db"))).unwrap();
        for words in [&["config", "check", "--config", path][..], &["serve", "--listen", "127.0.0.1:0", "--config", path]] {
            let output = config(words, &[]);
            assert!(!output.status.success() && said(&output).contains("--tls-cert and --tls-key belong together"), "{half}: {output:?}");
        }
    }
    assert!(!folder.path().join("here.db").exists());
    std::fs::write(&file, "smtp_url = 'smtp://user:hush@mail.example'\n").unwrap();
    let shown = said(&config(&["config", "show", "--config", path], &[("COLUMNS", "200")]));
    assert!(shown.contains("smtp_url") && !shown.contains("hush"), "{shown}");
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.toml");
    let path = file.to_str().unwrap();
    for (text, place) in [
        ("lisen = '127.0.0.1:0'", "there is no setting \"lisen\""),
        ("lanes = 0", "lanes: invalid value '0'"),
        ("shutdown_grace = 'soon'", "shutdown_grace: invalid value 'soon'"),
        ("lanes = ", "--config"),
    ] {
        std::fs::write(&file, text).unwrap();
        for arguments in [&["config", "check", "--config", path][..], &["serve", "--config", path]] {
            let output = config(arguments, &[]);
            assert_eq!(output.status.code(), Some(2), "{}", said(&output));
            assert!(said(&output).contains(place), "{}", said(&output));
        }
    }
    for (text, place) in [
        ("otlp_endpoint = 'collector.example:4317'", "--otlp-endpoint"),
        ("otlp_endpoint = 'http:// tollgate:hush@collector'", "--otlp-endpoint"),
        ("log = 'info,tollgate=loud'", "--log takes a level"),
    ] {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--config", path];
        for arguments in [&["config", "check", "--config", path][..], &["config", "check", "--aggregate", "--config", path], &serve] {
            let output = config(arguments, &[]);
            let text = said(&output);
            assert!(!output.status.success() && text.contains(place) && !text.contains("hush"), "{arguments:?}: {text}");
        }
    }
    // A line is not shown: what stands there without its quotes may be a secret.
    std::fs::write(&file, "lanes = 2\nredis = redis://tollgate:hush@127.0.0.1\n").unwrap();
    for arguments in [&["config", "check", "--config", path][..], &["serve", "--config", path]] {
        let output = said(&config(arguments, &[]));
        assert!(output.contains("line 2: string values must be quoted") && !output.contains("hush"), "{output}");
    }
    std::fs::write(&file, "listen = '0.0.0.0:0'").unwrap();
    let output = config(&["config", "check", "--config", path], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("--listen 0.0.0.0:0 can be reached from other machines"), "{}", said(&output));
    // All of it at once.
    std::fs::write(&file, "listen = '127.0.0.1:7600'\nmetrics_listen = '127.0.0.1:7600'\nhttp_listen = '0.0.0.0:80'\n").unwrap();
    let output = said(&config(&["config", "check", "--config", path], &[]));
    assert!(output.contains("--metrics-listen 127.0.0.1:7600 and --listen 127.0.0.1:7600 are the same port"), "{output}");
    assert!(output.contains("--http-listen 0.0.0.0:80 can be reached"), "{output}");
    std::fs::write(&file, "lanes = 0\nlisen = 'a'\n").unwrap();
    let output = said(&config(&["config", "check", "--config", path], &[]));
    assert!(output.contains("line 1: lanes: invalid value '0'") && output.contains("line 2: there is no setting \"lisen\""), "{output}");
    let output = config(&["config", "check", "--config", "/nowhere"], &[]);
    assert!(said(&output).contains("--config /nowhere: cannot be read"), "{}", said(&output));
}

#[test]
fn the_printed_file_has_every_default_and_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let printed = said(&config(&["config", "default"], &[]));
    let defaults: Vec<&str> = ["listen", "metrics_listen", "shutdown_grace", "lanes", "log_format", "request_window"]
        .map(|key| printed.lines().find(|line| line.starts_with(&format!("# {key} = "))).unwrap_or_else(|| panic!("{key}: {printed}")))
        .into_iter()
        .filter(|line| !line.starts_with("# lanes"))
        .map(|line| line.trim_start_matches("# "))
        .collect();
    let file = folder.path().join("tollgate.toml");
    std::fs::write(&file, defaults.join("\n")).unwrap();
    let checked = config(&["config", "check", "--config", file.to_str().unwrap()], &[]);
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
}
