//! Which proxies requests go through: those of the command line, or else of the environment.

use clap::Args;
use mainspring_http::{ClientBuilder, Proxy};

/// The flags of every command that fetches.
#[derive(Clone, Args)]
pub struct Proxies {
    /// Send requests through this proxy: HOST, HOST:PORT, http://, socks5:// or socks5h://; '' for
    /// none. Without this, http_proxy (not HTTP_PROXY), https_proxy and all_proxy name proxies, and one of
    /// another kind is a mistake even where it is not needed
    #[arg(short = 'x', long, value_name = "URL", value_parser = proxy)]
    pub proxy: Option<Choice>,
    /// Send requests to these hosts directly: names, addresses and networks with commas between, '*'
    /// for all; instead of what no_proxy says
    #[arg(long, value_name = "HOSTS")]
    pub noproxy: Option<String>,
}

/// What the command line says of the proxy, also as it says it; `None` for none, whatever the environment
/// says.
#[derive(Clone)]
pub struct Choice(Option<(Proxy, String)>);

/// A proxy; without a scheme it is one for HTTP, and then without a port at 1080, as with curl.
fn proxy(text: &str) -> Result<Choice, String> {
    if text.is_empty() {
        return Ok(Choice(None));
    }
    let proxy = Proxy::new(text).map_err(|error| error.to_string())?;
    Ok(Choice(Some((proxy.named_by("--proxy"), text.to_owned()))))
}

impl Proxies {
    /// A client that goes through them. As with curl, flags go before variables, and `HTTP_PROXY` is
    /// not looked at: in a CGI program, it is what a request says (CVE-2016-5385).
    ///
    /// # Errors
    /// One sentence that names the variable: what it holds is no proxy.
    pub fn set_up(&self, client: ClientBuilder) -> Result<ClientBuilder, String> {
        let variable = |name: &str| match name {
            "no_proxy" if self.noproxy.is_some() => self.noproxy.clone(),
            "NO_PROXY" if self.noproxy.is_some() => None,
            "no_proxy" | "NO_PROXY" => std::env::var(name).ok(),
            "HTTP_PROXY" => None,
            _ if self.proxy.is_some() => None,
            _ => std::env::var(name).ok(),
        };
        let client = client.proxy_from(variable).map_err(|error| error.to_string())?;
        Ok(match &self.proxy {
            Some(Choice(Some((proxy, _)))) => client.proxy(proxy.clone()),
            _ => client,
        })
    }

    /// The proxy that the command line names, for workers.
    pub fn named(&self) -> Option<&String> {
        self.proxy.as_ref()?.0.as_ref().map(|(_, text)| text)
    }

    /// What to say of a variable that names a proxy and is ignored, if there is one.
    pub fn ignored(&self) -> Option<String> {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let others = ["http_proxy", "all_proxy", "ALL_PROXY"].into_iter().any(is_set);
        (is_set("HTTP_PROXY") && !others && self.proxy.is_none())
            .then(|| "HTTP_PROXY is ignored, as by curl; http_proxy names a proxy".to_owned())
    }
}
