//! Python's own server: HTTP/1.0 as `python3 -m http.server` speaks it, and pages in encodings
//! that Python's codecs have made.

use crate::harness::{Directory, Server, free_address, installed, long_text, text};
use mainspring_http::{Client, CloseReason, StatusCode, Version};
use std::process::Command;

fn python(arguments: &[&str], directory: Directory) -> Option<Server> {
    if !installed(&["python3"]) {
        return None;
    }
    let address = free_address();
    let mut command = Command::new("python3");
    command.args(arguments).arg(address.port().to_string());
    command.args(["--bind", &address.ip().to_string()]);
    Some(Server::start(directory, address, command))
}

#[test]
fn http_1_0_serves_one_request_on_each_connection() {
    let directory = Directory::new();
    directory.write("plain.txt", long_text());
    directory.write("below/a page.html", "<p>below</p>");
    let Some(server) = python(&["-m", "http.server"], directory) else { return };
    mainspring::run(async {
        let client = Client::new();
        for _ in 0..2 {
            let response = client.get(server.url("/plain.txt")).send().await.unwrap();
            assert_eq!(response.version(), Version::HTTP_10);
            assert!(response.text().await.unwrap() == long_text());
        }
        let response = client.get(server.url("/below")).send().await.unwrap();
        assert_eq!(response.url().as_str(), server.url("/below/"));
        assert!(response.text().await.unwrap().contains("href=\"a%20page.html\""));
        let url = server.url("/below/a%20page.html");
        assert_eq!(text(&client, &url).await.unwrap(), "<p>below</p>");
        let response = client.post(&url).body("x").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
        response.discard().await.unwrap();
        let stats = client.stats();
        assert_eq!((stats.opened, stats.reused, stats.open), (6, 0, 0), "{stats}");
        // http.server says `Connection: close` only with its errors.
        assert_eq!(stats.closed(CloseReason::Http10), 5, "{stats}");
    });
}

/// A page in `encoding` is the text that Python encoded, whichever way its encoding is declared,
/// and wherever a character is cut in two.
const PAGES: &str = r#"
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXT = "豆瓣电影 Top 250 — 肖申克的救赎 €镕𠮷"

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        where, encoding, framing = self.path[1:].split("/")
        body = TEXT.encode(encoding, "replace")
        kind = "text/html"
        if where == "header":
            kind += "; charset=" + encoding
        elif where == "meta":
            body = f'<meta charset="{encoding}">'.encode() + body
        elif where == "equiv":
            equiv = f"<meta http-equiv=Content-Type content='text/html; charset={encoding}'>"
            body = equiv.encode() + body
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if framing == "whole":
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        elif framing == "chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for byte in body:
                self.wfile.write(b"1\r\n" + bytes([byte]) + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

ThreadingHTTPServer((sys.argv[3], int(sys.argv[1])), Handler).serve_forever()
"#;

#[test]
fn pages_are_read_in_the_encoding_that_they_declare() {
    let directory = Directory::new();
    let script = directory.write("pages.py", PAGES);
    let Some(server) = python(&[&script], directory) else { return };
    let text_in = |encoding| match encoding {
        "gb18030" | "utf-8" | "utf-16" => "豆瓣电影 Top 250 — 肖申克的救赎 €镕𠮷",
        "gbk" => "豆瓣电影 Top 250 — 肖申克的救赎 ?镕?",
        "big5" => "豆瓣?影 Top 250 — 肖申克的救? ???",
        other => panic!("no text for {other}"),
    };
    mainspring::run(async {
        let client = Client::new();
        let mut read = 0;
        for where_ in ["header", "meta", "equiv"] {
            for encoding in ["gb18030", "gbk", "utf-8", "big5", "utf-16"] {
                if encoding == "utf-16" && where_ != "header" {
                    // A page in UTF-16 cannot declare it in ASCII; Python puts a mark before it.
                    continue;
                }
                for framing in ["whole", "chunks", "close"] {
                    let path = format!("/{where_}/{encoding}/{framing}");
                    let page = text(&client, &server.url(&path)).await.unwrap();
                    let page = page.rsplit('>').next().unwrap();
                    assert_eq!(page, text_in(encoding), "{path}");
                    read += 1;
                }
            }
        }
        assert_eq!(read, 39);
        let page = text(&client, &server.url("/nowhere/utf-16/whole")).await.unwrap();
        assert_eq!(page, text_in("utf-16"), "by its mark alone");
    });
}
