//! A body in each form in which it can be read, and what one request can set for itself.

mod support {
    pub mod server;
}

use futures::io::{AsyncBufReadExt, AsyncReadExt};
use futures::stream::StreamExt;
use mainspring_http::{Client, Error, ErrorKind, Proxy, Redirect, Response, StatusCode};
use std::io;
use support::server::{Server, ok, say, say_and_close};

fn chunked(pieces: &[&str]) -> Vec<Vec<u8>> {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunk = |piece: &&str| format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes();
    let end = b"0\r\nx-sum: 7\r\n\r\n".to_vec();
    [vec![head], pieces.iter().map(chunk).collect(), vec![end]].concat()
}

#[cfg(feature = "gzip")]
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[cfg(feature = "gzip")]
fn coded(status: u16, coding: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} OK\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The names are those of the `futures` crate, which any runtime's users know.
#[test]
fn a_body_is_a_stream_and_a_reader() {
    let lines = "{\"a\":1}\n{\"a\":2}\n\n{\"a\":3}";
    let server = Server::new(move |seen| match seen.line() {
        "GET /cut" => say_and_close("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello"),
        "GET /empty" => ok(""),
        #[cfg(feature = "gzip")]
        "GET /gzip" => say(coded(200, "gzip", &gzip(lines.as_bytes()))),
        _ => say(chunked(&["{\"a\":1}\n{\"", "a\":2}\n", "\n{\"a\":3}"]).concat()),
    });
    mainspring::run(async {
        let client = Client::new();
        let get = async |path: &str| client.get(server.url(path)).send().await.unwrap();
        let mut paths = vec!["/lines"];
        if cfg!(feature = "gzip") {
            paths.push("/gzip");
        }
        for path in paths {
            let pieces: Vec<_> = get(path).await.map(Result::unwrap).collect().await;
            assert_eq!(pieces.concat(), lines.as_bytes(), "{path}");
            let found: Vec<String> = get(path).await.lines().map(Result::unwrap).collect().await;
            assert_eq!(found, ["{\"a\":1}", "{\"a\":2}", "", "{\"a\":3}"], "{path}");
            for size in [1, 3, 7, 1000] {
                let (mut response, mut all) = (get(path).await, Vec::new());
                let mut buffer = vec![0; size];
                while let count @ 1.. = response.read(&mut buffer).await.unwrap() {
                    all.extend_from_slice(&buffer[..count]);
                }
                assert_eq!(all, lines.as_bytes(), "{path} by {size}");
                assert_eq!(response.read(&mut buffer).await.unwrap(), 0, "the end stays the end");
            }
            // A body that was read in part goes on there, in whatever form.
            let mut response = get(path).await;
            response.read_exact(&mut [0; 3]).await.unwrap();
            assert_eq!(response.read_body().await.unwrap(), &lines.as_bytes()[3..], "{path}");
            let (mut response, mut rest) = (get(path).await, Vec::new());
            response.read_exact(&mut [0; 3]).await.unwrap();
            response.read_with(|piece| rest.extend_from_slice(piece)).await.unwrap();
            assert_eq!(rest, &lines.as_bytes()[3..], "{path}");
        }
        let mut cut = get("/cut").await;
        assert_eq!(cut.next().await.unwrap().unwrap(), "hello");
        assert!(matches!(cut.next().await.unwrap().unwrap_err().kind(), ErrorKind::Protocol(_)));
        assert!(cut.next().await.is_none(), "nothing comes after an error");
        let error = get("/cut").await.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.get_ref().unwrap().is::<Error>(), "{error}");
        assert!(get("/empty").await.next().await.is_none());
        assert_eq!(get("/empty").await.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn body_trailers_history_and_connection_can_be_had_together() {
    let server = Server::new(|seen| match seen.line() {
        "GET /1" => say("HTTP/1.1 301 M\r\nlocation: /2\r\ncontent-length: 0\r\n\r\n"),
        "GET /2" => say("HTTP/1.1 307 T\r\nlocation: /3#x\r\ncontent-length: 2\r\n\r\nno"),
        "GET /empty" => say("HTTP/1.1 302 F\r\nlocation: \r\ncontent-length: 2\r\n\r\nhi"),
        _ => say(chunked(&["he", "llo"]).concat()),
    });
    mainspring::run(async {
        let client = Client::new();
        let mut response = client.get(server.url("/1")).send().await.unwrap();
        assert_eq!(response.read_body().await.unwrap(), "hello");
        assert_eq!(response.trailers().unwrap()["x-sum"], "7");
        let hops = response.history().iter().map(|hop| (hop.url.path(), hop.status.as_u16()));
        assert_eq!(hops.collect::<Vec<_>>(), [("/1", 301), ("/2", 307)]);
        assert_eq!(response.url().as_str(), server.url("/3#x"));
        assert_eq!((response.reused(), response.status().as_u16()), (true, 200));
        assert_eq!(response.read_body().await.unwrap(), "", "there is no more");
        assert_eq!(response.header("Transfer-ENCODING"), Some(&b"chunked"[..]));
        assert_eq!(response.header("transfer"), None);
        // curl and aiohttp take an empty `Location` for none.
        let response = client.get(server.url("/empty")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.history().len()), (302, 0));
        assert_eq!(response.text().await.unwrap(), "hi");
        let fresh = Client::new().get(server.url("/3")).send().await.unwrap();
        assert!(!fresh.reused());
    });
}

#[cfg(feature = "charset")]
#[test]
fn text_comes_in_pieces_as_it_comes_whole() {
    let long = " ".repeat(1100);
    let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    let utf_16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let rows: Vec<(&str, Vec<u8>)> = vec![
        // All of these bytes are ASCII as well.
        ("text/html charset=utf-16le", utf_16("hi")),
        ("text/plain, charset=utf-16le", utf_16("hi")),
        ("text/plain; charset=utf-16; x=utf-8", utf_16("hi")),
        ("application/xml", utf_16("<?xml version='1.0'?><a/>")),
        ("text/html", [b"\0".to_vec(), utf_16("<?xml?>")[..13].to_vec()].concat()),
        ("text/plain; charset=gbk", gbk("你好，世界")),
        ("text/html", [b"<meta charset=gbk>".to_vec(), gbk("你好")].concat()),
        ("text/html", [gbk(&format!("<meta charset=gbk>{long}")), gbk("你好")].concat()),
        ("text/html", [gbk(&format!("{long}<meta charset=gbk>")), gbk("你好")].concat()),
        ("text/plain; charset=utf-8", "aé你🎬".into()),
        ("text/plain", format!("\u{feff}{long}é").into()),
        ("", b"\xff\xfeh\0\xe9\0".to_vec()),
        ("application/json", "{\"é\": \"你\"}".into()),
        ("text/plain; charset=iso-8859-1", b"caf\xe9".to_vec()),
        ("text/plain; charset=shift_jis", encoding_rs::SHIFT_JIS.encode("世界").0.into_owned()),
        ("text/plain; charset=utf-8", b"cut \xe4\xbd".to_vec()),
        ("text/plain", vec![]),
        ("text/plain", b"esc \x1b$B@$3&\x1b(B".to_vec()),
    ];
    for (kind, body) in rows {
        for size in [1, 2, 5, 1000, 5000] {
            let (field, sent) = (kind.to_owned(), body.clone());
            let server = Server::new(move |_| {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {field}\r\n");
                let mut wire = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
                for piece in sent.chunks(size) {
                    wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    wire.extend_from_slice(&[piece, b"\r\n"].concat());
                }
                say([&wire[..], b"0\r\n\r\n"].concat())
            });
            mainspring::run(async {
                let client = Client::new();
                let get = async || client.get(server.url("/")).send().await.unwrap();
                let whole = get().await.text().await.unwrap();
                assert_eq!(whole, mainspring_http::decode_text(&body, Some(kind)), "{body:?}");
                let (mut reader, mut pieces) = (get().await.text_reader(), String::new());
                while let Some(piece) = reader.chunk().await.unwrap() {
                    assert!(!piece.is_empty());
                    pieces += &piece;
                }
                assert!(reader.chunk().await.unwrap().is_none());
                assert_eq!(pieces, whole, "{body:?}");
                let streamed: Vec<_> = get().await.text_reader().collect().await;
                let streamed: Result<Vec<_>, _> = streamed.into_iter().collect();
                assert_eq!(streamed.unwrap().concat(), whole);
            });
        }
    }
}

/// A text whose encoding the head tells is not held back.
#[cfg(feature = "charset")]
#[test]
fn text_is_read_while_it_comes() {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 5\r\n\r\n";
    let (go, steps) = std::sync::mpsc::channel();
    let mut steps = Some(steps);
    let server = Server::new(move |_| {
        let parts = [[head.as_bytes(), b"a\xc3"].concat(), b"\xa9b".to_vec(), b"c".to_vec()];
        support::server::Reply::Steps(parts.to_vec(), steps.take().unwrap())
    });
    mainspring::run(async {
        let mut text = Client::new().get(server.url("/")).send().await.unwrap().text_reader();
        for expected in ["a", "éb", "c"] {
            assert_eq!(text.chunk().await.unwrap().unwrap(), expected);
            go.send(()).unwrap_or_default();
        }
        assert_eq!(text.chunk().await.unwrap(), None);
    });
}

#[test]
fn errors_tell_the_status() {
    let server = Server::new(|seen| {
        let status: u16 = seen.line().trim_start_matches("GET /").parse().unwrap();
        let length = if status == 206 { 9 } else { 4 };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n");
        say_and_close(format!("{head}connection: close\r\n\r\nbody"))
    });
    mainspring::run(async {
        let client = Client::builder().max_redirects(0).build();
        let get = async |status: u16| client.get(server.url(&format!("/{status}"))).send().await;
        for status in [200, 201, 299, 300, 302, 399] {
            let response = get(status).await.unwrap().error_for_status().unwrap();
            assert_eq!(response.text().await.unwrap(), "body");
        }
        for status in [400, 404, 418, 451, 499, 500, 503, 599, 600, 999] {
            let error = get(status).await.unwrap().error_for_status().unwrap_err();
            let expected = StatusCode::from_u16(status).unwrap();
            assert!(matches!(error.kind(), ErrorKind::Status(found) if *found == expected));
            assert_eq!(error.status(), Some(expected));
            assert!(error.to_string().contains(&format!("the response is {status}")), "{error}");
        }
        // What goes wrong behind the head tells it, too.
        let error = get(206).await.unwrap().bytes().await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::PARTIAL_CONTENT), "{error}");
        let request = client.get(server.url("/502")).max_body_bytes(3);
        let error = request.send().await.unwrap().text().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BodyTooLarge { limit: 3 }), "{error}");
        assert_eq!(error.status(), Some(StatusCode::BAD_GATEWAY));
        let error = client.get("http://127.0.0.1:1/").send().await.unwrap_err();
        assert_eq!(error.status(), None);
    });
}

