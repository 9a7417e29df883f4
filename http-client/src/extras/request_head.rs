//! From a request to the head that is sent: what the client adds to it, by what its builder decided.

use crate::body::Body;
use crate::connection::{Connection, take_write_buffer};
use crate::decode;
use crate::error::Result;
use crate::hooks::Hooked;
use crate::proto::{Limits, RequestHead, RequestKind, write_fields};
use crate::proxy::Proxy;
use crate::request::{Request, Settings};
use crate::retry::RetryPolicy;
use crate::target::{self, Parts};
use http::{HeaderMap, HeaderValue, Method, header};
use std::borrow::Cow;
use std::rc::Rc;
use url::{Origin, Url};

/// What the builder decided, for all requests of a client.
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) settings: Settings,
    pub(crate) defaults: Defaults,
    pub(crate) credentials: Credentials,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) hook: Option<Hooked>,
    pub(crate) cookies: Option<Rc<dyn CookieStore>>,
}

/// Fields for every request, and the same as they are written in a head.
#[derive(Default)]
pub(crate) struct Defaults {
    pub(crate) fields: HeaderMap,
    pub(crate) written: Vec<u8>,
}

/// Which origins may get the client's credentials.
#[derive(Default)]
pub(crate) struct Credentials {
    /// The default fields without those that are for one origin, if there are such.
    pub(crate) others: Option<Defaults>,
    /// The origins that were named, each with the authorization that is its own. If there are none, the
    /// default fields go to whatever origin a request begins with.
    pub(crate) named: Vec<(Origin, Option<HeaderValue>)>,
}

/// Where cookies are kept: behind a trait, so that a program without a jar has no code of one.
pub(crate) trait CookieStore {
    /// Takes the value of a `Set-Cookie` field in the response to a request for `url`.
    fn keep(&self, url: &Url, set_cookie: &[u8]);

    /// The value of the `Cookie` field for a request to `url`, if there is any.
    fn cookies(&self, url: &Url) -> Option<HeaderValue>;
}

impl Defaults {
    pub(crate) fn new(fields: HeaderMap) -> Self {
        let mut written = Vec::new();
        write_fields(&mut written, &fields);
        Self { fields, written }
    }
}

impl Credentials {
    /// Whether the default credentials may go where this request goes. Adds those that are of its
    /// origin alone.
    fn are_for(&self, request: &Request, headers: &mut Cow<'_, HeaderMap>) -> bool {
        if self.named.is_empty() {
            return !request.left_origin;
        }
        let origin = request.url.origin();
        let mut named = self.named.iter().filter(|(named, _)| *named == origin).peekable();
        let known = named.peek().is_some();
        if let Some(value) = named.find_map(|(_, value)| value.clone())
            && !headers.contains_key(header::AUTHORIZATION)
        {
            headers.to_mut().insert(header::AUTHORIZATION, value);
        }
        known
    }
}

/// Puts a request, whose URL is split into `parts` and whose body is `body`, on its connection, which
/// leads to `proxy` if there is one.
pub(crate) fn begin(
    connection: &mut Connection,
    request: &Request,
    parts: Parts<'_>,
    body: Body,
    settings: &Settings,
    proxy: Option<&Proxy>,
    config: &Config,
) -> Result<()> {
    let mut kind = RequestKind {
        head: request.method == Method::HEAD,
        connect: request.method == Method::CONNECT,
        ..RequestKind::default()
    };
    let mut held = false;
    // Most requests have no fields of their own.
    if !request.headers.is_empty() {
        (kind.upgrade, kind.close, held) = asked_for(&request.headers);
        held &= !body.is_empty();
    }
    let head = write_head(request, parts, &body, settings, proxy, config)?;
    connection.begin(head, body, kind, config.limits, held);
    Ok(())
}

/// The head, in the thread's write buffer.
fn write_head(
    request: &Request,
    (before, host, path): Parts<'_>,
    body: &Body,
    settings: &Settings,
    proxy: Option<&Proxy>,
    config: &Config,
) -> Result<Vec<u8>> {
    let Request { method, url, .. } = request;
    let mut headers = Cow::Borrowed(&request.headers);
    if before.ends_with('@')
        && !headers.contains_key(header::AUTHORIZATION)
        && let Some(value) = target::authorization(url)?
    {
        headers.to_mut().insert(header::AUTHORIZATION, value);
    }
    let mut defaults = &config.defaults;
    if !config.credentials.are_for(request, &mut headers)
        && let Some(others) = &config.credentials.others
    {
        defaults = others;
    }
    let differs = settings.decompress != config.settings.decompress;
    if differs || (!headers.is_empty() && headers.contains_key(header::RANGE)) {
        choose_codings(settings.decompress, &mut headers);
    }
    // A request that sets the field itself knows better.
    if let Some(jar) = &config.cookies
        && !headers.contains_key(header::COOKIE)
        && let Some(cookies) = jar.cookies(url)
    {
        headers.to_mut().insert(header::COOKIE, cookies);
    }
    let mut named = Cow::Borrowed(path);
    if *method == Method::CONNECT {
        named = Cow::Owned(target::authority_form(url));
    }
    if let Some(proxy) = proxy.filter(|proxy| proxy.gets_requests(url)) {
        if let Some(value) = proxy.authorization()? {
            headers.to_mut().insert(header::PROXY_AUTHORIZATION, value);
        }
        named = Cow::Owned(format!("{}://{host}{named}", url.scheme()));
    }
    let mut out = take_write_buffer();
    RequestHead {
        method,
        target: &named,
        host,
        headers: &headers,
        defaults: &defaults.fields,
        body: body.length(),
    }
    .write_with(&defaults.written, &mut out);
    Ok(out)
}

/// Which content codings are asked for, unless the request says so itself. A part of a coded body
/// cannot be decoded, so beside `Range` there are none (Fetch standard, "HTTP-network-or-cache fetch").
#[cold]
fn choose_codings(decompress: bool, headers: &mut Cow<'_, HeaderMap>) {
    if headers.contains_key(header::ACCEPT_ENCODING) {
        return;
    }
    let codings = match decompress && !headers.contains_key(header::RANGE) {
        true => decode::accepted(),
        false => HeaderValue::from_static("identity"),
    };
    headers.to_mut().insert(header::ACCEPT_ENCODING, codings);
}

/// Whether the fields of a request ask for another protocol, for the end of the connection, and for
/// `100 Continue` before the body is sent.
fn asked_for(headers: &HeaderMap) -> (bool, bool, bool) {
    let close = headers.get_all(header::CONNECTION).iter().any(|value| {
        let mut tokens = value.as_bytes().split(|byte| *byte == b',');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
    });
    (headers.contains_key(header::UPGRADE), close, expects_continue(headers))
}

/// Whether `100 Continue` is to come before the body is sent.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    let expect = headers.get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
