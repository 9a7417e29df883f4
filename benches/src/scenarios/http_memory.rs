//! What an HTTP client keeps in memory: for a connection that nobody uses at the moment, plain or
//! with TLS, and while a body goes through it that is larger than it should ever hold.

use crate::clients::mainspring::{Client as Ours, NAME};
use crate::clients::{Fetches, Page};
use crate::runtimes::Spawns;
use crate::scenario::{Contestant, FLOOR, Figures, Goal, Row, Scenario, Unit};
use crate::scenarios::http_bare as bare;
use crate::scenarios::memory::{peak_resident, resident, resident_data};
use crate::servers::{self, HUGE, LATE, SMALL};
use mainspring_http::Client;
use mainspring_http::rustls::crypto::ring::default_provider;
use mainspring_http::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use mainspring_http::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// Connections that are kept and idle.
const PARKED: usize = 1_000;

/// Plain, TLS, and one large body.
pub fn scenarios() -> Vec<Scenario> {
    let parked = "resident, user space; each has served one request of nginx";
    vec![
        scenario(
            Row {
                title: "memory per parked HTTP connection (1,000)",
                unit: Unit::Bytes,
                goals: vec![Goal::AtMost(8.0 * 1024.0)],
                note: parked,
            },
            "http-parked",
            contestants(park_bare, park::<Ours>, fetchers(|fetcher| fetcher.park)),
        ),
        scenario(
            Row {
                title: "memory per parked HTTPS connection (1,000)",
                unit: Unit::Bytes,
                goals: vec![Goal::AtMost(40.0 * 1024.0)],
                note: "the same over TLS, by rustls; the floor is rustls's own session. The peers \
                       are built without TLS",
            },
            "http-parked-tls",
            contestants(park_tls_bare, park_tls, vec![]),
        ),
        scenario(
            Row {
                title: "GET 1 GiB: memory at the peak",
                unit: Unit::Mebibytes,
                goals: vec![Goal::AtMost(4.0)],
                note: "beyond what the process had before; the body is read piece by piece",
            },
            "http-1g",
            contestants(stream_bare, stream::<Ours>, fetchers(|fetcher| fetcher.stream)),
        ),
    ]
}

fn scenario(row: Row, id: &'static str, contestants: Vec<Contestant>) -> Scenario {
    Scenario { id, rows: vec![row], contestants, isolated: true, max_rounds: 3 }
}

type Round = fn() -> Figures;

/// A peer, and what it does in the rounds of this file.
struct Fetcher {
    name: &'static str,
    park: Round,
    stream: Round,
}

/// The peers, each with the round that is asked for.
fn fetchers(round: fn(&Fetcher) -> Round) -> Vec<(&'static str, Round)> {
    #[allow(unused_mut, reason = "nothing is added without the peers")]
    let mut all: Vec<Fetcher> = Vec::new();
    #[cfg(feature = "peers")]
    {
        use crate::clients::{hyper, hyper_util, reqwest};
        all.push(fetcher::<hyper::Client>(hyper::NAME));
        all.push(fetcher::<hyper_util::Client>(hyper_util::NAME));
        all.push(fetcher::<reqwest::Client>(reqwest::NAME));
    }
    all.iter().map(|fetcher| (fetcher.name, round(fetcher))).collect()
}

#[cfg(feature = "peers")]
fn fetcher<C: Fetches>(name: &'static str) -> Fetcher {
    Fetcher { name, park: park::<C>, stream: stream::<C> }
}

