//! The workers and the producer against Python's own Celery, with a real Redis between them: what each
//! side makes of the other's messages.
#![cfg(unix)]

mod celery_support;
mod cli_support;

use std::net::TcpListener;
use std::process::{Command, Stdio};

use celery_support::{
    Redis, Site, Worker, can_run, certificate, python, python_says, python_worker, said, send,
};
use cli_support::{Scratch, crawl};

/// A worker in Python that doubles a number and fetches as ours do.
const PYTHON_TASKS: &str = "
import urllib.request
@app.task(name='tasks.crawl')
def crawl(n):
    return {'page': n, 'twice': 2 * n}
@app.task(name='mainspring.fetch', bind=True)
def fetch(self, url):
    self.update_state(state='FETCHING')
    return {'url': url, 'len': len(urllib.request.urlopen(url).read())}
";

#[test]
fn a_worker_of_ours_does_what_python_asks_for() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("python-asks");
    let site = Site::start();
    let demo = cli_support::Site::start(&[]);
    let _worker = Worker::start(&redis, &["--site", &demo.url("/"), "--task", "other.name"]);
    let heard = python_says(
        &redis,
        &site.url(""),
        "
send = app.send_task
show('by position', send(f, [site + '/']))
show('by name', send(f, kwargs={'url': site + '/'}))
show('another name', send('other.name', [site + '/']))
show('crc32', send(f, [site + '/']).get(timeout=100) and 0 or send('tasks.crawl', [1]))
show('none', send(f))
show('too many', send(f, [1, 2]))
show('unknown', send('nope', [1]))
show('gzip', send(f, [site + '/'], compression='gzip'))
show('zlib', send(f, [site + '/'], compression='zlib'))
show('bzip2', send(f, [site + '/'], compression='bzip2'))
show('pickle', send(f, [site + '/'], serializer='pickle'))
for priority in (0, 3, 5, 9):
    show('priority %s' % priority, send(f, [site + '/'], priority=priority))
show('countdown', send(f, [site + '/'], countdown=0.5))
show('expired', send(f, [site + '/'], expires=-5))
task = lambda id, **more: signature('tasks.crawl', [id], app=app, immutable=True, **more)
show('chain', chain(task(2), task(1)).apply_async())
show('chain with its result', chain(signature(f, [site + '/'], app=app), signature(f, app=app)).apply_async())
show('group', group(task(1), task(2)).apply_async())
linked = task(2).set(task_id='the-linked-one')
send('tasks.crawl', [1], link=linked).get(timeout=100)
show('link', app.AsyncResult('the-linked-one'))
show('a chain that fails', chain(task(1000000), task(1)).apply_async())
show('chord', chord([task(1)], task(2)).apply_async())
show('retry', send(f, ['http://127.0.0.1:1/'], kwargs={'max_retries': 1}))
show('17 MB', send(f, [site + '/'], kwargs={'attr': 'x' * 17000000}))
result = send(f, [site + '/'], ignore_result=True)
show('no page is private here', send(f, [site + '/']))
print('ignored', result.state)
",
    );
    let lines: Vec<&str> = heard.lines().collect();
    let title = lines.iter().find_map(|line| line.strip_prefix("crc32 ")).expect("a title");
    let fault = "('mainspring.fetch() missing 1 required positional argument: \\'url\\'',)";
    let fault =
        fault.replace("\\'", "'").replace("('mainspring", "(\"mainspring").replace("',)", "\",)");
    let expected = |name: &str| -> String {
        let line = lines.iter().find(|line| line.starts_with(name)).expect(name);
        line[name.len()..].trim().to_owned()
    };
    for name in [
        "by position",
        "by name",
        "another name",
        "gzip",
        "zlib",
        "priority 0",
        "priority 3",
        "priority 5",
        "priority 9",
        "countdown",
        "17 MB",
        "no page is private here",
    ] {
        assert_eq!(expected(name), "200", "{heard}");
    }
    assert_eq!(expected("none"), format!("builtins.TypeError {fault}"));
    assert!(expected("too many").starts_with("builtins.TypeError "), "{heard}");
    assert!(expected("unknown").starts_with("celery.exceptions.NotRegistered"), "{heard}");
    assert!(expected("bzip2").starts_with("builtins.ValueError"), "{heard}");
    assert!(expected("pickle").contains("ContentDisallowed"), "{heard}");
    assert!(expected("expired").starts_with("celery.exceptions.TaskRevokedError"), "{heard}");
    assert_eq!(expected("chain "), title);
    assert!(expected("chain with its result").starts_with("builtins.TypeError"), "{heard}");
    assert!(expected("group").contains(title), "{heard}");
    assert!(!expected("link").is_empty() && !expected("link").contains("Error"), "{heard}");
    assert!(expected("a chain that fails").contains("404"), "{heard}");
    assert!(expected("chord").starts_with("builtins.NotImplementedError"), "{heard}");
    assert!(expected("retry").starts_with("builtins.ConnectionError"), "{heard}");
    assert_eq!(expected("ignored"), "PENDING");
    assert_eq!(redis.cli(&["HLEN", "unacked"]), "0");
    assert_eq!(redis.cli(&["ZCARD", "unacked_index"]), "0");
}

