//! Replies whole, byte by byte, cut and damaged, beside what another reader makes of them.

use proptest::prelude::*;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

use super::*;

/// All replies in these bytes, fed in pieces of this size; and what is wrong with the rest.
fn read(bytes: &[u8], piece: usize) -> (Vec<Reply>, Option<String>) {
    let (mut decoder, mut replies) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        decoder.feed(piece);
        loop {
            match decoder.next_reply() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

fn theirs(frame: OwnedFrame) -> Reply {
    match frame {
        OwnedFrame::SimpleString(text) => {
            Reply::Status(String::from_utf8_lossy(&text).into_owned())
        }
        OwnedFrame::Error(text) => Reply::Error(text),
        OwnedFrame::Integer(number) => Reply::Number(number),
        OwnedFrame::BulkString(text) => Reply::Text(Some(text)),
        OwnedFrame::Array(parts) => Reply::Array(Some(parts.into_iter().map(theirs).collect())),
        // Theirs does not tell a string that is missing from such an array.
        OwnedFrame::Null => Reply::Text(None),
    }
}

fn without_null_arrays(reply: Reply) -> Reply {
    match reply {
        Reply::Array(None) => Reply::Text(None),
        Reply::Array(Some(parts)) => {
            Reply::Array(Some(parts.into_iter().map(without_null_arrays).collect()))
        }
        other => other,
    }
}

fn written(reply: &Reply, bytes: &mut Vec<u8>) {
    match reply {
        Reply::Status(text) => bytes.extend(format!("+{text}\r\n").bytes()),
        Reply::Error(text) => bytes.extend(format!("-{text}\r\n").bytes()),
        Reply::Number(number) => bytes.extend(format!(":{number}\r\n").bytes()),
        Reply::Text(None) => bytes.extend(b"$-1\r\n"),
        Reply::Array(None) => bytes.extend(b"*-1\r\n"),
        Reply::Text(Some(text)) => {
            bytes.extend(format!("${}\r\n", text.len()).bytes());
            bytes.extend(text);
            bytes.extend(b"\r\n");
        }
        Reply::Array(Some(parts)) => {
            bytes.extend(format!("*{}\r\n", parts.len()).bytes());
            parts.iter().for_each(|part| written(part, bytes));
        }
    }
}

fn reply() -> impl Strategy<Value = Reply> {
    let line = "[ -~é]{0,12}";
    let leaf = prop_oneof![
        line.prop_map(Reply::Status),
        line.prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Number),
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)).prop_map(Reply::Text),
        Just(Reply::Array(None)),
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        proptest::collection::vec(inner, 0..5).prop_map(|parts| Reply::Array(Some(parts)))
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_whatever_pieces(
        replies in proptest::collection::vec(reply(), 1..4), piece in 1_usize..40,
    ) {
        let mut bytes = Vec::new();
        replies.iter().for_each(|reply| written(reply, &mut bytes));
        prop_assert_eq!(read(&bytes, piece), (replies.clone(), None));
        prop_assert_eq!(read(&bytes, bytes.len()), (replies.clone(), None));
        let (cut, error) = read(&bytes[..bytes.len() - 1], piece);
        prop_assert_eq!((&cut[..], error), (&replies[..replies.len() - 1], None));
    }

    #[test]
    fn another_reader_reads_the_same(
        replies in proptest::collection::vec(reply(), 1..4),
        damage in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
    ) {
        let mut bytes = Vec::new();
        replies.iter().for_each(|reply| written(reply, &mut bytes));
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (ours, error) = read(&bytes, bytes.len());
        let (mut rest, mut same) = (&bytes[..], Vec::new());
        let refused = loop {
            match decode(rest) {
                Ok(Some((frame, used))) => {
                    same.push(theirs(frame));
                    rest = &rest[used..];
                }
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        let ours: Vec<Reply> = ours.into_iter().map(without_null_arrays).collect();
        // Theirs is the laxer one with numbers and the ends of strings; what ours reads, it reads.
        prop_assert!(same.len() >= ours.len(), "{:?} beside {:?}", ours, same);
        prop_assert_eq!(&ours[..], &same[..ours.len()]);
        prop_assert!(error.is_some() || !refused, "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_bytes_are_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..60), piece in 1_usize..9,
    ) {
        prop_assert_eq!(read(&bytes, piece).0, read(&bytes, 60).0);
    }
}

#[test]
fn what_is_none_is_refused_and_limits_hold() {
    let deep = "*1\r\n".repeat(MAX_DEPTH + 1);
    for bytes in [
        "\r\n",
        "OK\r\n",
        "$\r\n",
        "$-2\r\n",
        "$x\r\n",
        "*-2\r\n",
        ":\r\n",
        ":1.5\r\n",
        "*1\r\n!\r\n",
        "$1\r\nxyz",
        "$67108865\r\n",
        "*1048577\r\n",
        "$99999999999999999999\r\n",
        &deep,
    ] {
        let whole = read(bytes.as_bytes(), bytes.len());
        assert!(whole.0.is_empty() && whole.1.is_some(), "{bytes:?}");
        assert_eq!(read(bytes.as_bytes(), 1), whole, "{bytes:?}");
    }
    let longest = "+".to_owned() + &"x".repeat(MAX_LINE - 1);
    let status = Reply::Status(longest[1..].to_owned());
    assert_eq!(read((longest.clone() + "\r\n").as_bytes(), 1_000), (vec![status], None));
    for end in ["x\r\n", "xx"] {
        let endless = longest.clone() + end;
        assert!(read(endless.as_bytes(), 1_000).1.is_some());
        assert!(read(endless.as_bytes(), endless.len()).1.is_some());
    }
}

#[test]
fn a_command_is_an_array_of_strings() {
    let bytes = command(&["GET", "a\r\nb", ""]);
    let text = |text: &str| Reply::Text(Some(text.as_bytes().to_vec()));
    let words = vec![text("GET"), text("a\r\nb"), text("")];
    assert_eq!(read(&bytes, 3), (vec![Reply::Array(Some(words))], None));
}
