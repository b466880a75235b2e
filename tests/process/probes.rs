//! Probes: health and liveness on a listener of their own, and who may see metrics.

use std::process::Command;

use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::service::{Service, until};
use crate::support::{RedisServer, temporary_folder};

/// The address that a line of the log names.
pub fn address_in(service: &Service, message: &str) -> String {
    let line = service.log().into_iter().find(|line| line.contains(&format!("\"{message}\""))).unwrap();
    serde_json::from_str::<serde_json::Value>(&line).unwrap()["address"].as_str().unwrap().to_owned()
}

/// The status of a GET, and its body.
fn get(url: &str, token: Option<&str>) -> (u16, String) {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-m", "10", "-w", "\n%{http_code}", url]);
    if let Some(token) = token {
        curl.args(["-H", &format!("authorization: Bearer {token}")]);
    }
    let text = String::from_utf8(curl.output().unwrap().stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_without_tls_and_credentials_and_liveness_does_not_follow_redis() {
    let mut redis = RedisServer::redis();
    let folder = temporary_folder();
    let access = folder.path().join("access.toml");
    let made = Command::new(crate::service::binary())
        .args(["access", "create-key", "root", "--role", "admin", "--access-file", access.to_str().unwrap()])
        .env_clear()
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let service = Service::start(
        &["--redis", &redis.url(), "--access-file", access.to_str().unwrap(), "--health-listen", "127.0.0.1:0", "--metrics-credentials"],
        &[],
    );
    let address = address_in(&service, "serving health");
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let told = async |name: &str| {
        let asked = HealthClient::new(channel.clone()).check(HealthCheckRequest { service: name.into() }).await;
        asked.unwrap().into_inner().status()
    };
    let path = |path: &str| get(&format!("http://{address}/{path}"), None);
    until("it serves", async || (told("").await == ServingStatus::Serving).then_some(())).await;
    assert_eq!([path("healthz"), path("livez")], [(200, "serving\n".to_owned()), (200, "live\n".to_owned())]);
    assert_eq!(path("metrics").0, 404, "nothing else is here");
    assert_eq!(told("tollgate.liveness").await, ServingStatus::Serving);

    redis.shut_down();
    until("it serves no longer", async || (told("").await == ServingStatus::NotServing).then_some(())).await;
    assert_eq!(path("healthz"), (503, "not serving\n".to_owned()));
    assert_eq!((told("tollgate.liveness").await, path("livez").0), (ServingStatus::Serving, 200));

    // Metrics are for those who may look; health beside them is for all.
    let key = String::from_utf8(made.stdout).unwrap();
    let metrics = |path: &str, token: Option<&str>| get(&format!("http://{}/{path}", service.metrics), token).0;
    assert_eq!([metrics("metrics", None), metrics("metrics", Some("tg_")), metrics("metrics", Some(key.trim()))], [401, 401, 200]);
    assert_eq!([metrics("healthz", None), metrics("livez", None)], [503, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_takes_what_can_be_taken_and_names_what_cannot() {
    let folder = temporary_folder();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |text: &str| {
        std::fs::write(path("new"), text).unwrap();
        std::fs::rename(path("new"), path("tollgate.toml")).unwrap();
    };
    write("lanes = 1\n");
    let service = Service::open(&["--store", &path("ledger.db"), "--config", &path("tollgate.toml")], &[]);
    let mut client = service.client().await;
    client.open("acme", tollgate::grpc::v1::PaymentMode::Prepaid, "0", "100").await;
    let hang_up = async |message: &str, times: usize| {
        assert!(Command::new("kill").args(["-HUP", &service.id().to_string()]).status().unwrap().success());
        let count = || service.log().iter().filter(|line| line.contains(message)).count();
        until(message, async || (count() >= times).then_some(())).await;
    };
    write("lanes = 2\nmax_connections = 5\ncaller_requests_per_second = 1\nlog = 'debug'\n");
    hang_up("the settings were read again", 1).await;
    let warned = service.log().into_iter().find(|line| line.contains("only at a start")).unwrap();
    assert!(warned.contains("--lanes, --max-connections") && !warned.contains("--log"), "{warned}");
    // The bound of a caller is in force.
    let over = async || {
        let request = tollgate::grpc::v1::GetUsableCreditRequest { account_id: "acme".into() };
        client.charging.clone().get_usable_credit(request).await.err()
    };
    let status = until("it is over its share", over).await;
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    until("debug lines", async || service.log().iter().any(|line| line.contains("\"DEBUG\"")).then_some(())).await;
    // What is wrong changes nothing.
    write("lanes = 'many'\n");
    hang_up("keeping all previous values", 1).await;
    write("log = 'info'\n");
    hang_up("the settings were read again", 2).await;
    client.credit("acme").await;
    client.credit("acme").await;
}
