//! A program that does well has no findings, whatever it makes use of.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mainspring::future::{gather, race, yield_now};
use mainspring::net::{TcpListener, TcpStream};
use mainspring::observe::traced;
use mainspring::time::{Clock, interval, sleep, timeout};
use mainspring::{JoinHandle, Runtime, Scheduler, spawn, spawn_named};
use mainspring_microscope::Recorder;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Answers every line with the line.
async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 32];
    loop {
        let n = traced("read", stream.read(&mut buffer)).await?;
        if n == 0 {
            return Ok(());
        }
        traced("write", stream.write_all(&buffer[..n])).await?;
    }
}

fn serve(listener: TcpListener) -> JoinHandle<io::Result<()>> {
    spawn_named("server", async move {
        loop {
            let (stream, _) = listener.accept().await?;
            drop(spawn_named("connection", echo(stream)));
        }
    })
}

async fn ask(addr: SocketAddr, n: u64) -> usize {
    let stream = TcpStream::connect(addr).await.unwrap();
    let mut got = 0;
    for _ in 0..5 {
        stream.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 32];
        got += stream.read(&mut buffer).await.unwrap();
        sleep(ms(n)).await;
    }
    got
}

async fn program() {
    let listener = TcpListener::bind("127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let server = serve(listener);
    let clients = (0..10).map(|n| spawn(ask(addr, n)));
    let answers = gather(clients).await.unwrap();
    assert_eq!(answers, [25; 10]);

    let mut ticks = interval(ms(10));
    for _ in 0..5 {
        ticks.tick().await;
        yield_now().await;
    }
    assert!(timeout(ms(5), traced("too slow", sleep(ms(500)))).await.is_err());
    race(std::pin::pin!(sleep(ms(3))), std::pin::pin!(traced("loser", sleep(ms(9))))).await;
    let waits = spawn_named("waits for ever", std::future::pending::<()>());
    sleep(ms(1)).await;
    waits.cancel();
    assert!(waits.await.unwrap_err().is_cancelled());
    let failing = spawn(async { std::panic::resume_unwind(Box::new("on purpose")) });
    assert!(failing.await.unwrap_err().is_panic());
    server.cancel();
    assert!(server.await.unwrap_err().is_cancelled());
}

#[test]
fn a_healthy_program_has_no_findings_in_whatever_order_it_runs() {
    for seed in 0..20 {
        let recorder = Recorder::default();
        let mut runtime = Runtime::builder()
            .clock(Clock::VirtualDespiteIo)
            .scheduler(Scheduler::Seeded(seed))
            .observer(recorder.observer())
            .build()
            .unwrap();
        runtime.block_on(program());
        drop(runtime);
        let trace = recorder.trace();
        assert_eq!(trace.findings(), [], "seed {seed}");
        assert_eq!(trace.model().illegal, [], "seed {seed}");
        assert!(trace.events.len() > 500);
    }
}
