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
}

impl LedgerMetrics {
    pub(super) fn register(&self, registry: &mut Registrar) {
        registry.register("tollgate_accounts", "Accounts of a partition", self.accounts.clone());
        registry.register("tollgate_reservations_open", "Open reservations of a partition", self.reservations.clone());
        registry.register("tollgate_request_ids", "Remembered request ids of a partition", self.request_ids.clone());
        let help = "Reservations that were never reported, and that this process has swept away after they expired";
        registry.register("tollgate_reservations_expired", help, self.expired.clone());
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

    /// Counts reservations that expired without a report.
    pub fn count_expired(&self, partition: u16, reservations: u64) {
        self.expired.get_or_create_owned(&PartitionLabels { partition }).inc_by(reservations);
    }
}
