//! HTTP: nginx and a small page, nginx and a large one, and a slow server and very many fetches.

use crate::clients::{Fetches, Page};
use crate::runtimes::Spawns;
use crate::scenario::{
    Contestant, FLOOR, Figures, Goal, Row, Scenario, Unit, nanos, nanos_per, thread_cpu,
};
use crate::scenarios::http_bare as bare;
use crate::scenarios::memory::{peak_resident, resident};
use crate::servers::{self, DELAY, LARGE, SMALL};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// The page and how many fetches make a round.
#[derive(Clone, Copy)]
struct Load {
    path: &'static str,
    length: usize,
    connections: usize,
    requests: usize,
}

/// A measured span against nginx.
pub struct Span {
    /// By the clock.
    pub elapsed: Duration,
    /// Of this thread.
    pub cpu: Duration,
}

/// All rows.
pub fn scenarios() -> Vec<Scenario> {
    let small =
        |connections, requests| Load { path: "/small", length: SMALL, connections, requests };
    let large =
        |connections, requests| Load { path: "/large", length: LARGE, connections, requests };
    let kept = "client's processor time per request, from nginx, connections kept";
    vec![
        Scenario::new(
            "http-1k-64",
            vec![cpu_row(
                "GET 1 KiB, 64 connections",
                vec![Goal::OfFloor(1.2), Goal::OfBestPeer(1.0)],
            )],
            with_wrk(small(64, 20_000)),
        ),
        Scenario::new(
            "http-1k-512",
            vec![cpu_row(
                "GET 1 KiB, 512 connections",
                vec![Goal::OfFloor(1.2), Goal::OfBestPeer(1.0)],
            )],
            with_wrk(small(512, 20_480)),
        ),
        Scenario::new(
            "http-1k-1",
            vec![Row {
                title: "GET 1 KiB, 1 connection",
                unit: Unit::Micros,
                goals: vec![Goal::OfFloor(1.0 / 0.97)],
                note: "time from request to request, from nginx",
            }],
            contestants(small(1, 3_000), |load, span| vec![per(span.elapsed, load.requests)]),
        ),
        Scenario::new(
            "http-1m-64",
            vec![Row {
                title: "GET 1 MiB, 64 connections",
                unit: Unit::Micros,
                goals: vec![Goal::OfFloor(1.05)],
                note: kept,
            }],
            contestants(large(64, 640), cpu),
        ),
        Scenario {
            isolated: true,
            max_rounds: 9,
            ..Scenario::new(
                "http-1m-512",
                vec![
                    cpu_row("GET 1 MiB, 512 connections", vec![Goal::OfFloor(1.2)]),
                    Row {
                        title: "GET 1 MiB, 512 connections: peak memory",
                        unit: Unit::Mebibytes,
                        goals: vec![Goal::AtMost(40.0)],
                        note: "the whole process",
                    },
                ],
                contestants(large(512, 1_024), |load, span| {
                    vec![per(span.cpu, load.requests), peak_resident() / f64::from(1 << 20)]
                }),
            )
        },
        Scenario {
            isolated: true,
            max_rounds: 9,
            ..Scenario::new(
                "http-slow-10k",
                vec![
                    Row {
                        title: "10,000 fetches of a page delayed 1 s: wall beyond 1 s",
                        unit: Unit::Millis,
                        goals: vec![Goal::OfFloor(285.0 / 235.0)],
                        note: "fresh connections, all at once",
                    },
                    Row {
                        title: "10,000 fetches of a page delayed 1 s: processor time",
                        unit: Unit::Micros,
                        goals: vec![Goal::OfFloor(34.0 / 28.0)],
                        note: "per fetch, user and system",
                    },
                    Row {
                        title: "10,000 fetches of a page delayed 1 s: memory",
                        unit: Unit::Bytes,
                        goals: vec![Goal::AtMost(4096.0)],
                        note: "per fetch, at the peak",
                    },
                ],
                slow_with(10_000),
            )
        },
        Scenario::new(
            "http-slow-100",
            vec![Row {
                title: "100 fetches of a page delayed 1 s: wall beyond 1 s",
                unit: Unit::Millis,
                goals: vec![Goal::OfFloor(5.2 / 4.8)],
                note: "fresh connections, all at once",
            }],
            slow_with(100),
        ),
    ]
}

fn cpu_row(title: &'static str, goals: Vec<Goal>) -> Row {
    let note = "client's processor time per request, from nginx, connections kept";
    Row { title, unit: Unit::Micros, goals, note }
}

fn per(duration: Duration, requests: usize) -> f64 {
    nanos(duration) / 1e3 / requests as f64
}

fn cpu(load: Load, span: &Span) -> Figures {
    vec![per(span.cpu, load.requests)]
}

fn contestants(load: Load, figures: fn(Load, &Span) -> Figures) -> Vec<Contestant> {
    #[allow(unused_mut, reason = "nothing is added without the peers")]
    let mut all = vec![
        Contestant {
            name: FLOOR,
            round: Box::new(move || {
                let (server, requests) = (servers::nginx().unwrap(), load.requests);
                let span =
                    bare::keep_alive(server, load.path, load.length, load.connections, requests);
                figures(load, &span)
            }),
            unavailable: servers::no_nginx,
        },
        fetcher::<crate::clients::mainspring::Client>(
            crate::clients::mainspring::NAME,
            load,
            figures,
        ),
    ];
    #[cfg(feature = "peers")]
    {
        use crate::clients::{hyper, hyper_util, reqwest};
        all.push(fetcher::<hyper::Client>(hyper::NAME, load, figures));
        all.push(fetcher::<hyper_util::Client>(hyper_util::NAME, load, figures));
        all.push(fetcher::<reqwest::Client>(reqwest::NAME, load, figures));
    }
    all
}

