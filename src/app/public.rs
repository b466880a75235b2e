//! The listener for customers: its TLS, which asks for no certificates of clients, and the thread that serves it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;

use super::lane::LaneContext;
use super::listen;
use crate::clock::Clock;
use crate::config::{ServeOptions, TlsOptions};
use crate::lanes::Lane;
use crate::service::links::LinkedDocuments;
use platform::tls::Tls;

/// The listener, before it is served.
pub struct Public {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    /// Prefix of links.
    pub url: String,
}

impl Public {
    /// Listens, if it is to be served.
    pub fn listen(options: &ServeOptions) -> anyhow::Result<Option<Self>> {
        let Some(address) = options.public.public_listen else { return Ok(None) };
        let listener = listen(address, "--public-listen")?;
        let address = listener.local_addr().context("the listener has no address")?;
        let tls = Tls::load(&TlsOptions { tls_client_ca: None, ..options.tls.clone() })?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = options.public.links.url().unwrap_or_else(|| format!("{scheme}://{address}"));
        Ok(Some(Self { listener, address, tls, url }))
    }

    /// Starts the thread that serves it.
    #[allow(clippy::type_complexity, reason = "the parts go different ways")]
    pub fn start(self, plan: &Arc<LaneContext>, clock: Clock) -> anyhow::Result<(TcpListener, Option<Arc<Tls>>, (Lane, Receiver<()>))> {
        let Self { listener, address, tls, url } = self;
        let billing = plan.billing.clone().context("--public-listen needs a billing store")?;
        let documents = LinkedDocuments::new(billing, clock);
        let (ready, is_ready) = channel();
        let (plan, is_secure) = (Arc::clone(plan), url.starts_with("https://"));
        let lane = Lane::start("public".to_owned(), move |accepted| async move {
            plan.serve_router(public::router(documents, is_secure), accepted, ready).await
        })?;
        tracing::info!(url, %address, "serving documents to customers with a link");
        Ok((listener, tls, (lane, is_ready)))
    }
}
