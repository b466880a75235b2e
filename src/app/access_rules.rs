//! Who may call: the access file, what holds while nobody is named, and the bounds of each caller.

use crate::config::{CallerOptions, ServeOptions};
use ::access::{Access, Bounds};
use platform::telemetry::metrics;

/// Callers of the access file.
pub fn access(options: &ServeOptions) -> anyhow::Result<Access> {
    let access = options.network.access_file.as_deref().map_or_else(|| Ok(Access::open()), Access::of_file)?;
    let access = access.taking_certificates(options.tls.tls_client_ca.is_some());
    access.set_bounds(bounds(options))?;
    // Where there is no ledger, nobody is named in it either; it is not made for a start that is refused.
    if options.store.embedded_path().is_some_and(|path| !path.exists()) {
        check_open(options, &access)?;
    }
    Ok(access)
}

/// Refuses to let in everybody from other machines, unless told to.
pub fn check_open(options: &ServeOptions, access: &Access) -> anyhow::Result<()> {
    metrics().connections.set_access_open(access.is_open());
    if access.is_open() {
        if let Some(address) = options.reachable_listener() {
            anyhow::ensure!(
                options.network.insecure,
                "{address} can be reached from other machines, and --access-file names nobody: make a key by `tollgate access create-key`, \
                 or pass --insecure if the network keeps others out"
            );
        }
        anyhow::ensure!(
            options.network.trusted_proxies.is_empty() || options.network.insecure,
            "--trusted-proxies let others call, and --access-file names nobody: make a key by `tollgate access create-key`, or pass --insecure \
             if the proxies keep others out"
        );
    }
    if access.is_awaiting_stored() {
        if let Some(address) = options.reachable_listener() {
            anyhow::bail!(
                "{address} can be reached from other machines, and who may call is not known: the billing store is away, and the ledger's \
                 store has no copy of it. Start with the billing store, or with an --access-file that names somebody"
            );
        }
        tracing::warn!(
            "nobody is let in until it is known who may call: the billing store is away, and the ledger's store has no copy of it \
             (--access-file)"
        );
    }
    Ok(())
}

/// What a caller may have of the service whose grant does not say it.
pub fn bounds(options: &ServeOptions) -> Bounds {
    let CallerOptions { caller_requests_per_second, caller_concurrent_calls } = options.callers;
    Bounds { requests_per_second: caller_requests_per_second, concurrent_calls: caller_concurrent_calls }
}
