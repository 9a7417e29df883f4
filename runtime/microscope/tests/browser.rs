//! The page in a real browser: made from real runs, every panel opened, every key pressed, and its
//! state compared with the model's.

mod support;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mainspring::future::{race, yield_now};
use mainspring::net::{TcpListener, TcpStream};
use mainspring::observe::{Detail, Kind, mark, traced};
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
        // Left behind in the directory for temporary files, it does no harm.
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

/// What the eye would complain of: texts over texts, in the document and on canvases, and contrasts
/// below 4.5 for text and 3 for marks and edges of controls.
const EYE: &str = r#"(() => {
  const said = [];
  const rgb = (text) => {
    const hex = text.match(/^#(..)(..)(..)$/);
    return hex ? hex.slice(1).map((h) => parseInt(h, 16)) : text.match(/[\d.]+/g).map(Number);
  };
  const light = (colour) => {
    const [r, g, b] = rgb(colour).map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const root = getComputedStyle(document.documentElement);
  const of = (name) => root.getPropertyValue(`--${name}`).trim();
  for (const ground of ["ground", "raised", "mark"]) {
    const least = (names, bound) => names.forEach((name) => {
      const is = contrast(of(name), of(ground));
      if (is < bound) said.push(`${name} on ${ground}: ${is.toFixed(2)}`);
    });
    least(["ink", "soft", "accent", "run", "ready", "done", "cancelled", "panicked"], 4.5);
    least(["idle", "park", "edge"], 3);
  }
  if (contrast(of("run"), of("run-ink")) < 4.5) said.push("text on running");
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (rgb(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || /^(SCRIPT|OPTION|SELECT)$/.test(element.tagName)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const whole of range.getClientRects()) {
      let box = whole;
      for (let e = element; e; e = e.parentElement) {
        if (getComputedStyle(e).overflowX === "visible") continue;
        const r = e.getBoundingClientRect();
        const [left, top] = [Math.max(r.x, box.x), Math.max(r.y, box.y)];
        box = new DOMRect(left, top, Math.max(0, Math.min(r.right, box.right) - left),
          Math.max(0, Math.min(r.bottom, box.bottom) - top));
      }
      const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
      if (x < 0 || y < 0 || x > innerWidth || y > innerHeight) continue;
      const top = document.elementFromPoint(x, y);
      // Scrolled away, or covered by what is opaque.
      if (!top || !(top === element || top.contains(element) || element.contains(top))) continue;
      texts.push({ text: node.data, box, element });
      const is = contrast(getComputedStyle(element).color, behind(element));
      const off = element.closest(":disabled");
      if (is < 4.5 && !off) said.push(`"${node.data}": ${is.toFixed(2)}`);
    }
  }
  const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.x, b.x) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.y, b.y) > 3;
  texts.forEach((a, i) => texts.slice(i + 1).forEach((b) => {
    if (a.element !== b.element && over(a.box, b.box)) said.push(`"${a.text}" over "${b.text}"`);
  }));
  const proto = CanvasRenderingContext2D.prototype;
  const { fillText } = proto;
  let drawn = [];
  proto.fillText = function put(text, x, y) {
    const width = this.measureText(text).width;
    const left = x - ({ right: width, center: width / 2 }[this.textAlign] ?? 0);
    const middle = this.textBaseline === "middle" ? y : y - 6;
    const box = { x: left, right: left + width, y: middle - 5, bottom: middle + 5 };
    drawn.push({ text, box, canvas: this.canvas });
    fillText.call(this, text, x, y);
  };
  const panel = microscope.panels[microscope.panel];
  for (const draw of [() => panel.render(), () => microscope.minimap.render()]) {
    drawn = [];
    draw();
    drawn.forEach((a, i) => drawn.slice(i + 1).forEach((b) => {
      if (a.canvas === b.canvas && over(a.box, b.box)) said.push(`drawn: "${a.text}" over "${b.text}"`);
    }));
  }
  proto.fillText = fillText;
  return said;
})()"#;

