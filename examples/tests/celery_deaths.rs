//! Nothing is lost: workers, connections and Redis die at every moment, and each page is fetched, at
//! most once more for each death.
#![cfg(unix)]

mod celery_support;
mod cli_support;

use std::net::TcpListener;
use std::process::{Child, Stdio};

use celery_support::{Forwarder, Redis, Site, Worker, can_run, python_worker, said, send};
use cli_support::{crawl, signal};

/// Sends so many pages of a site and waits for all of them.
fn sending(redis: &Redis, site: &Site, count: usize) -> Child {
    sending_at(&redis.url(), site, count)
}

fn sending_at(url: &str, site: &Site, count: usize) -> Child {
    let urls: Vec<String> = (0..count).map(|n| site.url(&format!("/{n}"))).collect();
    let mut child = crawl(&["send", "--timeout", "10m", "--at-once", "100000", "-"])
        .env("REDIS_URL", url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, urls.join("\n").as_bytes()).expect("it reads");
    child
}

/// Every page has a result; so many were fetched again, none of them twice; nothing is left.
fn complete(redis: &Redis, site: &Site, sending: Child, count: usize, again: usize) {
    let heard = said(sending.wait_with_output().expect("it ends"));
    assert_eq!(heard.lines().count(), count);
    assert!(heard.lines().all(|line| line.contains("\"len\":")), "{heard}");
    let asked = site.asked();
    assert_eq!(asked.len(), count);
    let more: usize = asked.values().map(|asked| asked - 1).sum();
    assert!(more <= again, "{more} fetched again, of {again} that may be: {asked:?}");
    redis.until(&["HLEN", "unacked"], "0");
    assert_eq!(redis.cli(&["LLEN", "celery"]), "0");
}

const SOON: [&str; 4] = ["--visibility-timeout", "3s", "--concurrency", "4"];

#[test]
fn a_worker_killed_after_its_claim_is_replaced() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("claim");
    let site = Site::start();
    let worker = Worker::start(&redis, &SOON);
    site.shut(true);
    let sending = sending(&redis, &site, 10);
    site.until(4, 0);
    worker.signal("-KILL");
    assert_eq!(worker.end().0, None);
    let _other = Worker::start(&redis, &SOON);
    site.shut(false);
    complete(&redis, &site, sending, 10, 4);
}

#[test]
fn a_worker_killed_after_its_fetch_is_replaced() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("fetch");
    let site = Site::start();
    let worker = Worker::start(&redis, &SOON);
    site.shut(true);
    let sending = sending(&redis, &site, 4);
    site.until(4, 0);
    // Redis hears nothing of what is fetched from now on.
    redis.signal("-STOP");
    site.shut(false);
    site.until(4, 4);
    worker.signal("-KILL");
    assert_eq!(worker.end().0, None);
    redis.signal("-CONT");
    let _other = Worker::start(&redis, &SOON);
    complete(&redis, &site, sending, 4, 4);
}

#[test]
fn what_a_worker_has_finished_stays_finished_when_it_is_killed() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("finish");
    let site = Site::start();
    let worker = Worker::start(&redis, &SOON);
    complete(&redis, &site, sending(&redis, &site, 10), 10, 0);
    worker.signal("-KILL");
    assert_eq!(worker.end().0, None);
    let _other = Worker::start(&redis, &SOON);
    complete(&redis, &site, sending(&redis, &site, 10), 10, 10);
    assert!(site.asked().values().all(|asked| *asked == 2), "once for each of the two runs");
}

#[test]
fn a_worker_that_is_stopped_and_then_killed_takes_nothing_with_it() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("stopped");
    let site = Site::start();
    let worker = Worker::start(&redis, &SOON);
    worker.signal("-STOP");
    let sending = sending(&redis, &site, 20);
    redis.until(&["LLEN", "celery"], "20");
    let _other = Worker::start(&redis, &SOON);
    worker.signal("-KILL");
    assert_eq!(worker.end().0, None);
    complete(&redis, &site, sending, 20, 0);
}

