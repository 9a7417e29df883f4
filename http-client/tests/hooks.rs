//! What hooks are told, in which order, and the archive that is made of it.

mod support {
    pub mod server;
}

use mainspring_http::{Client, Hook, Signal};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::channel;
use support::server::{Reply, Server, ok, say, say_and_close};

/// Notes the names of the signals, and the number of the request where it changes.
#[derive(Clone, Default)]
struct Names(Rc<RefCell<(u64, Vec<String>)>>);

impl Hook for Names {
    fn signal(&self, signal: &Signal<'_>) {
        let (last, names) = &mut *self.0.borrow_mut();
        if *last != signal.request {
            *last = signal.request;
            names.push(format!("#{last}"));
        }
        let name = signal.kind.name().strip_prefix("on_").expect("all names begin like that");
        names.push(name.to_owned());
    }
}

impl Names {
    fn take(&self) -> String {
        std::mem::take(&mut self.0.borrow_mut().1).join(" ")
    }
}

#[test]
fn each_step_is_told_in_its_order() {
    let (go, wait) = channel();
    let mut wait = Some(wait);
    let server = Server::new(move |seen| match seen.line() {
        "GET /slow" => {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
            Reply::Steps(vec![vec![], answer], wait.take().expect("one slow request"))
        }
        "GET /from" => say("HTTP/1.1 302 X\r\nlocation: /to\r\ncontent-length: 0\r\n\r\n"),
        "GET /cut" => say_and_close("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
        "GET /none" => say_and_close(""),
        _ => ok("text"),
    });
    let port = server.address.port();
    mainspring::run(async {
        let names = Names::default();
        let client = Client::builder().hook(names.clone()).max_connections(1);
        let client = client.resolve("a.test", &["127.0.0.1".parse().unwrap()]).build();
        let get = |path: &str| client.get(format!("http://a.test:{port}{path}")).send();

        assert_eq!(get("/from").await.unwrap().text().await.unwrap(), "text");
        assert_eq!(
            names.take(),
            "#1 request_start connection_create_start dns_cache_hit connection_create_end \
             request_headers_sent request_redirect request_start connection_reuseconn \
             request_headers_sent request_end response_chunk_received response_end"
        );
        assert!(get("/cut").await.unwrap().text().await.is_err());
        assert_eq!(
            names.take(),
            "#2 request_start connection_reuseconn request_headers_sent request_end \
             response_chunk_received request_exception"
        );
        assert!(get("/none").await.is_err());
        assert_eq!(
            names.take(),
            "#3 request_start connection_create_start dns_cache_hit connection_create_end \
             request_headers_sent request_exception"
        );
        let other = client.get(format!("http://localhost:{port}/")).send();
        other.await.unwrap();
        let told = names.take();
        assert!(
            told.starts_with(
                "#4 request_start connection_create_start dns_cache_miss \
                 dns_resolvehost_start dns_resolvehost_end connection_create_end"
            ),
            "{told}"
        );
        let slow = mainspring::spawn(get("/slow"));
        let queued = mainspring::spawn(get("/"));
        while client.stats().waiting == 0 {
            mainspring::future::yield_now().await;
        }
        go.send(()).unwrap();
        slow.await.unwrap().unwrap();
        queued.await.unwrap().unwrap();
        let told = names.take();
        assert!(told.contains("#6 request_start connection_queued_start"), "{told}");
        assert!(told.contains("#6 connection_queued_end connection_reuseconn"), "{told}");
    });
}

#[cfg(feature = "json")]
#[test]
fn a_run_becomes_an_archive() {
    use mainspring_http::HarRecorder;
    let server = Server::new(|seen| match seen.line() {
        "GET /none" => say_and_close(""),
        _ => say("HTTP/1.1 200 Fine\r\ncontent-type: text/plain\r\nset-cookie: a=secret\r\n\
             content-length: 2\r\n\r\nhi"),
    });
    let recorder = HarRecorder::new();
    mainspring::run(async {
        let client = Client::builder().hook(recorder.clone()).build();
        let url = server.url("/page?a=1&b=x%20y").replace("http://", "http://me:secret@");
        client.get(url).header("x-own", "1").send().await.unwrap();
        client.get(server.url("/none")).bearer_auth("secret").send().await.unwrap_err();
    });
    let text = recorder.to_json();
    assert!(!text.contains("secret"), "{text}");
    let har: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(har["log"]["version"], "1.2");
    let entry = &har["log"]["entries"][0];
    assert_eq!(entry["request"]["url"], server.url("/page?a=1&b=x%20y"));
    let query = r#"[{"name":"a","value":"1"},{"name":"b","value":"x y"}]"#;
    assert_eq!(entry["request"]["queryString"].to_string(), query);
    assert_eq!(entry["request"]["headers"].to_string(), r#"[{"name":"x-own","value":"1"}]"#);
    assert_eq!(entry["response"]["status"], 200);
    assert_eq!(entry["response"]["statusText"], "Fine");
    assert_eq!(entry["response"]["bodySize"], 2);
    assert_eq!(entry["response"]["content"]["mimeType"], "text/plain");
    assert_eq!(entry["serverIPAddress"], "127.0.0.1");
    let timings = &entry["timings"];
    let sum: f64 = ["blocked", "connect", "send", "wait", "receive"]
        .iter()
        .map(|phase| timings[phase].as_f64().unwrap())
        .sum();
    assert_eq!(timings["ssl"], -1.0);
    let total = entry["time"].as_f64().unwrap();
    assert!((sum - total).abs() < 0.01, "{timings} {total}");
    let failed = &har["log"]["entries"][1];
    assert_eq!(failed["response"]["status"], 0);
    assert!(failed["response"]["_error"].as_str().unwrap().contains("without an answer"));
}
