//! A server that says exactly the bytes a test wants, on a port of its own, in threads of its own.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the server does with one request.
pub enum Reply {
    /// Says this, and waits for the next request.
    Say(Vec<u8>),
    /// Says this, and closes the connection.
    SayAndClose(Vec<u8>),
    /// Says this and nothing more, for as long as the client stays.
    SayAndHang(Vec<u8>),
    /// Says these, waiting before each but the first until the test lets it go on.
    Steps(Vec<Vec<u8>>, Receiver<()>),
}

/// Says this text, and waits for the next request.
pub fn say(text: impl AsRef<[u8]>) -> Reply {
    Reply::Say(text.as_ref().to_vec())
}

/// Says this text, and closes the connection.
pub fn say_and_close(text: impl AsRef<[u8]>) -> Reply {
    Reply::SayAndClose(text.as_ref().to_vec())
}

/// A `200` with this body and its length.
pub fn ok(body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    Reply::Say([head.as_bytes(), body].concat())
}

/// One request as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which connection it came over, from 1 on.
    pub connection: usize,
    /// Which request of that connection it is, from 1 on.
    pub number: usize,
    /// The head, without the empty line at its end.
    pub head: String,
    /// The body, its framing still on.
    pub body: Vec<u8>,
}

impl Seen {
    /// The request line without its version.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1")
    }

    /// The value of the field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

type Script = Arc<Mutex<dyn FnMut(&Seen) -> Reply + Send>>;

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    closed: Mutex<Receiver<usize>>,
}

impl Server {
    /// A server that answers each request with what `script` says.
    pub fn new(script: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (closing, closed) = channel();
        let script: Script = Arc::new(Mutex::new(script));
        let record = seen.clone();
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let (record, script, closing) = (record.clone(), script.clone(), closing.clone());
                let stream = stream.expect("accept on loopback");
                thread::spawn(move || serve(stream, index + 1, &record, &script, &closing));
            }
        });
        Self { address, seen, closed: Mutex::new(closed) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far, in the order in which they were complete.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics while it holds this").clone()
    }

    /// Waits until the client has closed a connection; which one.
    pub fn wait_closed(&self) -> usize {
        self.closed.lock().expect("one test, one thread").recv().expect("the server runs")
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    record: &Mutex<Vec<Seen>>,
    script: &Script,
    closing: &Sender<usize>,
) {
    let mut buffer = Vec::new();
    for number in 1.. {
        let Some((head, body)) = read_request(&mut stream, &mut buffer) else { break };
        let seen = Seen { connection, number, head, body };
        record.lock().expect("no test panics while it holds this").push(seen.clone());
        let reply = (script.lock().expect("a script does not panic"))(&seen);
        let (steps, next, close) = match reply {
            Reply::Say(bytes) => (vec![bytes], None, false),
            Reply::SayAndClose(bytes) => (vec![bytes], None, true),
            Reply::SayAndHang(bytes) => {
                if stream.write_all(&bytes).is_ok() {
                    wait_for_end(&mut stream);
                }
                break;
            }
            Reply::Steps(steps, next) => (steps, Some(next), false),
        };
        for (index, step) in steps.iter().enumerate() {
            if let (Some(next), true) = (&next, index > 0)
                && next.recv().is_err()
            {
                break;
            }
            if stream.write_all(step).is_err() {
                break;
            }
        }
        if close {
            // Without the wait, bytes of the client that were not read would turn the end into a
            // reset, which may overtake the reply.
            if stream.shutdown(Shutdown::Write).is_ok() {
                wait_for_end(&mut stream);
            }
            break;
        }
    }
    if closing.send(connection).is_err() {
        // The test is over and looks no more.
    }
}

fn wait_for_end(stream: &mut TcpStream) {
    let mut sink = [0; 4096];
    while matches!(stream.read(&mut sink), Ok(1..)) {}
}

/// One request: head and body as they stand on the wire. `None` when the client is gone.
fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = read_until(stream, buffer, 0, b"\r\n\r\n")?;
    let head = String::from_utf8(buffer[..end - 4].to_vec()).expect("heads of ours are ASCII");
    let field = |name: &str| {
        let head = head.to_ascii_lowercase();
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(String::from))
    };
    let total = if field("transfer-encoding").is_some() {
        read_until(stream, buffer, end, b"0\r\n\r\n")?
    } else {
        end + field("content-length").map_or(0, |length| length.parse().expect("a number"))
    };
    while buffer.len() < total {
        read_more(stream, buffer)?;
    }
    let body = buffer[end..total].to_vec();
    buffer.drain(..total);
    Some((head, body))
}

fn read_until(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    from: usize,
    end: &[u8],
) -> Option<usize> {
    loop {
        let found = buffer[from..].windows(end.len()).position(|window| window == end);
        if let Some(at) = found {
            return Some(from + at + end.len());
        }
        read_more(stream, buffer)?;
    }
}

fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 * 1024];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return None,
            Ok(count) => {
                buffer.extend_from_slice(&piece[..count]);
                return Some(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
