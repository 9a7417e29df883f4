//! Opening a connection to one of a host's addresses: "happy eyeballs" (RFC 8305).
//!
//! The addresses are put in an order that alternates between IPv6 and IPv4 (§4). The first is
//! tried; if it has neither connected nor failed after 250 ms, the next is tried beside it (§5),
//! and so on. The first connection wins, the others are dropped.

use crate::error::{Error, ErrorKind, Result};
use futures_util::future::{FutureExt, select_all};
use mainspring::net::TcpStream;
use mainspring::time::timeout;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// "Connection Attempt Delay" of RFC 8305 §5, at its recommended value.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one host that are tried; a name with more is served by the first of them.
const MAX_ADDRESSES: usize = 16;

/// Connects to the first of the addresses that answers.
pub(crate) async fn connect(addresses: &[IpAddr], port: u16) -> Result<(TcpStream, SocketAddr)> {
    race(alternating(addresses, port), TcpStream::connect).await
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

/// Connects to the first of the addresses that answers, with a head start for each before the next.
async fn race<T, F: Future<Output = io::Result<T>>>(
    mut order: Vec<SocketAddr>,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<(T, SocketAddr)> {
    order.truncate(MAX_ADDRESSES);
    let mut waiting = order.into_iter();
    let (mut attempts, mut failures) = (Vec::new(), Vec::new());
    loop {
        match waiting.next() {
            Some(address) => {
                attempts.push(Box::pin(attempt(address).map(move |outcome| (outcome, address))));
            }
            None if attempts.is_empty() => return Err(Error::new(ErrorKind::Connect(failures))),
            None => {}
        }
        let first = select_all(&mut attempts);
        let ended = match waiting.len() {
            0 => Ok(first.await),
            _ => timeout(ATTEMPT_DELAY, first).await,
        };
        match ended {
            Ok(((Ok(stream), address), ..)) => return Ok((stream, address)),
            // A failure is not waited out.
            Ok(((Err(error), address), index, _)) => {
                failures.push((address, error));
                drop(attempts.remove(index));
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainspring::Runtime;
    use mainspring::time::{Clock, sleep};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Instant;

    const FIVE: [&str; 5] = ["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"];

    fn order(addresses: &[&str]) -> Vec<SocketAddr> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        alternating(&addresses, 80)
    }

    #[test]
    fn families_take_turns_and_keep_their_order() {
        let order: Vec<String> =
            order(&FIVE).iter().map(|address| address.ip().to_string()).collect();
        assert_eq!(order, ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]);
    }

    /// What becomes of an attempt, and after how many milliseconds.
    #[derive(Clone, Copy)]
    enum Fate {
        Connects(u64),
        Fails(u64),
        Hangs,
    }
    use Fate::{Connects, Fails, Hangs};

    /// Says when it is dropped, which is when its socket would be closed.
    struct Attempted(SocketAddr, Log);
    /// What happened when, in milliseconds of the virtual clock.
    #[derive(Clone)]
    struct Log(Instant, Rc<RefCell<Vec<String>>>);

    impl Log {
        fn note(&self, what: &str, address: SocketAddr) {
            let at = (mainspring::time::now() - self.0).as_millis();
            self.1.borrow_mut().push(format!("{at} {what} {}", address.ip()));
        }
    }

    impl Drop for Attempted {
        fn drop(&mut self) {
            self.1.note("end", self.0);
        }
    }

    /// The whole course of a race among addresses that fare so, and who won it.
    fn course(fates: &[(&str, Fate)]) -> String {
        let mut runtime = Runtime::builder().clock(Clock::Virtual).build().unwrap();
        runtime.block_on(async {
            let names: Vec<&str> = fates.iter().map(|(name, _)| *name).collect();
            let log = Log(mainspring::time::now(), Rc::default());
            let outcome = race(order(&names), |address| {
                let ip = address.ip().to_string();
                let fate = fates.iter().find(|(name, _)| *name == ip).unwrap().1;
                let attempted = Attempted(address, log.clone());
                log.note("try", address);
                async move {
                    match fate {
                        Connects(after) => sleep(Duration::from_millis(after)).await,
                        Fails(after) => {
                            sleep(Duration::from_millis(after)).await;
                            return Err(io::ErrorKind::ConnectionRefused.into());
                        }
                        Hangs => std::future::pending().await,
                    }
                    drop(attempted);
                    Ok(())
                }
            });
            let outcome = match outcome.await {
                Ok(((), winner)) => winner.ip().to_string(),
                Err(error) => error.to_string(),
            };
            let events = log.1.borrow().join(", ");
            format!("{events}: {outcome}")
        })
    }

    #[test]
    fn the_next_is_tried_a_quarter_of_a_second_after_a_silent_one() {
        assert_eq!(
            course(&[("::1", Hangs), ("::2", Connects(10)), ("1.1.1.1", Hangs)]),
            "0 try ::1, 250 try 1.1.1.1, 500 try ::2, 510 end ::2, 510 end ::1, 510 end 1.1.1.1: ::2"
        );
    }

    #[test]
    fn a_failure_is_not_waited_out_and_the_next_gets_its_own_delay() {
        assert_eq!(
            course(&[("::1", Fails(100)), ("::2", Connects(0)), ("1.1.1.1", Hangs)]),
            "0 try ::1, 100 end ::1, 100 try 1.1.1.1, 350 try ::2, 350 end ::2, 350 end 1.1.1.1: \
             ::2"
        );
    }

    #[test]
    fn whoever_answers_first_wins_and_the_others_are_let_go() {
        assert_eq!(
            course(&[("::1", Connects(249)), ("1.1.1.1", Connects(0))]),
            "0 try ::1, 249 end ::1: ::1"
        );
        assert_eq!(
            course(&[("::1", Connects(300)), ("1.1.1.1", Connects(100)), ("2.2.2.2", Hangs)]),
            "0 try ::1, 250 try 1.1.1.1, 300 end ::1, 300 end 1.1.1.1: ::1"
        );
        assert_eq!(
            course(&[("::1", Connects(300)), ("1.1.1.1", Connects(49))]),
            "0 try ::1, 250 try 1.1.1.1, 299 end 1.1.1.1, 299 end ::1: 1.1.1.1"
        );
    }

    #[test]
    fn all_failures_are_told_and_no_more_than_sixteen_addresses_tried() {
        assert_eq!(
            course(&[("::1", Fails(300)), ("1.1.1.1", Fails(20))]),
            "0 try ::1, 250 try 1.1.1.1, 270 end 1.1.1.1, 300 end ::1: cannot connect: \
             1.1.1.1:80: connection refused; [::1]:80: connection refused"
        );
        let many: Vec<String> = (1..=20).map(|number| format!("10.0.0.{number}")).collect();
        let fates: Vec<(&str, Fate)> = many.iter().map(|name| (&**name, Fails(0))).collect();
        let course = course(&fates);
        assert_eq!(course.matches("try").count(), MAX_ADDRESSES, "{course}");
        assert!(course.contains("10.0.0.16:80") && !course.contains("10.0.0.17"), "{course}");
    }
}
