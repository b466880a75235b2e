//! What services that have nothing to do ask of Redis.

use std::time::{Duration, Instant};

use crate::identity::http;
use crate::service::{Service, until};
use crate::support::RedisServer;

const PROCESSES: usize = 2;

const PARTITIONS: u16 = 64;

/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(10);

/// How often commands of this name were called since the figures were reset; of no name, all.
fn calls(server: &RedisServer, name: &str) -> f64 {
    let stats = server.command(&["INFO", "commandstats"]);
    let of_line = |line: &str| {
        let (command, figures) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        (name.is_empty() || command == name).then(|| figures.split(',').next()?.parse::<f64>().ok()).flatten()
    };
    stats.lines().filter_map(of_line).sum()
}

#[tokio::test]
async fn services_with_nothing_to_do_ask_little_of_redis_however_many_partitions_there_are() {
    let server = RedisServer::redis();
    let (url, partitions) = (server.url(), PARTITIONS.to_string());
    let mut services = Vec::new();
    for _ in 0..PROCESSES {
        let service = Service::start(&["--redis", &url, "--partitions", &partitions], &[]);
        until("its partitions are up", async || {
            let shown = http(service.metrics, "/metrics").await;
            let up = shown.lines().filter(|line| line.starts_with("tollgate_partition_up{") && line.ends_with(" 1")).count();
            (up == usize::from(PARTITIONS)).then_some(())
        })
        .await;
        services.push(service);
    }
    server.command(&["CONFIG", "RESETSTAT"]);
    let begun = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let seconds = begun.elapsed().as_secs_f64() * PROCESSES as f64;
    let (scripts, all) = (calls(&server, "evalsha") / seconds, calls(&server, "") / seconds);
    // A look at each journal a second, and a sweep of each partition every five: 77 a second, and some room for where the seconds begin.
    assert!(scripts > 10.0 && scripts < 100.0, "{scripts} scripts a second by each process");
    // The commands within the scripts count as commands, too: three of each look, one of each sweep.
    assert!(all < 900.0, "{all} commands a second by each process");
    drop(services);
}