#[test]
fn connections_are_killed_again_and_again() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("client-kill");
    let site = Site::start();
    let _worker = Worker::start(&redis, &["--concurrency", "4"]);
    site.shut(true);
    let sending = sending(&redis, &site, 400);
    // What is sent twice would be fetched twice, which is another matter.
    redis.until(&["LLEN", "celery"], "396");
    site.shut(false);
    for seen in 1..=20 {
        site.until(seen * 10, 0);
        for kind in ["normal", "pubsub"] {
            redis.cli(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
        }
    }
    complete(&redis, &site, sending, 400, 0);
}

#[test]
fn refusals_that_pass_are_waited_out() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("refusals");
    let site = Site::start();
    site.shut(true);
    let _worker = Worker::start(&redis, &["--concurrency", "4"]);
    let sending = sending(&redis, &site, 40);
    let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
    for (refuse, code, accept) in [
        (["CONFIG", "SET", "maxmemory", "1"], "OOM", ["CONFIG", "SET", "maxmemory", "0"]),
        (["REPLICAOF", "127.0.0.1", "1", ""], "READONLY", ["REPLICAOF", "NO", "ONE", ""]),
        (["CONFIG", "SET", "requirepass", "x"], "NOAUTH", ["CONFIG", "SET", "requirepass", ""]),
    ] {
        let words = |words: [&'static str; 4]| -> Vec<&'static str> {
            let end = if words[0] == "REPLICAOF" { 3 } else { 4 };
            words[..end].to_vec()
        };
        let with_password: &[&str] = if code == "NOAUTH" { &["-a", "x"] } else { &[] };
        // Four pages are being fetched, and their results are refused.
        redis.until(&["HLEN", "unacked"], "4");
        redis.cli(&words(refuse));
        redis.cli(&[with_password, &kill].concat());
        site.shut(false);
        let refused = format!("errorstat_{code}");
        let stats = [with_password, &["INFO", "errorstats"]].concat();
        redis.until_it_has(&stats, &refused);
        site.shut(true);
        redis.cli(&[with_password, &words(accept)].concat());
    }
    site.shut(false);
    complete(&redis, &site, sending, 40, 0);
}

/// The ids of the connections whose latest command is one of these, or is none of them.
fn clients(redis: &Redis, are: bool, commands: &[&str]) -> Vec<String> {
    let list = redis.cli(&["CLIENT", "LIST"]);
    let is = |line: &str, command: &&str| line.contains(&format!(" cmd={command}"));
    let wanted = |line: &&str| commands.iter().any(|command| is(line, command)) == are;
    let id = |line: &str| Some(line.strip_prefix("id=")?.split(' ').next()?.to_owned());
    list.lines().filter(wanted).filter_map(id).collect()
}

#[test]
fn a_wait_that_is_broken_off_is_begun_anew() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("unblock");
    let site = Site::start();
    let _worker = Worker::start(&redis, &["--queue", "celery,other", "--concurrency", "4"]);
    let list = ["CLIENT", "LIST"];
    let waits = |said: &str, count| {
        said.lines().filter(|line| line.contains("cmd=blmove")).count() == count
    };
    for _ in 0..3 {
        redis.ask_until(&list, |said| waits(said, 2));
        for id in clients(&redis, true, &["blmove"]) {
            assert_eq!(redis.cli(&["CLIENT", "UNBLOCK", &id, "ERROR"]), "1");
            redis.ask_until(&list, |said| !said.contains(&format!("id={id} ")));
        }
    }
    redis.until_it_has(&["INFO", "errorstats"], "errorstat_UNBLOCKED:count=6");
    complete(&redis, &site, sending(&redis, &site, 10), 10, 0);
}

#[test]
fn connections_that_are_closed_since_they_were_idle_are_opened_again() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("idle");
    let site = Site::start();
    site.shut(true);
    let _worker = Worker::start(&redis, &["--concurrency", "1"]);
    let sending = sending(&redis, &site, 3);
    site.until(1, 0);
    redis.until(&["LLEN", "celery"], "2");
    // The producer waits for its pages, and the worker waits for no message while it has one.
    let idle = clients(&redis, false, &["eval", "publish", "psubscribe", "client"]);
    assert_eq!(idle.len(), 2, "{}", redis.cli(&["CLIENT", "LIST"]));
    redis.cli(&["CONFIG", "SET", "timeout", "1"]);
    let is_gone = |said: &str, id: &String| !said.contains(&format!("id={id} "));
    redis.ask_until(&["CLIENT", "LIST"], |said| idle.iter().all(|id| is_gone(said, id)));
    site.shut(false);
    complete(&redis, &site, sending, 3, 0);
}

