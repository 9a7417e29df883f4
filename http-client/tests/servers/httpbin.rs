//! httpbin under gunicorn: what it says that we sent, redirects, cookies, codings, delays.

use crate::harness::{Directory, Server, free_address, has_module, installed, text};
use http::header;
use mainspring_http::{Body, Client, ErrorKind, Form, Method, Phase};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

fn httpbin() -> Option<Server> {
    if !installed(&["gunicorn"]) || !has_module("httpbin") {
        return None;
    }
    let address = free_address();
    let mut command = Command::new("gunicorn");
    command.args(["--workers", "1", "--threads", "16", "--worker-class", "gthread"]);
    command.args(["--bind", &address.to_string(), "--keep-alive", "60", "httpbin:app"]);
    Some(Server::start(Directory::new(), address, command))
}

async fn json_of(client: &Client, url: &str) -> Value {
    client.get(url).send().await.unwrap().json().await.unwrap()
}

#[test]
fn what_was_sent_is_what_was_meant() {
    let Some(server) = httpbin() else { return };
    mainspring::run(async {
        let client = Client::new();
        let request = client.get(server.url("/anything/a%20b/ä?x=1&x=2&y=%E4%BD%A0#z"));
        let request = request.query([("q", "a b&c"), ("empty", "")]);
        let seen: Value = request.send().await.unwrap().json().await.unwrap();
        let arguments = json!({"x": ["1", "2"], "y": "你", "q": "a b&c", "empty": ""});
        assert_eq!(seen["args"], arguments);
        assert!(seen["url"].as_str().unwrap().contains("/anything/a%20b/ä"), "{}", seen["url"]);

        let methods = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        for method in methods {
            let value = json!({"text": "你好", "list": [1, 2.5, null]});
            let request = client.request(method.clone(), server.url("/anything")).json(&value);
            let seen: Value = request.send().await.unwrap().json().await.unwrap();
            assert_eq!((&seen["json"], &seen["method"]), (&value, &json!(method.as_str())));
            assert_eq!(seen["headers"]["Content-Type"], "application/json");
        }

        let pairs = [("a", "1 + 1"), ("a", "=&"), ("ü", "你")];
        let request = client.post(server.url("/anything")).form(pairs);
        let seen: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(seen["form"], json!({"a": ["1 + 1", "=&"], "ü": "你"}));

        let form = Form::new().text("field", "你").file(
            "upload",
            "a \"name\".txt",
            "text/plain",
            "content",
        );
        let request = client.post(server.url("/anything")).multipart(form);
        let seen: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(seen["form"], json!({"field": "你"}));
        assert_eq!(seen["files"], json!({"upload": "content"}));

        let stream = futures::stream::iter(["in ", "", "pieces"].map(|piece| Ok(piece.into())));
        let request = client.post(server.url("/anything")).body(Body::stream(stream));
        let seen: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(seen["data"], "in pieces");
        assert_eq!(client.stats().opened, 1, "{}", client.stats());
    });
}

#[test]
fn every_kind_of_redirect_is_followed() {
    let Some(server) = httpbin() else { return };
    mainspring::run(async {
        let client = Client::new();
        for kind in ["redirect", "relative-redirect", "absolute-redirect"] {
            let url = server.url(&format!("/{kind}/4"));
            let response = client.get(&url).send().await.unwrap();
            assert_eq!(response.url().path(), "/get", "{kind}");
            assert_eq!(response.history().len(), 4);
            response.discard().await.unwrap();
        }
        let error = client.get(server.url("/redirect/11")).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooManyRedirects { limit: 10 }), "{error}");
        let rows = [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")];
        for (status, method) in rows {
            let url = server.url(&format!("/redirect-to?url=/anything&status_code={status}"));
            let request = client.post(url).body("again").header(header::CONTENT_TYPE, "text/x");
            let seen: Value = request.send().await.unwrap().json().await.unwrap();
            assert_eq!(seen["method"], method, "{status}");
            let (data, kind) = match method {
                "POST" => (json!("again"), json!("text/x")),
                _ => (json!(""), Value::Null),
            };
            assert_eq!((&seen["data"], &seen["headers"]["Content-Type"]), (&data, &kind));
        }
        assert_eq!(client.stats().opened, 1, "{}", client.stats());
    });
}

