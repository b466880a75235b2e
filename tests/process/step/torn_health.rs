//! M2: who looks after a service sees that a step was torn, and that the other partitions go on.

use tollgate::grpc::v1::{self, PaymentMode};
use tollgate::ledger::prepared_command::partition_of;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::command::Operator;
use crate::service::{Client, Service, debit, money, until};
use crate::support::RedisServer;

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;

async fn health(service: &Service, name: &str) -> i32 {
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", service.address)).unwrap().connect().await.unwrap();
    HealthClient::new(channel).check(HealthCheckRequest { service: name.into() }).await.unwrap().into_inner().status
}

fn page(service: &Service, path: &str) -> String {
    let output = std::process::Command::new("curl").args(["-si", &format!("http://{}{path}", service.metrics)]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

async fn reserve_for_a_second(client: &mut Client, account: &str) {
    let second = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let reserve = Some(v1::Reserve { amount: money("10"), validity: second(1), grace: second(0), ..Default::default() });
    let request = v1::AuthorizeRequest { account_id: account.into(), request_id: "short".into(), reserve, ..Default::default() };
    client.charging.authorize(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_step_is_seen_in_health_metrics_and_status_and_the_other_partitions_are_served_and_swept() {
    let redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    let mut client = service.client().await;
    let of = |partition| (0..).map(|number| format!("a-{number}")).find(|id| partition_of(id, 4) == partition).unwrap();
    // Partitions are swept in turn: the torn one comes before the other.
    let (torn, other) = (of(1), of(2));
    for id in [&torn, &other] {
        client.open(id, PaymentMode::Prepaid, "0", "100").await;
    }
    until("all is well", async || (health(&service, "tollgate.partitions").await == SERVING).then_some(())).await;
    assert!(page(&service, "/metrics").contains("tollgate_partition_torn{partition=\"1\"} 0"));
    let quiet = Operator::of(&service).run("aggregation");
    assert!(quiet.status.success() && !quiet.error.contains("torn"), "{quiet:?}");

    reserve_for_a_second(&mut client, &torn).await;
    reserve_for_a_second(&mut client, &other).await;
    redis.command(&["ACL", "SETUSER", "default", "-hset"]);
    client.charging.debit(debit(&torn, "torn", "1")).await.unwrap_err();
    redis.command(&["ACL", "SETUSER", "default", "+hset"]);

    let warning = "warning: a step of partition 1 was torn at entry ";
    let told = until("health tells of it", async || Some(page(&service, "/healthz")).filter(|text| text.contains(warning))).await;
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("tollgate reconcile"), "{told}");
    until("the other's reservation is swept, though nobody touches it", async || {
        let script =
            "local n = 0 for _, key in ipairs(redis.call('KEYS', '*}:reservations')) do n = n + redis.call('HLEN', key) - 1 end return n";
        (redis.command(&["EVAL", script, "0"]).trim() == "1").then_some(())
    })
    .await;
    // For longer than a look at the store takes.
    for _ in 0..8 {
        assert_eq!((health(&service, "tollgate.partitions").await, health(&service, "").await), (NOT_SERVING, SERVING));
        assert!(page(&service, "/healthz").starts_with("HTTP/1.1 200"), "{}", page(&service, "/healthz"));
        tokio::time::sleep(std::time::Duration::from_millis(125)).await;
    }
    assert!(page(&service, "/metrics").contains("tollgate_partition_torn{partition=\"1\"} 1"));
    assert!(page(&service, "/metrics").contains("tollgate_partition_torn{partition=\"2\"} 0"));
    let status = Operator::of(&service).run("aggregation");
    assert!(status.error.contains("warning: a step of partition 1 was torn at entry "), "{status:?}");
    assert!(service.log().iter().any(|line| line.contains("ERROR") && line.contains("a step was torn")), "{:#?}", service.log());
    client.charging.debit(debit(&other, "d1", "1")).await.unwrap();

    let words = ["reconcile", "--redis", &redis.url(), "--billing", "off", "--finish", "--actor", "eve", "--reason", "the right is back"];
    let finished = Operator::nowhere().run_words(&words);
    assert!(finished.status.success(), "{finished:?}");
    until("health is good again", async || (health(&service, "tollgate.partitions").await == SERVING).then_some(())).await;
    assert!(!page(&service, "/healthz").contains("warning"));
    assert!(page(&service, "/metrics").contains("tollgate_partition_torn{partition=\"1\"} 0"));
    assert!(!Operator::of(&service).run("aggregation").error.contains("torn"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_which_no_partition_decides_is_not_ready() {
    let redis = RedisServer::redis();
    let service = Service::start(&["--redis", &redis.url(), "--partitions", "1"], &[]);
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "100").await;
    redis.command(&["ACL", "SETUSER", "default", "-hset"]);
    client.charging.debit(debit("acme", "torn", "1")).await.unwrap_err();
    redis.command(&["ACL", "SETUSER", "default", "+hset"]);
    until("it is not ready", async || (health(&service, "").await == NOT_SERVING).then_some(())).await;
    let told = page(&service, "/healthz");
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("a step of every partition was torn"), "{told}");
}
