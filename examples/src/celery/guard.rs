//! Which addresses a worker may fetch from. All who can write to a queue can have it fetch: without a
//! guard, from behind the firewall.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};

use mainspring::spawn_blocking;
use mainspring_http::{Lookup, Resolve};
use url::Url;

use super::message::Fault;

/// What is said of an address that is not fetched from.
pub const REFUSED: &str = "is a private address; the worker's --allow-private lets it be fetched";

/// Whether an address is not of the public internet, by IANA's special-purpose registries (RFC 6890).
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(address) => match address.segments() {
            // Addresses of version 4 in the clothes of version 6: mapped, compatible, translated, 6to4.
            [0, 0, 0, 0, 0, 0xffff | 0, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..] => Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)),
            // What is global is in 2000::/3; of that, Teredo, benchmarks and documentation are not.
            [0x2001, 0 | 2 | 0xdb8, ..] => return true,
            [first, ..] => return first & 0xe000 != 0x2000,
        },
    };
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || matches!((a, b, c), (0 | 127 | 224.., ..) | (100, 64..128, _) | (198, 18 | 19, _))
        || matches!((a, b, c), (192, 0, 0) | (192, 88, 99))
}

/// Whether a URL names a private address outright; names are judged as they are looked up.
///
/// # Errors
/// One sentence.
pub fn check(url: &Url) -> Result<(), Fault> {
    // Only web URLs have their literal addresses read; a proxy's has not.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let refused = |address| Fault::new("PermissionError", format!("{address} {REFUSED}"));
    let private = host.parse::<IpAddr>().ok().filter(|address| is_private(*address));
    private.map_or(Ok(()), |address| Err(refused(address)))
}

/// The system's resolver, without the private addresses that it finds.
pub struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, host: &str) -> Lookup {
        let host = host.to_owned();
        let lookup = spawn_blocking(move || {
            let found = (host.as_str(), 0).to_socket_addrs()?.map(|address| address.ip());
            let (private, public): (Vec<_>, Vec<_>) = found.partition(|ip| is_private(*ip));
            match private.first() {
                Some(address) if public.is_empty() => {
                    Err(io::Error::new(ErrorKind::PermissionDenied, format!("{address} {REFUSED}")))
                }
                _ => Ok(public),
            }
        });
        Box::pin(async move { lookup.await.unwrap_or_else(|error| Err(io::Error::other(error))) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "192.0.0.1",
            "::1",
            "::",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "fec0::1",
            "::127.0.0.1",
        ] {
            assert!(is_private(private.parse().expect(private)), "{private}");
        }
        for public in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "192.169.0.1",
            "223.255.255.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2a00::1",
            "2002:808:808::",
        ] {
            assert!(!is_private(public.parse().expect(public)), "{public}");
        }
    }

    #[test]
    fn a_literal_is_judged_however_it_is_written() {
        for url in ["http://127.1/", "http://0x7f000001/", "http://2130706433/", "http://[::1]/"] {
            assert!(check(&Url::parse(url).expect(url)).is_err(), "{url}");
        }
        for proxy in ["socks5://127.0.0.1:1080", "socks5h://10.0.0.1", "socks5://[::1]:1"] {
            assert!(check(&Url::parse(proxy).expect(proxy)).is_err(), "{proxy}");
        }
        assert_eq!(check(&Url::parse("http://8.8.8.8/").expect("a URL")), Ok(()));
    }
}
