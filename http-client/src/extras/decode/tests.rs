//! Every coding whole, byte by byte, cut short, broken, in chains, and as a bomb.

use super::*;
use std::io::Write;

/// What is let pass whatever its proportion.
const FREE: u64 = 1024 * 1024;

fn decoder(encoding: &str) -> Result<Option<Decoder>> {
    Decoder::new([encoding.as_bytes()].into_iter(), FREE, 256)
}

/// Decodes `wire`, in pieces of `piece` bytes.
fn decode(encoding: &str, wire: &[u8], piece: usize) -> Result<Vec<u8>, String> {
    let mut decoder = decoder(encoding).unwrap().unwrap();
    let mut body = Vec::new();
    let mut step = |decoder: &mut Decoder, bytes: &[u8]| {
        decoder.push(bytes);
        loop {
            let decoded = decoder.next().map_err(|error| error.to_string())?;
            if decoded.is_empty() {
                return Ok::<(), String>(());
            }
            assert!(decoded.len() <= 512 * 1024, "a piece of {} bytes", decoded.len());
            body.extend_from_slice(&decoded);
        }
    };
    for bytes in wire.chunks(piece) {
        step(&mut decoder, bytes)?;
    }
    decoder.finish().map_err(|error| error.to_string())?;
    Ok(body)
}

fn text(lines: u32) -> Vec<u8> {
    (0..lines)
        .flat_map(|n| format!("{} {n}\n", n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[cfg(feature = "br")]
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    encoder.write_all(bytes).unwrap();
    encoder.into_inner()
}

#[cfg(feature = "zstd")]
fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Name, encoded, decoded.
fn samples(lines: u32) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let text = text(lines);
    let two = [&text[..], b"and more"].concat();
    let gzipped = gzip(&text);
    #[cfg_attr(not(any(feature = "br", feature = "zstd")), expect(unused_mut))]
    let mut rows = vec![
        ("gzip", gzipped.clone(), text.clone()),
        ("x-gzip", gzip(b""), vec![]),
        ("GZIP", gzip(b"x"), b"x".to_vec()),
        ("gzip", [&gzipped[..], &gzip(b"and more")].concat(), two.clone()),
        ("deflate", zlib(&text), text.clone()),
        ("deflate", raw(&text), text.clone()),
        ("identity, gzip", gzipped.clone(), text.clone()),
        ("deflate, gzip", gzip(&zlib(&text)), text.clone()),
        (
            "gzip,gzip,gzip,gzip,gzip",
            (0..5).fold(text.clone(), |bytes, _| gzip(&bytes)),
            text.clone(),
        ),
    ];
    #[cfg(feature = "br")]
    rows.extend([
        ("br", brotli(&text), text.clone()),
        ("br, gzip", gzip(&brotli(&text)), text.clone()),
    ]);
    #[cfg(feature = "zstd")]
    rows.extend([
        ("zstd", zstd(&text), text.clone()),
        (
            "zstd",
            [zstd(&text), b"\x5a\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(b"and more")].concat(),
            two,
        ),
        ("gzip, zstd", zstd(&gzip(&text)), text.clone()),
    ]);
    rows
}

#[test]
fn whole_and_in_pieces() {
    // A long body has several blocks and windows; a short one can be had byte by byte in no time.
    for (lines, pieces) in [(9_000, &[usize::MAX, 1000, 65_536][..]), (100, &[1, 2, 7])] {
        for (name, wire, expected) in samples(lines) {
            for piece in pieces {
                let decoded = decode(name, &wire, *piece);
                let same = decoded.as_ref() == Ok(&expected);
                assert!(same, "{name} by {piece}: {:?}", decoded.err());
            }
        }
    }
}

#[test]
fn cut_short_anywhere_it_is_an_error() {
    for (name, wire, expected) in samples(300) {
        // Two members or frames make sense without the second one; that is no cut.
        if expected.ends_with(b"and more") {
            continue;
        }
        let cuts = (1..wire.len()).step_by(1 + wire.len() / 20).chain([wire.len() - 1]);
        for cut in cuts {
            let error = decode(name, &wire[..cut], 4096).expect_err("a cut body");
            assert!(error.contains("cut short"), "{name} cut at {cut}: {error}");
        }
    }
}

#[test]
fn nothing_at_all_is_an_empty_body() {
    assert_eq!(decode("gzip", b"", 1), Ok(vec![]));
}

#[test]
fn what_is_not_what_it_says_is_an_error() {
    for name in ["gzip", "deflate", "br", "zstd"] {
        let Ok(Some(_)) = decoder(name) else { continue };
        let error = decode(name, &[0xff; 300], 300).unwrap_err();
        assert!(error.contains(&format!("invalid {name} data")), "{error}");
    }
}

#[test]
fn a_wrong_checksum_is_an_error() {
    let mut wire = gzip(b"some text");
    let at = wire.len() - 6;
    wire[at] ^= 1;
    assert!(decode("gzip", &wire, 5).unwrap_err().contains("invalid gzip data"));
}

#[test]
fn padding_after_gzip_is_passed_over() {
    for padding in [&[0_u8; 300][..], b"\x1f", b"\x1f\0", b"garbage"] {
        let wire = [&gzip(b"text")[..], padding].concat();
        for piece in [1, wire.len()] {
            assert_eq!(decode("gzip", &wire, piece), Ok(b"text".to_vec()), "{padding:?}");
        }
    }
}

#[test]
fn bombs_are_stopped_on_the_way() {
    let zeros = vec![0; 3 * 1024 * 1024];
    let rows = [("gzip", gzip(&zeros)), ("gzip, gzip", gzip(&gzip(&zeros)))];
    for (name, wire) in rows {
        let error = decode(name, &wire, 4096).unwrap_err();
        assert!(error.contains("the body is longer than"), "{name}: {error}");
    }
    // A megabyte of nothing is still believed.
    let megabyte = &zeros[..1024 * 1024];
    assert_eq!(decode("gzip", &gzip(megabyte), 4096).as_deref(), Ok(megabyte));
}

#[test]
fn chains_and_names() {
    let error = decoder("gzip,gzip,gzip,gzip,gzip,gzip").err().unwrap();
    assert_eq!(error.to_string(), "cannot decode the body: more than 5 content codings");
    for unknown in ["compress", "gzip, sdch", "\u{fc}", "aes128gcm"] {
        assert!(decoder(unknown).unwrap().is_none(), "{unknown}");
    }
    for none in ["", "identity", " , identity,"] {
        assert!(decoder(none).unwrap().is_none(), "{none}");
    }
}
