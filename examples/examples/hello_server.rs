//! A web server of one page: `/` answers "Hello, world", `/{name}` answers "Hello, name". A slow
//! client has a task of its own to be slow in, and a limit.
//!
//! Takes an address to listen on; without one the system chooses a free port of 127.0.0.1.
#![forbid(unsafe_code)]

use std::{error::Error, io, net::SocketAddr, time::Duration};

use mainspring::net::{TcpListener, TcpStream};
use mainspring::{spawn, time::timeout};

/// The longest request head that is read, in bytes, and how long a request may take in all.
const MAX_HEAD: usize = 8 * 1024;
const LIMIT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr =
        std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:0").parse()?;
    mainspring::run(async {
        let listener = TcpListener::bind(address)?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            let (stream, _peer) = listener.accept().await?;
            drop(spawn(async move { timeout(LIMIT, serve(stream)).await? }));
        }
    })
}

async fn serve(stream: TcpStream) -> io::Result<()> {
    let (mut head, mut length) = (vec![0; MAX_HEAD], 0);
    let path = loop {
        let read = stream.read(&mut head[length..]).await?;
        length += read;
        match path_of(&head[..length]) {
            Ok(None) if read > 0 => {}
            path => break path.ok().flatten(),
        }
    };
    let (status, body) = match path.as_deref() {
        Some("/") => ("200 OK", "Hello, world\n".to_owned()),
        Some(path) => ("200 OK", format!("Hello, {}\n", path.trim_start_matches('/'))),
        None => ("400 Bad Request", "GET /name, please\n".to_owned()),
    };
    let head = format!("content-length: {}\r\nconnection: close", body.len());
    stream.write_all(format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}").as_bytes()).await
}

/// The path that a request asks for. `None` if there is more of its head to come.
fn path_of(head: &[u8]) -> Result<Option<String>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head)? {
        httparse::Status::Partial => Ok(None),
        _ if request.method != Some("GET") => Err(httparse::Error::Token),
        _ => Ok(request.path.map(str::to_owned)),
    }
}
