//! The page in a real browser: made from real runs, every panel opened, every key pressed, and its
//! state compared with the model's.

mod support;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mainspring::future::yield_now;
use mainspring::net::{TcpListener, TcpStream};
use mainspring::observe::{Detail, mark, traced};
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
    recorded_by(Recorder::default(), title, main)
}

fn recorded_by(recorder: Recorder, title: &str, main: impl Future<Output = ()>) -> Trace {
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
    // What another crate's lock looks like: a waker that the loop knows nothing of.
    let (sender, receiver) = mainspring::future::oneshot();
    let waiting = spawn(traced("lock the counter", receiver));
    drop(spawn(async move {
        sleep(ms(2)).await;
        sender.set(()).unwrap();
    }));
    waiting.await.unwrap().unwrap();
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
         .map((id) => [id, m.why(id).why, m.why(id).evidence, \
         microscope.runs[{run}].history.why(id, {count})]), m.whyAlive()]); }})()"
    ));
    let plain: Value = serde_json::from_str(plain.as_str().unwrap()).unwrap();
    let model = trace.model_after(count);
    let why: Vec<Value> = model
        .tasks_in_order()
        .iter()
        .map(|task| {
            let answer = model.why(task.id);
            let words = trace.why(&model, task.id);
            json!([task.id, answer.why.to_string(), answer.evidence, words])
        })
        .collect();
    assert_eq!(plain[1], json!(why), "after {count} events");
    assert_eq!(plain[2], json!(model.why_alive()), "after {count} events");
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
    let basic = Recorder::default().with_detail(Detail::Basic);
    let basic = recorded_by(basic, "everything, told in less detail", everything());
    let at_once = sleeps("all at once", true);
    let page = Page::new("all", &[&all, &basic, &at_once]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "");
    assert_eq!(browser.errors, Vec::<String>::new());
    assert_eq!(browser.evaluate("document.querySelector('.broken')?.innerText ?? ''"), "");
    let mut model = all.snapshot.clone();
    let locked = all.events.iter().find_map(|event| {
        model.apply(event);
        let waits = model.why_in_words(event.task, &all.texts).contains("`lock the counter`");
        waits.then(|| all.why(&model, event.task))
    });
    let said = locked.expect("a wait for what the loop does not know");
    let told = "waiting for 1 waker held outside of the loop, inside `lock the counter`: woken ";
    assert!(said.starts_with(told) && said.contains(" ms later by task "), "{said}");
    for (run, trace) in [&all, &basic, &at_once].into_iter().enumerate() {
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
    assert_eq!(browser.errors, Vec::<String>::new());
}

const PANELS: [&str; 7] = ["timeline", "tree", "table", "findings", "compare", "log", "help"];

/// What the page says where.
fn text(browser: &mut Browser, selector: &str) -> String {
    browser.frame();
    let value = browser.evaluate(&format!("document.querySelector('{selector}').innerText"));
    value.as_str().expect("a text").to_owned()
}

