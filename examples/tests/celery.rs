//! The Celery worker and producer against Python's own Celery, with a real Redis between them.
//!
//! Needs `redis-server`, and a Python with the packages `celery` and `redis`: that of the environment
//! variable `CELERY_PYTHON`, or `python3`. Without them the test says so and passes over.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// What Python sends: three jobs of which one must fail, and what it learns of them.
const PRODUCER: &str = "
import sys
from celery import Celery
url = 'redis://' + sys.argv[1]
app = Celery('tasks', broker=url, backend=url)
sent = [app.send_task('tasks.crawl', args=[n]) for n in (1, 2, 1000000)]
for result in sent:
    try:
        print(result.get(timeout=60))
    except Exception as error:
        print('failed:', error)
";

/// A worker in Python that doubles a number.
const WORKER: &str = "
import sys
from celery import Celery
url = 'redis://' + sys.argv[1]
app = Celery('tasks', broker=url, backend=url)
@app.task(name='tasks.crawl')
def crawl(n):
    return {'page': n, 'twice': 2 * n}
app.worker_main(['worker', '--pool=solo', '--loglevel=ERROR', '--without-gossip', '--without-mingle'])
";

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn python() -> String {
    std::env::var("CELERY_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Whether everything is there that the test needs.
fn can_run() -> bool {
    let runs = |command: &mut Command| {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let all = runs(Command::new("redis-server").arg("--version"))
        && runs(Command::new(python()).args(["-c", "import celery, kombu.transport.redis"]));
    if !all {
        eprintln!("SKIPPED: needs redis-server, and Python with the packages celery and redis");
    }
    all
}

/// Redis on a port of its own, ready.
fn redis() -> (Running, String) {
    // Redis cannot choose a port by itself; the one that was free a moment ago still is.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut child = Command::new("redis-server")
        .args(["--port", &port, "--save", "", "--bind", "127.0.0.1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stdout.take().unwrap());
    let running = Running(child);
    let ready = log.lines().map_while(Result::ok).any(|line| line.contains("Ready to accept"));
    assert!(ready, "Redis came up");
    (running, format!("127.0.0.1:{port}"))
}

fn celery(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_celery"));
    command.args(args);
    command
}

fn said(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_worker_of_ours_does_the_jobs_of_a_python_producer() {
    if !can_run() {
        return;
    }
    let (_redis, address) = redis();
    let mut site = Command::new(env!("CARGO_BIN_EXE_crawl"))
        .args(["serve", "--listen", "127.0.0.1:0", "--delay", "0ms"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(site.stdout.take().unwrap()).lines();
    let _site = Running(site);
    let line = lines.next().unwrap().unwrap();
    let at = line.find("http://").expect("serve says where it listens");
    let url = line[at..].split_whitespace().next().unwrap().to_owned();
    let worker = ["worker", "--redis", &address, "--site", &url, "--concurrency", "2"];
    let _worker = Running(celery(&worker).stdout(Stdio::null()).spawn().unwrap());

    let python = Command::new(python()).args(["-c", PRODUCER, &address]).output().unwrap();
    let heard = said(python);
    let ours = said(celery(&["send", "--redis", &address, "1", "2"]).output().unwrap());

    let titles: Vec<&str> = heard.lines().collect();
    assert_eq!(titles.len(), 3, "{heard}");
    assert_eq!(ours, format!("1: {:?}\n2: {:?}\n", titles[0], titles[1]));
    assert!(titles[2].starts_with("failed:") && titles[2].contains("404"), "{heard}");
}

#[test]
fn a_producer_of_ours_reaches_a_python_worker() {
    if !can_run() {
        return;
    }
    let (_redis, address) = redis();
    let directory: PathBuf = std::env::temp_dir();
    let worker = Command::new(python())
        .args(["-c", WORKER, &address])
        .current_dir(directory)
        .env("C_FORCE_ROOT", "true")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _worker = Running(worker);
    let heard = said(celery(&["send", "--redis", &address, "20", "21"]).output().unwrap());
    assert_eq!(heard, "20: {\"page\":20,\"twice\":40}\n21: {\"page\":21,\"twice\":42}\n");
}

#[test]
fn without_redis_there_is_one_clear_line() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert!(TcpStream::connect(&free).is_err());
    let output = celery(&["send", "--redis", &free, "1"]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let start = format!("celery: cannot reach Redis at {free}: ");
    assert!(errors.starts_with(&start) && errors.lines().count() == 1, "{errors}");
}
