//! What the tests of the distributed crawl share: a real Redis, Python's own Celery, workers of ours,
//! and a site that counts who fetched what and answers when it is told to.
//!
//! They need `redis-server` with `redis-cli`, and a Python with the packages `celery[redis]` and
//! `flower`: that of the environment variable `CELERY_PYTHON`, or `python3`. Without them a test says so
//! and passes over; with `CELERY_TESTS=required` it fails.

#![allow(dead_code, reason = "each of the test binaries uses a part of this")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::cli_support::{Scratch, crawl, signal};

/// Longer than anything here takes on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(120);

pub fn python() -> String {
    std::env::var("CELERY_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Whether everything is there that the tests need.
pub fn can_run() -> bool {
    let runs = |command: &mut Command| {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let all = runs(Command::new("redis-server").arg("--version"))
        && runs(Command::new("redis-cli").arg("--version"))
        && runs(Command::new(python()).args(["-c", "import celery, kombu.transport.redis"]));
    if !all {
        let needs = "needs redis-server, redis-cli, and Python with celery[redis]";
        assert!(std::env::var_os("CELERY_TESTS").is_none(), "{needs}");
        eprintln!("SKIPPED: {needs}");
    }
    all
}

/// A process that ends with the test.
pub struct Running(pub Child);

impl Running {
    /// Waits for its end; gives its exit code, or nothing if a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Redis at a socket of its own.
pub struct Redis {
    server: Option<Running>,
    scratch: Scratch,
    options: Vec<String>,
}

impl Redis {
    pub fn start(name: &str) -> Redis {
        Redis::with(name, &["--port", "0", "--save", ""])
    }

    pub fn with(name: &str, options: &[&str]) -> Redis {
        let scratch = Scratch::new(&format!("redis-{name}"));
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut redis = Redis { server: None, scratch, options };
        redis.up();
        redis
    }

    /// Starts it, and waits until it is ready.
    pub fn up(&mut self) {
        let mut child = Command::new("redis-server")
            .args(["--unixsocket", &self.socket(), "--dir", &self.scratch.path("")])
            .args(&self.options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut log = BufReader::new(child.stdout.take().expect("piped"));
        self.server = Some(Running(child));
        let (mut line, mut said) = (String::new(), String::new());
        while !line.contains("eady to accept") {
            line.clear();
            assert!(log.read_line(&mut line).expect("its log") > 0, "Redis came up: {said}");
            said.push_str(&line);
        }
        // A full pipe would hold it up.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }

    /// Ends it as a crash does.
    pub fn crash(&mut self) {
        drop(self.server.take());
    }

    pub fn signal(&self, name: &str) {
        signal(&self.server.as_ref().expect("it is up").0, name);
    }

    pub fn socket(&self) -> String {
        self.scratch.path("redis.sock")
    }

    pub fn url(&self) -> String {
        format!("redis+socket://{}", self.socket())
    }

    /// What `redis-cli` prints.
    pub fn cli(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-s", &self.socket()]).args(words).output();
        let output = output.expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Has `redis-cli` carry out these lines.
    pub fn pipe(&self, lines: &str) {
        let mut cli = Command::new("redis-cli")
            .args(["-s", &self.socket()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-cli runs");
        cli.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("it reads");
        assert!(cli.wait().expect("it ends").success());
    }

    pub fn number(&self, words: &[&str]) -> usize {
        let text = self.cli(words);
        text.parse().unwrap_or_else(|_| panic!("{words:?}: {text}"))
    }

    /// Asks again and again until the answer is this.
    pub fn until(&self, words: &[&str], expected: &str) {
        self.ask_until(words, |said| said == expected);
    }

    /// Asks again and again until the answer holds this.
    pub fn until_it_has(&self, words: &[&str], expected: &str) {
        self.ask_until(words, |said| said.contains(expected));
    }

    pub fn ask_until(&self, words: &[&str], is: impl Fn(&str) -> bool) {
        let since = std::time::Instant::now();
        while !is(&self.cli(words)) {
            assert!(since.elapsed() < LIMIT, "{words:?}: {}", self.cli(words));
        }
    }
}

/// An address behind which one Redis or another stands, or none.
pub struct Forwarder {
    address: String,
    /// The socket of that Redis.
    to: Arc<Mutex<Option<String>>>,
}

impl Forwarder {
    pub fn start(redis: &Redis) -> Forwarder {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let to = Arc::new(Mutex::new(Some(redis.socket())));
        let forwarder = Forwarder { address, to: to.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let socket = to.lock().expect("no panic").clone();
                let server = socket.and_then(|socket| UnixStream::connect(socket).ok());
                // Without one behind it, a connection ends where it began.
                let Some(server) = server else { continue };
                let (from, back) = (client.try_clone(), server.try_clone());
                let (mut from, mut back) = (from.expect("a socket"), back.expect("a socket"));
                let (mut client, mut server) = (client, server);
                std::thread::spawn(move || {
                    std::io::copy(&mut from, &mut server).ok();
                    server.shutdown(Shutdown::Both).ok();
                });
                std::thread::spawn(move || {
                    std::io::copy(&mut back, &mut client).ok();
                    client.shutdown(Shutdown::Both).ok();
                });
            }
        });
        forwarder
    }

    pub fn lead_to(&self, redis: Option<&Redis>) {
        *self.to.lock().expect("no panic") = redis.map(Redis::socket);
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

/// A worker of ours.
pub struct Worker {
    pub process: Running,
    pub ready: String,
    stdout: BufReader<ChildStdout>,
}

impl Worker {
    pub fn start(redis: &Redis, args: &[&str]) -> Worker {
        Worker::at(&redis.url(), args)
    }

    pub fn at(url: &str, args: &[&str]) -> Worker {
        let mut child = crawl(&["worker", "--allow-private"])
            .args(args)
            .env("REDIS_URL", url)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut ready = String::new();
        stdout.read_line(&mut ready).expect("its first line");
        assert!(ready.starts_with("ready: listening to "), "{ready}");
        Worker { process: Running(child), ready, stdout }
    }

    pub fn signal(&self, name: &str) {
        signal(&self.process.0, name);
    }

    pub fn node(&self) -> &str {
        let (_, rest) = self.ready.split_once(" as ").expect("it says its name");
        rest.split(',').next().expect("something")
    }

    /// Has it end, and waits until it has begun to.
    pub fn ends_by(&mut self, signal: &str) {
        self.signal(signal);
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        assert!(line.starts_with("ending: "), "{line}");
    }

    /// Waits for its end; gives its exit code and the last line that it said.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).expect("text");
        (self.process.wait(), said.lines().last().unwrap_or_default().to_owned())
    }
}

/// A worker in Python, with `code` for its tasks.
pub fn python_worker(redis: &Redis, code: &str, args: &str) -> Running {
    let script = format!(
        "import os
from celery import Celery
url = os.environ['REDIS_URL']
app = Celery('tasks', broker=url, backend=url)
{code}
app.worker_main('worker --loglevel=INFO --without-gossip --without-mingle {args}'.split())
"
    );
    let mut child = Command::new(python())
        .args(["-c", &script])
        .env("REDIS_URL", redis.url())
        .env("C_FORCE_ROOT", "true")
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let running = Running(child);
    let (mut line, mut said) = (String::new(), String::new());
    while !line.contains(" ready.") {
        line.clear();
        assert!(log.read_line(&mut line).expect("its log") > 0, "Python came up: {said}");
        said.push_str(&line);
    }
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    running
}

/// What a program in Python prints; `f`, `site`, `app` and `show` are there for it.
pub fn python_says(redis: &Redis, site: &str, program: &str) -> String {
    let script = format!(
        "import os
from celery import Celery, chain, chord, group, signature
url, site, f = os.environ['REDIS_URL'], '{site}', 'mainspring.fetch'
app = Celery('tasks', broker=url, backend=url)
def show(name, result):
    try:
        value = result.get(timeout=100)
        value = value['status'] if isinstance(value, dict) else value
        print(name, value, flush=True)
    except BaseException as error:
        print(name, type(error).__module__ + '.' + type(error).__name__, error.args, flush=True)
{program}
"
    );
    let command = &mut Command::new(python());
    said(command.args(["-c", &script]).env("REDIS_URL", redis.url()).output().expect("it runs"))
}

pub fn said(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// `crawl send` with these arguments.
pub fn send(redis: &Redis, args: &[&str]) -> Command {
    let mut command = crawl(&["send"]);
    command.args(args).env("REDIS_URL", redis.url());
    command
}

#[derive(Default)]
struct Counts {
    /// How often each path was asked for, and by which programs.
    asked: BTreeMap<String, usize>,
    agents: Vec<String>,
    /// How many answers were given and read to their end.
    answered: usize,
    shut: bool,
}

/// A site that counts. While its gate is shut it answers nothing.
#[derive(Clone)]
pub struct Site {
    base: String,
    state: Arc<(Mutex<Counts>, Condvar)>,
}

impl Site {
    pub fn start() -> Site {
        Site::with(|path| format!("<title>{path}</title>"))
    }

    pub fn with(page: impl Fn(&str) -> String + Send + Sync + 'static) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("its address"));
        let site = Site { base, state: Arc::default() };
        let (serving, page) = (site.clone(), Arc::new(page));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, page) = (serving.clone(), page.clone());
                std::thread::spawn(move || serving.serve(stream, &*page));
            }
        });
        site
    }

    fn serve(&self, stream: TcpStream, page: &dyn Fn(&str) -> String) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            (reader.read_line(&mut head).ok()? > 0).then_some(())?;
        }
        let path = head.split(' ').nth(1)?.to_owned();
        let agent = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("user-agent: ").map(str::to_owned));
        let (state, changed) = &*self.state;
        let mut counts = state.lock().expect("no panic");
        *counts.asked.entry(path.clone()).or_default() += 1;
        counts.agents.extend(agent);
        changed.notify_all();
        drop(changed.wait_while(counts, |counts| counts.shut).expect("no panic"));
        let body = page(&path);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
        // Its end comes when the other side has read everything.
        reader.read_to_end(&mut Vec::new()).ok()?;
        state.lock().expect("no panic").answered += 1;
        changed.notify_all();
        Some(())
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn shut(&self, shut: bool) {
        self.state.0.lock().expect("no panic").shut = shut;
        self.state.1.notify_all();
    }

    /// Waits until so many requests have come, or been answered.
    pub fn until(&self, asked: usize, answered: usize) {
        self.until_true(|counts| {
            counts.asked.values().sum::<usize>() >= asked && counts.answered >= answered
        });
    }

    /// Waits until so many different programs have asked.
    pub fn until_agents(&self, count: usize) {
        self.until_true(|counts| {
            let kinds: std::collections::BTreeSet<_> =
                counts.agents.iter().map(|agent| agent.split('/').next()).collect();
            kinds.len() >= count
        });
    }

    fn until_true(&self, is: impl Fn(&Counts) -> bool) {
        let (state, changed) = &*self.state;
        let counts = state.lock().expect("no panic");
        let waited = changed.wait_timeout_while(counts, LIMIT, |counts| !is(counts));
        assert!(!waited.expect("no panic").1.timed_out(), "the requests came");
    }

    /// How often each path was asked for.
    pub fn asked(&self) -> BTreeMap<String, usize> {
        self.state.0.lock().expect("no panic").asked.clone()
    }
}

/// A certificate for localhost, and its key, in files of a directory.
pub fn certificate(scratch: &Scratch) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (scratch.path("cert.pem"), scratch.path("key.pem"));
    fs::write(&cert, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (cert, key)
}
