//! One page, fetched as a call asks for it.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use mainspring_http::{Client, Proxy};
use scraper::Selector;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::guard;
use super::message::Fault;
use crate::answer::Answer;
use crate::crawl::redirect::{MAX_REDIRECTS, target};
use crate::links::Nofollow;
use crate::options::Options;
use crate::reader::Reader;
use crate::text::shortened;
use crate::timings::Timings;
use crate::web::{FetchError, Web, read, retry_after};

/// What coordinator and workers must have in common: it changes with what they tell each other.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The most ways of connecting that are kept ready at once.
const MOST_WEBS: usize = 16;

/// Fetches pages.
pub struct Pages {
    /// Clients, by how calls ask to connect.
    pub webs: RefCell<HashMap<String, Web>>,
    /// Whether private addresses are fetched from.
    pub allow_private: bool,
    /// Connections at once.
    pub connections: usize,
    /// The longest body that is read, in bytes.
    pub max_size: u64,
}

impl Pages {
    /// Gets a page, redirects followed as far as the call says, each judged as the first URL is.
    pub async fn get(
        &self,
        url: &Url,
        limit: Duration,
        asked: &Asked,
    ) -> Result<(Told, Answer), Fault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(value_error(&format!("{} is not http or https", url.scheme())));
        }
        self.check(url)?;
        let web = self.web(asked)?;
        let most = asked.redirects.unwrap_or(MAX_REDIRECTS);
        let headers = HeaderMap::try_from(&asked.headers).map_err(|error| value_error(&error))?;
        let request = web.client().get(url).headers(headers).timeout(limit).redirects(most);
        let allow_private = self.allow_private;
        let mut request =
            request.redirect_policy(move |hop| allow_private || guard::check(hop.to).is_ok());
        if let Some(proxy) = &asked.proxy {
            self.check(&Url::parse(proxy).map_err(|error| value_error(&error))?)?;
            request = request.proxy(Some(Proxy::new(proxy).map_err(|error| value_error(&error))?));
        }
        let got = async {
            let response = request.send().await.map_err(|error| no_answer(&error))?;
            let (status, fields, at) = (response.status(), response.headers(), response.url());
            let moved =
                target(status, fields, at).transpose().map_err(|text| value_error(&text))?;
            if let Some(to) = moved.as_ref().filter(|_| most > 0) {
                self.check(to)?;
            }
            let head = Answer::without_body(at.clone(), status, fields);
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
            let retry_after = retry_after(fields, SystemTime::now());
            let mut told = Told {
                status: status.as_u16(),
                final_url: asked.final_url.then(|| at.clone()),
                content_type: asked.content_type.then(|| head.content_type.clone()),
                location: moved,
                retry_after: retry_after.map(|after| after.as_secs()),
                set_cookie: asked
                    .cookies
                    .then(|| fields.get_all(SET_COOKIE).iter().map(text).collect()),
                version: asked.version.as_ref().map(|_| VERSION.to_owned()),
                ..Told::default()
            };
            let max = asked.max_size.unwrap_or(self.max_size).min(self.max_size);
            if asked.version.is_some() {
                let kind = &head.content_type;
                let reader = Reader { assets: asked.assets, ..Reader::default() };
                let announced = response.content_length().filter(|bytes| *bytes > max);
                if asked.only_pages && !reader.is_for(kind) {
                    told.unread = Some(format!("nothing asks for {}", shortened(kind, 80)));
                } else if let Some(bytes) = announced {
                    let text = format!("it announces {bytes} bytes, and {max} are read at most");
                    told.unread = Some(text);
                }
                let is_error = status.is_client_error() || status.is_server_error();
                if is_error || told.location.is_some() || told.unread.is_some() {
                    return Ok((told, head));
                }
            }
            let failed = |error: FetchError| Fault::new("ConnectionError", error.to_string());
            let (body, is_whole) = read(response, max).await.map_err(failed)?;
            if !is_whole {
                return Err(value_error(&format!("its body is larger than {max} bytes")));
            }
            let mut crc = flate2::Crc::new();
            crc.update(&body);
            (told.len, told.crc32) = (body.len(), crc.sum());
            told.body = asked.body.then(|| STANDARD.encode(&body));
            Ok((told, Answer { body, ..head }))
        };
        let got = got.await;
        let timings = web.timings(url);
        got.map(|(told, answer)| {
            (Told { timings: asked.version.as_ref().map(|_| timings), ..told }, answer)
        })
    }

    fn check(&self, url: &Url) -> Result<(), Fault> {
        let refused = |text| Fault::new("PermissionError", text);
        if self.allow_private { Ok(()) } else { guard::check(url).map_err(refused) }
    }

    /// A client that connects as a call asks.
    fn web(&self, asked: &Asked) -> Result<Web, Fault> {
        let Asked { cacert, insecure, version, without, .. } = asked;
        let key = json!([cacert, insecure, version, without]).to_string();
        if let Some(web) = self.webs.borrow().get(&key) {
            return Ok(web.clone());
        }
        let mut client = Client::builder();
        if !self.allow_private {
            client = client.resolver(guard::PublicOnly);
        }
        if let Some(pem) = cacert {
            client = client.add_root_certificates(pem.as_bytes()).map_err(|e| value_error(&e))?;
        }
        let web = Web::with(
            client,
            &Options {
                connections: self.connections,
                removed: without.iter().filter_map(|name| name.parse().ok()).collect(),
                timed: version.is_some(),
                accept_invalid_certs: *insecure,
                ..Options::default()
            },
        );
        let mut webs = self.webs.borrow_mut();
        if webs.len() == MOST_WEBS {
            webs.clear();
        }
        webs.insert(key, web.clone());
        Ok(web)
    }
}

