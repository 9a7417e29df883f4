//! The page in a real browser: made from real runs, every panel opened, every key pressed, and its
//! state compared with the model's.

mod support;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::net::{TcpListener, TcpStream};
use mainspring::observe::{mark, traced};
use mainspring::time::{Clock, sleep};
use mainspring::{Runtime, Scheduler, spawn, spawn_blocking, spawn_named};
use mainspring_microscope::{Recorder, Trace, page};
use serde_json::{Value, json};
use support::Browser;

const HOSTILE: &str = "</script><img src=x onerror=console.error(1)>\u{202e}\u{1b}[2J\"'&amp;";

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs a future on the real clock and returns its trace.
fn recorded(title: &str, main: impl Future<Output = ()>) -> Trace {
    let recorder = Recorder::default();
    let mut runtime = Runtime::builder().observer(recorder.observer()).build().unwrap();
    runtime.block_on(main);
    drop(runtime);
    recorder.trace().titled(title)
}

/// A bit of everything: sockets, timers, jobs, cancels, a panic, labels, names that attack.
async fn everything() {
    let listener =
        TcpListener::bind("127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let server = spawn_named("server", async move {
        loop {
            let (stream, _) = listener.accept().await?;
            drop(spawn_named("connection", async move {
                let mut buffer = [0; 64];
                loop {
                    let n = stream.read(&mut buffer).await?;
                    if n == 0 {
                        return io::Result::Ok(());
                    }
                    sleep(ms(2)).await;
                    stream.write_all(&buffer[..n]).await?;
                }
            }));
        }
        #[expect(unreachable_code, reason = "says which error the block has")]
        io::Result::Ok(())
    });
    let clients: Vec<_> = (0..6)
        .map(|n| {
            spawn_named(format!("client {n}"), async move {
                let stream = traced("connect", TcpStream::connect(addr)).await.unwrap();
                for _ in 0..3 {
                    traced("write", stream.write_all(b"hello")).await.unwrap();
                    let mut buffer = [0; 64];
                    assert_eq!(traced("read", stream.read(&mut buffer)).await.unwrap(), 5);
                    sleep(ms(1 + n)).await;
                }
            })
        })
        .collect();
    let hostile = spawn_named(HOSTILE, traced(HOSTILE, sleep(Duration::MAX)));
    let hash = spawn_blocking(|| (0..200_000_u64).fold(0, |sum, n| sum ^ n.wrapping_mul(n)));
    mark("half way");
    for client in clients {
        client.await.unwrap();
    }
    hash.await.unwrap();
    for _ in 0..3 {
        yield_now().await;
    }
    hostile.cancel();
    server.cancel();
    assert!(hostile.await.unwrap_err().is_cancelled());
    assert!(server.await.unwrap_err().is_cancelled());
    let failing = spawn(async { std::panic::resume_unwind(Box::new("on purpose")) });
    assert!(failing.await.unwrap_err().is_panic());
}

/// Sleeps on the virtual clock, one after another or all at once.
fn sleeps(title: &str, at_once: bool) -> Trace {
    let recorder = Recorder::default();
    let mut runtime = Runtime::builder()
        .observer(recorder.observer())
        .clock(Clock::Virtual)
        .scheduler(Scheduler::Seeded(7))
        .build()
        .unwrap();
    runtime.block_on(async {
        let fetch = |n: u64| spawn_named(format!("fetch /{n}"), sleep(ms(100 + n)));
        if at_once {
            let handles: Vec<_> = (0..5).map(fetch).collect();
            for handle in handles {
                handle.await.unwrap();
            }
        } else {
            for n in 0..5 {
                fetch(n).await.unwrap();
            }
        }
    });
    drop(runtime);
    recorder.trace().titled(title).seeded(7)
}

