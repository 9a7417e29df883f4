//! A request, and the builder that a client hands out for it.

use crate::body::Body;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::multipart::Form;
use crate::response::Response;
use crate::secret::{Fields, redact_url};
use crate::timeout::Timeouts;
use crate::url_text;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::future::Future;
use std::time::Duration;
use url::Url;

/// What can be taken for a URL: a [`Url`], or text that parses as one.
pub trait IntoUrl {
    /// The URL.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`] with the parser's reason.
    fn into_url(self) -> Result<Url>;
}

impl IntoUrl for Url {
    fn into_url(self) -> Result<Url> {
        Ok(self)
    }
}

impl IntoUrl for &Url {
    fn into_url(self) -> Result<Url> {
        Ok(self.clone())
    }
}

impl IntoUrl for &str {
    fn into_url(self) -> Result<Url> {
        url_text::parse(self).map_err(|error| Error::new(ErrorKind::InvalidUrl(error.to_string())))
    }
}

impl IntoUrl for String {
    fn into_url(self) -> Result<Url> {
        self.as_str().into_url()
    }
}

impl IntoUrl for &String {
    fn into_url(self) -> Result<Url> {
        self.as_str().into_url()
    }
}

/// A request that is ready to be sent, by [`Client::execute`].
// Laid out as it stands here: what has to be looked at once the answer has come, to let go of the
// request, is in few cache lines. By then they have to be waited for.
#[repr(C)]
pub struct Request {
    /// The header fields, on top of the client's default ones. A redirect to another origin takes
    /// none along that [`is_secret`](crate::is_secret) names, or whose value is marked as sensitive.
    pub headers: HeaderMap,
    pub(crate) timeouts: Option<Box<Timeouts>>,
    /// The body.
    pub body: Body,
    /// The method.
    pub method: Method,
    /// The URL. A user name and password in it are sent as Basic authorization, to its origin alone.
    pub url: Url,
    pub(crate) redirects: Option<usize>,
    /// A redirect has led it to another origin than it began with.
    pub(crate) left_origin: bool,
}

impl Request {
    /// A request without headers and body.
    #[inline]
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        let (headers, body) = (HeaderMap::new(), Body::empty());
        let (timeouts, redirects, left_origin) = (None, None, false);
        Self { method, url, headers, body, timeouts, redirects, left_origin }
    }

    /// A second request like this one; `None` if its body is a stream.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        Some(Self {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: self.body.try_clone()?,
            timeouts: self.timeouts.clone(),
            redirects: self.redirects,
            left_origin: self.left_origin,
        })
    }
}

/// Without secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &redact_url(&self.url))
            .field("headers", &Fields(&self.headers))
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// Builds a request and sends it. A mistake on the way is told by [`RequestBuilder::send`].
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    client: Client,
    request: Result<Box<Request>>,
}

impl RequestBuilder {
    pub(crate) fn new(client: Client, method: Method, url: Result<Url>) -> Self {
        Self { client, request: url.map(|url| Box::new(Request::new(method, url))) }
    }

    fn change(mut self, change: impl FnOnce(&mut Request) -> Result<()>) -> Self {
        if let Ok(request) = &mut self.request
            && let Err(error) = change(request)
        {
            let error = error.for_request(&request.method, &request.url);
            self.request = Err(error);
        }
        self
    }

