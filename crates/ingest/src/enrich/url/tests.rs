use proptest::prelude::*;

use super::*;

fn host_of(url: &str) -> Option<String> {
    host(url).map(Cow::into_owned)
}

#[test]
fn the_host_is_found_however_the_url_is_written() {
    let table = [
        ("https://example.com/a?b#c", Some("example.com")),
        ("HTTPS://Example.COM", Some("example.com")),
        ("http://www.example.com:8080/x", Some("www.example.com")),
        ("https://user:p@ss@example.com/", Some("example.com")),
        ("https://example.com?q=1", Some("example.com")),
        ("https://example.com#top", Some("example.com")),
        ("https://example.com./", Some("example.com")),
        ("https:\\\\example.com\\x", Some("example.com")),
        ("https:/example.com", Some("example.com")),
        ("//example.com/x", Some("example.com")),
        ("  https://example.com/ \n", Some("example.com")),
        ("https://bücher.example/", Some("xn--bcher-kva.example")),
        ("https://XN--BCHER-KVA.example/", Some("xn--bcher-kva.example")),
        ("https://пример.рф/", Some("xn--e1afmkfd.xn--p1ai")),
        ("https://ex%61mple.com/", Some("example.com")),
        ("http://127.0.0.1:3000/", Some("127.0.0.1")),
        ("http://0x7f.1/", Some("127.0.0.1")),
        ("http://[::1]:80/", Some("[::1]")),
        ("http://localhost:3000/", Some("localhost")),
        ("android-app://com.google.android.gm/", Some("com.google.android.gm")),
        ("example.com", Some("example.com")),
        ("example.com/page?x=1", Some("example.com")),
        ("example.com:8080/page", Some("example.com")),
        ("Example.com:8080", Some("example.com")),
        // No host, or none that a visitor comes from.
        ("", None),
        ("/pricing?plan=a.b", None),
        ("pricing", None),
        ("index.html", None),
        ("index.PHP?x=1", None),
        ("localhost:3000", None),
        ("?utm_source=a", None),
        ("https://", None),
        ("https://:80/", None),
        ("https://user@/", None),
        ("https://exa mple.com/", None),
        ("https://example.com:99999/", None),
        ("https://example.com:x/", None),
        ("https://[::1", None),
        ("http://[::1]x/", None),
        ("http://1.2.3.4.5/", None),
        ("about:blank", None),
        ("about:srcdoc", None),
        ("data:text/html,a.b.com", None),
        ("javascript:void(0)", None),
        ("mailto:ann@example.com", None),
        ("file:///etc/hosts", None),
        ("chrome-extension://abcdef/page.html", None),
        ("com.example.app://oauth", None),
        ("not a url. really", None),
        ("...", None),
        ("\u{0}\u{1}", None),
    ];
    for (url, expected) in table {
        assert_eq!(host_of(url).as_deref(), expected, "{url:?}");
    }
}

#[test]
fn a_host_longer_than_dns_allows_is_none() {
    assert_eq!(host_of(&format!("https://{}.com/", "a".repeat(300))), None);
    assert_eq!(host_of(&format!("https://{}.com/", "ü".repeat(3_000))), None);
}

#[test]
fn the_query_ends_at_the_fragment_and_starts_at_the_first_question_mark() {
    assert_eq!(query("https://a.b/?x=1&y=2#z"), Some("x=1&y=2"));
    assert_eq!(query("https://a.b/?x=1?y=2"), Some("x=1?y=2"));
    assert_eq!(query("https://a.b/?"), Some(""));
    assert_eq!(query("https://a.b/#/route?x=1"), None);
    assert_eq!(query("https://a.b/x"), None);
    assert_eq!(query("?x=1"), Some("x=1"));
    assert_eq!(query(""), None);
}

#[test]
fn fragment_parameters_follow_the_hash_or_its_question_mark() {
    for (url, expected) in [
        ("https://a.b/?x=1#y=2", Some("y=2")),
        ("https://a.b/#?y=2", Some("y=2")),
        ("https://a.b/#/route?y=2&z=3", Some("y=2&z=3")),
        ("https://a.b/#y=2#z", Some("y=2#z")),
        ("https://a.b/#/route?y", None),
        ("https://a.b/#top", None),
        ("https://a.b/#", None),
        ("https://a.b/?x=1", None),
        ("", None),
    ] {
        assert_eq!(fragment_parameters(url), expected, "{url}");
    }
}

#[test]
fn a_site_is_its_host_without_www_and_what_is_above_or_below_it() {
    assert!(same_site("www.example.com", "example.com"));
    assert!(same_site("blog.example.com", "example.com"));
    assert!(same_site("www.example.com", "shop.example.com"));
    assert!(!same_site("a.example.com", "b.example.com"));
    assert!(!same_site("notexample.com", "example.com"));
    assert!(!same_site("example.com", "example.org"));
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let _ = (host(&text), query(&text), fragment_parameters(&text));
    }

    #[test]
    fn text_made_of_a_urls_characters_is_read_without_a_panic(text in "[a-zA-Z0-9:/?#@%.\\[\\]\\\\ äß。-]{0,40}") {
        let _ = (host(&text), query(&text), fragment_parameters(&text));
    }

    #[test]
    fn http_urls_have_the_host_that_the_standard_gives_them(
        url in "(http|HTTPS|https):[/\\\\]{0,3}([a-z:]{0,4}@)?[a-zA-Z0-9.%äß\\[\\]:_-]{0,16}(:[0-9]{0,6})?([/?#\\\\][a-z.@:]{0,6})?"
    ) {
        let standard = ::url::Url::parse(&url).ok();
        let expected = standard.as_ref().and_then(|u| u.host_str()).map(|h| h.strip_suffix('.').unwrap_or(h));
        let expected = expected.filter(|h| !h.is_empty());
        let found = host_of(&url);
        prop_assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn queries_are_what_the_standard_says(url in "https://a\\.b/[a-z?&=#%/]{0,24}") {
        let standard = ::url::Url::parse(&url).expect("a URL");
        prop_assert_eq!(query(&url), standard.query());
    }
}
