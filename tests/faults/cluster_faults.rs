//! What befalls the nodes of a cluster, and how it is mended: afterwards each primary has its replica again, which has all that it has.

use std::time::{Duration, Instant};

use tollgate::ledger::redis::keys::PartitionKeys;

use crate::cluster::Cluster;
use crate::script::{Event, Kind, PARTITIONS};
use crate::world::World;

/// How long a cluster may take to be whole again.
const PATIENCE: Duration = Duration::from_secs(90);

/// Begins a fault of the shard of a partition.
pub fn begin(world: &mut World, event: &Event) {
    let slot_of = |partition: u16| PartitionKeys::new("tollgate", partition, PARTITIONS).slot;
    let slot = slot_of(u16::try_from(event.measure).unwrap());
    let (cluster, network) = world.cluster();
    let primary = cluster.owner(slot);
    let partitions = (0..PARTITIONS).filter(|partition| cluster.owner(slot_of(*partition)) == primary).collect();
    let replica = || cluster.replicas_of(primary).first().copied().expect("a primary has a replica");
    let befallen = match event.kind {
        Kind::KillPrimary => {
            cluster.kill(primary);
            primary
        }
        Kind::StopPrimary => {
            cluster.signal(primary, "STOP");
            primary
        }
        Kind::FailOver => {
            let replica = replica();
            cluster.fail_over_to(replica);
            replica
        }
        Kind::PauseReplica => {
            let replica = replica();
            cluster.signal(replica, "STOP");
            replica
        }
        Kind::MoveSlot => {
            let to =
                (0..cluster.nodes().len()).find(|node| *node != primary && owns_slots(cluster, *node)).expect("there is another primary");
            // At once where the server can, else key by key.
            if cluster.command(primary, &["COMMAND", "DOCS", "CLUSTER|MIGRATESLOTS"]).trim().is_empty() {
                cluster.move_slot(slot, to);
            } else {
                cluster.migrate_slot(slot, to);
            }
            to
        }
        Kind::FlushScriptsOfNode => {
            cluster.command(primary, &["SCRIPT", "FLUSH"]);
            primary
        }
        Kind::SplitBrain => {
            network.part(primary);
            primary
        }
        _ => unreachable!("no fault of a cluster"),
    };
    world.befallen = Some((befallen, partitions));
}

/// Ends it, and waits until the cluster is whole.
pub fn end(world: &mut World, kind: Kind) {
    let Some((node, _)) = world.befallen.take() else { return };
    let (cluster, network) = world.cluster();
    match kind {
        Kind::KillPrimary => cluster.start_again(node),
        Kind::StopPrimary | Kind::PauseReplica => cluster.signal(node, "CONT"),
        Kind::SplitBrain => network.join(node),
        _ => {}
    }
    let deadline = Instant::now() + PATIENCE;
    while let Err(what) = is_whole(cluster) {
        assert!(Instant::now() < deadline, "the cluster is never whole again: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn owns_slots(cluster: &Cluster, node: usize) -> bool {
    cluster.is_primary(node) && !cluster.replicas_of(node).is_empty()
}

/// Whether each node knows all slots, and each primary has a replica that follows it.
fn is_whole(cluster: &Cluster) -> Result<(), String> {
    for node in 0..cluster.nodes().len() {
        let info = cluster.command(node, &["CLUSTER", "INFO"]);
        if !info.contains("cluster_state:ok") || !info.contains("cluster_slots_ok:16384\r") || !info.contains("cluster_slots_pfail:0\r") {
            return Err(format!("node {node}: {info}"));
        }
        let replication = cluster.command(node, &["INFO", "replication"]);
        let is_replica = replication.contains("role:slave");
        if is_replica && !replication.contains("master_link_status:up") || !is_replica && !replication.contains("state=online") {
            return Err(format!("node {node}: {replication}"));
        }
    }
    Ok(())
}