/// Tasks that yield, until there are about `events` events.
fn storm(events: u64) -> Trace {
    let recorder = Recorder::full(2_000_000);
    let mut runtime = Runtime::builder().observer(recorder.observer()).build().unwrap();
    runtime.block_on(async {
        let workers: Vec<_> = (0..100)
            .map(|_| {
                spawn(async move {
                    for _ in 0..events / 300 {
                        yield_now().await;
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
    recorder.trace().titled("storm")
}

/// A page of these traces, in a directory that goes away with the value.
struct Page(PathBuf);

impl Page {
    fn new(name: &str, traces: &[&Trace]) -> Page {
        let name = format!("mainspring-{name}-{}.html", std::process::id());
        let path = std::env::temp_dir().join(name);
        page::write(&path, traces).unwrap();
        Page(path)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Left behind in the directory for temporary files, it harms nobody.
        drop(std::fs::remove_file(&self.0));
    }
}

/// Compares the page's state after `count` events with the model's, and what it says of each task.
fn same_state(browser: &mut Browser, run: usize, trace: &Trace, count: usize) {
    let plain = browser.evaluate(&format!(
        "(() => {{ const m = microscope.runs[{run}].history.seek({count}); \
         return JSON.stringify([m.plain(), [...m.tasks.keys()].sort((a, b) => a - b)\
         .map((id) => [id, m.why(id).why, m.why(id).evidence])]); }})()"
    ));
    let plain: Value = serde_json::from_str(plain.as_str().unwrap()).unwrap();
    let model = trace.model_after(count);
    let why: Vec<Value> = model
        .tasks_in_order()
        .iter()
        .map(|task| {
            let answer = model.why(task.id);
            json!([task.id, answer.why.to_string(), answer.evidence])
        })
        .collect();
    assert_eq!(plain[1], json!(why), "after {count} events");
    assert_eq!(plain[0], serde_json::to_value(&model).unwrap(), "after {count} events");
}

fn same_words(browser: &mut Browser, run: usize, trace: &Trace) {
    let said = browser.evaluate(&format!(
        "Array.from(microscope.runs[{run}].run.at, (_, i) => microscope.say({run}, i))"
    ));
    for (number, event) in trace.events.iter().enumerate() {
        assert_eq!(said[number], trace.texts.sentence(event), "event {number}");
    }
}

#[test]
fn the_page_shows_what_the_model_says_and_complains_of_nothing() {
    let Some(mut browser) = Browser::start("mainspring-browser") else { return };
    let all = recorded("a bit of everything", everything());
    let sequential = sleeps("one after another", false);
    let at_once = sleeps("all at once", true);
    let page = Page::new("all", &[&all, &sequential, &at_once]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "");
    assert_eq!(browser.errors, Vec::<String>::new());
    assert_eq!(browser.evaluate("document.querySelector('.broken')?.innerText ?? ''"), "");
    for (run, trace) in [&all, &sequential, &at_once].into_iter().enumerate() {
        let illegal = trace.model().illegal;
        let around = illegal.iter().flat_map(|one| one.event.saturating_sub(2)..one.event + 3);
        assert_eq!(illegal, [], "{}: {:#?}", trace.title, trace.lines(around));
        let length = trace.events.len();
        let samples = (0..=length).step_by((length / 40).max(1)).chain([length, length / 2, 0]);
        for count in samples {
            same_state(&mut browser, run, trace, count);
        }
        same_words(&mut browser, run, trace);
    }
    if let Some(dir) = std::env::var_os("MAINSPRING_SCREENSHOTS") {
        let dir = PathBuf::from(dir);
        for scheme in ["light", "dark"] {
            for (size, width, height) in [("laptop", 1280, 800), ("phone", 390, 844)] {
                browser.look(width, height, scheme);
                for panel in ["timeline", "tree", "table", "findings", "compare", "log", "help"] {
                    browser.evaluate(&format!("microscope.setPanel('{panel}')"));
                    browser.frame();
                    browser.picture(&dir.join(format!("{size}-{scheme}-{panel}.png")));
                }
            }
        }
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}
