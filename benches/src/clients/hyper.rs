//! hyper's bare HTTP/1.1 connection on tokio: one connection per task, no pool, no timeout.

use super::{Fetches, Page};
use crate::runtimes::{Spawns, tokio as runtime};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The adaptor.
#[derive(Debug)]
pub struct Client;

/// Its name in the table.
pub const NAME: &str = "hyper";

/// One connection and what is asked of it.
#[derive(Debug)]
pub struct Session {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
    path: Uri,
}

impl Fetches for Client {
    type Runtime = runtime::Runtime;
    type Shared = ();
    type Session = Session;

    fn shared(_: usize) {}

    async fn session((): &(), page: &Page) -> Session {
        let stream = TcpStream::connect(page.server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        runtime::Runtime::spawn_detached(async move { connection.await.unwrap() });
        Session { sender, host: page.host.clone(), path: Uri::from_static(page.path) }
    }

    async fn get(session: &mut Session) -> usize {
        let request = Request::get(session.path.clone())
            .header(HOST, session.host.as_str())
            .body(Empty::new())
            .unwrap();
        session.sender.ready().await.unwrap();
        let mut response = session.sender.send_request(request).await.unwrap();
        let mut length = 0;
        while let Some(frame) = response.frame().await {
            length += frame.unwrap().data_ref().map_or(0, Bytes::len);
        }
        length
    }
}
