//! What `crawl get`, `fetch` and `site` send with a request, and through what.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;
use http::{HeaderName, HeaderValue};
use mainspring_http::ClientBuilder;

use super::proxies::Proxies;
use super::values::{header, header_value, user};
use crate::credentials::Field;
use crate::options::NAME;

/// How to ask.
#[derive(Clone, Args)]
pub struct Sending {
    /// Send this header with every request, one that authenticates to the hosts and ports of the
    /// command line only; without a value ('Accept:'), send none of that name; may be given several
    /// times
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<Field>,
    /// Authenticate to the hosts and ports of the command line with a name and a password
    #[arg(short, long, value_name = "NAME:PASSWORD", value_parser = user)]
    pub user: Option<(String, String)>,
    /// Call yourself this; rules of robots.txt are those for mainspring-crawl all the same
    #[arg(short = 'A', long, value_name = "TEXT", value_parser = header_value)]
    pub user_agent: Option<HeaderValue>,
    /// Which proxies requests go through.
    #[command(flatten)]
    pub proxies: Proxies,
    /// Trust the certificates in this file (PEM) too
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Write what was asked and answered, with timings, to this file as HAR 1.2
    #[arg(long, value_name = "FILE")]
    pub har: Option<PathBuf>,
}

impl Sending {
    /// The names of the fields that are not to be sent.
    pub fn removed(&self) -> Vec<HeaderName> {
        let removed = self.header.iter().filter(|(_, value)| value.is_none());
        removed.map(|(name, _)| name.clone()).collect()
    }

    /// A client that asks like this, from one that has been set up in part.
    ///
    /// # Errors
    /// One sentence: the file of certificates cannot be read or holds none, or a variable that
    /// names a proxy does not.
    pub fn set_up(&self, client: ClientBuilder) -> Result<ClientBuilder, String> {
        let name = self.user_agent.clone().unwrap_or(NAME);
        let mut client = self.proxies.set_up(client.user_agent(name))?;
        if let Some(path) = &self.cacert {
            let cannot = |error: &dyn Display| {
                format!("cannot take certificates from {}: {error}", path.display())
            };
            let pem = std::fs::read(path).map_err(|error| cannot(&error))?;
            client = client.add_root_certificates(&pem).map_err(|error| cannot(&error))?;
        }
        let removed = self.removed();
        Ok(removed.iter().fold(client, |client, name| client.without_default_header(name)))
    }
}
