//! Apache httpd: answers of programs without a length, codings, `Expect`, `Upgrade`, HTTP/1.0.

use crate::harness::{Directory, Server, free_address, installed, long_text, text};
use http::header;
use mainspring_http::{Body, Client, CloseReason, StatusCode, Version};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const CONFIG: &str = r#"
ServerRoot DIR
ServerName a.test
Listen ADDRESS
PidFile DIR/pid
ErrorLog /dev/stderr
Mutex file:DIR
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule authn_core_module MODULES/mod_authn_core.so
LoadModule authn_file_module MODULES/mod_authn_file.so
LoadModule authz_user_module MODULES/mod_authz_user.so
LoadModule auth_basic_module MODULES/mod_auth_basic.so
LoadModule alias_module MODULES/mod_alias.so
LoadModule dir_module MODULES/mod_dir.so
LoadModule mime_module MODULES/mod_mime.so
LoadModule env_module MODULES/mod_env.so
LoadModule setenvif_module MODULES/mod_setenvif.so
LoadModule cgi_module MODULES/mod_cgi.so
LoadModule asis_module MODULES/mod_asis.so
LoadModule filter_module MODULES/mod_filter.so
LoadModule deflate_module MODULES/mod_deflate.so
LoadModule brotli_module MODULES/mod_brotli.so
LoadModule http2_module MODULES/mod_http2.so
# Offers h2c to whoever asks by http/1.1.
Protocols h2c http/1.1
KeepAlive On
MaxKeepAliveRequests 5
KeepAliveTimeout 7
TypesConfig /dev/null
AddType text/plain .txt
AddType text/html .html
AddHandler send-as-is .asis
DocumentRoot DIR/www
ScriptAlias /run/ DIR/run/
Alias /gzip/ DIR/www/
Alias /br/ DIR/www/
Alias /old/ DIR/www/
<Location /gzip/>
    SetOutputFilter DEFLATE
</Location>
<Location /br/>
    SetOutputFilter BROTLI_COMPRESS
</Location>
<Location /private/>
    AuthType Basic
    AuthName "a realm"
    AuthUserFile DIR/users
    Require valid-user
</Location>
SetEnvIf Request_URI ^/old/ downgrade-1.0 force-response-1.0
"#;

const MODULES: &str = "/usr/lib/apache2/modules";

fn apache() -> Option<Server> {
    if !installed(&["apache2"]) {
        return None;
    }
    let directory = Directory::new();
    let address = free_address();
    directory.write("www/plain.txt", long_text());
    directory.write("www/below/plain.txt", "below");
    directory.write("www/private/plain.txt", "for you alone");
    directory.write(
        "www/odd.asis",
        "Status: 299 Quite All Right\r\nContent-Type: text/plain\r\nX-Many: a\r\nX-Many: b\r\n\r\nodd",
    );
    // The password is "password", by SHA-1 as `htpasswd -s` writes it.
    directory.write("users", "me:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n");
    let scripts = [
        ("run/pieces", "printf 'Content-Type: text/plain\\n\\n'\nseq 1 20000\n"),
        ("run/echo", "printf 'Content-Type: text/plain\\n\\n'\ncat\n"),
        ("run/none", "printf 'Status: 204 Nothing\\n\\n'\n"),
        ("run/on", "printf 'Location: /below/plain.txt\\nStatus: 303 See Other\\n\\n'\n"),
    ];
    for (name, script) in scripts {
        let path = directory.write(name, format!("#!/bin/sh\n{script}"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = CONFIG
        .replace("MODULES", MODULES)
        .replace("ADDRESS", &address.to_string())
        .replace("DIR", directory.path().to_str().unwrap());
    let config = directory.write("httpd.conf", config);
    let mut command = Command::new("apache2");
    // One process, which ends when it is told to.
    command.args(["-X", "-f", &config]);
    Some(Server::start(directory, address, command))
}

fn numbers() -> String {
    (1..=20_000).map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_program_that_states_no_length_is_heard_in_chunks() {
    let Some(server) = apache() else { return };
    mainspring::run(async {
        let client = Client::new();
        for _ in 0..2 {
            let response = client.get(server.url("/run/pieces")).send().await.unwrap();
            assert_eq!(response.headers()[header::TRANSFER_ENCODING], "chunked");
            assert!(response.text().await.unwrap() == numbers());
        }
        let response = client.get(server.url("/run/none")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.bytes().await.unwrap(), "");
        assert_eq!(client.stats().opened, 1, "{}", client.stats());
        let response = client.post(server.url("/run/on")).body("gone").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "below");
    });
}

#[test]
fn bodies_of_unknown_length_are_sent_in_chunks() {
    let Some(server) = apache() else { return };
    mainspring::run(async {
        let client = Client::new();
        let lines = (1..=20_000).map(|number| Ok(format!("{number}\n").into()));
        let body = Body::stream(futures::stream::iter(lines));
        let response = client.post(server.url("/run/echo")).body(body).send().await.unwrap();
        assert!(response.text().await.unwrap() == numbers());
        let response = client.post(server.url("/run/echo")).body(numbers()).send().await.unwrap();
        assert!(response.text().await.unwrap() == numbers());
        assert_eq!(client.stats().opened, 1);
    });
}

#[test]
fn the_end_that_the_server_announces_is_heeded() {
    let Some(server) = apache() else { return };
    mainspring::run(async {
        let client = Client::new();
        for request in 0..12 {
            // Apache tells its limits only those who ask for what is the rule anyway.
            let asking = client.get(server.url("/below/plain.txt"));
            let asking = asking.header(header::CONNECTION, "keep-alive");
            let response = asking.send().await.unwrap();
            let expected = match request % 6 {
                5 => None,
                before => Some(format!("timeout=7, max={}", 5 - before)),
            };
            let said = response.headers().get("keep-alive").map(|value| value.to_str().unwrap());
            assert_eq!(said, expected.as_deref(), "request {request}");
            assert_eq!(response.text().await.unwrap(), "below");
        }
        let stats = client.stats();
        assert_eq!((stats.opened, stats.closed(CloseReason::ServerAsked)), (2, 2), "{stats}");
    });
}

#[test]
fn an_offer_to_upgrade_that_nobody_asked_for_changes_nothing() {
    let Some(server) = apache() else { return };
    mainspring::run(async {
        let client = Client::new();
        let response = client.get(server.url("/below/plain.txt")).send().await.unwrap();
        assert_eq!(response.headers()[header::UPGRADE], "h2c");
        assert_eq!(response.version(), Version::HTTP_11);
        assert_eq!(response.text().await.unwrap(), "below");
        text(&client, &server.url("/below/plain.txt")).await.unwrap();
        assert_eq!(client.stats().opened, 1);
    });
}

#[test]
fn a_switch_to_h2c_hands_over_the_raw_stream() {
    use futures::AsyncReadExt;
    let Some(server) = apache() else { return };
    mainspring::run(async {
        let request = Client::new()
            .get(server.url("/below/plain.txt"))
            .header(header::CONNECTION, "Upgrade, HTTP2-Settings")
            .header(header::UPGRADE, "h2c")
            .header("http2-settings", "AAMAAABkAAQAAP__");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut stream = response.upgrade().unwrap();
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[3], 4, "HTTP/2 begins with a SETTINGS frame: {frame:?}");
    });
}

#[test]
fn a_body_waits_for_the_word_or_is_not_sent() {
    let Some(server) = apache() else { return };
    mainspring::run(async {
        let client = Client::new();
        let request = client.post(server.url("/run/echo")).body("welcome");
        let response = request.header(header::EXPECT, "100-continue").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "welcome");
        let request = client.post(server.url("/private/plain.txt")).body(vec![b'x'; 1 << 20]);
        let response = request.header(header::EXPECT, "100-continue").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        response.discard().await.unwrap();
        let closed = client.stats().closed(CloseReason::RequestUnfinished)
            + client.stats().closed(CloseReason::ServerAsked);
        assert_eq!(closed, 1, "{}", client.stats());
        let request = client.post(server.url("/run/echo")).body("x");
        let response = request.header(header::EXPECT, "the-impossible").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::EXPECTATION_FAILED);
    });
}

