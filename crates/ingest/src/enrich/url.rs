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

/// The parameters behind the first `#`: what follows a `?` there, or all of it if there is none. Pages that route by
/// their fragment have them there, and so does a link whose `&` became `&#38;`.
pub fn fragment_parameters(url: &str) -> Option<&str> {
    let (_, fragment) = url.split_once('#')?;
    let parameters = fragment.split_once('?').map_or(fragment, |(_, parameters)| parameters);
    parameters.contains('=').then_some(parameters)
}

/// The host, in lower case and ASCII (IDNA), without port, user and trailing dot. None: there is none, or the scheme
/// is none that a visitor comes from (`about:`, `data:`, `file:`, an extension).
///
/// `android-app://com.example/` and `ios-app://` count: browsers send them as referrers. Their host is the app's name.
pub fn host(url: &str) -> Option<Cow<'_, str>> {
    let parts = Parts::of(url);
    let from_the_web = match parts.scheme {
        None => true,
        Some(scheme) => ["https", "http", "android-app", "ios-app"]
            .iter()
            .any(|web| scheme.eq_ignore_ascii_case(web)),
    };
    if from_the_web {
        parts.host().map(|(host, _)| host)
    } else {
        None
    }
}

/// What stands in a URL; nothing of it is decoded or checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) scheme: Option<&'a str>,
    /// User, host and port.
    authority: Option<&'a str>,
    /// What follows them, query and fragment included.
    pub(super) rest: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn of(url: &'a str) -> Self {
        let url = url.trim_matches(|c: char| c <= ' ');
        let Some((scheme, rest)) = scheme(url) else {
            return match url.strip_prefix("//") {
                Some(rest) => Self::with_authority(None, rest),
                None => Self::bare(url),
            };
        };
        if is_http(scheme) {
            Self::with_authority(Some(scheme), rest.trim_start_matches(['/', '\\']))
        } else if let Some(rest) = rest.strip_prefix("//") {
            Self::with_authority(Some(scheme), rest)
        } else if scheme.contains('.') && !rest.starts_with('/') {
            Self::bare(url) // example.com:8080/page
        } else {
            Self {
                scheme: Some(scheme),
                authority: None,
                rest,
            }
        }
    }

    fn with_authority(scheme: Option<&'a str>, rest: &'a str) -> Self {
        let (authority, rest) = split_authority(rest);
        Self {
            scheme,
            authority: Some(authority),
            rest,
        }
    }

    /// A URL without scheme: `example.com/page`, or a path.
    fn bare(url: &'a str) -> Self {
        let (authority, rest) = split_authority(url);
        let is_host = without_port(authority).is_some_and(|(host, _)| looks_like_host(host));
        Self {
            scheme: None,
            authority: is_host.then_some(authority),
            rest: if is_host { rest } else { url },
        }
    }

    /// The host as in [`host`], and its port if there is one.
    pub(super) fn host(&self) -> Option<(Cow<'a, str>, Option<u16>)> {
        let authority = self.authority?;
        let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = without_port(host_and_port)?;
        Some((normal(host)?, port))
    }

    pub(super) fn has_authority(&self) -> bool {
        self.authority.is_some()
    }

    /// Whether the URL is one of the web, in which a backslash is a slash.
    pub(super) fn is_web(&self) -> bool {
        self.scheme.map_or(self.authority.is_some(), is_http)
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
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

/// Whether a name without scheme is a host: two labels or more, the last of letters and no file's ending.
fn looks_like_host(host: &str) -> bool {
    let Some((parent, last)) = host.strip_suffix('.').unwrap_or(host).rsplit_once('.') else {
        return false;
    };
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    parent.chars().all(allowed)
        && !parent.split('.').any(str::is_empty)
        && last.len() >= 2
        && (last.chars().all(char::is_alphabetic) || last.starts_with("xn--"))
        && !PAGE_FILES.iter().any(|ending| last.eq_ignore_ascii_case(ending))
}

/// Endings of files that pages lie in; none is a top-level domain.
const PAGE_FILES: [&str; 9] = ["html", "htm", "xhtml", "shtml", "php", "asp", "aspx", "jsp", "cgi"];

fn split_authority(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()))
}

/// Host and port. None: there is a port and it is no number up to 65535.
fn without_port(host: &str) -> Option<(&str, Option<u16>)> {
    let after_address = host.starts_with('[').then(|| host.rfind(']')).flatten().unwrap_or(0);
    let Some(colon) = host[after_address..].find(':').map(|at| after_address + at) else {
        return Some((host, None));
    };
    let digits = host[colon + 1..].trim_start_matches('0');
    let zero = host[colon + 1..].len() > digits.len();
    let port = match digits {
        "" => zero.then_some(0),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    Some((&host[..colon], port))
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