fn contestants(bare: Round, ours: Round, peers: Vec<(&'static str, Round)>) -> Vec<Contestant> {
    let all = [(FLOOR, bare), (NAME, ours)].into_iter().chain(peers);
    let contestant = |(name, round): (&'static str, Round)| Contestant {
        name,
        round: Box::new(round),
        unavailable: servers::no_nginx,
    };
    all.map(contestant).collect()
}

/// What is open now, sockets for the most part.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// What one more connection holds: measured around `connect`, by the sockets that it opened.
struct Parking {
    memory: f64,
    files: usize,
}

impl Parking {
    fn begin() -> Self {
        Self { memory: resident_data(), files: open_files() }
    }

    fn end(&self) -> Figures {
        let opened = open_files() - self.files;
        // A client may use one for two fetches, if that is how it fell out.
        assert!(opened > PARKED * 9 / 10, "only {opened} connections");
        vec![(resident_data() - self.memory) / opened as f64]
    }
}

/// The floor: a socket, and where its next response stands.
fn park_bare() -> Figures {
    let mut floor = bare::Floor::new(servers::nginx().unwrap(), "/late");
    let parking = Parking::begin();
    floor.park(PARKED, LATE);
    parking.end()
}

/// The work: as many tasks as connections fetch a page each, at once. All have asked for a connection
/// long before the page has come over any of them, so no two can share one.
fn park<C: Fetches>() -> Figures {
    let server = servers::nginx().unwrap();
    C::Runtime::run(async move {
        C::Runtime::spawn(async move {
            let (shared, page) = (C::shared(PARKED + 1), Page::new(server, "/late"));
            // What is made once, for however many connections, is made by this one.
            let mut first = C::session(&shared, &page).await;
            assert_eq!(C::get(&mut first).await, LATE);
            let parking = Parking::begin();
            let mut tasks = Vec::with_capacity(PARKED);
            for _ in 0..PARKED {
                let (shared, page) = (shared.clone(), page.clone());
                tasks.push(C::Runtime::spawn(async move {
                    let mut session = C::session(&shared, &page).await;
                    assert_eq!(C::get(&mut session).await, LATE);
                    session
                }));
            }
            let mut sessions = Vec::with_capacity(PARKED);
            for task in tasks {
                sessions.push(task.await);
            }
            parking.end()
        })
        .await
    })
}

/// The floor: rustls's session over a socket, one after the other, with the answer read.
fn park_tls_bare() -> Figures {
    let (server, certificate) = servers::nginx_tls().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let request = format!("GET /small HTTP/1.1\r\nHost: {server}\r\n\r\n");
    let connect = || {
        let name = ServerName::from(server.ip());
        let session = ClientConnection::new(config.clone(), name).unwrap();
        let socket = TcpStream::connect(server).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream = StreamOwned::new(session, socket);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let mut length = 0;
        // The page has no empty line in it.
        while !answer[..length].windows(4).any(|four| four == b"\r\n\r\n") || length < SMALL {
            length += stream.read(&mut answer[length..]).unwrap();
        }
        stream
    };
    let _first = connect();
    let parking = Parking::begin();
    let _streams: Vec<_> = (0..PARKED).map(|_| connect()).collect();
    parking.end()
}

fn park_tls() -> Figures {
    let (server, certificate) = servers::nginx_tls().unwrap();
    mainspring::run(async move {
        let client = Client::builder()
            .max_connections(PARKED + 1)
            .max_connections_per_host(PARKED + 1)
            .only_added_root_certificates()
            .add_root_certificates(&certificate)
            .unwrap()
            .build();
        let fetch = || {
            let request = client.get(format!("https://{server}/late"));
            async { request.send().await.unwrap().bytes().await.unwrap().len() }
        };
        assert_eq!(fetch().await, LATE);
        let parking = Parking::begin();
        let tasks: Vec<_> = (0..PARKED).map(|_| mainspring::spawn(fetch())).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), LATE);
        }
        parking.end()
    })
}

/// The floor: one buffer, read into again and again.
fn stream_bare() -> Figures {
    let server = servers::nginx().unwrap();
    beyond(|| {
        bare::keep_alive(server, "/huge", HUGE, 1, 0);
    })
}

fn stream<C: Fetches>() -> Figures {
    let server = servers::nginx().unwrap();
    beyond(|| {
        C::Runtime::run(async move {
            C::Runtime::spawn(async move {
                let (shared, page) = (C::shared(1), Page::new(server, "/huge"));
                let mut session = C::session(&shared, &page).await;
                assert_eq!(C::get(&mut session).await, HUGE);
            })
            .await;
        });
    })
}

/// What the process takes at its peak beyond what it had before `work`.
fn beyond(work: impl FnOnce()) -> Figures {
    let before = resident();
    work();
    vec![(peak_resident() - before) / f64::from(1 << 20)]
}
