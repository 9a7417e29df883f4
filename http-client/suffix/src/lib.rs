//! Which domains are public suffixes, by the list of <https://publicsuffix.org>.
//!
//! A crate of its own, to be built without optimization: the list is one function of 100,000 lines that is
//! compiled where it is called, and to optimize it takes longer than all the rest of the client. A look-up is
//! a few comparisons either way.

#![forbid(unsafe_code)]

/// Whether `domain` is a public suffix, such as `com` or `co.uk`: those below it belong to different people.
pub fn is_public_suffix(domain: &str) -> bool {
    psl::suffix_str(domain).is_some_and(|suffix| suffix == domain)
}

#[cfg(test)]
mod tests {
    use super::is_public_suffix;

    #[test]
    fn suffixes_are_told_from_domains() {
        let suffixes = ["com", "co.uk", "github.io"].map(is_public_suffix);
        let domains = ["example.com", "www.co.uk", "rust-lang.github.io"].map(is_public_suffix);
        assert_eq!((suffixes, domains), ([true; 3], [false; 3]));
    }
}
