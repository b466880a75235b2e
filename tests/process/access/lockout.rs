//! The first caller that is named, and the last that can let in others: nobody is to be locked out, and nobody on the network is to do it.

use std::process::Command;

use tollgate::grpc::v1::{self, admin_service_client::AdminServiceClient};
use tonic_types::StatusExt;

use super::stored::{done, is_let_in, listed, tollgate};
use crate::command::Operator;
use crate::http::url_of;
use crate::postgres::PostgresServer;
use crate::service::{Service, binary, until};
use crate::support::{RedisServer, temporary_folder};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_key_that_lets_in_others_is_not_revoked_before_there_is_another() {
    let folder = temporary_folder();
    let [store, file] = ["ledger.db", "access.toml"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&file, "").unwrap();
    let service = Service::open(&["--store", &store, "--access-file", &file], &[]);
    done(&service, None, "account create acme --name Acme --currency EUR --mode prepaid");
    let root = done(&service, None, "access --in-store create-key root --role admin");
    for other in ["desk --role operate", "bound --role admin --account acme", "short --role admin --expires 2999-01-01"] {
        done(&service, Some(&root), &format!("access --in-store create-key {other}"));
    }
    let refused = || {
        let output = tollgate(&service, Some(&root), "access --in-store revoke-key root");
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refused();
    assert!(said.contains("LAST_MANAGER") && said.contains("first make another"), "{said}");
    // Nobody looks at certificates without --tls-client-ca.
    done(&service, Some(&root), "access --in-store grant-certificate chief --role admin");
    std::fs::write(&file, "[[certificates]]\nname = 'chief'\nroles = ['admin']\n").unwrap();
    until("the service knows of it", async || service.log().iter().any(|line| line.contains("access rules changed")).then_some(())).await;
    assert!(refused().contains("LAST_MANAGER"), "a certificate lets nobody in here");
    done(&service, Some(&root), "access --in-store revoke-key desk");
    assert!(refused().contains("LAST_MANAGER"), "it is still let in");

    // With another, it goes; then that is the last.
    let other = done(&service, Some(&root), "access --in-store create-key other --role admin");
    done(&service, Some(&root), "access --in-store revoke-key root");
    let last = tollgate(&service, Some(&other), "access --in-store revoke-key other");
    assert!(String::from_utf8(last.stderr).unwrap().contains("LAST_MANAGER"));

    // A key of the access file counts, too; one that the access file refuses does not.
    let on_machine = |words: &str| {
        let output =
            Command::new(binary()).arg("access").args(words.split(' ')).args(["--access-file", &file]).env_clear().output().unwrap();
        assert!(output.status.success(), "{words}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let machine = on_machine("create-key machine --role admin");
    until("the key of the file is known", async || is_let_in(&service, Some(&machine)).then_some(())).await;
    on_machine(&format!("revoke-key {}", &other[..11]));
    until("the key of the store is refused", async || (!is_let_in(&service, Some(&other))).then_some(())).await;
    done(&service, Some(&machine), "access --in-store revoke-key other");
    assert!(listed(&service, &machine).iter().filter(|caller| caller["name"] == "other").all(|caller| caller["revokedAt"].is_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_made_on_the_machine_itself_and_never_from_another() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db").display().to_string();
    // Everybody who reaches it may do everything, by way of a proxy too, which says where a call comes from.
    let settings = ["--insecure", "--trusted-proxies", "127.0.0.1", "--http-listen", "127.0.0.1:0"];
    let service = Service::open(&[&["--store", &store], &settings[..]].concat(), &[]);
    let mut admin = AdminServiceClient::connect(format!("http://{}", service.address)).await.unwrap();
    let mut create = async |from: Option<&str>| {
        let grant = Some(v1::Grant { roles: vec!["admin".into()], ..v1::Grant::default() });
        let operator = Some(v1::Operator { actor: "eve".into(), reason: "a test".into() });
        let mut request = tonic::Request::new(v1::CreateKeyRequest {
            request_id: "k".into(),
            name: "root".into(),
            grant,
            operator,
            ..Default::default()
        });
        if let Some(from) = from {
            request.metadata_mut().insert("x-forwarded-for", from.parse().unwrap());
        }
        admin.create_key(request).await
    };
    // A client may have told its proxy that it is on the machine.
    for from in ["203.0.113.9", "127.0.0.1", "::1"] {
        let refused = create(Some(from)).await.unwrap_err();
        assert_eq!(refused.get_details_error_info().unwrap().reason, "FIRST_CALLER", "{from}");
        assert!(refused.message().contains("on the machine itself"), "{refused:?}");
    }
    // HTTP has no such call.
    let url = format!("{}/v1/admin/create-key", url_of(&service));
    let body = r#"{"requestId":"k","name":"root","grant":{"roles":["admin"]},"operator":{"actor":"eve","reason":"a test"}}"#;
    let posted = Command::new("curl").args(["-s", "-H", "content-type: application/json", "-d", body, &url]).output().unwrap();
    assert!(String::from_utf8_lossy(&posted.stdout).contains("UNKNOWN_METHOD"), "{posted:?}");
    // A certificate could let in nobody, since none is looked at.
    let refused = tollgate(&service, None, "access --in-store grant-certificate chief --role admin");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("FIRST_CALLER"), "{refused:?}");
    assert!(create(None).await.unwrap().into_inner().key.starts_with("tg_"));
}

/// Two machines, each a network of its own: on one a service that is open to both.
const MACHINES: &str = r#"
ip link set lo up
ip link add outer type veth peer name inner
ip addr add 192.0.2.1/24 dev outer
ip link set outer up
unshare --net sleep infinity & other=$!
trap 'kill $other $service' EXIT
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
elsewhere() { nsenter --net=/proc/$other/ns/net "$@"; }
ip link set inner netns $other
elsewhere ip addr add 192.0.2.2/24 dev inner
elsewhere ip link set inner up
"$1" serve --listen 192.0.2.1:7600 --metrics-listen off --insecure --store "$2" & service=$!
until elsewhere "$1" health --server http://192.0.2.1:7600; do kill -0 $service; sleep 0.2; done
make() { "$@" access --in-store create-key root --role admin --server http://192.0.2.1:7600; }
if made=$(make elsewhere "$1" 2>&1); then echo "made elsewhere: $made"; exit 1; fi
case $made in *FIRST_CALLER*) ;; *) echo "$made"; exit 1 ;; esac
make "$1"
"#;

#[test]
fn at_its_own_address_a_machine_makes_the_first_key_and_another_machine_does_not() {
    let folder = temporary_folder();
    let store = folder.path().join("ledger.db");
    let mut drill = Command::new("unshare");
    let ended = drill.args(["--net", "sh", "-ec", MACHINES, "drill"]).arg(binary()).arg(&store).output().unwrap();
    let (shown, log) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && shown.lines().any(|line| line.starts_with("tg_")), "{shown}\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_revoke_each_other_in_two_processes_at_once_one_stays() {
    let (redis, postgres) = (RedisServer::redis(), PostgresServer::shared());
    let (url, billing) = (redis.url(), postgres.database());
    let init = Operator::nowhere().run_words(&["init", "--redis", &url, "--billing", &billing]);
    assert!(init.status.success(), "{init:?}");
    let arguments = ["--redis", &url, "--billing", &billing];
    let services = [Service::open(&[&arguments[..], &["--aggregate"]].concat(), &[]), Service::open(&arguments, &[])];
    for service in &services {
        let is_there = async || tollgate(service, None, "access --in-store list").status.success().then_some(());
        until("the billing store is there", is_there).await;
    }
    let mut left = done(&services[0], None, "access --in-store create-key one-0 --role admin");
    let mut name = "one-0".to_owned();
    for round in 1..=5 {
        let (other_name, other) = (format!("other-{round}"), format!("access --in-store create-key other-{round} --role admin"));
        let other = done(&services[0], Some(&left), &other);
        for service in &services {
            until("both keys are known", async || [&left, &other].iter().all(|key| is_let_in_to_list(service, key)).then_some(())).await;
        }
        let [by_left, by_other] = [&other_name, &name].map(|name| format!("access --in-store revoke-key {name}"));
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| tollgate(&services[0], Some(&left), &by_left));
            let second = scope.spawn(|| tollgate(&services[1], Some(&other), &by_other));
            (first.join().unwrap(), second.join().unwrap())
        });
        assert!(first.status.success() != second.status.success(), "{first:?} {second:?}");
        if second.status.success() {
            (name, left) = (other_name, other);
        }
        for service in &services {
            until("one is left", async || is_let_in_to_list(service, &left).then_some(())).await;
        }
    }
}

fn is_let_in_to_list(service: &Service, key: &str) -> bool {
    tollgate(service, Some(key), "access --in-store list").status.success()
}
