//! Host and query of a URL without parsing all of it: this runs for every event.
//!
//! Agrees with the WHATWG URL standard (<https://url.spec.whatwg.org>) on http and https, which a property test checks
//! against the `url` crate, and is kinder where people are sloppy: `example.com/page` has a host too.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// The longest host that DNS can carry, in bytes. Longer ones are no hosts.
const MAX_HOST: usize = 253;

/// What stands between the first `?` and the `#`, if there is a `?`.
pub fn query(url: &str) -> Option<&str> {
    let before_fragment = url.split_once('#').map_or(url, |(before, _)| before);
    before_fragment.split_once('?').map(|(_, query)| query)
}

/// The host, in lower case and ASCII (IDNA), without port, user and trailing dot. None: there is none, or the scheme
/// is none that a visitor comes from (`about:`, `data:`, `file:`, an extension).
///
/// `android-app://com.example/` and `ios-app://` count: browsers send them as referrers. Their host is the app's name.
pub fn host(url: &str) -> Option<Cow<'_, str>> {
    let url = url.trim_matches(|c: char| c <= ' ');
    let Some((scheme, rest)) = scheme(url) else {
        return match url.strip_prefix("//") {
            Some(rest) => web_host(rest),
            None => bare_host(url),
        };
    };
    if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") {
        web_host(rest.trim_start_matches(['/', '\\']))
    } else if scheme.eq_ignore_ascii_case("android-app") || scheme.eq_ignore_ascii_case("ios-app") {
        web_host(rest.strip_prefix("//")?)
    } else if scheme.contains('.') && !rest.starts_with('/') {
        bare_host(url) // example.com:8080/page
    } else {
        None
    }
}

/// Whether two hosts are the same site: equal, or one below the other (`blog.example.com` and `example.com`), `www.`
/// aside. Two different subdomains are not: only the list of public suffixes could tell `a.example.com` and
/// `b.example.com` from `a.github.io` and `b.github.io`.
pub fn same_site(a: &str, b: &str) -> bool {
    let (a, b) = (without_www(a), without_www(b));
    a == b || is_below(a, b) || is_below(b, a)
}

/// The host as people call it.
pub fn without_www(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

/// Scheme and what follows its colon.
fn scheme(url: &str) -> Option<(&str, &str)> {
    let end = url.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))?;
    let rest = url[end..].strip_prefix(':')?;
    url.starts_with(|c: char| c.is_ascii_alphabetic())
        .then_some((&url[..end], rest))
}

/// The host of what follows `https://`.
fn web_host(rest: &str) -> Option<Cow<'_, str>> {
    let authority = authority(rest);
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    normal(without_port(host_and_port)?)
}

/// The host of a URL that lacks its scheme, if it looks like one: two labels or more, the last of letters.
fn bare_host(url: &str) -> Option<Cow<'_, str>> {
    let host = without_port(authority(url))?;
    let (parent, last) = host.strip_suffix('.').unwrap_or(host).rsplit_once('.')?;
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    let looks_like_one = parent.chars().all(allowed)
        && !parent.split('.').any(str::is_empty)
        && last.len() >= 2
        && (last.chars().all(char::is_alphabetic) || last.starts_with("xn--"));
    if looks_like_one { normal(host) } else { None }
}

fn authority(rest: &str) -> &str {
    rest.find(['/', '\\', '?', '#']).map_or(rest, |end| &rest[..end])
}

/// None: there is a port and it is no number up to 65535.
fn without_port(host: &str) -> Option<&str> {
    let after_address = host.starts_with('[').then(|| host.rfind(']')).flatten().unwrap_or(0);
    let Some(colon) = host[after_address..].find(':').map(|at| after_address + at) else {
        return Some(host);
    };
    let port = host[colon + 1..].trim_start_matches('0');
    let valid = port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    valid.then_some(&host[..colon])
}

/// Plain names pass as they are; anything else (IDNA, percent signs, addresses) goes the long way through `url`.
fn normal(host: &str) -> Option<Cow<'_, str>> {
    // A letter outside ASCII has up to four bytes.
    if host.len() > 4 * MAX_HOST {
        return None;
    }
    let plain = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    let name = host.strip_suffix('.').unwrap_or(host);
    let number_ends_it = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    let normal = if !plain || number_ends_it || has_punycode(name) {
        let mut text = ::url::Host::parse(host).ok()?.to_string();
        text.truncate(text.strip_suffix('.').unwrap_or(&text).len());
        Cow::Owned(text)
    } else if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    };
    (!normal.is_empty() && normal.len() <= MAX_HOST).then_some(normal)
}

fn has_punycode(host: &str) -> bool {
    host.as_bytes().windows(4).any(|w| w.eq_ignore_ascii_case(b"xn--"))
}