#[test]
fn a_worker_of_ours_is_seen_and_led_by_python() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("python-leads");
    let site = Site::start();
    let worker = Worker::start(&redis, &["--queue", "celery,other"]);
    site.shut(true);
    let heard = python_says(
        &redis,
        &site.url(""),
        &format!(
            "
node = '{}'
inspect = lambda: app.control.inspect(timeout=3, destination=[node])
assert inspect().ping() == {{node: {{'ok': 'pong'}}}}
assert app.control.ping(timeout=3, destination=['other@host'], limit=1) == []
assert inspect().registered() == {{node: ['mainspring.fetch', 'tasks.crawl']}}
assert [queue['name'] for queue in inspect().active_queues()[node]] == ['celery', 'other']
running = app.send_task(f, [site + '/'], queue='other')
waiting = app.send_task(f, [site + '/'], countdown=1000)
import urllib.request
while not inspect().active()[node] or app.backend.client.hlen('unacked') < 2:
    pass
assert inspect().active()[node][0]['id'] == running.id
assert inspect().stats()[node]['total'] == {{f: 1}}
limited = app.send_task(f, [site + '/'], time_limit=0.2)
show('hard', limited)
show('soft', app.send_task(f, [site + '/'], soft_time_limit=0.2))
running.revoke(terminate=True)
show('terminated', running)
waiting.revoke()
show('waiting', waiting)
assert inspect().revoked() and set(inspect().revoked()[node]) == {{running.id, waiting.id}}
assert 'error' in app.control.broadcast('nonsense', reply=True, timeout=3, destination=[node])[0][node]
app.control.shutdown(destination=[node])
",
            worker.node()
        ),
    );
    let lines: Vec<&str> = heard.lines().collect();
    assert!(lines[0].starts_with("hard billiard.exceptions.TimeLimitExceeded"), "{heard}");
    assert!(lines[1].starts_with("soft billiard.exceptions.SoftTimeLimitExceeded"), "{heard}");
    assert_eq!(lines[2], "terminated celery.exceptions.TaskRevokedError ('terminated',)");
    assert_eq!(lines[3], "waiting celery.exceptions.TaskRevokedError ('revoked',)");
    assert_eq!(worker.end(), (Some(0), "0 tasks done, 2 failed, 2 revoked".to_owned()));
}

#[test]
fn a_producer_of_ours_reaches_a_python_worker() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("ours-asks");
    let site = Site::start();
    let _worker = python_worker(&redis, PYTHON_TASKS, "--pool=solo");
    let crawl = ["--task", "tasks.crawl", "--json-args"];
    let heard =
        said(send(&redis, &[&crawl[..], &["20", "[21]"]].concat()).output().expect("it runs"));
    let mut lines: Vec<&str> = heard.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["20: {\"page\":20,\"twice\":40}", "[21]: {\"page\":21,\"twice\":42}"]);
    // A state of the task's own is no end.
    let heard = said(send(&redis, &[&site.url("/")]).output().expect("it runs"));
    let url = site.url("/");
    assert_eq!(heard, format!("{url}: {{\"len\":16,\"url\":\"{url}\"}}\n"));
    let failed = send(&redis, &[&crawl[..], &["[]"]].concat()).output().expect("it runs");
    let errors = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1));
    assert!(errors.starts_with("failed: []: TypeError: "), "{errors}");
    let sent = said(send(&redis, &["--no-wait", &url, &url]).output().expect("it runs"));
    for line in sent.lines() {
        let (id, rest) = line.split_once(' ').expect("an id and a URL");
        assert_eq!((id.len(), rest), (36, &*url));
    }
    assert_eq!(sent.lines().count(), 2);
    site.until(3, 0);
}

