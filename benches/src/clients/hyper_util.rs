//! hyper-util's client: hyper with a pool of connections.

use super::{Fetches, Page};
use crate::runtimes;
use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// The adaptor.
#[derive(Debug)]
pub struct Client;

/// Its name in the table.
pub const NAME: &str = "hyper-util";

impl Fetches for Client {
    type Runtime = runtimes::tokio::Runtime;
    type Shared = HttpClient<HttpConnector, Empty<Bytes>>;
    type Session = (Self::Shared, Uri);

    fn shared(connections: usize) -> Self::Shared {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(connections)
            .build(connector)
    }

    async fn session(client: &Self::Shared, page: &Page) -> Self::Session {
        (client.clone(), page.url.parse().unwrap())
    }

    async fn get((client, uri): &mut Self::Session) -> usize {
        let mut response = client.get(uri.clone()).await.unwrap();
        let mut length = 0;
        while let Some(frame) = response.frame().await {
            length += frame.unwrap().data_ref().map_or(0, Bytes::len);
        }
        length
    }
}