#[test]
fn a_failover_is_waited_out() {
    if !can_run() {
        return;
    }
    // Replicas find their master by its port: one that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").expect("one").local_addr().expect("it").port();
    let port = port.to_string();
    let mut master = Redis::with("master", &["--port", &port, "--save", ""]);
    let replica = Redis::start("replica");
    replica.cli(&["REPLICAOF", "127.0.0.1", &port]);
    let forwarder = Forwarder::start(&master);
    let site = Site::start();
    site.shut(true);
    let _worker = Worker::at(&forwarder.url(), &["--concurrency", "4"]);
    let sending = sending_at(&forwarder.url(), &site, 40);
    site.until(4, 0);
    replica.until(&["LLEN", "celery"], "36");
    replica.until(&["HLEN", "unacked"], "4");
    // The old master is a replica before it is gone, and takes no results.
    master.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    site.shut(false);
    master.until_it_has(&["INFO", "errorstats"], "errorstat_READONLY");
    forwarder.lead_to(None);
    master.crash();
    forwarder.lead_to(Some(&replica));
    complete(&replica, &site, sending, 40, 0);
}

#[test]
fn a_refusal_that_does_not_pass_is_told_now_and_then_and_lived_through() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("wrong-type");
    let site = Site::start();
    let _worker = Worker::start(&redis, &["--concurrency", "4"]);
    redis.cli(&["SET", "unacked_index", "no index"]);
    let sending = sending(&redis, &site, 10);
    let count = |said: &str| -> usize {
        let count = said.split("errorstat_WRONGTYPE:count=").nth(1).unwrap_or_default();
        count.split_whitespace().next().unwrap_or_default().parse().unwrap_or_default()
    };
    redis.ask_until(&["INFO", "errorstats"], |said| count(said) >= 4);
    // Not as often as it can, though the queue has something for it.
    let refused = count(&redis.cli(&["INFO", "errorstats"]));
    assert!(refused < 20, "{refused}");
    redis.cli(&["DEL", "unacked_index"]);
    complete(&redis, &site, sending, 10, 0);
}

