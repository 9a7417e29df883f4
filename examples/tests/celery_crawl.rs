//! A crawl that workers share: what it brings home is what one alone does, whatever dies on the way.
#![cfg(unix)]

mod celery_support;
mod cli_support;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};

use celery_support::{Redis, Site, Worker, can_run, python_worker};
use cli_support::{Scratch, crawl};
use serde_json::Value;

const PAGES: usize = 120;

/// A site of pages that each link to two others and back to the first.
fn tree() -> Site {
    Site::with(|path| {
        let n: usize = path.trim_start_matches('/').parse().unwrap_or_default();
        let below = [2 * n + 1, 2 * n + 2].into_iter().filter(|n| *n < PAGES);
        let links: String = below.map(|n| format!("<a href=/{n}>{n}</a>")).collect();
        format!("<title>page {n}</title><a href=/0>home</a>{links}")
    })
}

fn site(url: &str, out: &str, args: &[&str]) -> Command {
    let always = ["--pause", "0s", "--per-host", "50", "--ignore-robots", "--bodies", "--out", out];
    let mut command = crawl(&["site", url]);
    command.args(always).args(args).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// What a run has kept: its records without times, and bodies, by address.
fn kept(out: &str) -> BTreeMap<String, (Value, Vec<u8>)> {
    let records = fs::read_to_string(format!("{out}/pages.jsonl")).expect("records");
    let mut kept = BTreeMap::new();
    for line in records.lines() {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        let fields = record.as_object_mut().expect("an object");
        fields.retain(|name, _| !name.ends_with("_ms"));
        let file = fields["file"].as_str().expect("a body").to_owned();
        let body = fs::read(format!("{out}/{file}")).expect("it is there");
        let url = fields["url"].as_str().expect("a URL").to_owned();
        assert!(kept.insert(url, (record, body)).is_none(), "twice: {line}");
    }
    kept
}

fn ended(output: Output) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn workers_bring_home_what_one_alone_does() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("share");
    let (site_, scratch) = (tree(), Scratch::new("share"));
    let (alone, shared) = (scratch.path("alone"), scratch.path("shared"));
    let select = ["--select", "title"];
    ended(site(&site_.url("/0"), &alone, &select).output().expect("it runs"));
    let _workers = [Worker::start(&redis, &[]), Worker::start(&redis, &[])];
    let via = ["--via", &redis.url(), "--select", "title"];
    ended(site(&site_.url("/0"), &shared, &via).output().expect("it runs"));
    assert_eq!(kept(&alone).len(), PAGES);
    assert_eq!(kept(&shared), kept(&alone));
    assert!(site_.asked().values().all(|asked| *asked == 2), "{:?}", site_.asked());
    assert_eq!(redis.cli(&["KEYS", "celery*"]), "", "nothing is left behind");
}

#[test]
fn a_killed_coordinator_goes_on_where_it_was_and_so_do_others_for_killed_workers() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("coordinator");
    let (site_, scratch) = (tree(), Scratch::new("coordinator"));
    let (alone, shared) = (scratch.path("alone"), scratch.path("shared"));
    ended(site(&site_.url("/0"), &alone, &[]).output().expect("it runs"));
    let options = ["--visibility-timeout", "3s", "--concurrency", "4"];
    let _stays = Worker::start(&redis, &options);
    let mut asked = PAGES;
    let journal = scratch.path("journal");
    let args = ["--via", "env", "--resume", &journal];
    for _ in 0..3 {
        let worker = Worker::start(&redis, &options);
        let mut coordinator = site(&site_.url("/0"), &shared, &args);
        let coordinator = coordinator.env("REDIS_URL", redis.url()).spawn().expect("it runs");
        let coordinator = celery_support::Running(coordinator);
        asked += 20;
        site_.until(asked, 0);
        worker.signal("-KILL");
        cli_support::signal(&coordinator.0, "-KILL");
    }
    let mut last = site(&site_.url("/0"), &shared, &args);
    ended(last.env("REDIS_URL", redis.url()).output().expect("it runs"));
    assert_eq!(kept(&shared), kept(&alone));
    let told = fs::read_to_string(&journal).expect("a journal");
    assert_eq!(told.lines().count(), PAGES + 1, "a head, and each page once");
}

#[test]
fn workers_of_another_kind_are_refused_with_a_clear_error() {
    if !can_run() {
        return;
    }
    let redis = Redis::start("version");
    let (site_, scratch) = (tree(), Scratch::new("version"));
    let via = ["--via", &redis.url()];
    for (name, arguments) in [("other", "url, **options"), ("older", "url")] {
        let task = format!(
            "@app.task(name='mainspring.fetch')\ndef fetch({arguments}):\n    return {{'status': 200}}\n"
        );
        let _worker = python_worker(&redis, &task, "--pool=solo");
        let ran = site(&site_.url("/0"), &scratch.path(name), &via).output().expect("it runs");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains("coordinator and workers must be of one version"), "{said}");
    }
}