#[test]
fn codings_are_taken_off() {
    let Some(server) = apache() else { return };
    let mut rows = vec![("/gzip/plain.txt", "gzip")];
    if cfg!(feature = "br") {
        rows.push(("/br/plain.txt", "br"));
    }
    mainspring::run(async {
        let client = Client::new();
        for (path, coding) in rows {
            let response = client.get(server.url(path)).send().await.unwrap();
            assert_eq!(response.headers()[header::CONTENT_ENCODING], coding);
            assert!(response.text().await.unwrap() == long_text(), "{coding}");
            // The length of an answer to HEAD is not that of a body cut short.
            let response = client.head(server.url(path)).send().await.unwrap();
            assert_eq!(response.bytes().await.unwrap(), "");
        }
        assert_eq!(client.stats().opened, 1);
    });
}

#[test]
fn http_1_0_answers_end_with_the_connection() {
    let Some(server) = apache() else { return };
    mainspring::run(async {
        let client = Client::new();
        let response = client.get(server.url("/old/plain.txt")).send().await.unwrap();
        assert_eq!(response.version(), Version::HTTP_10);
        assert!(response.text().await.unwrap() == long_text());
        assert_eq!(client.stats().open, 0, "{}", client.stats());
    });
}

#[test]
fn credentials_open_what_is_private() {
    let Some(server) = apache() else { return };
    mainspring::run(async {
        let client = Client::new();
        let url = server.url("/private/plain.txt");
        let response = client.get(&url).send().await.unwrap();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Basic realm=\"a realm\"");
        response.discard().await.unwrap();
        let response = client.get(&url).basic_auth("me", "password").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "for you alone");
        let url = url.replace("http://", "http://me:password@");
        assert_eq!(text(&client, &url).await.unwrap(), "for you alone");
        assert_eq!(client.stats().opened, 1);
    });
}

#[test]
fn fields_and_status_come_as_they_were_sent() {
    let Some(server) = apache() else { return };
    mainspring::run(async {
        let response = Client::new().get(server.url("/odd.asis")).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 299);
        assert_eq!(response.reason(), "Quite All Right");
        let values: Vec<_> = response.headers().get_all("x-many").iter().collect();
        assert!(values == ["a", "b"] || values == ["a, b"], "{values:?}");
        assert_eq!(response.text().await.unwrap(), "odd");
    });
}