#[test]
fn what_others_have_died_with_is_back_in_its_queue_as_it_was() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("restore");
    let message = |mark: &str| {
        format!(
            r#"{{"body": "W10=", "headers": {{{mark}"big": 123456789012345678901234567890, "f": 1.10,
                "id": "i", "task": "t"}}, "properties": {{"priority": 3, "delivery_tag": "old",
                "delivery_info": {{{mark}"exchange": "e", "routing_key": "r"}}}}, "extra": [ 1 ]}}"#
        )
    };
    // More than are looked at together cannot be given back to any queue.
    let odd =
        (0..150).map(|n| format!("HSET unacked odd{n} \"[{n}\"\nZADD unacked_index 1 odd{n}\n"));
    redis.pipe(&odd.collect::<String>());
    redis.cli(&["HSET", "unacked", "old", &format!(r#"[{}, "e", "r"]"#, message(""))]);
    redis.cli(&["ZADD", "unacked_index", "2", "old"]);
    redis.cli(&["SADD", "_kombu.binding.e", "r\u{6}\u{16}\u{6}\u{16}q"]);
    let _worker = Worker::start(&redis, &["--queue", "other", "--visibility-timeout", "1s"]);
    redis.until(&["LLEN", "q\u{6}\u{16}3"], "1");
    let marked = message("\"redelivered\": true, ");
    assert_eq!(redis.cli(&["LINDEX", "q\u{6}\u{16}3", "0"]), marked);
    assert_eq!(redis.cli(&["HLEN", "unacked"]), "150");
    // And once more: one mark is enough.
    redis.cli(&["HSET", "unacked", "old", &format!(r#"[{marked}, "", "q"]"#)]);
    redis.cli(&["ZADD", "unacked_index", "2", "old"]);
    redis.until(&["LLEN", "q\u{6}\u{16}3"], "2");
    assert_eq!(redis.cli(&["LINDEX", "q\u{6}\u{16}3", "-1"]), marked);
}

#[test]
fn redis_itself_crashes_in_the_middle() {
    if !can_run() {
        return;
    }
    // By default, Redis may forget the last two seconds: what was finished then is done again.
    let options = ["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = Redis::with("restart", &options);
    let site = Site::start();
    let worker = Worker::start(&redis, &SOON);
    site.shut(true);
    let sending = sending(&redis, &site, 200);
    redis.until(&["LLEN", "celery"], "196");
    site.shut(false);
    for seen in [20, 60, 100] {
        site.until(seen, 0);
        redis.crash();
        redis.up();
    }
    complete(&redis, &site, sending, 200, 12);
    worker.signal("-TERM");
    assert_eq!(worker.end().0, Some(0));
}

#[test]
fn an_orderly_end_finishes_what_runs_and_gives_back_what_waits() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("orderly");
    let site = Site::start();
    for twice in [false, true] {
        redis.cli(&["FLUSHALL"]);
        let mut worker = Worker::start(&redis, &["--concurrency", "2"]);
        site.shut(true);
        let before: usize = site.asked().values().sum();
        let later = "app.send_task(f, [site], countdown=1000)";
        celery_support::python_says(&redis, "http://h/", later);
        redis.until(&["HLEN", "unacked"], "1");
        let urls: Vec<String> = (0..5).map(|n| site.url(&format!("/{twice}{n}"))).collect();
        let args: Vec<&str> = urls.iter().map(String::as_str).collect();
        said(send(&redis, &[&["--no-wait"], &args[..]].concat()).output().expect("it runs"));
        site.until(before + 2, 0);
        redis.until(&["LLEN", "celery"], "3");
        // Two signals at once would be one.
        worker.ends_by("-TERM");
        if twice {
            worker.signal("-TERM");
            let end = worker.end();
            assert_eq!(end.0, Some(0), "{}", end.1);
            assert_eq!(redis.cli(&["LLEN", "celery"]), "6");
        } else {
            site.shut(false);
            assert_eq!(worker.end().0, Some(0));
            assert_eq!(redis.cli(&["LLEN", "celery"]), "4");
        }
        site.shut(false);
        assert_eq!(redis.cli(&["HLEN", "unacked"]), "0");
    }
}

#[test]
fn a_worker_ends_also_while_redis_is_frozen() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("frozen");
    let site = Site::start();
    site.shut(true);
    for running in [0, 1] {
        let mut worker = Worker::start(&redis, &[]);
        if running > 0 {
            said(send(&redis, &["--no-wait", &site.url("/")]).output().expect("it runs"));
            site.until(1, 0);
        }
        redis.signal("-STOP");
        worker.ends_by("-INT");
        if running > 0 {
            worker.signal("-INT");
        }
        assert_eq!(worker.end().0, Some(0));
        redis.signal("-CONT");
    }
}

#[test]
fn two_thousand_tasks_over_three_workers_of_both_kinds_one_of_which_is_killed() {
    if !can_run() {
        return;
    }
    const PYTHON_TASKS: &str = "
import urllib.request
@app.task(name='mainspring.fetch')
def fetch(url):
    return {'url': url, 'len': len(urllib.request.urlopen(url).read())}
";
    let redis = Redis::start("many");
    let site = Site::start();
    let options = ["--visibility-timeout", "5s", "--concurrency", "8"];
    let killed = Worker::start(&redis, &options);
    let _worker = Worker::start(&redis, &options);
    let _python = python_worker(&redis, PYTHON_TASKS, "--pool=threads --concurrency=4");
    let sending = sending(&redis, &site, 2_000);
    site.until(500, 0);
    signal(&killed.process.0, "-KILL");
    assert_eq!(killed.end().0, None);
    complete(&redis, &site, sending, 2_000, 8);
}