#[test]
fn workers_of_both_kinds_share_a_queue_and_one_finds_what_the_other_gives_back() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("both");
    let site = Site::start();
    let python = python_worker(&redis, PYTHON_TASKS, "--pool=solo --prefetch-multiplier=4");
    let worker = Worker::start(&redis, &["--concurrency", "1"]);
    site.shut(true);
    let urls: Vec<String> = (0..20).map(|n| site.url(&format!("/{n}"))).collect();
    let args: Vec<&str> = urls.iter().map(String::as_str).collect();
    let sending = send(&redis, &args).stdout(Stdio::piped()).spawn().expect("it runs");
    // Each holds one page, and Python has more in its hands, which it gives back at its end.
    site.until_agents(2);
    cli_support::signal(&python.0, "-TERM");
    site.shut(false);
    let heard = said(sending.wait_with_output().expect("it ends"));
    assert_eq!(heard.lines().count(), 20, "{heard}");
    assert!(site.asked().values().all(|asked| *asked == 1), "{:?}", site.asked());
    worker.signal("-TERM");
    assert_eq!(worker.end().0, Some(0));
}

#[test]
fn whatever_is_in_a_queue_the_worker_goes_on() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("poison");
    let site = Site::start();
    let worker = Worker::start(&redis, &["--concurrency", "2"]);
    let good = r#"{"headers":{"id":"an-id","task":"mainspring.fetch"},"body":"%","properties":"#;
    let with_id = [
        format!("{good}{{}}}}"),
        format!("{good}{{\"body_encoding\":\"base64\",\"delivery_tag\":7}}}}"),
        r#"{"headers":{"id":"an-id","task":"mainspring.fetch","eta":"soon"},"body":"[[],{},{}]"}"#.to_owned(),
        r#"{"headers":{"id":"an-id","task":"mainspring.fetch","eta":5},"body":"[[],{},{}]"}"#.to_owned(),
        r#"{"headers":{"id":"an-id","task":"mainspring.fetch"},"body":"[[],{},7]"}"#.to_owned(),
        r#"{"headers":{"id":"an-id","task":"t"},"content-encoding":"x","content-type":"y","body":""}"#.to_owned(),
        r#"{"body":"{\"id\":\"an-id\",\"task\":\"old\",\"args\":[],\"kwargs\":{}}"}"#.to_owned(),
        format!(r#"{{"headers":{{"id":"an-id","task":"t"}},"body":"{}"}}"#, "[".repeat(500)),
        // What Python writes, and is no JSON: its `json` takes it, ours and Redis's do not.
        r#"{"body": "W10=", "headers": {"task": "t", "id": "an-id", "own": NaN}}"#.to_owned(),
        r#"{"body": "W10=", "headers": {"task": "t", "id": "an-id", "own": "\ud83d"}}"#.to_owned(),
        format!(r#"{{"headers": {{"own": {}7{}, "id": "an-id"}}}}"#, "[".repeat(2000), "]".repeat(2000)),
    ];
    for message in &with_id {
        redis.cli(&["DEL", "celery-task-meta-an-id"]);
        redis.cli(&["LPUSH", "celery", message]);
        redis.until(&["EXISTS", "celery-task-meta-an-id"], "1");
        let result = redis.cli(&["GET", "celery-task-meta-an-id"]);
        assert!(result.contains(r#""status":"FAILURE""#), "{message}: {result}");
    }
    let without = [
        "",
        "no JSON",
        "7",
        "[]",
        "null",
        "{}",
        "\"text\"",
        "{\"headers\":7}",
        "{\"headers\":{\"id\":{}}}",
        "{\"headers\":{\"id\":\"\"},\"body\":\"{}\"}",
        "{\"body\":NaN}",
        "\u{1}",
        "{\"properties\":[]}",
    ];
    for message in without {
        redis.cli(&["LPUSH", "celery", message]);
    }
    redis.until(&["LLEN", "celery.dead"], &without.len().to_string());
    // Nor does a list that is none stand in the way of others.
    redis.cli(&["SET", "celery\u{6}\u{16}9", "text"]);
    let heard = said(send(&redis, &[&site.url("/")]).output().expect("it runs"));
    assert!(heard.contains("\"status\":200"), "{heard}");
    redis.cli(&["DEL", "celery\u{6}\u{16}9"]);
    // One tag for two messages is no reason to lose one.
    for n in 0..2 {
        let message = format!(
            r#"{{"headers":{{"id":"twin-{n}","task":"nope"}},"body":"[[],{{}},{{}}]","properties":{{"delivery_tag":"same"}}}}"#
        );
        redis.cli(&["LPUSH", "celery", &message]);
        redis.until(&["EXISTS", &format!("celery-task-meta-twin-{n}")], "1");
    }
    // Pages that take long to read hold no other up.
    let deep = Site::with(|_| format!("{}{}", "<div>".repeat(200_000), "<table>".repeat(50_000)));
    let args = format!("{{\"url\": \"{}\", \"links\": true}}", deep.url("/"));
    let several = ["--json-args", &args, &args];
    send(&redis, &several).output().expect("it ends");
    let heard = said(send(&redis, &[&site.url("/")]).output().expect("it runs"));
    assert!(heard.contains("\"status\":200"), "{heard}");
    redis.until(&["HLEN", "unacked"], "0");
    worker.signal("-TERM");
    assert_eq!(worker.end().0, Some(0));
}

#[test]
fn a_password_and_tls_are_used_and_refusals_told_without_secrets() {
    if !can_run() {
        return;
    }
    let scratch = Scratch::new("certificate");
    let (cert, key) = certificate(&scratch);
    // Redis cannot choose a port by itself; the one that was free a moment ago still is.
    let port = TcpListener::bind("127.0.0.1:0").expect("one").local_addr().expect("it").port();
    let port = port.to_string();
    let tls = ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let more =
        ["--port", "0", "--tls-auth-clients", "no", "--requirepass", "se cret", "--save", ""];
    let _redis = Redis::with("tls", &[&tls[..], &more].concat());
    let url = |password: &str, db: &str| {
        format!("rediss://:{password}@localhost:{port}/{db}?ssl_ca_certs={cert}")
    };
    let worker = Worker::at(&url("se%20cret", "3"), &[]);
    let ready = format!("ready: listening to celery at rediss://localhost:{port}/3 as ");
    assert!(worker.ready.starts_with(&ready), "{}", worker.ready);
    let site = Site::start();
    let sent = crawl(&["send", &site.url("/")]).env("REDIS_URL", url("se%20cret", "3")).output();
    assert!(said(sent.expect("it runs")).contains("\"status\":200"));
    for (password, db) in [("wr0ng", "0"), ("", "0"), ("se%20cret", "99")] {
        for command in ["worker", "send"] {
            let mut process = crawl(&[command]);
            if command == "send" {
                process.arg("http://h/");
            }
            let ran = process.env("REDIS_URL", url(password, db)).output().expect("it ends");
            let errors = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert_eq!(ran.status.code(), Some(1), "{errors}");
            let start = format!("crawl: Redis at rediss://localhost:{port}/{db} refuses: ");
            assert!(errors.starts_with(&start) && errors.lines().count() == 1, "{errors}");
            assert!(!errors.contains("wr0ng") && !errors.contains("cret"), "{errors}");
        }
    }
}

#[test]
fn nothing_that_is_said_of_a_task_holds_a_secret() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("secrets");
    let site = Site::start();
    let worker = crawl(&["worker", "--allow-private", "-v"])
        .env("REDIS_URL", redis.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let with_login = site.url("/").replace("//", "//me:s3cret@");
    let named = |url: &str| {
        let headers = r#""headers": {"X-Own": "s3cret"}, "proxy": "http://u:s3cret@127.0.0.1:1""#;
        format!(r#"{{"url": "{url}", "final_url": true, {headers}}}"#)
    };
    let (fails, no_json) = (named("http://127.0.0.1:1/"), named(&with_login).replace('}', ""));
    for (args, code) in [
        (vec![&*with_login], 0),
        (vec!["--no-wait", &*with_login], 0),
        (vec![&*site.url("/?user%5Bpassword%5D=s3cret")], 0),
        (vec!["http://me:s3cret@[bad/"], 1),
        (vec!["http://me:s3cret@127.0.0.1:1/?token=s3cret"], 1),
        (vec!["--json-args", &fails], 1),
        (vec!["--json-args", &no_json], 1),
        (vec!["--json-args", "--task", "nope", r#"["http://me:s3cret@a/"]"#], 1),
    ] {
        let ran = send(&redis, &args).output().expect("it runs");
        let said = format!("{ran:?}");
        assert_eq!(ran.status.code(), Some(code), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
        assert!(said.contains("***") || args.contains(&&*no_json), "{said}");
    }
    let results = "local all = {} for _, key in ipairs(redis.call('KEYS', 'celery-task-meta-*')) do \
                   all[#all + 1] = redis.call('GET', key) end return table.concat(all, ' ')";
    let results = redis.cli(&["EVAL", results, "0"]);
    assert!(results.contains("me:***@") && !results.contains("s3cret"), "{results}");
    cli_support::signal(&worker, "-TERM");
    let said = worker.wait_with_output().expect("it ends");
    let said = format!("{said:?}");
    assert!(said.contains("***") && !said.contains("s3cret"), "{said}");
}

#[test]
fn flower_lists_the_worker() {
    if !can_run() {
        return;
    }
    let has_flower = Command::new(python()).args(["-c", "import flower"]).output();
    if !has_flower.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CELERY_TESTS").is_none(), "needs flower");
        eprintln!("SKIPPED: needs Python with flower");
        return;
    }
    let redis = Redis::start("flower");
    let worker = Worker::start(&redis, &[]);
    let scratch = Scratch::new("flower");
    let socket = scratch.path("http");
    let flower = Command::new(python())
        .args(["-m", "celery", &format!("--broker={}", redis.url()), "flower"])
        .arg(format!("--unix-socket={socket}"))
        .env("FLOWER_UNAUTHENTICATED_API", "true")
        .current_dir(scratch.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let _flower = celery_support::Running(flower);
    // Each look takes Flower a second, in which it asks the workers; and it takes a while to start.
    let look = || {
        use std::io::{Read as _, Write as _};
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).ok()?;
        let ask = "GET /api/workers?refresh=true HTTP/1.0\r\nHost: h\r\n\r\n";
        stream.write_all(ask.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains(worker.node()).then_some(answer)
    };
    let since = std::time::Instant::now();
    let answer = loop {
        if let Some(answer) = look() {
            break answer;
        }
        assert!(since.elapsed().as_secs() < 120, "Flower lists {}", worker.node());
        std::thread::yield_now();
    };
    assert!(answer.contains("mainspring.fetch"), "{answer}");
}

#[test]
fn without_redis_there_is_one_clear_line() {
    let free = TcpListener::bind("127.0.0.1:0").expect("one").local_addr().expect("it").to_string();
    let output = crawl(&["send", "--redis", &free, "http://h/"]).output().expect("it runs");
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1));
    let start = format!("crawl: cannot reach Redis at redis://{free}/0: ");
    assert!(errors.starts_with(&start) && errors.lines().count() == 1, "{errors}");
    for (redis, said) in [
        ("http://:secret@h/", "crawl: --redis: http is not redis, rediss or redis+socket\n"),
        ("redis://:secret@h/x", "crawl: --redis: the database is a number, as in redis://host/0\n"),
    ] {
        let output = crawl(&["worker", "--redis", redis]).output().expect("it runs");
        assert_eq!(String::from_utf8(output.stderr).expect("text"), said);
        let output = crawl(&["site", "http://h.test/", "--via", redis]).output().expect("it runs");
        let said = said.replace("--redis", "--via");
        assert_eq!(String::from_utf8(output.stderr).expect("text"), said);
    }
}
