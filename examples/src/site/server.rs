//! The site on the runtime: one task accepts, one task per connection answers.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use futures_util::future::{Either, select};
use http::StatusCode;
use mainspring::net::{TcpListener, TcpStream};
use mainspring::time::{sleep, timeout};

use super::answer::{Answer, answer};
use super::request::{Request, parse};
use crate::stop::Stop;

/// How long a connection may take over its next request, the silence before it included, and over
/// reading an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are asked for in one read: more than any head a well-meaning client sends.
const READ: usize = 1024;

/// After refusing a request: how long, and for how many bytes, the rest of it is read and thrown
/// away. Closing a socket with unread bytes resets the connection, and the client would lose the
/// answer that says why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// What the site is like.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// How many movies it has.
    pub count: u32,
    /// How long it waits before each answer.
    pub delay: Duration,
}

/// Accepts connections and answers on them until `stop` is asked for.
///
/// # Errors
/// What accepting fails with, beyond what passes by itself.
pub async fn serve(listener: TcpListener, site: Site, stop: Stop) -> io::Result<()> {
    let mut asked = stop.asked();
    loop {
        let accept = std::pin::pin!(listener.accept());
        match select(accept, &mut asked).await {
            Either::Left((Ok((stream, peer)), _)) => {
                // What goes wrong on a connection concerns its client, who sees it too.
                let answers = async move { answers(&stream, site).await.unwrap_or_default() };
                drop(mainspring::spawn_named(format!("serve {peer}"), answers));
            }
            Either::Left((Err(error), _)) => return Err(error),
            Either::Right(((), _)) => return Ok(()),
        }
    }
}

/// Answers request after request, until either side has had enough.
async fn answers(stream: &TcpStream, site: Site) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    loop {
        let next = timeout(PATIENCE, next_request(stream, &mut received)).await;
        let request = match next.unwrap_or(Ok(None))? {
            Some(Ok(request)) => request,
            Some(Err(status)) => return refuse(stream, status).await,
            None => return Ok(()),
        };
        if received.is_empty() {
            // Ten thousand connections that wait out their delay should not hold a buffer each.
            received = Vec::new();
        }
        sleep(site.delay).await;
        let bytes = answer(&request, site.count).to_bytes(&request.method, request.keep_alive);
        let Ok(written) = timeout(PATIENCE, stream.write_all(&bytes)).await else { return Ok(()) };
        written?;
        if !request.keep_alive {
            return stream.shutdown(Shutdown::Write);
        }
    }
}

/// The next request with its body read past, the status to refuse it with, or `None` at the end.
async fn next_request(
    stream: &TcpStream,
    received: &mut Vec<u8>,
) -> io::Result<Option<Result<Request, StatusCode>>> {
    loop {
        let (request, len) = match parse(received) {
            Ok(Some(whole)) => whole,
            Ok(None) if read_more(stream, received).await? => continue,
            Ok(None) => return Ok(None),
            Err(status) => return Ok(Some(Err(status))),
        };
        received.drain(..len);
        let mut body = request.body as usize;
        while body > received.len() {
            body -= received.len();
            received.clear();
            if !read_more(stream, received).await? {
                return Ok(None);
            }
        }
        received.drain(..body);
        return Ok(Some(Ok(request)));
    }
}

/// Appends what arrives next; false at the end of the stream.
async fn read_more(stream: &TcpStream, received: &mut Vec<u8>) -> io::Result<bool> {
    let had = received.len();
    received.resize(had + READ, 0);
    let read = stream.read(&mut received[had..]).await;
    received.truncate(had + *read.as_ref().unwrap_or(&0));
    Ok(read? > 0)
}

/// Says why, then closes in a way that lets the client hear it.
async fn refuse(stream: &TcpStream, status: StatusCode) -> io::Result<()> {
    let bytes = Answer::plain(status).to_bytes(&http::Method::GET, false);
    stream.write_all(&bytes).await?;
    stream.shutdown(Shutdown::Write)?;
    let rest = async {
        let mut buffer = vec![0; READ];
        let mut left = LINGER_BYTES;
        while left > 0 {
            let read = stream.read(&mut buffer).await?;
            left = if read == 0 { 0 } else { left.saturating_sub(read) };
        }
        Ok(())
    };
    timeout(LINGER, rest).await.unwrap_or(Ok(()))
}

/// Binds where `address` says; returns where that is, with the port that was free for port 0.
///
/// # Errors
/// One sentence that names the address and the reason.
pub fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let bound = TcpListener::bind(address)
        .and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    bound.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("cannot listen on {address}: somebody else does; port 0 takes any that is free")
        }
        _ => format!("cannot listen on {address}: {error}"),
    })
}