/// What a call may ask of a fetch.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    pub assets: bool,
    pub attr: Option<String>,
    pub body: bool,
    /// Certificates to trust besides the system's, in PEM.
    pub cacert: Option<String>,
    pub content_type: bool,
    /// Whether cookies that are set are told.
    pub cookies: bool,
    pub final_url: bool,
    pub headers: HashMap<String, String>,
    /// Whether any certificate is taken for good.
    pub insecure: bool,
    pub links: bool,
    pub max_retries: u64,
    pub max_size: Option<u64>,
    pub nofollow: Nofollow,
    /// Bodies of other kinds are left unread.
    pub only_pages: bool,
    pub proxy: Option<String>,
    pub redirects: Option<usize>,
    pub select: Option<String>,
    pub timeout: Option<f64>,
    /// A coordinator's: it is told more, and bodies that are too long are no failure to it.
    pub version: Option<String>,
    /// Header fields that are not sent by themselves.
    pub without: BTreeSet<String>,
}

impl Asked {
    /// What is to be read from the page, if anything is.
    pub fn reader(&self) -> Result<Option<Reader>, Fault> {
        let bad = |css: &str, error| value_error(&format!("{css} is no CSS selector: {error}"));
        let select =
            self.select.as_deref().map(|css| Selector::parse(css).map_err(|e| bad(css, e)));
        let (select, attribute, assets) = (select.transpose()?, self.attr.clone(), self.assets);
        let reads = self.links || assets || select.is_some();
        Ok(reads.then_some(Reader { select, attribute, assets, nofollow: self.nofollow }))
    }
}

/// What is told of a page: what the call asked for, and what there is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    pub url: String,
    pub status: u16,
    pub len: usize,
    pub crc32: u32,
    pub final_url: Option<Url>,
    pub content_type: Option<String>,
    /// Where it leads, if it is a redirect that was not followed.
    pub location: Option<Url>,
    /// In seconds.
    pub retry_after: Option<u64>,
    /// Why it was not read.
    pub unread: Option<String>,
    /// In base64.
    pub body: Option<String>,
    pub set_cookie: Option<Vec<String>>,
    pub version: Option<String>,
    pub timings: Option<Timings>,
    pub links: Option<Vec<Url>>,
    pub selected: Option<Vec<String>>,
    pub nofollow: Option<usize>,
    pub cut: Option<String>,
}

pub fn value_error(text: &dyn Display) -> Fault {
    Fault::new("ValueError", text.to_string())
}

fn no_answer(error: &mainspring_http::Error) -> Fault {
    let text = error.to_string();
    let class = match error {
        _ if text.contains(guard::REFUSED) => "PermissionError",
        error if error.is_timeout() => "TimeoutError",
        _ => "ConnectionError",
    };
    Fault::new(class, text)
}
