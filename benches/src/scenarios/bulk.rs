//! Bulk transfer: one task writes, another one on the same thread reads.

use crate::runtimes::{Connects, Duplex};
use crate::scenario::{Figures, Goal, Row, Scenario, Unit, nanos_per};
use crate::scenarios::echo::bare_pairs;
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

const CHUNK: usize = 64 << 10;
const TOTAL: usize = 1 << 30;
const CHUNKS: usize = TOTAL / CHUNK;

/// One connection.
pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        id: "bulk",
        rows: vec![Row {
            title: "1 GiB by 64 KiB over loopback",
            unit: Unit::Micros,
            goals: vec![Goal::OfFloor(10.0 / 7.5), Goal::OfBestEpollPeer(1.0 / 2.9)],
            note: "per 64 KiB, writer and reader on the same thread",
        }],
        contestants: crate::contestants!(
            bare(),
            work(),
            [tokio, tokio_set, smol, monoio, monoio_uring, compio, glommio]
        ),
        isolated: false,
        max_rounds: 15,
    }]
}

/// The floor: write 64 KiB, read 64 KiB, in step, while the bytes are still in the cache.
///
/// Nothing less would do the work: every byte crosses into the kernel and back, by one call for
/// each 64 KiB there and one back, and in this order nobody ever waits.
fn bare() -> Figures {
    let (mut writer, mut reader) = bare_pairs(1).remove(0);
    let chunk = vec![7; CHUNK];
    let mut buffer = vec![0; CHUNK];
    let start = Instant::now();
    let (mut written, mut read) = (0, 0);
    while read < TOTAL {
        if written < TOTAL {
            match writer.write(&chunk) {
                Ok(n) => written += n,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        match reader.read(&mut buffer) {
            Ok(n) => read += n,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    vec![nanos_per(start, CHUNKS) / 1e3]
}

fn work<R: Connects>() -> Figures {
    R::run(async {
        R::spawn(async {
            let (mut writer, mut reader) = R::pairs(1).await.remove(0);
            let start = Instant::now();
            let writing = R::spawn(async move {
                let mut chunk = vec![7; CHUNK];
                for _ in 0..CHUNKS {
                    chunk = writer.write_all(chunk).await;
                }
            });
            let reading = R::spawn(async move {
                let mut buffer = vec![0; CHUNK];
                let mut total = 0;
                while total < TOTAL {
                    let n;
                    (n, buffer) = reader.read(buffer).await;
                    total += n;
                }
            });
            writing.await;
            reading.await;
            vec![nanos_per(start, CHUNKS) / 1e3]
        })
        .await
    })
}
