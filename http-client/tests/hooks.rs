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
