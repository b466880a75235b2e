//! `tollgate access` and running services: a key is made, used, revoked; what is not safe does not start.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::service::{Service, binary};

fn tollgate(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(binary()).args(arguments).env_clear().envs(environment.iter().copied()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn access(file: &str, arguments: &[&str]) -> Output {
    let output = tollgate(&[&["access"], arguments, &["--access-file", file]].concat(), &[]);
    assert!(output.status.success(), "{}", said(&output));
    output
}

fn serve(folder: &Path, name: &str, file: &str) -> (Service, String) {
    let store = folder.join(name);
    let service = Service::open(&["--store", store.to_str().unwrap(), "--access-file", file], &[]);
    let server = format!("http://{}", service.address);
    (service, server)
}

#[test]
fn a_key_is_shown_once_lets_its_holder_in_and_is_refused_everywhere_soon_after_it_was_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.toml");
    let file = file.to_str().unwrap();
    let key = String::from_utf8(access(file, &["create-key", "desk", "--role", "operate", "--account", "partner-7/"]).stdout).unwrap();
    let key = key.trim();
    assert!(key.starts_with("tg_") && key.len() == 55, "{key}");
    let secret = &key[12..];
    assert!(!std::fs::read_to_string(file).unwrap().contains(secret), "the file lets nobody in");
    let listed = said(&access(file, &["list"]));
    assert!(listed.contains(&key[..11]) && listed.contains("partner-7/") && !listed.contains(secret), "{listed}");

    let services = [serve(folder.path(), "one.db", file), serve(folder.path(), "two.db", file)];
    let create = ["account", "create", "partner-7/a", "--name", "A", "--currency", "EUR", "--mode", "prepaid", "--server"];
    for (service, server) in &services {
        let created = tollgate(&[&create[..], &[server]].concat(), &[("TOLLGATE_TOKEN", key)]);
        assert!(created.status.success(), "{}", said(&created));
        let other = tollgate(&["account", "show", "partner-70/a", "--server", server], &[("TOLLGATE_TOKEN", key)]);
        assert!(said(&other).contains("not permitted"), "{}", said(&other));
        let nobody = tollgate(&["account", "show", "partner-7/a", "--server", server], &[]);
        assert!(!nobody.status.success() && said(&nobody).contains("credentials"), "{}", said(&nobody));
        assert!(service.log().iter().all(|line| !line.contains(secret)));
    }

    access(file, &["revoke-key", &key[..11]]);
    let revoked = Instant::now();
    for (_, server) in &services {
        while tollgate(&["account", "show", "partner-7/a", "--server", server], &[("TOLLGATE_TOKEN", key)]).status.success() {
            assert!(revoked.elapsed() < Duration::from_secs(5), "it still lets its holder in");
        }
    }
    assert!(said(&access(file, &["list"])).contains("revoked"));
}

#[test]
fn a_token_is_read_from_a_file_that_only_its_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.toml");
    let file = file.to_str().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, access(file, &["create-key", "admin", "--role", "admin"]).stdout).unwrap();
    let (_service, server) = serve(folder.path(), "ledger.db", file);
    let list = || tollgate(&["account", "list", "--server", &server, "--token-file", token.to_str().unwrap()], &[]);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said(&list()).contains("can be read by everybody"), "{}", said(&list()));
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(list().status.success(), "{}", said(&list()));
}

