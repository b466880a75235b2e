//! A network of its own for the nodes of a cluster: each in a namespace, all on one bridge, and any of them can be cut off from the others.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cluster::Host;

/// How many networks this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

pub struct Network {
    bridge: String,
    hosts: Vec<Host>,
}

impl Network {
    /// A network of `hosts`, which this machine reaches, too.
    pub fn of(hosts: usize) -> Self {
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        // Names of interfaces have 15 characters at most.
        let name = format!("tg{process}x{made}");
        let subnet = format!("10.{}.{}", 64 + (process >> 6) % 64, (process << 2 & 0xfc) + made % 4);
        let (bridge, address) = (format!("{name}b"), format!("{subnet}.1/24"));
        // What another process has left behind, which was killed.
        let _ = ip(&["link", "del", &bridge]);
        must(&["link", "add", &bridge, "type", "bridge"]);
        let mut network = Self { bridge: bridge.clone(), hosts: Vec::new() };
        must(&["addr", "add", &address, "dev", &bridge]);
        must(&["link", "set", &bridge, "up"]);
        for number in 0..hosts {
            let (namespace, outer, inner) = (format!("{name}n{number}"), format!("{name}v{number}"), format!("{name}w{number}"));
            let address = format!("{subnet}.{}", 10 + number);
            let _ = ip(&["netns", "del", &namespace]);
            must(&["netns", "add", &namespace]);
            network.hosts.push(Host { address: address.clone(), namespace: Some(namespace.clone()) });
            must(&["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &namespace]);
            must(&["link", "set", &outer, "master", &bridge, "up"]);
            must(&["-n", &namespace, "addr", "add", &format!("{address}/24"), "dev", &inner]);
            must(&["-n", &namespace, "link", "set", &inner, "up"]);
            must(&["-n", &namespace, "link", "set", "lo", "up"]);
        }
        network
    }

    pub fn hosts(&self) -> Vec<Host> {
        self.hosts.clone()
    }

    /// Cuts a host off from all others; this machine still reaches it.
    pub fn part(&self, number: usize) {
        self.route(number, "add");
    }

    /// Joins it to them again.
    pub fn join(&self, number: usize) {
        self.route(number, "del");
    }

    fn route(&self, number: usize, how: &str) {
        let Some(namespace) = &self.hosts[number].namespace else { return };
        for (_, other) in self.hosts.iter().enumerate().filter(|(other, _)| *other != number) {
            must(&["-n", namespace, "route", how, "blackhole", &format!("{}/32", other.address)]);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in self.hosts.iter().filter_map(|host| host.namespace.as_deref()) {
            let _ = ip(&["netns", "del", namespace]);
        }
        let _ = ip(&["link", "del", &self.bridge]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn must(arguments: &[&str]) {
    if let Err(said) = ip(arguments) {
        panic!("ip {}: {said}: the fault suite makes networks of its own: run it as root", arguments.join(" "));
    }
}
