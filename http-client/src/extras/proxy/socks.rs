//! SOCKS5 (RFC 1928), with a user name and a password (RFC 1929).

use super::refused;
use crate::error::{Error, Phase, Result};
use crate::transport::Transport;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll, ready};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;

/// Where the tunnel is to lead.
pub(super) enum Target<'a> {
    Address(IpAddr),
    Name(&'a str),
}

/// Asks for a tunnel.
pub(super) async fn connect(
    socket: &mut Transport,
    target: Target<'_>,
    port: u16,
    login: Option<(&str, &str)>,
) -> Result<()> {
    let greeting: &[u8] = match login {
        Some(_) => &[VERSION, 2, NO_LOGIN, PASSWORD],
        None => &[VERSION, 1, NO_LOGIN],
    };
    send(socket, greeting).await?;
    match (receive::<2>(socket).await?, login) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, PASSWORD], Some((user, password))) => log_in(socket, user, password).await?,
        ([VERSION, _], _) => return Err(refused("the SOCKS proxy wants another authentication")),
        _ => return Err(refused("it does not speak SOCKS5")),
    }
    let mut request = vec![VERSION, 1, 0];
    match target {
        Target::Address(IpAddr::V4(address)) => {
            request.push(1);
            request.extend_from_slice(&address.octets());
        }
        Target::Address(IpAddr::V6(address)) => {
            request.push(4);
            request.extend_from_slice(&address.octets());
        }
        Target::Name(name) => {
            request.push(3);
            push_text(&mut request, name, "host name")?;
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    send(socket, &request).await?;
    let [version, code, _, kind] = receive(socket).await?;
    if version != VERSION || code != 0 {
        return Err(refused(&format!("the SOCKS proxy refused: {}", meaning(code))));
    }
    // The address that the proxy connects from: of no use, but it has to be read.
    match kind {
        1 => drop(receive::<6>(socket).await?),
        4 => drop(receive::<18>(socket).await?),
        3 => {
            let [length] = receive(socket).await?;
            for _ in 0..u16::from(length) + 2 {
                let [_] = receive(socket).await?;
            }
        }
        _ => return Err(refused("it answered with an unknown kind of address")),
    }
    Ok(())
}

async fn log_in(socket: &mut Transport, user: &str, password: &str) -> Result<()> {
    let mut request = vec![1];
    push_text(&mut request, user, "user name")?;
    push_text(&mut request, password, "password")?;
    send(socket, &request).await?;
    match receive(socket).await? {
        [_, 0] => Ok(()),
        [_, _] => Err(refused("the SOCKS proxy refused the user name or the password")),
    }
}

/// Text behind a byte that tells its length.
fn push_text(request: &mut Vec<u8>, text: &str, what: &str) -> Result<()> {
    let length = u8::try_from(text.len())
        .map_err(|_| refused(&format!("a {what} for SOCKS has at most 255 bytes")))?;
    request.push(length);
    request.extend_from_slice(text.as_bytes());
    Ok(())
}

/// RFC 1928 §6.
fn meaning(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "kind of address not supported",
        _ => "for a reason of its own",
    }
}

async fn send(socket: &mut Transport, bytes: &[u8]) -> Result<()> {
    let mut sent = 0;
    poll_fn(|cx| {
        while sent < bytes.len() {
            match ready!(socket.poll_write(cx, &bytes[sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => sent += count,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
    .map_err(|error: io::Error| Error::io(Phase::Connect, error))
}

/// Reads exactly `N` bytes: what comes behind them belongs to the tunnel.
async fn receive<const N: usize>(socket: &mut Transport) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut have = 0;
    let mut step = |cx: &mut Context<'_>| {
        while have < N {
            match ready!(socket.poll_read(cx, &mut bytes[have..]))? {
                0 => return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof))),
                count => have += count,
            }
        }
        Poll::Ready(Ok(()))
    };
    poll_fn(&mut step).await.map_err(|error| Error::io(Phase::Connect, error))?;
    Ok(bytes)
}
