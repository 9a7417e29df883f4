//! A server that sends back whatever it receives: one task accepts, one more task per connection
//! serves, all of them on one thread.
//!
//! Takes an address to listen on; without one the system chooses a free port of 127.0.0.1.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use mainspring::net::{TcpListener, TcpStream};
use mainspring::{Runtime, spawn};
use mainspring_microscope::from_env;

/// How much of what was received waits to be sent back, in bytes.
const BUFFER: usize = 16 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr =
        std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:0").parse()?;
    from_env(Runtime::builder()).build()?.block_on(async {
        let listener = TcpListener::bind(address)?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept().await?;
            drop(spawn(async move {
                match echo(&stream).await {
                    Ok(bytes) => println!("echoed {bytes} bytes"),
                    Err(error) => eprintln!("{peer}: {error}"),
                }
            }));
        }
    })
}

/// Echoes until the other side has sent all it wants to. Says how much that was.
async fn echo(stream: &TcpStream) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut bytes = 0;
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(bytes);
        }
        stream.write_all(&buffer[..read]).await?;
        bytes += read as u64;
    }
}