    /// Adds a header field. Several of one name are sent in the order in which they were added.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        self.change(|request| {
            let invalid = |what: &str| {
                Err(Error::new(ErrorKind::InvalidRequest(format!("invalid header {what}"))))
            };
            let Ok(name) = name.try_into() else { return invalid("name") };
            let Ok(value) = value.try_into() else { return invalid(&format!("value of {name}")) };
            request.headers.append(name, value);
            Ok(())
        })
    }

    /// Sets header fields, each in place of those of its name.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.change(|request| {
            let mut last = None;
            for (name, value) in headers {
                // A map gives the name with the first of its values only.
                match name {
                    Some(name) => {
                        request.headers.insert(name.clone(), value);
                        last = Some(name);
                    }
                    None => {
                        let name = last.clone().expect("the first value comes with its name");
                        request.headers.append(name, value);
                    }
                }
            }
            Ok(())
        })
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.change(|request| {
            request.body = body.into();
            Ok(())
        })
    }

    /// Adds `name=value` pairs to the query of the URL.
    pub fn query<N, V>(self, pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        self.change(|request| {
            let mut pairs = pairs.into_iter().peekable();
            // Without any, not even a question mark is added.
            if pairs.peek().is_some() {
                request.url.query_pairs_mut().extend_pairs(pairs);
            }
            Ok(())
        })
    }

    /// Sets the body to a form (`application/x-www-form-urlencoded`).
    pub fn form<N, V>(self, pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let form =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body(form).content_type("application/x-www-form-urlencoded")
    }

    /// Sets the body to `value` as JSON.
    #[cfg(feature = "json")]
    pub fn json<T: serde_core::Serialize + ?Sized>(self, value: &T) -> Self {
        let json = serde_json::to_vec(value);
        self.change(|request| {
            let json = json.map_err(|error| Error::new(ErrorKind::Json(error.to_string())))?;
            request.body = json.into();
            Ok(())
        })
        .content_type("application/json")
    }

    /// Sets the body to a form with files (`multipart/form-data`).
    pub fn multipart(self, form: Form) -> Self {
        self.change(|request| {
            let (body, content_type) = form.into_body()?;
            request.body = body;
            let value = HeaderValue::try_from(content_type).expect("hex digits in ASCII");
            request.headers.insert(header::CONTENT_TYPE, value);
            Ok(())
        })
    }

    pub(crate) fn content_type(self, value: &'static str) -> Self {
        self.change(|request| {
            let entry = request.headers.entry(header::CONTENT_TYPE);
            entry.or_insert(HeaderValue::from_static(value));
            Ok(())
        })
    }

    /// Authenticates with a user name and a password (Basic, RFC 7617).
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        self.change(|request| {
            request.headers.insert(header::AUTHORIZATION, basic(user, password)?);
            Ok(())
        })
    }

    /// Authenticates with a token (Bearer, RFC 6750).
    pub fn bearer_auth(self, token: &str) -> Self {
        self.change(|request| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
                Error::new(ErrorKind::InvalidRequest("invalid bearer token".to_owned()))
            })?;
            value.set_sensitive(true);
            request.headers.insert(header::AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Limits the whole of this request, redirects included, but not its wait in the pool.
    pub fn timeout(self, total: Duration) -> Self {
        let client = self.client.timeouts();
        self.change(|request| {
            request.timeouts.get_or_insert_with(|| Box::new(client)).total = Some(total);
            Ok(())
        })
    }

    /// Sets the timeout of each phase of this request.
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.change(|request| {
            request.timeouts = Some(Box::new(timeouts));
            Ok(())
        })
    }

    /// Follows at most `limit` redirects; with 0, the redirect itself is the response.
    pub fn redirects(self, limit: usize) -> Self {
        self.change(|request| {
            request.redirects = Some(limit);
            Ok(())
        })
    }

    /// The request, to be kept or changed by hand.
    ///
    /// # Errors
    /// The first mistake that was made in building it.
    pub fn build(self) -> Result<Request> {
        self.request.map(|request| *request)
    }

    /// Sends the request and waits for the response head, redirects followed.
    ///
    /// Dropping the future gives the request up and closes its connection.
    ///
    /// # Errors
    /// Whatever went wrong, in building the request or on the way.
    pub fn send(self) -> impl Future<Output = Result<Response>> {
        self.client.run(self.request)
    }
}

/// The value of an `Authorization` field for the user that a URL names, if it does.
#[cold]
pub(crate) fn url_authorization(url: &Url) -> Result<Option<HeaderValue>> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    basic(&decoded(url.username()), &decoded(url.password().unwrap_or_default())).map(Some)
}

/// The value of an `Authorization` field for Basic authentication.
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    use base64::Engine;
    if user.contains(':') {
        let reason = "a user name for Basic authentication holds no colon (RFC 7617 §2)";
        return Err(Error::new(ErrorKind::InvalidRequest(reason.to_owned())));
    }
    let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {token}"))
        .map_err(|_| Error::new(ErrorKind::InvalidRequest("invalid credentials".to_owned())))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_of_a_request_holds_no_secret() {
        let request = Client::new().put("http://me:secret@a.test/").bearer_auth("secret").body("b");
        let text = format!("{request:?}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(
            format!("{:?}", request.build().unwrap()),
            "Request { method: PUT, url: \"http://me:***@a.test/\", \
             headers: {\"authorization\": \"***\"}, body: Body(1 bytes), .. }"
        );
    }
}
