//! `openssl s_server`: old protocols, certificates that are not to be trusted, and ends of a
//! connection that nobody announced.

use crate::harness::{Directory, Server, free_address, installed, text, trusting};
use crate::tls_server::Authority;
use mainspring_http::{Client, ErrorKind, Phase};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Starts the server with the certificate `server.pem` in `directory`.
fn openssl(directory: Directory, options: &[&str]) -> Server {
    let address = free_address();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", &address.to_string()]);
    command.args(["-cert", "server.pem", "-key", "server.key"]).args(options);
    command.stdin(Stdio::piped());
    Server::start(directory, address, command)
}

fn certified(authority: &Authority) -> Directory {
    let directory = Directory::new();
    directory.write_certificate("server", authority);
    directory
}

/// A certificate that has no word but its own, made as most guides say, with these options besides.
fn self_signed(options: &[&str]) -> Directory {
    let directory = Directory::new();
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-keyout", "server.key", "-out", "server.pem"]);
    let made = command.args(options).current_dir(directory.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    directory
}

const EC: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const SUBJECT: [&str; 2] = ["-subj", "/O=b.test/CN=a.test"];
const NAME: [&str; 2] = ["-addext", "subjectAltName=DNS:a.test"];
const NO_CA: [&str; 2] = ["-addext", "basicConstraints=critical,CA:FALSE"];

fn url(server: &Server) -> String {
    server.secure_url(server.address.port(), "/")
}

#[test]
fn each_version_of_tls_is_spoken_or_refused() {
    if !installed(&["openssl"]) {
        return;
    }
    let authority = Authority::new();
    let rows: [(&[&str], &str); 3] = [
        (&["-www", "-tls1_2"], "TLSv1.2"),
        (&["-www", "-tls1_3"], "TLSv1.3"),
        (&["-www", "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], "CHACHA20"),
    ];
    for (options, word) in rows {
        let server = openssl(certified(&authority), options);
        mainspring::run(async {
            let client = trusting(&authority, &server).build();
            for _ in 0..2 {
                let page = text(&client, &url(&server)).await.unwrap();
                assert!(page.contains(word), "{options:?}: {page}");
            }
        });
    }
    let refused: [&[&str]; 2] = [
        &["-www", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        // No forward secrecy.
        &["-www", "-tls1_2", "-cipher", "AES128-SHA"],
    ];
    for options in refused {
        let server = openssl(certified(&authority), options);
        mainspring::run(async {
            let client = trusting(&authority, &server).build();
            let error = text(&client, &url(&server)).await.unwrap_err();
            assert_eq!(error.phase(), Some(Phase::Tls), "{options:?}: {error}");
            assert!(error.to_string().contains("the handshake failed"), "{options:?}: {error}");
        });
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_told() {
    if !installed(&["openssl"]) {
        return;
    }
    let authority = Authority::new();
    let write = |name: &str, change: fn(&mut rcgen::CertificateParams)| {
        let directory = Directory::new();
        let (chain, key) = authority.issue(name, change);
        directory.write("server.pem", chain);
        directory.write("server.key", key);
        directory
    };
    let past = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    };
    let future = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
    };
    let for_clients = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    };
    let rows = [
        (write("b.test", |_| ()), "it is for another host"),
        (write("*.a.test", |_| ()), "it is for another host"),
        (write("127.0.0.1", |_| ()), "it is for another host"),
        (write("a.test", past), "it has expired"),
        (write("a.test", future), "it is not valid yet"),
        (write("a.test", for_clients), "it is not for a server"),
        (certified(&Authority::named("stranger")), "no trusted authority has issued it"),
        (self_signed(&[&EC[..], &SUBJECT, &NAME, &NO_CA].concat()), "it is self-signed"),
        (self_signed(&[&EC[..], &SUBJECT, &NAME].concat()), "it is self-signed"),
    ];
    for (directory, reason) in rows {
        let server = openssl(directory, &["-www"]);
        mainspring::run(async {
            let client = trusting(&authority, &server).build();
            let error = text(&client, &url(&server)).await.unwrap_err();
            let expected = format!("the server's certificate is refused: {reason}");
            assert!(error.to_string().contains(&expected), "{expected}, not {error}");
            assert_eq!(error.phase(), Some(Phase::Tls));
            let blind = trusting(&authority, &server).danger_accept_invalid_certs(true).build();
            assert!(text(&blind, &url(&server)).await.unwrap().contains("s_server"), "{reason}");
        });
    }
}

#[test]
fn a_server_that_signed_for_itself_is_trusted_if_told_so() {
    if !installed(&["openssl"]) {
        return;
    }
    let other: [&str; 2] = ["-addext", "subjectAltName=DNS:b.test"];
    let rsa = ["-newkey", "rsa:2048", "-days", "30"];
    let server_use = ["-addext", "extendedKeyUsage=serverAuth"];
    let client_use = ["-addext", "extendedKeyUsage=clientAuth"];
    let rows = [
        ([&EC[..], &SUBJECT, &NAME, &NO_CA].concat(), ""),
        ([&EC[..], &SUBJECT, &NAME].concat(), ""),
        ([&rsa[..], &SUBJECT, &NAME].concat(), ""),
        ([&rsa[..], &SUBJECT].concat(), ""),
        ([&EC[..], &SUBJECT, &NAME, &server_use].concat(), ""),
        ([&EC[..], &SUBJECT, &NAME, &client_use].concat(), "it is not for a server"),
        ([&EC[..], &SUBJECT, &other].concat(), "it is for another host"),
        ([&EC[..], &["-subj", "/CN=b.test"]].concat(), "it is for another host"),
    ];
    for (options, refused) in rows {
        let directory = self_signed(&options);
        let pem = std::fs::read(directory.path().join("server.pem")).unwrap();
        let server = openssl(directory, &["-www"]);
        mainspring::run(async {
            let client = Client::builder()
                .only_added_root_certificates()
                .add_root_certificates(&pem)
                .unwrap()
                .resolve("a.test", &[server.address.ip()])
                .build();
            match text(&client, &url(&server)).await {
                Ok(page) => assert!(refused.is_empty() && page.contains("s_server"), "{options:?}"),
                Err(error) => {
                    let told = !refused.is_empty() && error.to_string().contains(refused);
                    assert!(told, "{options:?}: {error}");
                }
            }
        });
    }
}

#[test]
fn a_connection_that_just_ends_has_not_delivered_its_body() {
    if !installed(&["openssl"]) {
        return;
    }
    let authority = Authority::new();
    let rows = [
        ("HTTP/1.1 200 OK\r\n\r\nnot all", "not all"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnot all", "not all"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\nnot all\r\n", "not all"),
    ];
    for version in ["-tls1_2", "-tls1_3"] {
        for (answer, expected) in rows {
            // What it reads from its standard input goes to the client.
            let mut server = openssl(certified(&authority), &["-quiet", version]);
            mainspring::run(async {
                let client = trusting(&authority, &server).build();
                let sending = mainspring::spawn(client.get(url(&server)).send());
                // Before there is a session, it would throw away what it reads.
                while !server.output().contains("GET / HTTP/1.1") {
                    mainspring::time::sleep(Duration::from_millis(2)).await;
                }
                server.input().write_all(answer.as_bytes()).unwrap();
                let mut response = sending.await.unwrap().unwrap();
                let mut body = Vec::new();
                while body.len() < expected.len() {
                    body.extend_from_slice(&response.chunk().await.unwrap().unwrap());
                }
                assert_eq!(body, expected.as_bytes());
                // Killed, it says no goodbye.
                server.kill();
                let error = response.chunk().await.expect("no end without a word").unwrap_err();
                let is_cut = matches!(error.kind(), ErrorKind::Tls(_) | ErrorKind::Protocol(_));
                assert!(is_cut, "{error}");
                assert_eq!(client.stats().idle, 0);
            });
        }
    }
}

#[test]
fn a_server_that_demands_a_certificate_says_so_in_the_error() {
    if !installed(&["openssl"]) {
        return;
    }
    let authority = Authority::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let directory = certified(&authority);
        directory.write("authority.pem", &authority.pem);
        let options = ["-www", version, "-Verify", "1", "-CAfile", "authority.pem"];
        let server = openssl(directory, &[&options[..], &["-verify_return_error"]].concat());
        let (chain, key) = authority.client();
        mainspring::run(async {
            let client = trusting(&authority, &server)
                .client_certificate(chain.as_bytes(), key.as_bytes())
                .unwrap()
                .build();
            assert!(text(&client, &url(&server)).await.unwrap().contains("s_server"));
            let client = trusting(&authority, &server).build();
            let error = text(&client, &url(&server)).await.unwrap_err().to_string();
            let told =
                error.contains("certificate required") || error.contains("handshake failure");
            assert!(told, "{version}: {error}");
        });
    }
}
