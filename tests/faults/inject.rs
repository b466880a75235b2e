//! Does to the world what the script says, and mends it again.

use std::time::{Duration, Instant};

use crate::cluster_faults;
use crate::script::{Event, Kind, Part};
use crate::world::{World, certify_redis};

/// Begins a fault. What is over at once has nothing to mend.
pub fn begin(world: &mut World, event: &Event) {
    if event.kind.part() == Part::Cluster {
        return cluster_faults::begin(world, event);
    }
    let server = &mut world.servers[event.server];
    let offset = i64::try_from(event.measure).unwrap();
    match event.kind {
        Kind::KillServer => {
            server.supervised.is_wanted = false;
            server.supervised.kill();
        }
        Kind::StopServer => server.supervised.signal("STOP"),
        Kind::EndServer => {
            server.supervised.is_wanted = false;
            server.supervised.signal("TERM");
        }
        Kind::ServerClockAhead => server.clock.set(offset),
        Kind::ServerClockBehind => server.clock.set(-offset),
        Kind::ServerCertificate => {
            world.authority.sign("server", None);
            // Looked at every second; who comes anew meets either.
            world.servers.iter().for_each(|server| server.front.cut());
        }
        Kind::CutCalls => server.front.cut(),
        Kind::CutCallsWithinRequest => server.front.cut_after(false, event.measure),
        Kind::CutCallsWithinAnswer => server.front.cut_after(true, event.measure),
        Kind::HoldCalls | Kind::HoldAndCutCalls => server.front.hold(true),
        Kind::SlowCalls => server.front.slow(usize::try_from(event.measure).unwrap(), Duration::from_millis(2)),
        Kind::CutStore => server.store.cut(),
        Kind::CutStoreWithinRequest => server.store.cut_after(false, event.measure),
        Kind::CutStoreWithinAnswer => server.store.cut_after(true, event.measure),
        Kind::HoldStore | Kind::HoldAndCutStore => server.store.hold(true),
        Kind::SlowStore => server.store.slow(usize::try_from(event.measure).unwrap(), Duration::from_millis(2)),
        Kind::KillAggregator => {
            world.aggregator.is_wanted = false;
            world.aggregator.kill();
        }
        Kind::StopAggregator => world.aggregator.signal("STOP"),
        Kind::KillPostgres => world.postgres.kill(),
        Kind::StopPostgres => world.postgres.signal("STOP"),
        Kind::KillMail => world.mail.kill(),
        Kind::CutMail => world.mail_link.cut(),
        Kind::KillRedis => world.redis_mut().kill(),
        Kind::StopRedis => world.redis().signal("STOP"),
        Kind::EndRedis => world.redis_mut().shut_down(),
        Kind::RedisClockAhead => world.redis_clock.set(offset),
        Kind::RedisClockBehind => world.redis_clock.set(-offset),
        Kind::RedisCertificates => {
            certify_redis(world.folder.path());
            let path = |name: &str| world.folder.path().join(name).display().to_string();
            let (certificate, key, ca) = (path("redis.crt"), path("redis.key"), path("redis-ca.pem"));
            let said =
                world.redis().command(&["CONFIG", "SET", "tls-cert-file", &certificate, "tls-key-file", &key, "tls-ca-cert-file", &ca]);
            assert_eq!(said.trim(), "OK");
            disconnect(world);
        }
        Kind::ScriptFlush => drop(world.redis().command(&["SCRIPT", "FLUSH"])),
        Kind::FlushAll => lose_everything(world),
        Kind::AclOff => {
            world.redis().command(&["ACL", "SETUSER", "tollgate", "off"]);
            world.redis().command(&["CLIENT", "KILL", "USER", "tollgate"]);
        }
        Kind::EvictionPolicy => {
            world.redis().command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
            disconnect(world);
        }
        Kind::ClientKill => disconnect(world),
        Kind::ClientPause => drop(world.redis().command(&["CLIENT", "PAUSE", &event.lasts.to_string(), "ALL"])),
        Kind::RewriteAppendOnlyFile => drop(world.redis().command(&["BGREWRITEAOF"])),
        Kind::MaxMemory => drop(world.redis().command(&["CONFIG", "SET", "maxmemory", "1000000"])),
        Kind::FullDisk => world.fill_disk(true),
        _ => unreachable!("those of a cluster have a file of their own"),
    }
}

