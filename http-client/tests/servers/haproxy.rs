//! HAProxy: a judge of replies and requests that is strict, and quick to end a connection.

use crate::byte_server;
use crate::harness::{Directory, Server, free_address, installed, text};
use http::header;
use mainspring_http::{Client, ErrorKind, Phase, StatusCode, Timeouts};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

const CONFIG: &str = r#"
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 20ms
    timeout tarpit 60s
frontend all
    bind ADDRESS
    http-request return status 200 content-type text/plain string "here" if { path /here }
    http-request return status 200 content-type text/plain lf-string "%[req.hdrs]" if { path /fields }
    http-request deny deny_status 429 if { path /often }
    http-request tarpit if { path /tar }
    http-request silent-drop if { path /lost }
    http-request redirect code 307 location /here if { path /moved }
    use_backend nobody if { path /nobody }
    default_backend behind
backend nobody
backend behind
    server behind BEHIND
"#;

fn haproxy(behind: SocketAddr) -> Option<Server> {
    if !installed(&["haproxy"]) {
        return None;
    }
    let directory = Directory::new();
    let address = free_address();
    let config =
        CONFIG.replace("ADDRESS", &address.to_string()).replace("BEHIND", &behind.to_string());
    directory.write("haproxy.cfg", config);
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f", "haproxy.cfg"]);
    Some(Server::start(directory, address, command))
}

#[test]
fn an_idle_connection_that_ends_just_now_fails_no_request() {
    let Some(server) = haproxy(free_address()) else { return };
    mainspring::run(async {
        let client = Client::new();
        for request in 0..60 {
            assert_eq!(text(&client, &server.url("/here")).await.unwrap(), "here");
            // All around the moment at which the server ends it, on either side.
            let pause = Duration::from_micros(19_500 + 50 * (request % 30));
            mainspring::time::sleep(pause).await;
        }
        assert_eq!(client.stats().failed, 0, "{}", client.stats());
        assert!(client.stats().opened > 1, "{}", client.stats());
    });
}

#[test]
fn refusals_are_answers() {
    let Some(server) = haproxy(free_address()) else { return };
    mainspring::run(async {
        let client = Client::new();
        let rows = [("/often", 429), ("/nobody", 503), ("/behind", 503)];
        for (path, status) in rows {
            let response = client.get(server.url(path)).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert!(response.text().await.unwrap().contains("<h1>"), "{path}");
        }
        let response = client.post(server.url("/moved")).body("x").send().await.unwrap();
        assert_eq!(response.url().path(), "/here");
    });
}

#[test]
fn what_is_never_answered_runs_into_the_timeout_of_its_phase() {
    let Some(server) = haproxy(free_address()) else { return };
    mainspring::run(async {
        let head = Some(Duration::from_millis(100));
        let timeouts = Timeouts { head, ..Timeouts::default() };
        let client = Client::builder().timeouts(timeouts).build();
        for path in ["/tar", "/lost"] {
            let error = text(&client, &server.url(path)).await.unwrap_err();
            assert_eq!(error.phase(), Some(Phase::Head), "{path}: {error}");
            let is_late = matches!(error.kind(), ErrorKind::Timeout { .. });
            // A connection that is dropped in silence may be reset all the same.
            assert!(is_late || path == "/lost", "{path}: {error}");
        }
        assert_eq!(client.stats().open, 0);
    });
}

#[test]
fn the_fields_that_we_send_are_these() {
    let Some(server) = haproxy(free_address()) else { return };
    mainspring::run(async {
        let client = Client::builder().decompress(false).build();
        let fields = text(&client, &server.url("/fields")).await.unwrap();
        let expected =
            format!("host: {}|user-agent: mainspring/0.1.0|accept: */*||", server.address);
        // HAProxy escapes the ends of lines where a page quotes them.
        assert_eq!(fields.replace("%0D%0A", "|"), expected);
    });
}

/// What a judge makes of a bad reply is a 502; what we would have made of it is an error. What is
/// good comes through with trailers.
#[test]
fn bad_replies_are_bad_gateways_and_trailers_come_through() {
    let behind = byte_server::Server::new(|seen| match seen.line() {
        "GET /good" => byte_server::say(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\nx-sum: 7\r\n\r\n",
        ),
        "GET /lengths" => byte_server::say_and_close(
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\none!",
        ),
        "GET /field" => byte_server::say_and_close("HTTP/1.1 200 OK\r\nbad field: x\r\n\r\n"),
        other => panic!("{other}"),
    });
    let Some(server) = haproxy(behind.address) else { return };
    mainspring::run(async {
        let client = Client::new();
        let mut response = client.get(server.url("/good")).send().await.unwrap();
        assert_eq!(response.headers()[header::TRANSFER_ENCODING], "chunked");
        assert_eq!(response.chunk().await.unwrap().unwrap(), "one");
        assert!(response.chunk().await.unwrap().is_none());
        assert_eq!(response.trailers().unwrap()["x-sum"], "7");
        for path in ["/lengths", "/field"] {
            let response = client.get(server.url(path)).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{path}");
            let url = format!("http://{}{path}", behind.address);
            let error = text(&client, &url).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Protocol(_)), "{path}: {error}");
        }
    });
}