#[test]
fn every_panel_opens_and_every_key_and_button_does_its_work() {
    let Some(mut browser) = Browser::start("mainspring-panels") else { return };
    let all = recorded("a bit of everything", everything());
    let at_once = sleeps("all at once", true);
    let page = Page::new("panels", &[&all, &at_once]);
    for (scheme, width, height) in [("light", 1280, 800), ("dark", 390, 844)] {
        browser.look(width, height, scheme);
        browser.open(&page.0, "");
        for panel in PANELS {
            browser.evaluate(&format!("document.getElementById('tab-{panel}').click()"));
            assert!(!text(&mut browser, "#stage").is_empty() || panel == "timeline", "{panel}");
            let tab = browser.evaluate(&format!(
                "(() => {{ const tab = document.getElementById('tab-{panel}').getBoundingClientRect(); \
                 return tab.left >= 0 && tab.right <= innerWidth; }})()"
            ));
            assert_eq!(tab, json!(true), "the tab of {panel} is in view at {width} pixels");
            // Every button, box and list of the panel; none of them may raise an error.
            browser.evaluate(
                "for (const e of document.querySelectorAll('#stage > :not([hidden]) button, \
                 #stage > :not([hidden]) input')) if (e.isConnected) e.click()",
            );
            browser.frame();
            browser.evaluate("microscope.open(0)");
        }
        for button in ["button", "input[type=checkbox]"] {
            browser.evaluate(&format!(
                "for (const e of document.querySelectorAll('.stepper {button}')) \
                 if (e.isConnected) e.click()"
            ));
            browser.frame();
        }
        browser.evaluate("microscope.setPanel('timeline'); scrollTo(0, 0)");
        browser.frame();
        for canvas in [".timeline canvas", ".minimap canvas"] {
            let place = browser.evaluate(&format!(
                "(() => {{ const box = document.querySelector('{canvas}').getBoundingClientRect(); \
                 return [box.x + box.width * 0.6, box.y + 40]; }})()"
            ));
            let (x, y) = (place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
            let moves = [
                ("mousePressed", 0.0),
                ("mouseReleased", 0.0),
                ("mouseMoved", 5.0),
                ("mouseWheel", 5.0),
                ("mousePressed", 5.0),
                ("mouseMoved", 60.0),
                ("mouseReleased", 60.0),
            ];
            for (kind, dx) in moves {
                browser.pointer(kind, x + dx, y);
            }
            browser.frame();
        }
        assert_eq!(
            browser.evaluate("document.documentElement.scrollWidth <= innerWidth"),
            json!(true),
            "nothing sticks out at {width} pixels"
        );
        for key in ["w", "s", "a", "d", "f", "z", "x", "c", "n", "p", "g", "?", "[", "]", " ", " "]
        {
            browser.evaluate("document.activeElement.blur()");
            browser.key(key, 0);
            browser.frame();
        }
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn stepping_breaking_guessing_and_searching_go_where_they_say() {
    let Some(mut browser) = Browser::start("mainspring-steps") else { return };
    let trace = sleeps("all at once", true);
    let page = Page::new("steps", &[&trace]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "#event=0&panel=timeline");
    let cursor = |browser: &mut Browser| browser.evaluate("microscope.cursor").as_u64().unwrap();
    let said = |browser: &mut Browser| text(browser, ".said");
    assert_eq!(said(&mut browser), "Before the first event.");
    browser.evaluate("document.body.focus()");
    let (ctrl, shift) = (2, 8);
    browser.key("ArrowRight", 0);
    assert_eq!(cursor(&mut browser), 1);
    browser.key("ArrowRight", shift);
    assert_eq!(said(&mut browser), "task 1 \"main\" runs");
    browser.key("ArrowRight", ctrl);
    assert_eq!(said(&mut browser), "turn 2 begins with 5 tasks ready");
    browser.key("ArrowLeft", ctrl);
    assert_eq!(said(&mut browser), "turn 1 begins with 1 task ready");
    browser.key("End", 0);
    assert_eq!(cursor(&mut browser), trace.events.len() as u64);
    browser.key("Home", 0);

    let run_to = |browser: &mut Browser, task: &str, state: &str, longer: &str| {
        browser.evaluate(&format!(
            "(() => {{ const s = microscope.stepper; s.task.value = '{task}'; \
             s.state.value = '{state}'; s.longer.value = '{longer}'; s.runTo(1); }})()"
        ));
    };
    run_to(&mut browser, "fetch /3", "done", "");
    assert_eq!(said(&mut browser), "task 5 \"fetch /3\" is done");
    assert_eq!(browser.evaluate("microscope.selected"), json!(5));
    run_to(&mut browser, "nobody", "", "");
    assert_eq!(text(&mut browser, ".message"), "There is no task \"nobody\" in this run.");
    run_to(&mut browser, "", "", "soon");
    assert_eq!(text(&mut browser, ".message"), "\"soon\" is no number of milliseconds.");
    run_to(&mut browser, "", "", "5000");
    assert_eq!(text(&mut browser, ".message"), "No such event after the cursor.");
    run_to(&mut browser, "", "", "");
    assert!(text(&mut browser, ".message").starts_with("Say what to break on"));

    // The loop drew lots with seed 7, so the first in the queue is not the first to run.
    browser.evaluate("microscope.stepper.predicts.checked = true; microscope.go(0)");
    browser.evaluate("microscope.stepper.step('turn', 1); microscope.stepper.step('turn', 1)");
    browser.evaluate("microscope.stepper.step('poll', 1)");
    assert_eq!(text(&mut browser, ".message"), "Which task runs next? Pick it in the ready queue.");
    browser.evaluate("document.querySelector('.box-ready button').click()");
    let message = text(&mut browser, ".message");
    assert!(message.starts_with("Right: ") || message.starts_with("It is "), "{message}");

    browser.evaluate(
        "(() => { const s = microscope.search; s.value = 'fetch /4'; \
         s.dispatchEvent(new Event('input')); s.dispatchEvent(new KeyboardEvent('keydown', \
         { key: 'Enter' })); })()",
    );
    assert_eq!(browser.evaluate("microscope.selected"), json!(6));
    browser.evaluate("microscope.go(40); microscope.select(4); microscope.setPanel('log')");
    // The address follows a little later than the page.
    browser.evaluate(
        "new Promise((done) => { const look = () => ['event=40', 'task=4', 'panel=log'].every(\
         (part) => location.hash.includes(part)) ? done() : setTimeout(look, 20); look(); })",
    );
    let address = browser.evaluate("location.hash");
    browser.open(&page.0, address.as_str().unwrap());
    assert_eq!(
        browser.evaluate("[microscope.cursor, microscope.selected, microscope.panel]"),
        json!([40, 4, "log"])
    );
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn a_page_with_a_broken_trace_says_so() {
    let Some(mut browser) = Browser::start("mainspring-broken") else { return };
    let html = page::html(&[&sleeps("broken", true)]);
    let path = std::env::temp_dir().join(format!("mainspring-broken-{}.html", std::process::id()));
    let page = Page(path);
    let broken = [
        ("mainspring-trace", "other-trace", "this is no mainspring trace"),
        ("\"version\":1", "\"version\":9", "the trace has format version 9, this page reads 1"),
        ("\n[0,", "\n[null,", "the trace is broken: row 0 is"),
        ("\"labels\":", "\"tables\":", "the trace is broken: a part of it is missing"),
    ];
    for (whole, part, message) in broken {
        std::fs::write(&page.0, html.replacen(whole, part, 1)).unwrap();
        browser.open(&page.0, "");
        let shown = text(&mut browser, ".broken");
        assert!(shown.contains(message), "{shown}");
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn a_hundred_thousand_events_fit_and_are_shown() {
    let trace = storm(100_000);
    let html = page::html(&[&trace]);
    assert!(trace.events.len() >= 90_000, "{}", trace.events.len());
    assert!(html.len() <= 3 << 20, "{} bytes for {} events", html.len(), trace.events.len());
    let Some(mut browser) = Browser::start("mainspring-storm") else { return };
    let page = Page::new("storm", &[&trace]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "#panel=timeline");
    let times = browser.evaluate(
        "(() => { const took = (f) => { const t = performance.now(); for (let k = 0; k < 10; k++) \
         f(k); return ((performance.now() - t) / 10).toFixed(1); }; const m = microscope; \
         m.open(0); const load = performance.getEntriesByType('navigation')[0].loadEventEnd; \
         return `opened after ${Math.round(load)} ms; ms per step: timeline ${took(() => \
         m.timeline.render())}, zoomed ${took((k) => { m.zoom(0.7); m.timeline.render(); })}, \
         minimap ${took(() => m.minimap.render())}, seek ${took((k) => \
         m.history.seek(k * 9999))}, stepper ${took((k) => { m.cursor = k * 5000; \
         m.stepper.render(); })}, inspector ${took((k) => { m.cursor = k * 5000; m.selected = 5; \
         m.inspector.render(); })}, table ${took(() => m.panels.table.render())}`; })()",
    );
    eprintln!("{} events: {times}", trace.events.len());
    // All hundred workers are of one place: folded until the key unfolds them.
    let mut rows_after = |select: &str| {
        browser.evaluate(&format!("microscope.select({select}); document.activeElement.blur()"));
        browser.key("e", 0);
        browser.evaluate("microscope.timeline.rows.filter((row) => row.type === 'task').length")
    };
    assert_eq!(["0", "7", "7", "0"].map(&mut rows_after), [101, 1, 101, 1].map(|n| json!(n)));
    for count in [0, 1, 50_001, 77_777, trace.events.len()] {
        same_state(&mut browser, 0, &trace, count);
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}

/// Many tasks, each with a timer: what is cheap with few of them must not be dear with many.
#[test]
fn thousands_of_sleepers_are_shown_as_they_are() {
    let Some(mut browser) = Browser::start("mainspring-sleepers") else { return };
    let recorder = Recorder::default();
    let builder = Runtime::builder().clock(Clock::Virtual).observer(recorder.observer());
    builder.build().unwrap().block_on(async {
        let sleepers =
            (0..1500_u64).map(|n| spawn_named(format!("sleeper {n}"), sleep(ms(n % 300))));
        for sleeper in sleepers.collect::<Vec<_>>() {
            sleeper.await.unwrap();
        }
    });
    let trace = recorder.trace().titled("sleepers");
    let page = Page::new("sleepers", &[&trace]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "#panel=timeline");
    let length = trace.events.len();
    assert!(length > 15_000, "{length}");
    // Back and forth: from a copy near by, from one far off, and onwards from where it stands.
    for count in [length, 7, length / 2 + 1, length / 2, length - 1] {
        same_state(&mut browser, 0, &trace, count);
    }
    // What a box and the inspector show is the beginning of what there is.
    browser.evaluate("microscope.select(0); microscope.go(9_000)");
    browser.frame();
    let model = trace.model_after(9_000);
    let mut due: Vec<_> = model.timers.values().map(|timer| (timer.deadline, timer.id)).collect();
    due.sort_unstable();
    let shown = text(&mut browser, ".box-timers .chip");
    assert!(shown.starts_with(&format!("#{} in ", due[0].1)), "{shown}");
    let more = text(&mut browser, ".box-timers .quiet");
    let digits: String = more.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits, (due.len() - 24).to_string(), "{more}");
    assert_eq!(browser.errors, Vec::<String>::new());
}

/// What a ring has forgotten counts for nothing in a share of the time that it still shows.
#[test]
fn shares_stay_shares_after_a_ring_has_wrapped() {
    let Some(mut browser) = Browser::start("mainspring-shares") else { return };
    let trace = recorded_by(Recorder::ring(64), "a ring", async {
        for _ in 0..400 {
            let began = std::time::Instant::now();
            while began.elapsed() < Duration::from_micros(100) {}
            sleep(Duration::from_micros(100)).await;
        }
    });
    let model = trace.model();
    let span = model.now - trace.events[0].at;
    assert!(trace.first() > 0 && model.totals.busy > span, "it spins in most of its polls");
    let page = Page::new("shares", &[&trace]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "");
    for cursor in [trace.events.len(), trace.events.len() / 2, 1] {
        browser.evaluate(&format!("microscope.select(0); microscope.go({cursor})"));
        let said = text(&mut browser, ".inspector");
        let shares: Vec<f64> = said
            .split(" %")
            .filter_map(|before| before.rsplit(['(', ' ']).next()?.parse().ok())
            .collect();
        assert_eq!(shares.len(), 2, "{said}");
        assert!(shares.iter().sum::<f64>() <= 100.1, "{said}");
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}

/// Pictures of every panel, for looking at, where the environment names a directory for them.
#[test]
fn pictures_are_taken_on_demand() {
    let Some(dir) = std::env::var_os("MAINSPRING_SCREENSHOTS") else { return };
    let Some(mut browser) = Browser::start("mainspring-pictures") else { return };
    let all = recorded("a bit of everything", everything());
    let (sequential, at_once) = (sleeps("one by one", false), sleeps("all at once", true));
    let page = Page::new("pictures", &[&all, &sequential, &at_once]);
    browser.open(&page.0, "");
    let dir = PathBuf::from(dir);
    for scheme in ["light", "dark"] {
        for (size, width, height) in [("laptop", 1280, 800), ("phone", 390, 844)] {
            browser.look(width, height, scheme);
            for panel in PANELS {
                browser.evaluate(&format!("microscope.setPanel('{panel}')"));
                browser.frame();
                browser.picture(&dir.join(format!("{size}-{scheme}-{panel}.png")));
            }
        }
    }
}
