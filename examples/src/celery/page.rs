//! One page, fetched as a call asks for it.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use mainspring_http::{Client, Proxy, Redirect};
use scraper::Selector;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::guard;
use super::message::Fault;
use super::tasks::Tasks;
use crate::answer::Answer;
use crate::crawl::redirect::{MAX_REDIRECTS, target};
use crate::links::Nofollow;
use crate::options::Options;
use crate::reader::Reader;
use crate::timings::Timings;
use crate::web::{FetchError, Web, page, read, retry_after};

/// What coordinator and workers must have in common: it changes with what they tell each other.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The most ways of connecting that are kept ready at once.
const MOST_WEBS: usize = 16;

impl Tasks {
    /// Gets a page, redirects followed as far as the call says, each judged as the first URL is.
    pub(super) async fn get(
        &self,
        url: &Url,
        limit: Duration,
        asked: &Asked,
    ) -> Result<(Told, Option<Answer>), Fault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(value_error(format!("{} is not http or https", url.scheme())));
        }
        self.check(url)?;
        let web = self.web(asked)?;
        let most = asked.redirects.unwrap_or(MAX_REDIRECTS);
        let headers = HeaderMap::try_from(&asked.headers).map_err(value_error)?;
        let request = web.client().get(url).headers(headers);
        let mut request = request.timeout(limit).redirects(most);
        if let Some(proxy) = &asked.proxy {
            self.check(&Url::parse(proxy).map_err(value_error)?)?;
            request = request.proxy(Some(Proxy::new(proxy).map_err(value_error)?));
        }
        let got = async {
            let response = request.send().await.map_err(no_answer)?;
            let (status, fields, at) = (response.status(), response.headers(), response.url());
            // Of the redirects that are followed, one is left only where it leads to what is refused.
            if let Some(Ok(to)) = target(status, fields, at).filter(|_| most > 0) {
                self.check(&to)?;
            }
            let retry_after = retry_after(fields, SystemTime::now());
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
            let cookies = fields.get_all(SET_COOKIE).iter().map(text).collect();
            let set_cookie = asked.cookies.then_some(cookies);
            let told = Told { status: status.as_u16(), retry_after, set_cookie, ..Told::default() };
            let max = asked.max_size.unwrap_or(self.settings.max_size).min(self.settings.max_size);
            if asked.version.is_some() {
                let reader = Reader { assets: asked.assets, ..Reader::default() };
                let wanted = |kind: &str| !asked.only_pages || reader.is_for(kind);
                return Ok((told, page(response, url, max, wanted).await));
            }
            let head = Answer::without_body(at.clone(), status, fields);
            let failed = |error: FetchError| Fault::new("ConnectionError", error.to_string());
            let (body, is_whole) = read(response, max).await.map_err(failed)?;
            if !is_whole {
                return Err(value_error(format!("its body is larger than {max} bytes")));
            }
            Ok((told, Ok(Answer { body, ..head })))
        };
        let (got, timings) = (got.await, web.timings(url));
        let (mut told, answer) = got?;
        if asked.version.is_some() {
            (told.version, told.timings) = (Some(VERSION.to_owned()), Some(timings));
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok((Told { error: Some(error), ..told }, None)),
        };
        let mut crc = flate2::Crc::new();
        crc.update(&answer.body);
        (told.len, told.crc32) = (answer.body.len(), crc.sum());
        told.body = asked.body.then(|| STANDARD.encode(&answer.body));
        told.final_url = asked.final_url.then(|| answer.url.clone());
        told.content_type = asked.content_type.then(|| answer.content_type.clone());
        Ok((told, Some(answer)))
    }

    fn check(&self, url: &Url) -> Result<(), Fault> {
        let refused = |text| Fault::new("PermissionError", text);
        if self.settings.allow_private { Ok(()) } else { guard::check(url).map_err(refused) }
    }

    /// A client that connects as a call asks.
    fn web(&self, asked: &Asked) -> Result<Web, Fault> {
        let Asked { cacert, insecure, version, without, .. } = asked;
        let key = json!([cacert, insecure, version, without]).to_string();
        if let Some(web) = self.webs.borrow().get(&key) {
            return Ok(web.clone());
        }
        let mut client = Client::builder();
        if !self.settings.allow_private {
            let is_public = |hop: &Redirect<'_>| guard::check(hop.to).is_ok();
            client = client.resolver(guard::PublicOnly).redirect_policy(is_public);
        }
        if let Some(pem) = cacert {
            client = client.add_root_certificates(pem.as_bytes()).map_err(value_error)?;
        }
        let options = Options {
            connections: self.settings.concurrency,
            removed: without.iter().filter_map(|name| name.parse().ok()).collect(),
            timed: version.is_some(),
            accept_invalid_certs: *insecure,
            ..Options::default()
        };
        let web = Web::with(client, &options);
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
        let bad = |css: &str, error| value_error(format!("{css} is no CSS selector: {error}"));
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
    /// Why a coordinator cannot have it.
    pub error: Option<FetchError>,
    #[serde(skip)]
    pub retry_after: Option<Duration>,
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

pub fn value_error(text: impl Display) -> Fault {
    Fault::new("ValueError", text.to_string())
}

fn no_answer(error: mainspring_http::Error) -> Fault {
    let text = error.to_string();
    let class = match error {
        _ if text.contains(guard::REFUSED) => "PermissionError",
        error if error.is_timeout() => "TimeoutError",
        _ => "ConnectionError",
    };
    Fault::new(class, text)
}
