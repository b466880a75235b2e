//! Metrics of what the ledger holds, by partition.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::registrar::Registrar;
use super::{PartitionLabels, gauge_of};

/// Accounts, reservations and request ids.
#[derive(Default)]
pub struct LedgerMetrics {
    accounts: Family<PartitionLabels, Gauge>,
    reservations: Family<PartitionLabels, Gauge>,
    request_ids: Family<PartitionLabels, Gauge>,
    expired: Family<PartitionLabels, Counter>,
    lost: Family<PartitionLabels, Gauge>,
    lost_entries: Family<PartitionLabels, Counter>,
}

impl LedgerMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register("tollgate_accounts", "Accounts of a partition", self.accounts.clone());
        registry.register("tollgate_reservations_open", "Open reservations of a partition", self.reservations.clone());
        registry.register("tollgate_request_ids", "Remembered request ids of a partition", self.request_ids.clone());
        let help = "Reservations that were never reported, and that this process has swept away after they expired";
        registry.register("tollgate_reservations_expired", help, self.expired.clone());
        let help = "Whether entries that were acknowledged, and lost, wait for an operator's decision";
        registry.register("tollgate_partition_lost", help, self.lost.clone());
        let help = "Entries that this process had acknowledged, and that the store has lost";
        registry.register("tollgate_acknowledged_lost_entries", help, self.lost_entries.clone());
    }

    /// Sets how many accounts, open reservations and remembered request ids a partition has.
    pub fn set_sizes(&self, partition: u16, accounts: u64, reservations: u64, request_ids: u64) {
        let labels = PartitionLabels { partition };
        self.accounts.get_or_create_owned(&labels).set(gauge_of(accounts));
        self.reservations.get_or_create_owned(&labels).set(gauge_of(reservations));
        self.request_ids.get_or_create_owned(&labels).set(gauge_of(request_ids));
        // Shown at 0, so that the first one is an increase.
        self.expired.get_or_create_owned(&labels);
    }

    /// Whether a partition has lost entries that were acknowledged, and nobody has decided on them.
    pub fn set_lost(&self, partition: u16, is_lost: bool) {
        self.lost.get_or_create_owned(&PartitionLabels { partition }).set(i64::from(is_lost));
    }

    /// Counts entries that were acknowledged and are lost.
    pub fn count_lost(&self, partition: u16, entries: u64) {
        self.lost_entries.get_or_create_owned(&PartitionLabels { partition }).inc_by(entries);
    }

    /// Counts reservations that expired without a report.
    pub fn count_expired(&self, partition: u16, reservations: u64) {
        self.expired.get_or_create_owned(&PartitionLabels { partition }).inc_by(reservations);
    }
}