#[test]
fn a_service_that_other_machines_can_reach_starts_only_with_tls_and_somebody_to_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("never.db");
    let empty = folder.path().join("access.toml");
    let refused = |more: &[&str], what: &str| {
        let arguments = ["serve", "--listen", "0.0.0.0:0", "--metrics-listen", "off", "--store", store.to_str().unwrap()];
        let output = tollgate(&[&arguments[..], more].concat(), &[]);
        assert!(!output.status.success() && said(&output).contains(what), "{}", said(&output));
        assert!(!store.exists());
    };
    refused(&[], "give --tls-cert and --tls-key");
    refused(&["--access-file", empty.to_str().unwrap()], "give --tls-cert and --tls-key");
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, private) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let private = {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
        private
    };
    let tls =
        ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", private.to_str().unwrap(), "--access-file", empty.to_str().unwrap()];
    refused(&tls, "access.toml: is not there: `tollgate access create-key` makes it");
    std::fs::write(&empty, "").unwrap();
    refused(&tls, "--access-file names nobody: make a key by `tollgate access create-key`");
    refused(&tls[..4], "--access-file names nobody: make a key by `tollgate access create-key`");
}

#[test]
fn an_access_file_that_is_wrong_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.toml");
    std::fs::write(&file, "[[certificates]]\nname = 'a'\nroles = ['root']\n").unwrap();
    for arguments in [&["access", "check"][..], &["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off"]] {
        let store = folder.path().join("never.db");
        let mut arguments = arguments.to_vec();
        if arguments[0] == "serve" {
            arguments.extend(["--store", store.to_str().unwrap()]);
        }
        arguments.extend(["--access-file", file.to_str().unwrap()]);
        let output = tollgate(&arguments, &[]);
        assert!(
            !output.status.success() && said(&output).contains("the certificate \"a\": has the unknown role \"root\""),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn an_access_file_that_says_what_nobody_understands_is_refused_since_it_may_be_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("access.toml"), folder.path().join("never.db"));
    let key = "[[keys]]\nname = 'k'\nid = 'Zk3v9QxY'\ndigest = 'sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'\nroles = ['admin']\n";
    let issuer = "[[issuers]]\nissuer = 'https://id.example'\naudience = 'a'\njwks = 'keys.json'\n";
    std::fs::write(
        folder.path().join("keys.json"),
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    )
    .unwrap();
    for (text, said_of_it) in [
        // As it is called on the command line: without it, the key is for all accounts.
        (format!("{key}account = ['partner-7/']\n"), "unknown field `account`"),
        (format!("{key}expire = '2020-01-01T00:00:00Z'\n"), "unknown field `expire`"),
        ("[[certificates]]\nname = 'c'\nroles = ['admin']\nrequests_a_second = 1\n".to_owned(), "unknown field `requests_a_second`"),
        (format!("{issuer}grants.desk = {{ roles = ['admin'], account = ['partner-7/'] }}\n"), "unknown field `account`"),
        (format!("[oidc.grants.desk]\nroles = ['admin']\naccount = ['partner-7/']\n{issuer}"), "unknown field `account`"),
        (format!("{issuer}{issuer}"), "the issuer \"https://id.example\" is there twice"),
        (format!("{issuer}algorithms = ['none']\n"), "the algorithm \"none\" is not taken: one of RS256, ES256 and EdDSA is"),
        (issuer.replace("keys.json", "nowhere.json"), "nowhere.json"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let (file, store_path) = (file.to_str().unwrap(), store.to_str().unwrap());
        let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--store", store_path, "--access-file", file];
        for arguments in [&["access", "check", "--access-file", file][..], &serve] {
            let output = tollgate(arguments, &[]);
            assert!(!output.status.success() && said(&output).contains(said_of_it), "{text}: {}", said(&output));
        }
        assert!(!store.exists());
    }
}

#[test]
fn keys_that_are_made_at_once_are_all_kept_and_what_is_refused_of_the_billing_store_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.toml");
    let file = file.to_str().unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || access(file, &["create-key", &format!("k{number}"), "--role", "read"]));
        }
    });
    access(file, &["revoke-key", "tg_Zk3v9QxY"]);
    access(file, &["revoke-key", "k0"]);
    let listed = said(&access(file, &["list"]));
    for wanted in (0..8).map(|number| format!("k{number}")).chain(["tg_Zk3v9QxY of the billing store".to_owned()]) {
        assert!(listed.contains(&wanted), "{wanted}: {listed}");
    }
}