#[cfg(feature = "json")]
#[test]
fn what_is_no_json_says_what_it_is() {
    let rows = [
        ("502", "text/html", "<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        ("200", "application/json", "", ""),
        ("200", "application/json", "{\"a\": ", "{\\\"a\\\":"),
        ("429", "text/plain", "  slow\u{1b}[2J down\n", "slow\\u{1b}[2J down"),
        ("200", "text/plain", "日本語のエラー", "日本語のエラー"),
        ("500", "x/y", "\u{0}\u{1}", "\\0\\u{1}"),
    ];
    for (status, kind, body, words) in rows {
        let server = Server::new(move |_| {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n");
            say(format!("{head}content-length: {}\r\n\r\n{body}", body.len()))
        });
        let error = mainspring::run(async {
            let response = Client::new().get(server.url("/")).send().await.unwrap();
            response.json::<Vec<u8>>().await.unwrap_err()
        });
        let text = error.to_string();
        let end = format!("(status {status} ");
        assert!(text.contains(&end), "{text}");
        assert!(text.ends_with(&format!(", type \"{kind}\", \"{words}\")")), "{text}");
        assert_eq!(error.status().unwrap().as_str(), status);
        assert!(matches!(error.kind(), ErrorKind::Json(_)));
    }
    let server = Server::new(|_| ok("<p>".repeat(10_000)));
    let error = mainspring::run(async {
        let response = Client::new().get(server.url("/")).send().await.unwrap();
        response.json::<u8>().await.unwrap_err().to_string()
    });
    assert!(error.ends_with("…\")") && error.len() < 300, "{error}");
}

/// RFC 9110 §14.2 makes a range one of the coded bytes, and the Fetch standard asks for `identity` beside
/// it: a part of a coded body cannot be decoded.
#[cfg(feature = "gzip")]
#[test]
fn a_part_of_a_body_is_neither_coded_nor_decoded() {
    let packed = gzip(b"the whole text");
    let part = packed[5..].to_vec();
    let server = Server::new(move |seen| match (seen.line(), seen.field("range")) {
        ("GET /ignores", _) | (_, None) => say(coded(200, "gzip", &packed)),
        _ => say(coded(206, "gzip", &part)),
    });
    let packed = gzip(b"the whole text");
    mainspring::run(async {
        let client = Client::new();
        for range in ["bytes=5-", "bytes=0-4", "bytes=-9", "bytes=1-2,4-5", "nonsense"] {
            let request = client.get(server.url("/")).header("Range", range);
            assert_eq!(request.send().await.unwrap().bytes().await.unwrap(), &packed[5..]);
        }
        // A server that sends the whole is decoded as ever, and a request may ask for what it wants.
        let request = client.get(server.url("/ignores")).header("range", "bytes=5-");
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), "the whole text");
        let request = client.get(server.url("/")).header("range", "bytes=5-");
        let response = request.header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap(), &packed[5..]);
        assert_eq!(
            client.get(server.url("/")).send().await.unwrap().bytes().await.unwrap(),
            "the whole text"
        );
    });
    let asked: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.field("accept-encoding").unwrap().split(',').next().unwrap().to_owned())
        .collect();
    assert_eq!(asked, [vec!["identity"; 6], vec!["gzip"; 2]].concat());
}

