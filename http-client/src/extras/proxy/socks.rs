//! SOCKS5 (RFC 1928), with a user name and a password (RFC 1929).

use super::refused;
use crate::error::{Error, Phase, Result};
use crate::transport::Transport;
use futures_util::{AsyncReadExt, AsyncWriteExt};
use std::io;
use url::Host;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;

/// Asks for a tunnel to `target` over `transport`.
pub(super) async fn connect(
    mut transport: Transport,
    target: Host<&str>,
    port: u16,
    login: Option<(&str, &str)>,
) -> Result<Transport> {
    let socket = &mut transport;
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
        Host::Ipv4(address) => {
            request.push(1);
            request.extend_from_slice(&address.octets());
        }
        Host::Ipv6(address) => {
            request.push(4);
            request.extend_from_slice(&address.octets());
        }
        Host::Domain(name) => {
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
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(receive::<1>(socket).await?[0]),
        _ => return Err(refused("it answered with an unknown kind of address")),
    };
    socket.read_exact(&mut vec![0; length + 2]).await.map_err(failed)?;
    Ok(transport)
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
    socket.write_all(bytes).await.map_err(failed)
}

/// Reads exactly `N` bytes: what comes behind them belongs to the tunnel.
async fn receive<const N: usize>(socket: &mut Transport) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes).await.map_err(failed)?;
    Ok(bytes)
}

fn failed(error: io::Error) -> Error {
    Error::io(Phase::Connect, error)
}
