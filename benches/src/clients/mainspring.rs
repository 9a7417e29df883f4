//! mainspring's client, with its limits, timeouts and pool.

use super::{Fetches, Page};
use crate::runtimes;
use mainspring_http::Client as HttpClient;
use mainspring_http::{IntoUrl, Url};

/// The adaptor.
#[derive(Debug)]
pub struct Client;

/// Its name in the table.
pub const NAME: &str = crate::scenario::OURS;

impl Fetches for Client {
    type Runtime = runtimes::mainspring::Runtime;
    type Shared = HttpClient;
    type Session = (HttpClient, Url);

    fn shared(connections: usize) -> HttpClient {
        HttpClient::builder()
            .max_connections(connections)
            .max_connections_per_host(connections)
            .max_idle_connections(connections)
            .build()
    }

    async fn session(client: &HttpClient, page: &Page) -> (HttpClient, Url) {
        (client.clone(), page.url.as_str().into_url().unwrap())
    }

    async fn get((client, url): &mut (HttpClient, Url)) -> usize {
        let response = client.get(url.clone()).send().await.unwrap();
        let mut length = 0;
        response.read_with(|piece| length += piece.len()).await.unwrap();
        length
    }
}
