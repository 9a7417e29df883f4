//! Where Redis is, as Celery's users write it.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

/// Where Redis is, and as whom to use it. Shown, it tells no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The machine or the socket.
    pub place: Place,
    /// The user; without one, a password is that of the user `default`.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The number of the database.
    pub db: u32,
}

/// How Redis is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By TCP.
    Host {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// Whether through TLS, and then whose certificates are trusted besides the system's.
        tls: Option<Option<PathBuf>>,
    },
    /// By a socket in the file system.
    Socket(PathBuf),
}

impl Address {
    /// Reads `redis://user:password@host:port/db`, `rediss://` (with `?ssl_ca_certs=FILE` for
    /// certificates of one's own), `redis+socket:///path?virtual_host=db`, or `host:port`.
    ///
    /// # Errors
    /// Half a sentence that names no part of the text: it may hold a password.
    pub fn parse(text: &str) -> Result<Address, String> {
        let whole = if text.contains("://") { text.to_owned() } else { format!("redis://{text}") };
        let url = Url::parse(&whole).map_err(|error| format!("no URL of Redis: {error}"))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let option =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
        let scheme = url.scheme();
        let (place, db) = match scheme {
            "redis" | "rediss" => {
                let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
                let host = decoded(host.trim_start_matches('[').trim_end_matches(']'));
                let checked = option("ssl_cert_reqs").map(|mode| mode.to_ascii_lowercase());
                if checked.is_some_and(|mode| mode.trim_start_matches("cert_") == "none") {
                    let instead = "name its certificate by ssl_ca_certs=FILE instead";
                    return Err(format!(
                        "a certificate that is not checked protects little; {instead}"
                    ));
                }
                let roots = option("ssl_ca_certs").map(|file| PathBuf::from(file.as_ref()));
                let tls = (scheme == "rediss").then_some(roots);
                let place = Place::Host { host, port: url.port().unwrap_or(6379), tls };
                (place, url.path().trim_matches('/').to_owned())
            }
            "redis+socket" | "unix" => {
                let db = option("virtual_host").or_else(|| option("db")).unwrap_or_default();
                (Place::Socket(decoded(url.path()).into()), db.trim_matches('/').to_owned())
            }
            other => return Err(format!("{other} is not redis, rediss or redis+socket")),
        };
        let db = match db.as_str() {
            "" => 0,
            db => db.parse().map_err(|_| "the database is a number, as in redis://host/0")?,
        };
        let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
        Ok(Address { place, user, password: url.password().map(decoded), db })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Host { host, port, tls } => {
                let scheme = if tls.is_some() { "rediss" } else { "redis" };
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}:{port}/{}", self.db)
            }
            Place::Socket(path) => write!(f, "redis+socket://{}", path.display()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_celery_reads_them() {
        for (text, shown, user, password) in [
            ("redis://h", "redis://h:6379/0", None, None),
            ("h:1", "redis://h:1/0", None, None),
            ("127.0.0.1", "redis://127.0.0.1:6379/0", None, None),
            ("redis://", "redis://localhost:6379/0", None, None),
            ("redis://:p%40ss@h:7/3", "redis://h:7/3", None, Some("p@ss")),
            ("rediss://me:x@h/1", "rediss://h:6379/1", Some("me"), Some("x")),
            ("rediss://h/?ssl_cert_reqs=CERT_REQUIRED", "rediss://h:6379/0", None, None),
            ("redis://[::1]:9/", "redis://[::1]:9/0", None, None),
            ("redis+socket:///run/r.sock?virtual_host=2", "redis+socket:///run/r.sock", None, None),
            ("unix:///run/r.sock?db=2", "redis+socket:///run/r.sock", None, None),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!(address.to_string(), shown);
            assert_eq!((address.user.as_deref(), address.password.as_deref()), (user, password));
            assert!(!format!("{address:?}").contains("ss@"));
        }
        let socket = Address::parse("redis+socket:///run/r.sock?virtual_host=2").expect("one");
        assert_eq!(socket.db, 2);
    }

    #[test]
    fn what_is_none_is_told_without_its_password() {
        for (text, said) in [
            ("redis://:secret@h/x", "the database is a number, as in redis://host/0"),
            ("http://:secret@h", "http is not redis, rediss or redis+socket"),
            ("redis://:secret@h:99999", "no URL of Redis: invalid port number"),
            (
                "rediss://:secret@h/?ssl_cert_reqs=none",
                "a certificate that is not checked protects little; \
                 name its certificate by ssl_ca_certs=FILE instead",
            ),
        ] {
            assert_eq!(Address::parse(text), Err(said.to_owned()));
        }
    }
}
