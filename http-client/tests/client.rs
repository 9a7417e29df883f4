//! The client against a server that says exactly what each test wants.

mod support {
    pub mod server;
}

use mainspring_http::{Client, CloseReason};
use support::server::{Server, ok};

#[test]
fn a_page_is_fetched_and_its_connection_used_again() {
    let server = Server::new(|seen| ok(format!("page {}", seen.number)));
    mainspring::run(async {
        let client = Client::new();
        for number in 1..=3 {
            let response = client.get(server.url("/a?b=c#d")).send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-length"], "6");
            assert_eq!(response.bytes().await.unwrap(), format!("page {number}"));
        }
        let stats = client.stats();
        assert_eq!((stats.requests, stats.opened, stats.reused), (3, 1, 2));
        assert_eq!((stats.open, stats.idle, stats.in_flight, stats.waiting), (1, 1, 0, 0));
        assert_eq!(stats.closed(CloseReason::ServerAsked), 0);
    });
    let expected = format!(
        "GET /a?b=c HTTP/1.1\r\nhost: {}\r\nuser-agent: mainspring/0.1.0\r\naccept: */*",
        server.address
    );
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for (index, request) in seen.iter().enumerate() {
        assert_eq!((request.connection, request.number), (1, index + 1));
        assert_eq!(request.head, expected);
    }
}