#[test]
fn every_panel_is_legible_at_every_width_in_both_themes() {
    let Some(mut browser) = Browser::start("mainspring-legible") else { return };
    let all = recorded("a bit of everything", everything());
    let at_once = sleeps("all at once", true);
    let page = Page::new("legible", &[&all, &at_once]);
    for scheme in ["light", "dark"] {
        // The last two are windows of 1440 × 900 and of 1280 × 800 at a zoom of 200 %.
        for (width, height) in [(1440, 900), (1024, 768), (390, 844), (720, 450), (640, 400)] {
            browser.look(width, height, scheme);
            browser.open(&page.0, "#panel=timeline");
            for panel in PANELS {
                browser.evaluate(&format!("microscope.setPanel('{panel}'); scrollTo(0, 0)"));
                for select in [0, 3] {
                    browser.evaluate(&format!("microscope.select({select})"));
                    browser.frame();
                    let said = browser.evaluate(EYE);
                    assert_eq!(said, json!([]), "{panel}, {width} × {height}, {scheme}");
                }
            }
            browser.evaluate("microscope.setPanel('timeline'); scrollTo(0, 0)");
            browser.frame();
            let lanes = browser.evaluate(
                "(() => { const t = microscope.timeline; const top = t.canvas.getBoundingClientRect().y; \
                 const floor = Math.min(document.querySelector('.bar').getBoundingClientRect().y, \
                 t.scroller.getBoundingClientRect().bottom); t.scroller.scrollTop = 0; \
                 return t.rows.filter((row) => row.type === 'task' \
                 && top + row.top + row.height <= floor).length; })()",
            );
            assert!(lanes.as_u64().unwrap() >= 4, "{lanes} lanes at {width} × {height}");
            let wide = browser.evaluate("document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(wide, json!(true), "nothing sticks out at {width} pixels");
        }
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn everything_is_reached_and_done_by_keyboard() {
    let Some(mut browser) = Browser::start("mainspring-keyboard") else { return };
    let all = recorded("a bit of everything", everything());
    let page = Page::new("keyboard", &[&all]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "#panel=timeline&task=3");
    let landmarks = "['header', 'nav', 'main', 'aside[aria-label]', 'section[aria-label]']\
                     .map((one) => document.querySelectorAll(`.page > ${one}`).length)";
    assert_eq!(browser.evaluate(landmarks), json!([1, 1, 1, 1, 2]));
    // From one stop to the next, the eye goes down the parts of the page in their order.
    let parts = "[...document.querySelectorAll('button, input, select, [tabindex=\"0\"]')]\
                 .filter((e) => e.checkVisibility() && e.tabIndex >= 0)\
                 .map((e) => e.closest('.page > *').className || e.closest('.page > *').tagName)\
                 .filter((part, i, all) => part !== all[i - 1])";
    assert_eq!(
        browser.evaluate(parts),
        json!(["HEADER", "NAV", "intro", "stage", "inspector", "stepper"])
    );
    browser.evaluate("document.getElementById('tab-timeline').focus()");
    for panel in ["tree", "table"] {
        browser.key("ArrowRight", 0);
        browser.frame();
        let now = browser.evaluate("[microscope.panel, document.activeElement.id]");
        assert_eq!(now, json!([panel, format!("tab-{panel}")]));
    }
    browser.evaluate("microscope.go(microscope.run.n)");
    browser.frame();
    browser.evaluate("document.querySelector('.tasks tbody tr').focus()");
    browser.key("ArrowDown", 0);
    browser.key("ArrowDown", 0);
    browser.key("Enter", 0);
    browser.frame();
    let now = browser.evaluate(
        "[microscope.selected, document.activeElement.tagName, \
         document.activeElement.getAttribute('aria-current')]",
    );
    assert_eq!(now, json!([3, "TR", "true"]));
    let name = "microscope.stepper.play.getAttribute('aria-label')";
    assert_eq!(browser.evaluate(name), json!("Play (Space)"));
    browser.evaluate("document.activeElement.blur()");
    browser.key(" ", 0);
    assert_eq!(browser.evaluate(name), json!("Pause (Space)"));
    browser.key(" ", 0);
    assert_eq!(browser.evaluate(name), json!("Play (Space)"));
    assert_eq!(browser.errors, Vec::<String>::new());
}

/// What a newcomer does: opens the page, reads, steps, asks why, jumps to the waker.
#[test]
fn the_first_minute_leads_from_the_busiest_instant_to_the_waker() {
    let Some(mut browser) = Browser::start("mainspring-first") else { return };
    let trace = sleeps("all at once", true);
    let page = Page::new("first", &[&trace]);
    browser.look(1440, 900, "light");
    browser.open(&page.0, "");
    // At no instant are more tasks ready.
    let cursor = browser.evaluate("microscope.cursor").as_u64().unwrap() as usize;
    let ready = |count| trace.model_after(count).ready.len();
    assert_eq!(ready(cursor), (0..trace.events.len()).map(ready).max().unwrap());
    assert_eq!(text(&mut browser, ".legend"), "ready\nruns\nwaits\na wake, from its cause\ncursor");
    let moments = text(&mut browser, ".moments");
    let told: Vec<_> = moments.lines().filter(|line| line.len() > 1).collect();
    assert_eq!(
        told,
        [
            "5 fetches start",
            "the loop sleeps for 100 ms, 6 tasks waiting",
            "1 timer fires: 1 task wakes"
        ]
    );
    browser.evaluate("document.querySelectorAll('.moments button')[2].click()");
    assert!(text(&mut browser, ".said").contains("wakes task"), "at the event of the sentence");
    // The answer of a task tells its evidence in sentences, and each of them leads to its event.
    browser.evaluate("microscope.go(0)");
    browser.key("ArrowRight", 0);
    browser.evaluate("microscope.select(1); microscope.go(microscope.run.kind.indexOf(40) + 2)");
    let why = text(&mut browser, ".verdict");
    assert!(why.starts_with("waiting for task "), "{why}");
    let evidence = text(&mut browser, ".inspector ul.evidence");
    assert!(evidence.contains("task 1 \"main\" waits for task "), "{evidence}");
    browser.evaluate("document.querySelector('.inspector ul.evidence button').click()");
    browser.evaluate("microscope.go(microscope.run.n); microscope.select(3)");
    browser.frame();
    browser.evaluate("document.querySelectorAll('.chain button')[1].click()");
    let said = text(&mut browser, ".said");
    assert!(said.ends_with(" wakes task 3 \"fetch /1\": it queues"), "{said}");
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn a_message_belongs_to_the_cursor_and_predicting_hides_the_future() {
    let Some(mut browser) = Browser::start("mainspring-hidden") else { return };
    let trace = sleeps("one by one", false);
    assert!(!trace.findings().is_empty());
    let page = Page::new("hidden", &[&trace]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "");
    // It opens at the first finding, and says so until the cursor moves on.
    let found = &trace.findings()[0];
    assert_eq!(browser.evaluate("microscope.cursor"), json!(found.evidence[0] + 1));
    assert_eq!(text(&mut browser, ".message"), format!("{}: {}.", found.code.title(), found.what));
    browser.key("ArrowRight", 0);
    assert_eq!(text(&mut browser, ".message"), "");
    // Evidence is sentences.
    browser.evaluate("microscope.setPanel('findings')");
    let event = &trace.events[found.evidence[0] as usize];
    let evidence = text(&mut browser, ".finding .evidence");
    assert!(evidence.starts_with(&trace.texts.sentence(event)), "{evidence}");

    browser.evaluate("microscope.go(20); document.getElementById('predict').click()");
    let later = "fetch /4";
    for panel in PANELS {
        browser.evaluate(&format!("microscope.setPanel('{panel}')"));
        let shown = text(&mut browser, ".page");
        assert!(!shown.contains(later), "{panel}: {shown}");
        assert!(!shown.contains(&found.what), "{panel}: {shown}");
    }
    browser.evaluate("microscope.setPanel('timeline')");
    browser.frame();
    // Nothing is drawn of a task that has not been spawned yet.
    let drawn = "(() => { const texts = []; const proto = CanvasRenderingContext2D.prototype; \
                 const { fillText } = proto; proto.fillText = (text) => texts.push(text); \
                 microscope.timeline.render(); proto.fillText = fillText; return texts; })()";
    let texts = browser.evaluate(drawn).to_string();
    assert!(texts.contains("fetch /0") && !texts.contains(later), "{texts}");
    let covered = "(() => { const c = microscope.timeline.canvas; const at = c.width - 40; \
                   const of = (x, y) => [...c.getContext('2d').getImageData(x, y, 1, 1).data]; \
                   return new Set([40, 80, 120, 160].map((y) => of(at, y).join())).size; })()";
    assert_eq!(browser.evaluate(covered), json!(1));
    assert_eq!(browser.evaluate("microscope.matches('fetch /4')"), json!([]));
    browser.evaluate("document.getElementById('predict').click()");
    browser.frame();
    assert!(browser.evaluate(drawn).to_string().contains(later));
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn a_range_is_summed_up_searches_find_labels_and_polls_have_histograms() {
    let Some(mut browser) = Browser::start("mainspring-range") else { return };
    let all = recorded("a bit of everything", everything());
    let page = Page::new("range", &[&all]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "#panel=timeline&axis=time&task=3");
    let place = browser.evaluate(
        "(() => { microscope.fit(); const t = microscope.timeline; \
         const box = t.canvas.getBoundingClientRect(); const run = microscope.run; \
         const left = t.labels + 3; return [box.x + left, box.x + box.width - 3, box.y + 60]; })()",
    );
    browser.frame();
    let at = |n: usize| place[n].as_f64().unwrap();
    for (kind, x) in [
        ("mousePressed", at(0)),
        ("mouseMoved", 600.0),
        ("mouseMoved", at(1)),
        ("mouseReleased", at(1)),
    ] {
        browser.pointer(kind, x, at(2));
    }
    // All of the run: the sums are those of the model at its end.
    let shown = text(&mut browser, ".range");
    let totals = all.model().totals;
    let fact = |name: &str| {
        let lines: Vec<_> = shown.lines().collect();
        lines[lines.iter().position(|line| *line == name).expect(name) + 1].to_owned()
    };
    let polls: String = fact("polls").chars().filter(char::is_ascii_digit).collect();
    assert_eq!(polls, totals.polls.to_string(), "{shown}");
    let busy = mainspring_microscope::Nanos(totals.busy).to_string();
    assert!(fact("busy").starts_with(&busy), "{busy}: {shown}");
    assert!(fact("parked").contains('%') && shown.contains("task 1"), "{shown}");
    // By keyboard: from event 10 to event 20.
    browser.key("Escape", 0);
    assert_eq!(browser.evaluate("microscope.range"), json!(null));
    browser.evaluate("microscope.go(11)");
    browser.key("m", 0);
    browser.evaluate("microscope.go(21)");
    browser.key("m", 0);
    let range = browser.evaluate("[microscope.range.first, microscope.range.last]");
    assert!(range[0].as_u64().unwrap() <= 10 && range[1].as_u64().unwrap() >= 20, "{range}");
    // Every poll of the task is in its histogram.
    browser
        .evaluate("microscope.clearRange(); microscope.go(microscope.run.n); microscope.select(3)");
    browser.frame();
    let counted = browser.evaluate(
        "[...document.querySelectorAll('.histogram')].map((t) => [t.caption.innerText, \
         [...t.querySelectorAll('tr')].reduce((sum, row) => sum + Number(row.lastChild.innerText), 0)])",
    );
    let polls = all.model().task(3).unwrap().polls;
    assert_eq!(counted, json!([["Time of a poll", polls], ["From scheduled to running", polls]]));
    // Searches find spans and marks, and lead to the next of them.
    for (word, said) in [("half", "mark: half way"), ("connec", "begins \"connect\"")] {
        browser.evaluate(&format!(
            "(() => {{ microscope.go(0); const hits = microscope.matches('{word}'); \
             hits.find((hit) => /^(span|mark)/.test(hit.text)).act(); }})()"
        ));
        let shown = text(&mut browser, ".said");
        assert!(shown.contains(said), "{shown}");
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}

/// The page of an experiment: it asks first, and hides what comes after until it is answered.
#[test]
fn the_tree_of_awaits_shows_the_arms_that_a_task_is_inside_of() {
    let Some(mut browser) = Browser::start("mainspring-arms") else { return };
    let trace = recorded("arms", async {
        let left = async { traced("inner left", sleep(ms(2))).await };
        let both = race(traced("left", left), traced("right", sleep(ms(1))));
        spawn_named("races", traced("both", both)).await.unwrap();
    });
    let armed = trace.events.iter().position(|event| matches!(event.kind, Kind::Parked { .. }));
    let page = Page::new("arms", &[&trace]);
    browser.look(1024, 768, "light");
    browser.open(&page.0, &format!("#panel=tree&event={}&task=2", armed.unwrap()));
    browser.evaluate("document.querySelector('[data-by=await]').click()");
    browser.frame();
    // Within the task one future, and within that the two arms, one of which is inside of another.
    let arms = "Array.from(document.querySelectorAll('.tree .arms > li'), (arm) => \
                [arm.firstChild.textContent, arm.querySelectorAll('.arms > li').length])";
    let expected =
        json!([["\"both\"", 3], ["\"left\"", 1], ["\"inner left\"", 0], ["\"right\"", 0]]);
    assert_eq!(browser.evaluate(arms), expected);
    let within = "document.querySelectorAll('.inspector dd .arms > li').length";
    assert_eq!(browser.evaluate(within), json!(4));
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn a_lesson_asks_before_it_shows_and_then_leads_to_the_event() {
    let Some(mut browser) = Browser::start("mainspring-lesson") else { return };
    let (broken, mended) = (sleeps("one by one", false), sleeps("mended", true));
    let found = &broken.findings()[0];
    let lesson = page::Lesson {
        idea: "The idea that await makes things concurrent".into(),
        program: "The program: five fetches".into(),
        question: "How long do they take?".into(),
        answers: ["100 ms", "</script><b>", "510 ms"].map(String::from).into(),
        right: 2,
        because: "await waits.".into(),
        told: vec!["what happened: 510 ms".into(), "mended: 104 ms".into()],
        source: "fetch(n).await".into(),
        mended: "spawn all".into(),
        shared: "fn fetch()".into(),
        event: Some(found.evidence[0]),
        task: found.task,
        time: true,
    };
    let page = Page::new("lesson", &[&broken, &mended]);
    page::write_lesson(&page.0, &[&broken, &mended], &lesson).unwrap();
    for (width, height, scheme) in [(1440, 900, "light"), (1024, 768, "dark"), (390, 844, "light")]
    {
        browser.look(width, height, scheme);
        browser.open(&page.0, "");
        let shown = text(&mut browser, ".page");
        for part in
            [&lesson.idea, &lesson.program, &lesson.question, &lesson.source, &lesson.answers[1]]
        {
            assert!(shown.contains(part.as_str()), "{part}: {shown}");
        }
        assert_eq!(browser.evaluate(EYE), json!([]), "asked at {width} in {scheme}");
        for panel in PANELS {
            browser.evaluate(&format!("microscope.setPanel('{panel}')"));
            let shown = text(&mut browser, ".page");
            for part in [&lesson.because, &lesson.mended, &lesson.told[0], &found.what] {
                assert!(!shown.contains(part.as_str()), "{panel}: {part}");
            }
            assert!(!shown.contains("fetch /"), "{panel}: {shown}");
        }
        browser.evaluate("microscope.setPanel('lesson')");
        browser.frame();
        browser.evaluate("document.querySelectorAll('.lesson button')[1].click()");
        let shown = text(&mut browser, ".lesson");
        for part in
            ["Not so: 510 ms.", &lesson.because, &lesson.mended, &lesson.told[0], &lesson.told[1]]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let now = browser.evaluate("[microscope.cursor, microscope.selected, microscope.axis]");
        assert_eq!(now, json!([found.evidence[0] + 1, found.task, "time"]));
        assert_eq!(browser.evaluate(EYE), json!([]), "answered at {width} in {scheme}");
        let wide = browser.evaluate("document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(wide, json!(true), "nothing sticks out at {width} pixels");
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn a_page_quotes_the_source_of_spawns_and_awaits_and_keeps_secrets() {
    let Some(mut browser) = Browser::start("mainspring-source") else { return };
    let trace = recorded("https://ann:k3y@example.org/", async {
        let name = "GET /a?access_token=k3y";
        let asking = spawn_named(name, traced("Authorization: Bearer k3y", sleep(ms(1))));
        asking.await.unwrap();
    });
    let page = Page::new("source", &[&trace]);
    // Without being asked to, a page quotes nothing.
    assert!(!std::fs::read_to_string(&page.0).unwrap().contains("spawn_named(name"));
    // Paths of files are relative to the root of the workspace.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    page::write_with_source(&page.0, &[&trace], root).unwrap();
    let html = std::fs::read_to_string(&page.0).unwrap();
    let data =
        &html[html.find("id=\"runs\"").unwrap()..html.find("<script type=\"module\"").unwrap()];
    assert!(!data.contains("k3y"), "{data}");
    browser.look(1280, 800, "light");
    browser.open(&page.0, "");
    browser.evaluate("microscope.select(2); microscope.goTo(microscope.run.kind.indexOf(80) + 1)");
    let shown = text(&mut browser, ".inspector");
    let quoted = "let asking = spawn_named(name, traced(\"Authorization: …\", sleep(ms(1))));";
    assert_eq!(shown.matches(quoted).count(), 2, "spawned in, awaits in: {shown}");
    assert!(shown.contains("GET /a?access_token=…"), "{shown}");
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
    run_to(&mut browser, "nothing", "", "");
    assert_eq!(text(&mut browser, ".message"), "There is no task \"nothing\" in this run.");
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
    // What has not happened yet is not found either.
    browser.evaluate("document.getElementById('predict').click()");

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

/// How long a page of so many events takes to open is printed; that it opens is asserted.
#[test]
fn a_million_events_open() {
    let Some(mut browser) = Browser::start("mainspring-million") else { return };
    let trace = storm(1_000_000);
    assert!(trace.events.len() >= 900_000, "{}", trace.events.len());
    let page = Page::new("million", &[&trace]);
    browser.look(1280, 800, "light");
    browser.open(&page.0, "#panel=timeline");
    let load =
        browser.evaluate("Math.round(performance.getEntriesByType('navigation')[0].loadEventEnd)");
    eprintln!("{} events: opened after {load} ms", trace.events.len());
    assert_eq!(browser.evaluate("microscope.run.n"), json!(trace.events.len()));
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
