//! Building a request step by step.

use crate::body::Body;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::multipart::Form;
use crate::proxy::Proxy;
use crate::request::{Redirect, Request, Settings};
use crate::response::Response;
use crate::target::{self, IntoUrl};
use crate::timeout::Timeouts;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

impl Client {
    /// A GET request.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A HEAD request.
    pub fn head(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// A POST request.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A PUT request.
    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A PATCH request.
    pub fn patch(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url.into_url())
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
        Self {
            client,
            // Written into its box: `Box::new` makes it on the stack, and copies it from there.
            request: url.map(|url| Box::write(Box::new_uninit(), Request::new(method, url))),
        }
    }

    fn change(self, change: impl FnOnce(&mut Request)) -> Self {
        self.try_change(|request| {
            change(request);
            Ok(())
        })
    }

    fn try_change(mut self, change: impl FnOnce(&mut Request) -> Result<()>) -> Self {
        if let Ok(request) = &mut self.request
            && let Err(error) = change(request)
        {
            let error = error.for_request(&request.method, &request.url);
            self.request = Err(error);
        }
        self
    }

    /// Adds a header field. Several of one name are sent in the order in which they were added.
    pub fn header(self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        self.try_change(|request| {
            let invalid = |what| Err(Error::invalid_request(format!("invalid header {what}")));
            let Ok(name) = name.try_into() else { return invalid("name".to_owned()) };
            let Ok(value) = value.try_into() else { return invalid(format!("value of {name}")) };
            request.headers.append(name, value);
            Ok(())
        })
    }

    /// Sets header fields, each in place of those of its name.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.change(|request| request.headers.extend(headers))
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.change(|request| request.body = body.into())
    }

    /// Adds `name=value` pairs to the query of the URL.
    pub fn query(
        self,
        pairs: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    ) -> Self {
        self.change(|request| {
            let mut pairs = pairs.into_iter().peekable();
            // Without any, not even a question mark is added.
            if pairs.peek().is_some() {
                request.url.query_pairs_mut().extend_pairs(pairs);
            }
        })
    }

    /// Sets the body to a form (`application/x-www-form-urlencoded`).
    pub fn form(self, pairs: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> Self {
        let form =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body(form).content_type("application/x-www-form-urlencoded")
    }

    /// Sets the body to `value` as JSON.
    #[cfg(feature = "json")]
    pub fn json<T: serde_core::Serialize + ?Sized>(self, value: &T) -> Self {
        let json = serde_json::to_vec(value);
        self.try_change(|request| {
            let json =
                json.map_err(|error| Error::new(crate::error::ErrorKind::Json(error.to_string())))?;
            request.body = json.into();
            Ok(())
        })
        .content_type("application/json")
    }

    /// Sets the body to a form with files (`multipart/form-data`).
    pub fn multipart(self, form: Form) -> Self {
        self.try_change(|request| {
            let content_type;
            (request.body, content_type) = form.into_body()?;
            request.headers.insert(header::CONTENT_TYPE, content_type);
            Ok(())
        })
    }

    pub(crate) fn content_type(self, value: &'static str) -> Self {
        self.change(|request| {
            let entry = request.headers.entry(header::CONTENT_TYPE);
            entry.or_insert(HeaderValue::from_static(value));
        })
    }

    /// Authenticates with a user name and a password (Basic, RFC 7617).
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        self.authorization(target::basic_auth(user, password))
    }

    /// Authenticates with a token (Bearer, RFC 6750).
    pub fn bearer_auth(self, token: &str) -> Self {
        self.authorization(target::secret_value(format!("Bearer {token}")))
    }

    fn authorization(self, value: Result<HeaderValue>) -> Self {
        self.try_change(|request| {
            request.headers.insert(header::AUTHORIZATION, value?);
            Ok(())
        })
    }

    /// Limits the whole of this request, redirects included, but not its wait in the pool.
    pub fn timeout(self, total: Duration) -> Self {
        self.set(|own| own.timeouts.total = Some(total))
    }

    /// Sets the timeout of each phase of this request.
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.set(|own| own.timeouts = timeouts)
    }

    /// Follows at most `limit` redirects; with 0, the redirect itself is the response.
    pub fn redirects(self, limit: usize) -> Self {
        self.set(|own| own.redirects = limit)
    }

    /// As [`ClientBuilder::redirect_policy`](crate::ClientBuilder::redirect_policy), for this request
    /// alone, and in place of the client's.
    pub fn redirect_policy(self, policy: impl Fn(&Redirect<'_>) -> bool + 'static) -> Self {
        self.set(|own| own.redirect_policy = Some(Rc::new(policy)))
    }

    /// Sends this request, and those it is redirected to, through `proxy`, or through none, whatever
    /// the client and its exceptions say.
    pub fn proxy(self, proxy: Option<Proxy>) -> Self {
        self.set(|own| own.proxy = Some(proxy))
    }

    /// Whether content codings are asked for, and taken off the response.
    pub fn decompress(self, decompress: bool) -> Self {
        self.set(|own| own.decompress = decompress)
    }

    /// Bytes of this response's body, if it is collected.
    pub fn max_body_bytes(self, limit: u64) -> Self {
        self.set(|own| own.max_body_bytes = limit)
    }

    fn set(self, set: impl FnOnce(&mut Settings)) -> Self {
        let client = self.client.clone();
        let of_client = || Box::new(client.settings().clone());
        self.change(|request| set(request.settings.get_or_insert_with(of_client)))
    }

    /// The request, to be kept or changed by hand. If it sets anything such as a timeout, all else of that
    /// sort is as with the client that it was made with, whichever sends it.
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