fn fetcher<C: Fetches>(
    name: &'static str,
    load: Load,
    figures: fn(Load, &Span) -> Figures,
) -> Contestant {
    Contestant {
        name,
        round: Box::new(move || figures(load, &keep_alive::<C>(load))),
        unavailable: servers::no_nginx,
    }
}

/// The work: as many tasks as connections, each fetching one page after the other. The first
/// fetch of each, which connects, is not measured.
fn keep_alive<C: Fetches>(load: Load) -> Span {
    let server = servers::nginx().unwrap();
    C::Runtime::run(async move {
        C::Runtime::spawn(async move {
            let (shared, page) = (C::shared(load.connections), Page::new(server, load.path));
            let mut connecting = Vec::new();
            for _ in 0..load.connections {
                let (shared, page) = (shared.clone(), page.clone());
                connecting.push(C::Runtime::spawn(async move {
                    let mut session = C::session(&shared, &page).await;
                    assert_eq!(C::get(&mut session).await, load.length);
                    session
                }));
            }
            let mut sessions = Vec::new();
            for session in connecting {
                sessions.push(session.await);
            }
            let (start, cpu) = (Instant::now(), thread_cpu());
            let mut tasks = Vec::new();
            for mut session in sessions {
                tasks.push(C::Runtime::spawn(async move {
                    for _ in 0..load.requests / load.connections {
                        assert_eq!(C::get(&mut session).await, load.length);
                    }
                }));
            }
            for task in tasks {
                task.await;
            }
            Span { elapsed: start.elapsed(), cpu: thread_cpu() - cpu }
        })
        .await
    })
}

/// The contestants, and wrk: a load generator in C, in a process of its own.
fn with_wrk(load: Load) -> Vec<Contestant> {
    let mut all = contestants(load, cpu);
    all.push(Contestant {
        name: "wrk",
        round: Box::new(move || vec![wrk(load).unwrap_or(f64::NAN)]),
        unavailable: || {
            let missing = Command::new("wrk").arg("-v").output().err();
            missing.map(|error| format!("wrk does not start: {error}")).or_else(servers::no_nginx)
        },
    });
    all
}

fn wrk(load: Load) -> Option<f64> {
    let before = servers::children_cpu();
    let url = format!("http://{}{}", servers::nginx().ok()?, load.path);
    let connections = load.connections.to_string();
    let output =
        Command::new("wrk").args(["-t1", "-d1s", "-c", &connections, &url]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains("requests in"))?;
    let requests: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some((servers::children_cpu() - before) * 1e6 / requests)
}

/// The contestants for `fetches` at once from a slow server.
pub fn slow_with(fetches: usize) -> Vec<Contestant> {
    #[allow(unused_mut, reason = "nothing is added without the peers")]
    let mut all = vec![
        Contestant::new(FLOOR, move || slowly(fetches, |server| bare::fetch_all(server, fetches))),
        slow_fetcher::<crate::clients::mainspring::Client>(
            crate::clients::mainspring::NAME,
            fetches,
        ),
    ];
    #[cfg(feature = "peers")]
    {
        use crate::clients::{hyper, hyper_util, reqwest};
        all.push(slow_fetcher::<hyper::Client>(hyper::NAME, fetches));
        all.push(slow_fetcher::<hyper_util::Client>(hyper_util::NAME, fetches));
        all.push(slow_fetcher::<reqwest::Client>(reqwest::NAME, fetches));
    }
    all
}

fn slow_fetcher<C: Fetches>(name: &'static str, fetches: usize) -> Contestant {
    Contestant::new(name, move || slowly(fetches, |server| fetch_all::<C>(server, fetches)))
}

/// Measures `work` against a slow server of its own.
fn slowly(fetches: usize, work: impl FnOnce(SocketAddr)) -> Figures {
    let (server, running) = servers::start_slow().unwrap();
    let (memory, cpu, start) = (resident(), thread_cpu(), Instant::now());
    work(server);
    let beyond = nanos_per(start, 1) - nanos(DELAY);
    let figures = vec![
        beyond / 1e6,
        nanos(thread_cpu() - cpu) / 1e3 / fetches as f64,
        (peak_resident() - memory) / fetches as f64,
    ];
    drop(running);
    figures
}

/// The work: as many tasks as fetches.
fn fetch_all<C: Fetches>(server: SocketAddr, fetches: usize) {
    C::Runtime::run(async move {
        C::Runtime::spawn(async move {
            let (shared, page) = (C::shared(fetches), Page::new(server, "/"));
            let mut tasks = Vec::with_capacity(fetches);
            for _ in 0..fetches {
                let (shared, page) = (shared.clone(), page.clone());
                tasks.push(C::Runtime::spawn(async move {
                    let mut session = C::session(&shared, &page).await;
                    assert_eq!(C::get(&mut session).await, SMALL);
                }));
            }
            for task in tasks {
                task.await;
            }
        })
        .await;
    });
}
