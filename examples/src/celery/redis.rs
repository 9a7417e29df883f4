//! Connections to Redis that outlive what happens to them: commands in batches, publications, and
//! the wait for a queue.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::TlsConnector;
use futures_util::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use mainspring::future::{Receiver, Sender, oneshot};
use mainspring::net::{TcpStream, UnixStream};
use mainspring::spawn_blocking;
use mainspring::time::{sleep, timeout};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};

use super::address::{Address, Place};
use super::bell::Bell;
use super::resp::{Decoder, Reply, command};
use super::say;

/// How long Redis may take to be connected to and to let us in.
const CONNECT: Duration = Duration::from_secs(5);
/// How long Redis may take for an answer before the connection is given up for another.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest wait between two tries.
const MOST_BACK_OFF: Duration = Duration::from_secs(5);
/// The most commands, and bytes of them, that are sent at once.
const BATCH: (usize, usize) = (512, 16 << 20);

/// What goes wrong between us and Redis.
#[derive(Debug)]
pub enum Trouble {
    /// There is no connection any more, or none yet.
    Lost(String),
    /// Redis does not let us in.
    Refused(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Trouble::Lost(text) | Trouble::Refused(text)) = self;
        f.write_str(text)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// One connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buffer: Box<[u8]>,
}

impl Connection {
    /// Connects and is let in.
    ///
    /// # Errors
    /// One sentence that names the place and no password.
    pub async fn open(address: &Address) -> Result<Connection, Trouble> {
        let opening = async {
            let stream = stream(&address.place).await.map_err(|error| cannot(address, &error))?;
            let buffer = vec![0; 16 << 10].into();
            let mut connection = Connection { stream, decoder: Decoder::default(), buffer };
            connection.greet(address).await?;
            Ok(connection)
        };
        let late = || Err(cannot(address, &"it does not answer"));
        timeout(CONNECT, opening).await.unwrap_or_else(|_| late())
    }

