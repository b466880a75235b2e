//! Resource use of the process, by the names that Prometheus's own clients use; read when scraped.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::registrar::Registrar;
use crate::clock::system_now;

/// Processor time, memory and files of this process.
pub struct ProcessMetrics {
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
    virtual_memory: Gauge,
    threads: Gauge,
    open_files: Gauge,
    max_files: Gauge,
    started: Gauge<f64, AtomicU64>,
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        let started = Gauge::<f64, AtomicU64>::default();
        started.set(system_now().get() as f64 / 1000.0);
        Self {
            cpu: Counter::default(),
            resident: Gauge::default(),
            virtual_memory: Gauge::default(),
            threads: Gauge::default(),
            open_files: Gauge::default(),
            max_files: Gauge::default(),
            started,
        }
    }
}

impl ProcessMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register_with_unit("process_cpu", "Processor time used", Unit::Seconds, self.cpu.clone());
        registry.register_with_unit("process_resident_memory", "Memory in use", Unit::Bytes, self.resident.clone());
        registry.register_with_unit("process_virtual_memory", "Memory mapped", Unit::Bytes, self.virtual_memory.clone());
        registry.register("process_threads", "Threads", self.threads.clone());
        registry.register("process_open_fds", "Open files and sockets", self.open_files.clone());
        registry.register("process_max_fds", "The most files and sockets that may be open", self.max_files.clone());
        registry.register_with_unit("process_start_time", "When it started, since 1970", Unit::Seconds, self.started.clone());
    }

    /// Reads figures of the process. One that cannot be read stays as it was.
    pub(super) fn look(&self) {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        self.cpu.inner().store((used.tv_sec as f64 + used.tv_nsec as f64 / 1e9).to_bits(), Ordering::Relaxed);
        if let Some(most) = getrlimit(Resource::Nofile).current {
            self.max_files.set(i64::try_from(most).unwrap_or(i64::MAX));
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.open_files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, gauge, unit) in
            [("VmRSS:", &self.resident, 1024), ("VmSize:", &self.virtual_memory, 1024), ("Threads:", &self.threads, 1)]
        {
            if let Some(value) = figure(&status, name) {
                gauge.set(value * unit);
            }
        }
    }
}

/// The figure of a line "Name:   123 kB".
fn figure(status: &str, name: &str) -> Option<i64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
