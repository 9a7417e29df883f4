//! Text that comes byte by byte, so that every character of more than one byte is split over reads.

#![cfg(all(unix, feature = "charset"))]

mod support {
    pub mod by_hand;
}

use mainspring::Runtime;
use mainspring_http::Client;
use std::io::Write;
use std::os::unix::net::UnixListener;
use support::by_hand::read_head;

const UTF_8: &str = "héllo, 你好，世界 🦀";

/// A `Content-Type`, a body, and the text that it is.
fn rows() -> Vec<(&'static str, Vec<u8>, String)> {
    // 你好, and in GB18030 also 🦀 in its four bytes.
    let gbk = b"<p>\xc4\xe3\xba\xc3</p>";
    let gb18030 = b"\xc4\xe3\xba\xc3\x95\x30\xd8\x32";
    let meta = [b"<meta charset=gb2312>", &gbk[..]].concat();
    vec![
        ("text/html; charset=GBK", gbk.to_vec(), "<p>你好</p>".to_owned()),
        ("text/html; charset=gb18030", gb18030.to_vec(), "你好\u{1f980}".to_owned()),
        ("text/html", meta, "<meta charset=gb2312><p>你好</p>".to_owned()),
        ("text/plain", UTF_8.into(), UTF_8.to_owned()),
        ("text/plain", [b"\xef\xbb\xbf", UTF_8.as_bytes()].concat(), UTF_8.to_owned()),
        ("text/plain", b"\xff\xfe\x60\x4f\x7d\x59".to_vec(), "你好".to_owned()),
        // The last character is cut short by the sender, not by us.
        ("text/plain; charset=gbk", b"\xc4\xe3\xba".to_vec(), "你\u{fffd}".to_owned()),
        ("text/plain", b"\xe4\xbd\xa0\xe5\xa5".to_vec(), "你\u{fffd}".to_owned()),
    ]
}

#[test]
fn a_character_that_is_split_over_reads_comes_out_whole() {
    let path = std::env::temp_dir().join(format!("mainspring-http-text-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let mut runtime = Runtime::new();
    let client = Client::builder().unix_socket(&path).build();
    for (content_type, body, expected) in rows() {
        for chunked in [false, true] {
            let request = client.get("http://a.test/").header("connection", "close");
            let text = runtime.spawn(async { request.send().await?.text().await });
            runtime.run_until_idle();
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            read_head(&mut runtime, &mut stream);
            for byte in wire(content_type, &body, chunked) {
                stream.write_all(&[byte]).unwrap();
                // What was written to a Unix socket is there, so each byte is read by itself.
                runtime.run_until_idle();
            }
            let text = runtime.block_on(text).unwrap().unwrap();
            assert_eq!(text, expected, "{content_type}, chunked: {chunked}");
        }
    }
    std::fs::remove_file(path).unwrap();
}

/// A response with this body, whole or with each byte in a chunk of its own.
fn wire(content_type: &str, body: &[u8], chunked: bool) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n");
    if !chunked {
        let length = format!("content-length: {}\r\n\r\n", body.len());
        return [head.as_bytes(), length.as_bytes(), body].concat();
    }
    let mut wire = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for byte in body {
        wire.extend_from_slice(&[b"1\r\n", &[*byte][..], b"\r\n"].concat());
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}
