//! Fetches a page again and again over one connection, and says how long its text was in all: what
//! `benches/WHY.md` counts the instructions of a GET with.
//!
//! `fetch URL TIMES [head|str]`: with `head`, the body is not read as text; with `str`, the URL is
//! parsed each time.

use mainspring_http::{Client, Error, IntoUrl};

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, times, how @ ..] = &arguments[..] else { panic!("fetch URL TIMES [head|str]") };
    let times: usize = times.parse().expect("how many times");
    let how = how.first().map_or("text", String::as_str);
    let length = mainspring::run(async {
        let (client, parsed) = (Client::new(), url.into_url()?);
        let mut length = 0;
        for _ in 0..times {
            let request = if how == "str" { client.get(url) } else { client.get(parsed.clone()) };
            let response = request.send().await?;
            if how == "head" {
                response.read_with(|piece| length += piece.len()).await?;
            } else {
                length += response.text().await?.len();
            }
        }
        Ok::<usize, Error>(length)
    })?;
    println!("{length} bytes");
    Ok(())
}
