//! Host and path of a page: the columns `page_host` and `page_path`, derived from `page_url` when an event is written to
//! the lake, so that they are the same whichever way it came, and the WAL need not carry them.

use std::borrow::Cow;

use footfall_model::field::EventField;

use super::url::Parts;

/// What reports group pages by. Text that is no URL has neither.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Page<'a> {
    /// In lower case and ASCII (IDNA), with its port if that is not the scheme's own; `www.` is kept.
    pub host: Option<Cow<'a, str>>,
    /// Begins with a slash and ends with none, unless it is all there is. Without query and fragment; percent signs as
    /// sent.
    pub path: Option<Cow<'a, str>>,
}

impl<'a> Page<'a> {
    /// The page at `page_url`: a URL of any scheme that has `//`, one that lacks its scheme (`example.com/a`), or a path.
    pub fn of(page_url: &'a str) -> Self {
        let parts = Parts::of(page_url);
        let host = parts.host();
        let is_relative = parts.scheme.is_none() && host.is_none();
        let path = match parts.scheme {
            // `about:blank`, `data:...`: what follows the colon is no path.
            Some(_) if !parts.has_authority() => None,
            // A host that is none makes the rest no page of a site.
            Some(scheme) if host.is_none() && !scheme.eq_ignore_ascii_case("file") => None,
            _ => path(parts.rest, is_relative, parts.is_web()),
        };
        Self {
            host: host.map(|(host, port)| with_port(host, port, parts.scheme)),
            path,
        }
    }
}

fn with_port<'a>(host: Cow<'a, str>, port: Option<u16>, scheme: Option<&str>) -> Cow<'a, str> {
    let own = |port| match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => port == 443,
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => port == 80,
        Some(_) => false,
        None => matches!(port, 80 | 443),
    };
    match port {
        Some(port) if !own(port) => Cow::Owned(format!("{host}:{port}")),
        _ => host,
    }
}

/// The path that `rest` begins with. `is_relative`: there is no host before it, so that nothing may be there at all.
fn path(rest: &str, is_relative: bool, is_web: bool) -> Option<Cow<'_, str>> {
    let path = rest.find(['?', '#']).map_or(rest, |end| &rest[..end]);
    if path.is_empty() {
        return (!is_relative).then_some(Cow::Borrowed("/"));
    }
    let slashes = is_web && path.contains('\\');
    let path = if slashes {
        Cow::Owned(path.replace('\\', "/"))
    } else {
        Cow::Borrowed(path)
    };
    let path = if path.starts_with('/') {
        path
    } else {
        Cow::Owned(format!("/{path}"))
    };
    let end = path.trim_end_matches('/').len().max(1);
    Some(shortened(path, end))
}

