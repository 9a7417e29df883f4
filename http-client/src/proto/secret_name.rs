//! Which names are those of secrets, so that no error repeats one.
//!
//! They are those that OpenTelemetry, browsers' archives and the large services hide: what proves who
//! asks (RFC 9110 §11, RFC 6265, RFC 6750 §2.3), and what lets others ask as well.

use percent_encoding::percent_decode_str;

/// Names of secrets, as [`is_secret`] compares them: letters alone, in small ones.
const NAMES: &str = "auth xauth sig pwd pass sid jwt key xkey jsessionid phpsessid";

/// How longer names of secrets end: `X-Auth-Token`, `client_secret`, `X-Hub-Signature-256`.
const ENDS: &str = "authorization cookie token secret password passwd passphrase apikey accesskey \
    accesskeyid secretkey privatekey subscriptionkey functionskey masterkey accountkey authkey \
    appkey signature credential credentials session sessionid";

/// What ends like one, and says where a list goes on or what CORS allows.
const HARMLESS: &str = "pagetoken continuationtoken allowcredentials";

/// Whether what has this name is a secret: a header field, or a parameter of a URL, percent-encoded or not.
/// Capitals, digits and what stands between words make no difference.
///
/// ```
/// # use mainspring_http::is_secret;
/// assert!(is_secret("Proxy-Authorization") && is_secret("Set-Cookie") && is_secret("api_key"));
/// assert!(!is_secret("Content-Type") && !is_secret("Author"));
/// ```
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy();
    let letters = name.chars().filter(char::is_ascii_alphabetic);
    let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    let ends = |ends: &str| ends.split(' ').any(|end| name.ends_with(end));
    NAMES.split(' ').any(|secret| secret == name) || (ends(ENDS) && !ends(HARMLESS))
}

/// A line that should be a header field, up to its value if that is a secret.
pub(super) fn redact_line(line: &[u8]) -> &[u8] {
    let start = line.len() - line.trim_ascii_start().len();
    let ends = |byte: &u8| matches!(byte, b':' | b'=') || byte.is_ascii_whitespace();
    let end = line[start..].iter().position(ends).map_or(line.len(), |end| start + end);
    let secret = is_secret(&String::from_utf8_lossy(&line[start..end]));
    if secret { &line[..end] } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are those of RFC 9110 §11, RFC 6265, RFC 6750 §2.3, OAuth 2.0, and of the signed URLs
    /// that OpenTelemetry's conventions for `url.full` hide.
    #[test]
    fn what_is_a_secret_by_its_name() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Cookie2",
            "Set-Cookie",
            "X-Api-Key",
            "api_key",
            "apiKey",
            "X-Auth-Token",
            "Private-Token",
            "access_token",
            "X-CSRF-Token",
            "client_secret",
            "password",
            "PASSWD",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "Signature",
            "sig",
            "AWSAccessKeyId",
            "X-Goog-Signature",
            "X-Amz-Security-Token",
            "jsessionid",
            "auth",
            "Ocp-Apim-Subscription-Key",
            "X-Session-Id",
            "jwt",
            "X-Hub-Signature-256",
            "X_PASSWORD",
            "key",
            "user%5Bpassword%5D",
            "%74oken",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "",
            "Content-Type",
            "author",
            "Authority",
            "WWW-Authenticate",
            "X-Custom",
            "pageToken",
            "Cookies-Accepted",
            "design",
            "signal",
            "Host",
            "Sec-WebSocket-Key",
            "resid",
            "tokens-left",
            "Access-Control-Allow-Credentials",
            "monkey",
            "Keep-Alive",
            "Idempotency-Key",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_line_is_cut_before_a_secret() {
        for (line, expected) in [
            ("Set-Cookie : a=secret", "Set-Cookie"),
            ("Set-Cookie a=secret", "Set-Cookie"),
            (" sid=secret", " sid"),
            ("Authorization", "Authorization"),
            ("Content Type: b", "Content Type: b"),
            ("", ""),
        ] {
            assert_eq!(redact_line(line.as_bytes()), expected.as_bytes(), "{line}");
        }
    }
}
