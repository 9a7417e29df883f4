//! Ten pages of a slow site at once. The site is the demo's: `cargo run --release -- serve`.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::{env, io};

use zero::step7::net::TcpStream;
use zero::step7::{block_on, spawn};

/// Fetches a page: all that comes until the site closes.
async fn get(site: SocketAddr, path: &str) -> io::Result<String> {
    let stream = TcpStream::connect(site).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {site}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            n => answer.extend_from_slice(&buffer[..n]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn main() {
    let site: SocketAddr = match env::args().nth(1).map(|site| site.parse()) {
        Some(Ok(site)) => site,
        _ => return eprintln!("step7: give the site's address, such as 127.0.0.1:8080"),
    };
    let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    block_on(async {
        let fetch = |number| {
            let (now, most) = (now.clone(), most.clone());
            spawn(async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                let page = get(site, &format!("/detail/{number}")).await;
                now.set(now.get() - 1);
                page
            })
        };
        let pages: Vec<_> = (1..=10).map(fetch).collect();
        for (page, number) in pages.into_iter().zip(1..) {
            match page.await.unwrap() {
                Ok(page) => println!("{number}: {}", page.lines().next().unwrap_or("nothing")),
                Err(error) => println!("{number}: {error}"),
            }
        }
    });
    println!("{} at once", most.get());
}