#[cfg(feature = "cookies")]
#[test]
fn cookies_are_set_kept_and_deleted_on_the_way() {
    let Some(server) = httpbin() else { return };
    mainspring::run(async {
        let client = Client::builder().cookies(mainspring_http::CookieJar::new()).build();
        // The answer that sets them redirects to the one that shows them.
        let seen = json_of(&client, &server.url("/cookies/set?a=1&b=two%20words")).await;
        assert_eq!(seen["cookies"], json!({"a": "1", "b": "two words"}));
        let seen = json_of(&client, &server.url("/cookies/delete?a")).await;
        assert_eq!(seen["cookies"], json!({"b": "two words"}));
        let without = json_of(&Client::new(), &server.url("/cookies/set?a=1")).await;
        assert_eq!(without["cookies"], json!({}));
    });
}

#[test]
fn credentials_are_believed() {
    let Some(server) = httpbin() else { return };
    mainspring::run(async {
        let client = Client::new();
        let url = server.url("/basic-auth/me/p%C3%A4ss%20word");
        let response = client.get(&url).basic_auth("me", "päss word").send().await.unwrap();
        assert_eq!(response.status(), 200);
        let seen: Value = response.json().await.unwrap();
        assert_eq!(seen, json!({"authenticated": true, "user": "me"}));
        assert_eq!(client.get(&url).basic_auth("me", "x").send().await.unwrap().status(), 401);
        let seen: Value = {
            let request = client.get(server.url("/bearer")).bearer_auth("a.b.c");
            request.send().await.unwrap().json().await.unwrap()
        };
        assert_eq!(seen["token"], "a.b.c");
    });
}

#[test]
fn codings_are_taken_off() {
    let Some(server) = httpbin() else { return };
    let mut rows = vec![("gzip", "gzipped"), ("deflate", "deflated")];
    if cfg!(feature = "br") {
        rows.push(("brotli", "brotli"));
    }
    mainspring::run(async {
        let client = Client::new();
        for (path, word) in rows {
            let seen = json_of(&client, &server.url(&format!("/{path}"))).await;
            assert_eq!(seen[word], true, "{seen}");
        }
        let page = text(&client, &server.url("/encoding/utf8")).await.unwrap();
        assert!(page.contains("∮ E⋅da = Q,  n → ∞, ∑ f(i) = ∏ g(i)"), "{page}");
    });
}

#[test]
fn bodies_come_in_every_shape() {
    let Some(server) = httpbin() else { return };
    mainspring::run(async {
        let client = Client::new();
        let lines = text(&client, &server.url("/stream/20")).await.unwrap();
        let ids: Vec<u64> = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap())
            .collect();
        assert_eq!(ids, Vec::from_iter(0..20));
        for (path, length) in [("/bytes/5000", 5000), ("/stream-bytes/70000?chunk_size=7", 70_000)]
        {
            let response = client.get(server.url(path)).send().await.unwrap();
            assert_eq!(response.bytes().await.unwrap().len(), length, "{path}");
        }
        let request = client.get(server.url("/range/1000")).header(header::RANGE, "bytes=20-29");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 206);
        assert_eq!(response.text().await.unwrap(), "uvwxyzabcd");
        let response =
            client.get(server.url("/drip?numbytes=5&duration=0.2")).send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap(), "*****");
        let response = client.head(server.url("/get")).send().await.unwrap();
        assert!(response.content_length().unwrap() > 0);
        assert_eq!(response.bytes().await.unwrap(), "");
    });
}

#[test]
fn every_status_is_an_answer() {
    let Some(server) = httpbin() else { return };
    mainspring::run(async {
        let client = Client::builder().max_redirects(0).build();
        for status in
            [200, 201, 202, 204, 205, 206, 300, 301, 304, 400, 401, 404, 418, 429, 503, 599]
        {
            let url = server.url(&format!("/status/{status}"));
            let response = client.get(&url).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            response.discard().await.unwrap();
        }
        assert_eq!(client.stats().opened, 1, "{}", client.stats());
    });
}

#[test]
fn delays_pass_side_by_side_and_are_given_up_in_time() {
    let Some(server) = httpbin() else { return };
    mainspring::run(async {
        let client = Client::new();
        let tasks: Vec<_> = (0..8)
            .map(|_| mainspring::spawn(client.get(server.url("/delay/0.3")).send()))
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap().discard().await.unwrap();
        }
        assert_eq!(client.stats().peak_in_flight, 8);
        let late = client.get(server.url("/delay/10")).timeout(Duration::from_millis(100));
        let error = late.send().await.unwrap_err();
        assert_eq!(error.phase(), Some(Phase::Total), "{error}");
        assert_eq!(json_of(&client, &server.url("/get")).await["args"], json!({}));
    });
}
