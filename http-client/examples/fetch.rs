//! Fetches a page again and again over 64 connections, and says how long it was in all: what
//! `benches/WHY.md` counts the instructions of a GET with.
//!
//! `fetch URL TIMES [pieces|text|by-text]`: in which form the body is read; with `by-text`, the URL
//! is parsed each time as well.

use mainspring_http::{Client, Error, IntoUrl};

const CONNECTIONS: usize = 64;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, times, form @ ..] = &arguments[..] else {
        panic!("usage: fetch URL TIMES [pieces|text|by-text]")
    };
    let times: usize = times.parse().expect("how many times");
    let form = form.first().map_or("text", String::as_str);
    let (url, by_text, pieces) = (url.clone(), form == "by-text", form == "pieces");
    let length = mainspring::run(async move {
        let (client, parsed) = (Client::new(), url.as_str().into_url()?);
        let mut tasks = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, parsed, url) = (client.clone(), parsed.clone(), url.clone());
            tasks.push(mainspring::spawn(async move {
                let mut length = 0;
                for _ in 0..times.div_ceil(CONNECTIONS) {
                    let request = match by_text {
                        true => client.get(&url),
                        false => client.get(parsed.clone()),
                    };
                    let response = request.send().await?;
                    match pieces {
                        true => response.read_with(|piece| length += piece.len()).await?,
                        false => length += response.text().await?.len(),
                    }
                }
                Ok::<usize, Error>(length)
            }));
        }
        let mut length = 0;
        for task in tasks {
            length += task.await.expect("no task is cancelled")?;
        }
        Ok::<usize, Error>(length)
    })?;
    println!("{length} bytes");
    Ok(())
}
