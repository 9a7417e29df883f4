//! reqwest, with the timeouts that mainspring's client has by default.

use super::{Fetches, Page};
use crate::runtimes;
use reqwest::{Client as HttpClient, Url};
use std::time::Duration;

/// The adaptor.
#[derive(Debug)]
pub struct Client;

/// Its name in the table.
pub const NAME: &str = "reqwest";

impl Fetches for Client {
    type Runtime = runtimes::tokio::Runtime;
    type Shared = HttpClient;
    type Session = (HttpClient, Url);

    fn shared(connections: usize) -> HttpClient {
        HttpClient::builder()
            .pool_max_idle_per_host(connections)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(30))
            .build()
            .unwrap()
    }

    async fn session(client: &HttpClient, page: &Page) -> (HttpClient, Url) {
        (client.clone(), page.url.parse().unwrap())
    }

    async fn get((client, url): &mut (HttpClient, Url)) -> usize {
        let mut response = client.get(url.clone()).send().await.unwrap();
        let mut length = 0;
        while let Some(piece) = response.chunk().await.unwrap() {
            length += piece.len();
        }
        length
    }
}
