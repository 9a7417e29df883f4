//! Messages as Celery 5.7 writes them, and as it does not.

use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::Write as _;

use super::*;
use crate::celery::canvas::Outcome;

#[test]
fn a_call_survives_the_way_there() {
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let kwargs = json!({"headers": {"Cookie": "a=secret"}, "proxy": "http://me:secret@h/"})
        .as_object()
        .cloned()
        .expect("an object");
    let call = Call {
        eta: Some(moment),
        expires: Some(moment),
        timelimit: [Some(2.5), None],
        retries: 3,
        ignore_result: true,
        priority: 7,
        parent: Some("p".to_owned()),
        group: Some("g".to_owned()),
        callbacks: vec![json!({"task": "c"})],
        errbacks: vec![json!({"task": "e"})],
        chain: vec![json!({"task": "n"})],
        chord: Some(json!({"task": "b"})),
        ..Call::new("a.task", vec![json!("ü"), json!(27_960_015)], kwargs)
    };
    let message = call.to_message("q");
    let root = Some(call.id.clone());
    assert_eq!(Call::read(&message), Ok(Call { root, ..call.clone() }));
    assert_eq!((call.id.len(), &call.id[14..15]), (36, "4"));
    let parsed: Value = serde_json::from_str(&message).expect("JSON");
    let info = json!({"exchange": "", "routing_key": "q"});
    assert_eq!(parsed["properties"]["delivery_info"], info);
    assert!(!parsed["headers"].to_string().contains("secret"), "what monitors show");
}

#[test]
fn packed_bodies_are_read_and_bounded() {
    let with = |body: &[u8], compression: &str| {
        let message = json!({
            "headers": {"id": "i", "task": "t", "compression": compression},
            "body": STANDARD.encode(body), "properties": {"body_encoding": "base64"},
        });
        Call::read(&message.to_string()).map(|call| call.args)
    };
    let zlib = |text: &[u8]| {
        let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).and_then(|()| encoder.finish()).expect("a Vec takes any bytes")
    };
    let body = b"[[1], {}, {}]";
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let gzip = gzip.write_all(body).and_then(|()| gzip.finish()).expect("a Vec takes any bytes");
    assert_eq!(with(&zlib(body), "application/x-gzip"), Ok(vec![json!(1)]));
    assert_eq!(with(&gzip, "application/x-gzip"), Ok(vec![json!(1)]));
    let bomb = zlib(&vec![b' '; MAX_UNPACKED + 1]);
    for (body, compression) in [
        (&bomb[..], "application/x-gzip"),
        (&zlib(body)[..9], "application/x-gzip"),
        (body, "application/x-gzip"),
        (body, "application/x-bz2"),
        (body, "zstd"),
    ] {
        let fault = with(body, compression).expect_err("it is not read");
        assert_eq!((fault.0.as_deref(), fault.1.class), (Some("i"), "ValueError"));
    }
}

#[test]
fn every_end_is_read_and_nothing_else_is_one() {
    let call = Call::new("t", vec![], Map::new());
    let fault = Fault::new("ValueError", "no such page");
    for (outcome, end) in [
        (Outcome::Success(json!({"a": 1})), Some(Ok(json!({"a": 1})))),
        (Outcome::Failure(fault.clone()), Some(Err("ValueError: no such page".to_owned()))),
        (Outcome::Revoked("expired"), Some(Err("TaskRevokedError: expired".to_owned()))),
        (Outcome::Retry(fault, Duration::ZERO), None),
    ] {
        let text = outcome.to_text(&call, &[]);
        assert_eq!(Outcome::read(text.as_bytes()), Some((call.id.clone(), end)));
    }
    for state in ["STARTED", "PENDING", "FETCHING"] {
        let text = json!({"status": state, "task_id": "i", "result": {}}).to_string();
        assert_eq!(Outcome::read(text.as_bytes()), Some(("i".to_owned(), None)));
    }
    assert_eq!(Outcome::read(b"{}"), None);
}

#[test]
fn moments_are_read_however_python_writes_them() {
    for (text, expected) in [
        ("1970-01-02T00:00:00+00:00", Some(86_400.0)),
        ("1970-01-02T01:30:00.500000+01:30", Some(86_400.5)),
        ("1970-01-01T22:00:00-0200", Some(86_400.0)),
        ("1970-01-01T22:00:00-02", Some(86_400.0)),
        ("1970-01-02T00:00:00.25Z", Some(86_400.25)),
        ("1970-01-02 00:00", Some(86_400.0)),
        ("1970-01-02", Some(86_400.0)),
        ("1970-01-02T00:00:00", Some(86_400.0)),
        ("1970-13-02T00:00:00", None),
        ("1969-12-31T00:00:00Z", Some(0.0)),
        ("1000-01-01T00:00:00", Some(0.0)),
        ("soon", None),
        ("in an hour or so", None),
        ("1970-01-02T00:00:00+1", None),
        ("", None),
        ("äöüäöüäöü", None),
    ] {
        assert_eq!(parse_iso(text).map(seconds), expected, "{text}");
    }
    let never = parse_iso("9999-12-31T23:59:59.999999+00:00").expect("what Python has for never");
    assert!(iso(never).starts_with("9999-12-"));
}

#[test]
fn what_is_written_is_read() {
    let moment = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001);
    assert_eq!(iso(moment), "2023-11-14T22:13:20.000001+00:00");
    assert_eq!(parse_iso(&iso(moment)), Some(moment));
}
