//! Where customers open links to their documents.

use std::net::SocketAddr;

use anyhow::ensure;
use clap::Args;

use super::ServeOptions;
use super::checks::is_site;

/// The listener for customers, which serves nothing but the documents that links open.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Links for customers")]
pub struct PublicOptions {
    /// Serve documents here to customers who have a link, and nothing else; client certificates are not asked for [default: nowhere]
    #[arg(long, env = "TOLLGATE_PUBLIC_LISTEN", value_name = "ADDRESS")]
    pub public_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub links: LinkOptions,
}

/// Where links lead.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Links for customers")]
pub struct LinkOptions {
    /// The URL that customers open links by: that of --public-listen, or of a proxy in front of it. A process that sends mail needs it,
    /// too [default: the address of --public-listen on loopback; else none, and no links are made]
    #[arg(long, env = "TOLLGATE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
}

impl LinkOptions {
    /// Refuses wrong settings before anything is opened.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            self.public_url.as_deref().is_none_or(is_site),
            "--public-url must be a scheme and a host, such as https://documents.example.org"
        );
        Ok(())
    }

    /// The URL, as links begin with it.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        self.public_url.as_deref().map(str::to_ascii_lowercase)
    }
}

impl ServeOptions {
    /// Refuses conflicting settings of links for customers.
    pub(super) fn validate_public(&self) -> anyhow::Result<()> {
        self.public.links.validate()?;
        let Some(address) = self.public.public_listen else { return Ok(()) };
        ensure!(self.billing_url().is_some(), "--public-listen needs a billing store, which has the documents: --billing is off");
        ensure!(
            self.public.links.public_url.is_some() || address.ip().to_canonical().is_loopback(),
            "--public-listen {address} needs --public-url: the URL that links to it begin with, such as https://documents.example.org"
        );
        Ok(())
    }
}