/// The first `end` bytes, and no more than the column holds.
fn shortened(path: Cow<'_, str>, end: usize) -> Cow<'_, str> {
    let fits = |path: &str| EventField::PagePath.spec().excess_chars(path).is_none();
    let most = || EventField::PagePath.spec().max_chars.unwrap_or(usize::MAX);
    let cut = |path: &str| path.char_indices().nth(most()).map_or(path.len(), |(at, _)| at);
    let end = if fits(&path[..end]) { end } else { cut(&path) };
    match path {
        Cow::Borrowed(path) => Cow::Borrowed(&path[..end]),
        Cow::Owned(mut path) => {
            path.truncate(end);
            Cow::Owned(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_page(url: &str, host: Option<&str>, path: Option<&str>) {
        let page = Page::of(url);
        assert_eq!((page.host.as_deref(), page.path.as_deref()), (host, path), "{url:?}");
    }

    #[test]
    fn page_of_web_urls() {
        for (url, host, path) in [
            ("https://example.com/a/b", "example.com", "/a/b"),
            ("https://example.com/a/", "example.com", "/a"),
            ("https://example.com/a//", "example.com", "/a"),
            ("https://example.com", "example.com", "/"),
            ("https://example.com/", "example.com", "/"),
            ("https://example.com?x=/a", "example.com", "/"),
            ("https://example.com#/route", "example.com", "/"),
            ("https://example.com/a/?x=1#y", "example.com", "/a"),
            ("https://example.com/a#b?c", "example.com", "/a"),
            ("HTTPS://WWW.Example.COM/A", "www.example.com", "/A"),
            ("https://example.com:443/", "example.com", "/"),
            ("http://example.com:80/", "example.com", "/"),
            ("https://example.com:80/", "example.com:80", "/"),
            ("http://example.com:/", "example.com", "/"),
            ("http://localhost:3000/a", "localhost:3000", "/a"),
            ("http://[::1]:8080/a", "[::1]:8080", "/a"),
            ("https://user:p@ss@example.com/a", "example.com", "/a"),
            ("https://bücher.example/über/", "xn--bcher-kva.example", "/über"),
            ("https://example.com/%C3%BCber%2Fx%", "example.com", "/%C3%BCber%2Fx%"),
            ("https://example.com./a", "example.com", "/a"),
            ("https:\\\\example.com\\a\\", "example.com", "/a"),
            ("  https://example.com/a \n", "example.com", "/a"),
            ("//example.com/a", "example.com", "/a"),
            ("example.com", "example.com", "/"),
            ("Example.com/a/?b", "example.com", "/a"),
            ("example.com:8080/a", "example.com:8080", "/a"),
            ("example.com:443/a", "example.com", "/a"),
        ] {
            assert_page(url, Some(host), Some(path));
        }
    }

    #[test]
    fn page_of_apps_and_local_files() {
        for (url, host, path) in [
            (
                "android-app://com.example.app/screen/",
                Some("com.example.app"),
                Some("/screen"),
            ),
            ("capacitor://localhost/tabs/home", Some("localhost"), Some("/tabs/home")),
            (
                "chrome-extension://abcdef/popup.html",
                Some("abcdef"),
                Some("/popup.html"),
            ),
            (
                "file:///android_asset/index.html",
                None,
                Some("/android_asset/index.html"),
            ),
        ] {
            assert_page(url, host, path);
        }
    }

    #[test]
    fn page_of_relative_urls_has_no_host() {
        for (url, path) in [
            ("/", Some("/")),
            ("/pricing/?plan=a.b", Some("/pricing")),
            ("pricing", Some("/pricing")),
            ("docs/index.html#top", Some("/docs/index.html")),
            ("index.html", Some("/index.html")),
            ("?utm_source=a", None),
            ("#top", None),
            ("", None),
            (" ", None),
        ] {
            assert_page(url, None, path);
        }
    }

    #[test]
    fn text_that_is_no_page_has_neither() {
        for url in [
            "about:blank",
            "about:srcdoc",
            "data:text/html,<p>/a</p>",
            "javascript:void(0)",
            "mailto:ann@example.com",
            "blob:https://example.com/0a1b",
            "C:\\Users\\ann\\page.html",
            "https://",
            "https://:80/a",
            "https://user@/a",
            "https://exa mple.com/a",
            "https://example.com:99999/a",
            "http://[::1/a",
        ] {
            assert_page(url, None, None);
        }
    }

    #[test]
    fn path_longer_than_its_column_is_cut_between_characters() {
        let path = |url: &str| Page::of(url).path.map(|path| path.chars().count());
        assert_eq!(path(&format!("https://example.com/{}", "ü".repeat(2_047))), Some(2_048));
        assert_eq!(path(&format!("https://example.com/{}", "ü".repeat(9_000))), Some(2_048));
        assert_eq!(path(&"u".repeat(2_048)), Some(2_048));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_page_within_limits(text in "(https?:)?[a-zA-Z0-9:/?#@%.\\[\\]\\\\ äß。-]{0,40}|\\PC*") {
            let page = Page::of(&text);
            if let Some(host) = &page.host {
                prop_assert!(EventField::PageHost.spec().excess_chars(host).is_none() && !host.is_empty());
                prop_assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
            }
            if let Some(path) = &page.path {
                prop_assert!(path.starts_with('/') && (path.len() == 1 || !path.ends_with('/')), "{path}");
                prop_assert!(!path.contains(['?', '#']));
            }
        }

        #[test]
        fn http_urls_have_the_host_and_path_of_the_standard(
            url in "https?://[a-z]{1,5}(\\.[a-z]{2,3}){0,2}(:[1-9][0-9]{0,3})?(/[a-z0-9%_~-]{1,4}){0,3}/?(\\?[a-z=/]{0,5})?(#[a-z/]{0,4})?"
        ) {
            let standard = ::url::Url::parse(&url).expect("a URL");
            let host = standard.host_str().map(|host| match standard.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            });
            let path = standard.path();
            let folded = if path.len() > 1 { path.trim_end_matches('/') } else { path };
            let page = Page::of(&url);
            prop_assert_eq!(page.host.as_deref(), host.as_deref());
            prop_assert_eq!(page.path.as_deref(), Some(folded));
        }
    }
}
