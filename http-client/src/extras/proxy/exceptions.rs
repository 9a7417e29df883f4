//! `NO_PROXY`: what is asked for without a proxy.
//!
//! There is no standard. What curl 8 takes, this takes as curl does (its `lib/noproxy.c`): names that
//! stand for all below them, with a dot before or behind them or without, addresses, networks. Beyond
//! curl, entries may have a port, as in Go and Python, and brackets around an IPv6 address.

use crate::target;
use ipnet::IpNet;
use std::net::IpAddr;
use url::{Host, Url};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name, and all below it.
    Domain(String),
    Network(IpNet),
}

impl Exception {
    /// An entry that is nothing of the kind stands for no host.
    pub(super) fn parse(entry: &str) -> Option<Self> {
        let whole = |entry| Some(Self { hosts: Hosts::parse(entry)?, port: None });
        match entry.rsplit_once(':') {
            // An IPv6 address without brackets holds more colons than one.
            Some((hosts, port)) if hosts.ends_with(']') || !hosts.contains(':') => {
                let hosts = Hosts::parse(hosts)?;
                Some(Self { hosts, port: Some(port.parse().ok()?) })
            }
            _ => whole(entry),
        }
    }

    pub(super) fn covers(&self, url: &Url) -> bool {
        if self.port.is_some() && self.port != url.port_or_known_default() {
            return false;
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address).to_canonical()),
            _ => None,
        };
        match (&self.hosts, address) {
            (Hosts::All, _) => true,
            (Hosts::Network(network), Some(address)) => network.contains(&address),
            (Hosts::Domain(domain), None) => {
                let host = url.host_str().unwrap_or_default();
                let host = host.strip_suffix('.').unwrap_or(host);
                host.strip_suffix(&**domain)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            _ => false,
        }
    }
}

impl Hosts {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::All);
        }
        let (entry, bits) = match entry.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (entry, None),
        };
        // The zone of an address is not sent, and not compared.
        let bare = target::bare(entry).split('%').next().unwrap_or_default();
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            let network = match bits {
                Some(bits) => IpNet::new(address, bits).ok()?,
                None => address.into(),
            };
            return Some(Self::Network(network));
        }
        let domain = entry.strip_prefix('*').unwrap_or(entry);
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        match Host::parse(domain) {
            Ok(Host::Domain(domain)) if bits.is_none() => Some(Self::Domain(domain)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries, URLs that are asked for directly, and such as go through the proxy.
    #[test]
    fn what_an_entry_covers() {
        let rows = [
            // As curl: its man page for NO_PROXY, and its unit test 1614.
            ("*", "http://a.test http://[::1] http://10.0.0.1", ""),
            (
                "a.test",
                "http://a.test http://A.TEST http://x.a.test http://a.test:81 http://a.test.",
                "http://xa.test http://test http://a.test.b",
            ),
            (".a.test", "http://a.test http://x.a.test", "http://xa.test"),
            ("a.test.", "http://a.test http://a.test. http://x.a.test.", "http://xa.test"),
            (
                "192.168.0.1",
                "http://192.168.0.1 http://192.168.0.1:81",
                "http://192.168.0.10 http://x.192.168.0.1.test",
            ),
            (
                "192.168.0.0/16",
                "http://192.168.0.0 http://192.168.255.255",
                "http://192.169.0.0 http://192.167.255.255 http://192.168.0.1.test",
            ),
            ("192.160.0.0/13", "http://192.167.255.255", "http://192.168.0.0"),
            ("10.1.2.3/32", "http://10.1.2.3", "http://10.1.2.2"),
            ("10.1.2.3/0", "http://10.1.2.3 http://1.1.1.1", "http://[::1] http://a.test"),
            ("fe80::/10", "http://[fe80::1] http://[febf::1]", "http://[fec0::1] http://10.0.0.1"),
            ("::1", "http://[::1] http://[0:0:0:0:0:0:0:1]:81", "http://[::2]"),
            // Beyond curl.
            ("[::1]", "http://[::1] http://[::1]:81", "http://[::11]"),
            ("[::1]:81", "http://[::1]:81", "http://[::1] http://[::1]:82"),
            ("[fe80::]/10", "http://[fe80::1]", "http://[::1]"),
            ("fe80::1%eth0", "http://[fe80::1]", "http://[fe80::2]"),
            ("a.test:81", "http://a.test:81 http://x.a.test:81", "http://a.test http://a.test:811"),
            ("a.test:443", "https://a.test", "http://a.test"),
            ("a.test:80", "http://a.test", "https://a.test"),
            ("10.0.0.0/8:81", "http://10.9.9.9:81", "http://10.9.9.9"),
            ("*:81", "http://a.test:81", "http://a.test"),
            ("*.a.test", "http://a.test http://x.a.test", "http://xa.test"),
            ("::ffff:10.0.0.1", "http://10.0.0.1 http://[::ffff:10.0.0.1]", "http://10.0.0.2"),
            ("bücher.test", "http://bücher.test http://x.xn--bcher-kva.test", "http://bucher.test"),
            // None of these is an entry.
            ("10.0.0.0/33", "", "http://10.0.0.0"),
            ("10.0.0.0/x", "", "http://10.0.0.0"),
            ("::1/129", "", "http://[::1]"),
            ("a.test/8", "", "http://a.test"),
            ("a.test:x", "", "http://a.test"),
            ("a.test:", "", "http://a.test"),
            (".", "", "http://a.test"),
            ("", "", "http://a.test"),
        ];
        for (entry, direct, proxied) in rows {
            let exception = Exception::parse(entry);
            let covers = |url: &str| {
                let url = Url::parse(url).unwrap();
                exception.as_ref().is_some_and(|exception| exception.covers(&url))
            };
            for url in direct.split_whitespace() {
                assert!(covers(url), "{entry} covers {url}");
            }
            for url in proxied.split_whitespace() {
                assert!(!covers(url), "{entry} does not cover {url}");
            }
        }
    }
}