/// A client's own request may differ from it in each of these.
#[test]
fn one_request_can_differ_from_its_client() {
    let server = Server::new(|seen| match seen.line() {
        "GET /away" => say("HTTP/1.1 302 F\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n"),
        #[cfg(feature = "gzip")]
        "GET /gzip" => say(coded(200, "gzip", &gzip(b"text"))),
        line => ok(line),
    });
    mainspring::run(async {
        // Redirect policy.
        let client = Client::builder().redirect_policy(|_| false).build();
        let status = async |policy: Option<fn(&Redirect<'_>) -> bool>| {
            let request = client.get(server.url("/away"));
            let request = match policy {
                Some(policy) => request.redirect_policy(policy),
                None => request,
            };
            request.send().await.unwrap().status().as_u16()
        };
        assert_eq!(status(None).await, 302);
        assert_eq!(status(Some(|_| true)).await, 200);
        assert_eq!(status(Some(|to| to.to.path() == "/there")).await, 200);
        assert_eq!(status(Some(|to| !to.history.is_empty())).await, 302);
        // Proxy: the request line names all of the URL to one.
        let proxy = Proxy::new(server.url("/")).unwrap();
        let line = async |client: &Client, url: &str, proxy: Option<Option<Proxy>>| {
            let request = client.get(url);
            let request = match proxy {
                Some(proxy) => request.proxy(proxy),
                None => request,
            };
            request.send().await.unwrap().text().await.unwrap()
        };
        let url = server.url("/page");
        let direct = Client::new();
        assert_eq!(line(&direct, &url, None).await, "GET /page");
        assert_eq!(line(&direct, &url, Some(Some(proxy.clone()))).await, format!("GET {url}"));
        let proxied = Client::builder().proxy(proxy.clone()).build();
        assert_eq!(line(&proxied, &url, None).await, format!("GET {url}"));
        assert_eq!(line(&proxied, &url, Some(None)).await, "GET /page");
        let excepted = Client::builder().proxy(proxy.clone()).no_proxy(["*"]).build();
        assert_eq!(line(&excepted, &url, None).await, "GET /page");
        assert_eq!(line(&excepted, &url, Some(Some(proxy))).await, format!("GET {url}"));
        assert_eq!(proxied.stats().opened, 2, "a connection to the proxy is not one to the host");
        // Size.
        let limited = Client::builder().max_body_bytes(3).build();
        let read = async |limit: Option<u64>| -> Result<_, Error> {
            let request = limited.get(server.url("/page"));
            let request = match limit {
                Some(limit) => request.max_body_bytes(limit),
                None => request,
            };
            request.send().await?.text().await
        };
        assert!(read(None).await.is_err() && read(Some(8)).await.is_err());
        assert_eq!(
            (read(Some(9)).await.unwrap(), read(Some(u64::MAX)).await.is_ok()),
            ("GET /page".into(), true)
        );
    });
}

