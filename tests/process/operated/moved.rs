//! What is counted moves with what happens: to Redis, and to what callers hold open.

use tollgate::grpc::v1::{self, PaymentMode};

use super::metrics::shown;
use crate::service::{Service, debit, until};
use crate::support::{RedisServer, temporary_folder};

/// The sum of the series that begin so.
fn sum(service: &Service, beginning: &str) -> f64 {
    let text = shown(service, "text/plain").1;
    let series = text.lines().filter(|line| line.strip_prefix(beginning).is_some_and(|rest| rest.starts_with([' ', '{', ','])));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// A series, or how several begin, and what their sum should be.
type Wanted<'a> = (&'a str, fn(f64) -> bool);

/// Waits until each of these is as it should be.
async fn shows(service: &Service, wanted: &[Wanted<'_>]) {
    for (series, is_right) in wanted {
        until(series, async || is_right(sum(service, series)).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_redis_moves_what_is_shown_of_it() {
    let redis = RedisServer::redis();
    let service = Service::redis(&redis.url());
    shows(
        &service,
        &[
            ("tollgate_redis_connections", |connections| connections >= 1.0),
            ("tollgate_redis_clients", |clients| clients >= 1.0),
            ("tollgate_redis_round_trip_seconds_count", |asked| asked >= 2.0),
            ("tollgate_redis_memory_used_bytes", |bytes| bytes > 100_000.0),
            ("tollgate_redis_persistence_ok", |is_ok| is_ok == 1.0),
            ("tollgate_redis_aof_enabled", |is_on| is_on == 0.0),
        ],
    )
    .await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1gb"]);
    redis.command(&["CONFIG", "SET", "appendonly", "yes"]);
    // Where the snapshot is to be, something else is in its way.
    let in_the_way = redis.folder().join("dump.rdb");
    let _ = std::fs::remove_file(&in_the_way);
    std::fs::create_dir(&in_the_way).unwrap();
    until("a snapshot fails", async || {
        redis.command(&["BGSAVE"]);
        redis.command(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:err").then_some(())
    })
    .await;
    redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    shows(
        &service,
        &[
            ("tollgate_redis_memory_max_bytes", |bytes| bytes == f64::from(1 << 30)),
            ("tollgate_redis_aof_enabled", |is_on| is_on == 1.0),
            ("tollgate_redis_persistence_ok", |is_ok| is_ok == 0.0),
            ("tollgate_redis_connections_lost_total", |lost| lost >= 1.0),
        ],
    )
    .await;
    std::fs::remove_dir(&in_the_way).unwrap();
    until("a snapshot succeeds", async || {
        redis.command(&["BGSAVE"]);
        redis.command(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:ok").then_some(())
    })
    .await;
    shows(&service, &[("tollgate_redis_persistence_ok", |is_ok| is_ok == 1.0)]).await;
    assert!(service.stopped().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_uses_and_what_callers_hold_open_is_shown() {
    let folder = temporary_folder();
    let service = Service::embedded(folder.path());
    let mut client = service.client().await;
    client.open("acme", PaymentMode::Prepaid, "0", "10").await;
    let request = v1::WatchUsableCreditRequest { account_id: "acme".into() };
    let watch = client.charging.watch_usable_credit(request).await.unwrap();
    let (commands, sent) = tokio::sync::mpsc::channel::<v1::ChargeRequest>(1);
    let stream = client.charging.charge(tokio_stream::wrappers::ReceiverStream::new(sent)).await.unwrap();
    let open = |method: &str| format!("tollgate_calls_in_flight{{rpc_method=\"tollgate.v1.ChargingService/{method}\"}}");
    for method in ["WatchUsableCredit", "Charge"] {
        until(method, async || (sum(&service, &open(method)) == 1.0).then_some(())).await;
    }
    drop((watch, stream, commands));
    for method in ["WatchUsableCredit", "Charge"] {
        until(method, async || (sum(&service, &open(method)) == 0.0).then_some(())).await;
    }
    shows(
        &service,
        &[
            ("tollgate_connections", |connections| connections >= 1.0),
            ("process_threads", |threads| threads >= 3.0),
            ("process_open_fds", |files| files >= 10.0),
            ("process_max_fds", |files| files >= 256.0),
            ("process_resident_memory_bytes", |bytes| bytes > 1e7),
            ("process_virtual_memory_bytes", |bytes| bytes > 1e7),
            ("process_start_time_seconds", |at| at > 1.7e9),
        ],
    )
    .await;
    let used = sum(&service, "process_cpu_seconds_total");
    until("it uses the processor", || {
        let mut client = client.clone();
        let (service, used) = (&service, used);
        async move {
            client.charging.debit(debit("acme", "d1", "1")).await.unwrap();
            (sum(service, "process_cpu_seconds_total") > used).then_some(())
        }
    })
    .await;
    assert!(service.stopped().await.success());
}