    async fn greet(&mut self, address: &Address) -> Result<(), Trouble> {
        let db = address.db.to_string();
        let mut greeting: Vec<Vec<&str>> = Vec::new();
        match (&address.user, &address.password) {
            (Some(user), password) => {
                greeting.push(vec!["AUTH", user, password.as_deref().unwrap_or_default()]);
            }
            (None, Some(password)) => greeting.push(vec!["AUTH", password]),
            (None, None) => {}
        }
        // Without a password, it is this that tells that one is needed.
        greeting.push(vec!["SELECT", &db]);
        for words in greeting {
            let words: Vec<&[u8]> = words.into_iter().map(str::as_bytes).collect();
            let reply = self.call(&command(&words)).await;
            match reply.map_err(|error| cannot(address, &error))? {
                Reply::Error(text) if passes(&text) => return Err(cannot(address, &text)),
                Reply::Error(text) => {
                    return Err(Trouble::Refused(format!("Redis at {address} refuses: {text}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends a command, or several.
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next reply. Dropping it midway loses nothing.
    async fn next_reply(&mut self) -> io::Result<Reply> {
        loop {
            let reply = self.decoder.next_reply();
            let reply =
                reply.map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?;
            if let Some(reply) = reply {
                return Ok(reply);
            }
            match self.stream.read(&mut self.buffer).await? {
                0 => return Err(io::Error::other("Redis has closed the connection")),
                count => self.decoder.feed(&self.buffer[..count]),
            }
        }
    }

    /// The same, which must come in time.
    async fn answer(&mut self, limit: Duration) -> io::Result<Reply> {
        let late = |_| Err(io::Error::new(ErrorKind::TimedOut, "Redis does not answer"));
        timeout(limit, self.next_reply()).await.unwrap_or_else(late)
    }

    /// Sends one command and waits for its reply. Once dropped midway, a connection is of no use.
    async fn call(&mut self, bytes: &[u8]) -> io::Result<Reply> {
        self.send(bytes).await?;
        self.answer(ANSWER).await
    }
}

fn cannot(address: &Address, why: &dyn std::fmt::Display) -> Trouble {
    Trouble::Lost(format!("cannot reach Redis at {address}: {why}"))
}

async fn stream(place: &Place) -> io::Result<Box<dyn Stream>> {
    let (host, port, tls) = match place {
        Place::Socket(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        Place::Host { host, port, tls } => (host.clone(), *port, tls),
    };
    let name = host.clone();
    let lookup = spawn_blocking(move || {
        std::net::ToSocketAddrs::to_socket_addrs(&(name, port)).map(Vec::from_iter)
    });
    let addresses: Vec<SocketAddr> = lookup.await.map_err(io::Error::other)??;
    let mut last = io::Error::other("its name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                let Some(roots) = tls else { return Ok(Box::new(stream)) };
                let connector = TlsConnector::from(trusting(roots.clone()).await?);
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                return Ok(Box::new(connector.connect(name, stream).await?));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whom to trust: the system's certificates, and those in this file.
async fn trusting(roots: Option<std::path::PathBuf>) -> io::Result<Arc<ClientConfig>> {
    let read = move || {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let bad = |path: &Path, error: &dyn std::fmt::Display| {
            io::Error::other(format!("cannot take certificates from {}: {error}", path.display()))
        };
        if let Some(path) = roots {
            let pem = std::fs::read(&path).map_err(|error| bad(&path, &error))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| bad(&path, &error))?;
                store.add(certificate).map_err(|error| bad(&path, &error))?;
            }
        }
        let config =
            ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?;
        Ok(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
    };
    spawn_blocking(read).await.map_err(io::Error::other)?
}

/// Whether a refusal passes by itself: such a command is sent again, on a connection of its own, for
/// after a failover the address may lead elsewhere. The codes are those of Redis's source.
fn passes(refusal: &str) -> bool {
    let code = refusal.split(' ').next().unwrap_or_default();
    [
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    ]
    .contains(&code)
        || refusal.contains("max number of clients")
}

/// Waits before another try, the longer the more there were, never two workers alike.
async fn back_off(tries: u32) {
    let most = MOST_BACK_OFF.min(Duration::from_millis(50) * 2_u32.pow(tries.min(10)));
    sleep(most.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
}

/// Tells of trouble once, however often it is met in a row, and that it is over.
#[derive(Default)]
struct Teller {
    tries: u32,
    said: Option<String>,
}

impl Teller {
    async fn trouble(&mut self, what: String) {
        // The first loss is mended before it is worth a word.
        if self.tries > 0 && self.said.as_ref() != Some(&what) {
            say(&format!("{what}; trying again"));
            self.said = Some(what);
        }
        back_off(self.tries).await;
        self.tries = self.tries.saturating_add(1);
    }

    fn over(&mut self) {
        self.tries = 0;
        if self.said.take().is_some() {
            say("Redis answers again");
        }
    }
}

struct Request {
    bytes: Vec<u8>,
    reply: Sender<Result<Reply, String>>,
}

/// A way to send commands that are carried out sooner or later: after a lost connection and after a
/// refusal that passes, those without an answer are sent again. Clones share it.
///
/// So each must be one that may be carried out twice.
#[derive(Clone)]
pub struct Link(Rc<Shared>);

struct Shared {
    address: Address,
    queue: RefCell<VecDeque<Request>>,
    unanswered: Cell<usize>,
    asked: Bell,
    answered: Bell,
}

impl Link {
    /// A link, for which somebody must [`drive`](Link::drive).
    #[must_use]
    pub fn new(address: Address) -> Link {
        Link(Rc::new(Shared {
            address,
            queue: RefCell::default(),
            unanswered: Cell::new(0),
            asked: Bell::default(),
            answered: Bell::default(),
        }))
    }

    /// Has a command sent. What is returned gives its reply; dropping that takes nothing back.
    pub fn call(&self, words: &[&[u8]]) -> Answer {
        let (reply, receiver) = oneshot();
        self.0.unanswered.set(self.0.unanswered.get() + 1);
        self.0.queue.borrow_mut().push_back(Request { bytes: command(words), reply });
        self.0.asked.ring();
        Answer(receiver)
    }

    /// How many commands are without an answer.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.0.unanswered.get()
    }

    /// Waits until every command has its answer.
    pub async fn settled(&self) {
        let mut heard = 0;
        while self.unanswered() > 0 {
            self.0.answered.heard(&mut heard).await;
        }
    }

    /// Carries the commands out, for ever.
    pub async fn drive(self) {
        let shared = &self.0;
        let (mut teller, mut heard) = (Teller::default(), 0);
        let mut connection: Option<Connection> = None;
        let mut batch: VecDeque<Request> = VecDeque::new();
        loop {
            while batch.is_empty() {
                batch = take_batch(&mut shared.queue.borrow_mut());
                if batch.is_empty() {
                    shared.asked.heard(&mut heard).await;
                }
            }
            let outcome = match &mut connection {
                Some(connection) => self.exchange(connection, &mut batch).await,
                None => match Connection::open(&shared.address).await {
                    Ok(opened) => {
                        connection = Some(opened);
                        continue;
                    }
                    Err(trouble) => Err(trouble.to_string()),
                },
            };
            match outcome {
                Ok(()) => teller.over(),
                Err(trouble) => {
                    connection = None;
                    teller.trouble(trouble).await;
                }
            }
        }
    }

    /// Sends all of a batch and takes out what is answered.
    async fn exchange(
        &self,
        connection: &mut Connection,
        batch: &mut VecDeque<Request>,
    ) -> Result<(), String> {
        let bytes: Vec<u8> = batch.iter().flat_map(|request| &request.bytes).copied().collect();
        let sent = timeout(ANSWER, connection.send(&bytes)).await;
        sent.map_err(|_| "Redis takes nothing more".to_owned())?.map_err(lost)?;
        while !batch.is_empty() {
            let reply = match connection.answer(ANSWER).await.map_err(lost)? {
                // A password that was changed meanwhile is asked for, and told, at the next greeting.
                Reply::Error(text) if passes(&text) || text.starts_with("NOAUTH") => {
                    return Err(format!("Redis refuses: {text}"));
                }
                Reply::Error(text) => Err(format!("Redis refuses: {text}")),
                reply => Ok(reply),
            };
            let request = batch.pop_front().expect("it is not empty");
            self.0.unanswered.set(self.0.unanswered.get() - 1);
            // Not everybody waits for an answer.
            drop(request.reply.set(reply));
            self.0.answered.ring();
        }
        Ok(())
    }
}

fn lost(error: io::Error) -> String {
    format!("lost the connection to Redis: {error}")
}

fn take_batch(queue: &mut VecDeque<Request>) -> VecDeque<Request> {
    let (most, most_bytes) = BATCH;
    let mut bytes = 0;
    let fits = |request: &&Request| {
        bytes += request.bytes.len();
        bytes <= most_bytes
    };
    let count = queue.iter().take(most).take_while(fits).count().max(1).min(queue.len());
    queue.drain(..count).collect()
}

/// The reply to a command of a [`Link`].
pub struct Answer(Receiver<Result<Reply, String>>);

impl Answer {
    /// Waits for it.
    ///
    /// # Errors
    /// What Redis refuses for good.
    pub async fn reply(self) -> Result<Reply, String> {
        self.0.await.unwrap_or_else(|_| Err("the connection to Redis is given up".to_owned()))
    }
}

/// What is heard of a pattern of channels.
pub enum Heard {
    /// From now on nothing is missed; until now, something may have been.
    Listening,
    /// What was published.
    Published(Vec<u8>),
}

/// Listens to channels that match a pattern, for ever; after a loss again.
pub async fn listen(address: Address, pattern: String, mut on: impl FnMut(Heard)) {
    let subscribe = command(&[b"PSUBSCRIBE", pattern.as_bytes()]);
    let mut teller = Teller::default();
    loop {
        let listening = async {
            let mut connection = Connection::open(&address).await.map_err(|e| e.to_string())?;
            let reply = connection.call(&subscribe).await.map_err(lost)?;
            if let Reply::Error(text) = reply {
                return Err(format!("Redis refuses: {text}"));
            }
            teller.over();
            on(Heard::Listening);
            loop {
                // A connection that only listens would not notice that the other side is gone.
                let reply = match timeout(ANSWER, connection.next_reply()).await {
                    Ok(reply) => reply,
                    Err(_) => connection.call(&command(&[b"PING"])).await,
                };
                let mut parts = reply.map_err(lost)?.parts();
                if parts.len() == 4
                    && let Some(Reply::Text(Some(text))) = parts.pop()
                {
                    on(Heard::Published(text));
                }
            }
        };
        let ended: Result<(), String> = listening.await;
        teller.trouble(ended.err().unwrap_or_default()).await;
    }
}

/// Rings `waiting` when there is something in a list, each time that `idle` rings; takes nothing.
///
/// To wait is to move the last element to where it is: the list stays as it was, and a worker that
/// dies here holds nothing. Redis has had the command since 6.2; without it, the bell is silent.
pub async fn watch(address: Address, list: String, idle: Rc<Bell>, waiting: Rc<Bell>) {
    const LONGEST: Duration = Duration::from_secs(5);
    let seconds = LONGEST.as_secs().to_string();
    let words = ["BLMOVE", &list, &list, "RIGHT", "RIGHT", &seconds].map(str::as_bytes);
    let (wait, mut heard, mut tries) = (command(&words), 0, 0);
    loop {
        let watching = async {
            let mut connection = Connection::open(&address).await.ok()?;
            loop {
                idle.heard(&mut heard).await;
                loop {
                    connection.send(&wait).await.ok()?;
                    match connection.answer(LONGEST + ANSWER).await.ok()? {
                        Reply::Text(Some(_)) => break,
                        Reply::Error(_) => return None,
                        _ => {}
                    }
                    tries = 0;
                }
                waiting.ring();
            }
        };
        // The link tells of it, if there is something to tell.
        let _gone: Option<()> = watching.await;
        back_off(tries).await;
        tries = tries.saturating_add(1);
    }
}