#[cfg(feature = "gzip")]
#[test]
fn one_request_can_ask_for_codings_or_for_none() {
    let server = Server::new(|_| say(coded(200, "gzip", &gzip(b"text"))));
    mainspring::run(async {
        let asks = [(true, None), (true, Some(false)), (false, None), (false, Some(true))];
        for (client, own) in asks {
            let request = Client::builder().decompress(client).build().get(server.url("/"));
            let request = match own {
                Some(own) => request.decompress(own),
                None => request,
            };
            let body = request.send().await.unwrap().bytes().await.unwrap();
            assert_eq!(body == "text", own.unwrap_or(client), "{client} {own:?}");
        }
    });
    let seen = server.seen();
    let asked: Vec<_> = seen.iter().map(|seen| seen.field("accept-encoding")).collect();
    let is_coding = |field: &Option<&str>| field.is_some_and(|field| field.starts_with("gzip"));
    assert_eq!(asked.iter().map(is_coding).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!((asked[1], asked[2]), (Some("identity"), None));
}

/// What packs well is no bomb: it is let pass up to what a client collects, whatever the proportion.
#[cfg(feature = "gzip")]
#[test]
fn repetitive_data_is_no_bomb_and_a_bomb_is_a_body_too_large() {
    let line = b"{\"status\":\"ok\",\"value\":0}\n";
    let rows: Vec<Vec<u8>> = vec![
        line.repeat(8 * 1024 * 1024 / line.len()),
        vec![0; 600_000],
        vec![b' '; 500_000],
        b"<td></td>".repeat(50_000),
        b"0,0,0,0\n".repeat(50_000),
        "ありがとう\n".repeat(30_000).into_bytes(),
    ];
    for body in rows {
        let packed = gzip(&body);
        let server = Server::new(move |_| say(coded(200, "gzip", &packed)));
        mainspring::run(async {
            let client = Client::builder().max_decompression_ratio(10).build();
            let get = || client.get(server.url("/"));
            let mut length = 0;
            let response = get().send().await.unwrap();
            response.read_with(|piece| length += piece.len()).await.unwrap();
            assert_eq!(length, body.len());
            // A client that collects less takes less, as a whole and piece by piece.
            let small = get().max_body_bytes(100_000).send().await.unwrap();
            let error = small.bytes().await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::BodyTooLarge { .. }), "{error}");
            let small = get().max_body_bytes(100_000).send().await.unwrap();
            let error = small.read_with(|_| ()).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::BodyTooLarge { .. }), "{error}");
        });
    }
}

#[test]
fn a_response_can_be_named_as_what_it_is() {
    fn is<T: mainspring_http::futures_core::Stream + mainspring_http::futures_io::AsyncRead>() {}
    is::<Response>();
}
