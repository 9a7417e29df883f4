//! Opening a connection to one of a host's addresses: "happy eyeballs" (RFC 8305).
//!
//! The addresses are put in an order that alternates between IPv6 and IPv4 (§4). The first is
//! tried; if it has neither connected nor failed after 250 ms, the next is tried beside it (§5),
//! and so on. The first connection wins, the others are dropped.

use crate::error::{Error, ErrorKind, Result};
use mainspring::net::TcpStream;
use mainspring::time::{Sleep, sleep};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// "Connection Attempt Delay" of RFC 8305 §5, at its recommended value.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one host that are tried; a name with more is served by the first of them.
const MAX_ADDRESSES: usize = 16;

/// Connects to the first of the addresses that answers.
pub(crate) async fn connect(addresses: &[IpAddr], port: u16) -> Result<(TcpStream, SocketAddr)> {
    if let [address] = addresses {
        let address = SocketAddr::new(*address, port);
        let stream = TcpStream::connect(address).await;
        return Ok((stream.map_err(|error| failed(address, error))?, address));
    }
    let mut order = alternating(addresses, port);
    order.truncate(MAX_ADDRESSES);
    let mut race = Race {
        waiting: order.into_iter(),
        attempts: Vec::new(),
        failures: Vec::new(),
        delay: None,
    };
    poll_fn(|cx| race.poll(cx)).await
}

fn failed(address: SocketAddr, error: io::Error) -> Error {
    Error::new(ErrorKind::Connect(vec![(address, error)]))
}

/// In the order given, but taking turns between the families.
fn alternating(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let mut same = addresses.iter().filter(|address| address.is_ipv6() == first_is_v6);
    let mut other = addresses.iter().filter(|address| address.is_ipv6() != first_is_v6);
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(same.next().map(|address| SocketAddr::new(*address, port)));
        order.extend(other.next().map(|address| SocketAddr::new(*address, port)));
    }
    order
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

struct Race {
    waiting: std::vec::IntoIter<SocketAddr>,
    attempts: Vec<(SocketAddr, Attempt)>,
    failures: Vec<(SocketAddr, io::Error)>,
    delay: Option<Sleep>,
}

impl Race {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(TcpStream, SocketAddr)>> {
        loop {
            let mut index = 0;
            while let Some((address, attempt)) = self.attempts.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok((stream, *address))),
                    Poll::Ready(Err(error)) => {
                        self.failures.push((*address, error));
                        drop(self.attempts.remove(index));
                        // A failure need not be waited out.
                        self.delay = None;
                    }
                    Poll::Pending => index += 1,
                }
            }
            let delayed = match &mut self.delay {
                Some(delay) => Pin::new(delay).poll(cx).is_pending(),
                None => false,
            };
            if delayed {
                return Poll::Pending;
            }
            match self.waiting.next() {
                Some(address) => {
                    self.attempts.push((address, Box::pin(TcpStream::connect(address))));
                    self.delay = Some(sleep(ATTEMPT_DELAY));
                }
                None if self.attempts.is_empty() => {
                    let failures = std::mem::take(&mut self.failures);
                    return Poll::Ready(Err(Error::new(ErrorKind::Connect(failures))));
                }
                None => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::alternating;
    use std::net::IpAddr;

    #[test]
    fn families_take_turns_and_keep_their_order() {
        let addresses: Vec<IpAddr> =
            ["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"].map(|text| text.parse().unwrap()).into();
        let order: Vec<String> =
            alternating(&addresses, 80).iter().map(|address| address.ip().to_string()).collect();
        assert_eq!(order, ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]);
    }
}
