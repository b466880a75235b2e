//! Reloads on SIGHUP: the filter of the log, the shares of callers, the access file, certificates.

use std::sync::Arc;

use super::access_rules::bounds;
use crate::config::ServeOptions;
use access::Access;
use platform::telemetry::logs;
use platform::tls::Tls;

/// Reloads settings. Cheap to clone.
#[derive(Clone)]
pub struct Reload {
    pub(super) access: Arc<Access>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) public_tls: Option<Arc<Tls>>,
}

impl Reload {
    /// The settings, by key, that can change while the service runs. Files that settings name are read again whenever they change.
    pub const SETTINGS: [&str; 3] = ["log", "caller_requests_per_second", "caller_concurrent_calls"];

    /// Takes these settings, and reads the files again. Reports what cannot be used; the rest is taken anyway.
    pub fn take(&self, options: &ServeOptions) -> Vec<anyhow::Error> {
        let taken = [
            logs::follow(&options.telemetry.log),
            self.access.set_bounds(bounds(options)),
            self.tls.as_ref().map_or(Ok(false), |tls| tls.follow()).map(|_| ()),
            self.public_tls.as_ref().map_or(Ok(false), |tls| tls.follow()).map(|_| ()),
        ];
        taken.into_iter().filter_map(Result::err).collect()
    }
}