/// Ends a fault: all is as it was.
pub fn end(world: &mut World, event: &Event) {
    if event.kind.part() == Part::Cluster {
        return cluster_faults::end(world, event.kind);
    }
    let server = &mut world.servers[event.server];
    match event.kind {
        Kind::KillServer => server.supervised.is_wanted = true,
        Kind::EndServer => {
            // As a supervisor does: what does not end is ended.
            let has_ended = server.supervised.process.as_mut().is_none_or(|process| process.ended().is_some());
            if !has_ended {
                server.supervised.kill();
            }
            server.supervised.is_wanted = true;
        }
        Kind::StopServer => server.supervised.signal("CONT"),
        Kind::ServerClockAhead | Kind::ServerClockBehind => server.clock.set(0),
        Kind::CutCallsWithinRequest | Kind::CutCallsWithinAnswer => server.front.pass_all(),
        Kind::CutStoreWithinRequest | Kind::CutStoreWithinAnswer => server.store.pass_all(),
        Kind::HoldAndCutCalls => {
            server.front.cut();
            server.front.hold(false);
        }
        Kind::HoldCalls => server.front.hold(false),
        Kind::SlowCalls => server.front.slow(0, Duration::ZERO),
        Kind::HoldAndCutStore => {
            server.store.cut();
            server.store.hold(false);
        }
        Kind::HoldStore => server.store.hold(false),
        Kind::SlowStore => server.store.slow(0, Duration::ZERO),
        Kind::KillAggregator => world.aggregator.is_wanted = true,
        Kind::StopAggregator => world.aggregator.signal("CONT"),
        Kind::KillPostgres => world.postgres.start_again(),
        Kind::StopPostgres => world.postgres.signal("CONT"),
        Kind::KillMail => {
            world.mail.start_again();
            world.mail_link.lead_to(Some(world.mail.address));
        }
        Kind::KillRedis | Kind::EndRedis => world.redis_mut().start_again(),
        Kind::StopRedis => world.redis().signal("CONT"),
        Kind::RedisClockAhead | Kind::RedisClockBehind => world.redis_clock.set(0),
        Kind::AclOff => drop(world.redis().command(&["ACL", "SETUSER", "tollgate", "on"])),
        Kind::EvictionPolicy => drop(world.redis().command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])),
        Kind::MaxMemory => drop(world.redis().command(&["CONFIG", "SET", "maxmemory", "0"])),
        Kind::FullDisk => {
            world.fill_disk(false);
            // With appendfsync always it ends rather than answer what it could not keep.
            if world.redis_mut().has_ended() {
                world.redis_mut().start_again();
            }
        }
        _ => {}
    }
}

fn disconnect(world: &World) {
    for clients in ["normal", "pubsub"] {
        world.redis().command(&["CLIENT", "KILL", "TYPE", clients, "SKIPME", "yes"]);
    }
}

/// Somebody flushes Redis, which then loses its disk, too; the ledger is restored from the billing store. It is called when nobody asks for
/// anything and everything is in the billing store, so that nothing may be lost.
fn lose_everything(world: &mut World) {
    world.redis().command(&["FLUSHALL"]);
    world.redis_mut().kill();
    world.empty_disk();
    world.redis_mut().start_again();
    world.aggregator.is_wanted = false;
    world.aggregator.kill();
    let deadline = Instant::now() + Duration::from_secs(30);
    // Refused until the lease of the aggregator is over.
    while let Err(said) = world.operate(&["restore"]) {
        assert!(Instant::now() < deadline, "the ledger cannot be restored: {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
    world.aggregator.is_wanted = true;
}
