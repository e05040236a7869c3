//! Which web site a visitor came from, under one short name, and of what kind it is.
//!
//! The table is `data/sources.tsv`. It is read once, at first use.

use std::borrow::Cow;
use std::sync::LazyLock;

use hashbrown::HashMap;

use super::url;

const TABLE: &str = include_str!("../../data/sources.tsv");

/// What a source is, as far as the channel depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Search,
    Social,
    Video,
    Shopping,
    Ai,
    Email,
    /// Where visitors only pay: coming back from there says nothing of where they came from.
    Payment,
    /// Any other site or campaign.
    Other,
}

/// Where a visitor came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source<'a> {
    /// The short name of the table; else the host without `www.`, or what the campaign calls itself in lower case.
    pub name: Cow<'a, str>,
    pub kind: Kind,
}

impl<'a> Source<'a> {
    /// The source that a campaign (`utm_source`) or a client names. None for the words that say "none".
    pub fn named(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let lower = lower(text);
        if matches!(&*lower, "" | "(direct)" | "(none)" | "(not set)") {
            return None;
        }
        let found = TABLES.words.get(&*lower).copied().or_else(|| TABLES.host(&lower));
        Some(found.map_or(
            Self {
                name: lower,
                kind: Kind::Other,
            },
            Source::known,
        ))
    }

    /// The source of a visitor that a page of `host` (in lower case) referred.
    pub fn of_host(host: Cow<'a, str>) -> Self {
        if let Some(entry) = TABLES.host(&host) {
            return Source::known(entry);
        }
        let name = match host {
            Cow::Borrowed(host) => Cow::Borrowed(url::without_www(host)),
            Cow::Owned(host) => Cow::Owned(url::without_www(&host).to_owned()),
        };
        Self {
            name,
            kind: Kind::Other,
        }
    }

    fn known((name, kind): Entry) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind,
        }
    }
}

pub(super) fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_lowercase())
    }
}

type Entry = (&'static str, Kind);

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::read(TABLE));

#[derive(Default)]
struct Tables {
    /// By every spelling as it stands.
    words: HashMap<&'static str, Entry>,
    /// By what stands before `.*`.
    any_suffix: HashMap<&'static str, Entry>,
}

impl Tables {
    /// Lines that are no entries are skipped; a test holds the table to having none.
    fn read(table: &'static str) -> Self {
        let mut tables = Self::default();
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, kind, spellings)) = entry(line) else {
                continue;
            };
            tables.words.insert(name, (name, kind));
            for spelling in spellings.split(',') {
                match spelling.strip_suffix(".*") {
                    Some(stem) => tables.any_suffix.insert(stem, (name, kind)),
                    None => tables.words.insert(spelling, (name, kind)),
                };
            }
        }
        tables
    }

    /// The entry of the longest domain that is the host or above it.
    fn host(&self, host: &str) -> Option<Entry> {
        let mut rest = host;
        loop {
            let (label, parent) = rest.split_once('.')?;
            if let Some(entry) = self.words.get(rest) {
                return Some(*entry);
            }
            if let Some(entry) = self.any_suffix.get(label)
                && is_public_suffix(parent)
            {
                return Some(*entry);
            }
            rest = parent;
        }
    }
}

fn entry(line: &'static str) -> Option<(&'static str, Kind, &'static str)> {
    let mut columns = line.split('\t');
    let kind = match columns.next()? {
        "search" => Kind::Search,
        "social" => Kind::Social,
        "video" => Kind::Video,
        "shopping" => Kind::Shopping,
        "ai" => Kind::Ai,
        "email" => Kind::Email,
        "payment" => Kind::Payment,
        "site" => Kind::Other,
        _ => return None,
    };
    let (name, spellings) = (columns.next()?, columns.next()?);
    columns.next().is_none().then_some((name, kind, spellings))
}

/// `com`, `de`, `co.uk`, `com.br`: the shapes under which the large sites of the table register their names. Not
/// `evil.com`, so `google.evil.com` is nobody's.
fn is_public_suffix(suffix: &str) -> bool {
    let country = |label: &str| label.len() == 2 && label.bytes().all(|b| b.is_ascii_lowercase());
    match suffix.split_once('.') {
        None => country(suffix) || matches!(suffix, "com" | "net" | "org" | "cat"),
        Some((second, top)) => matches!(second, "co" | "com" | "org" | "net") && country(top),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_host(host: &str) -> (String, Kind) {
        let source = Source::of_host(Cow::Borrowed(host));
        (source.name.into_owned(), source.kind)
    }

    #[test]
    fn every_line_of_the_table_is_an_entry_and_no_spelling_has_two() {
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let (name, _, spellings) = entry(line).unwrap_or_else(|| panic!("not an entry: {line:?}"));
            for spelling in spellings.split(',').chain([name]) {
                assert!(
                    !spelling.is_empty() && spelling.trim() == spelling && spelling == lower(spelling),
                    "{line:?}"
                );
                let other = seen.insert(spelling, name);
                assert!(
                    other.is_none_or(|other| other == name),
                    "{spelling:?} is both {other:?} and {name:?}"
                );
            }
        }
        assert!(seen.len() > 300);
    }

    #[test]
    fn hosts_are_found_by_their_domain_and_the_longest_wins() {
        assert_eq!(of_host("www.google.com"), ("google".into(), Kind::Search));
        assert_eq!(of_host("google.co.uk"), ("google".into(), Kind::Search));
        assert_eq!(of_host("images.google.com.br"), ("google".into(), Kind::Search));
        assert_eq!(of_host("mail.google.com"), ("gmail".into(), Kind::Email));
        assert_eq!(of_host("gemini.google.com"), ("gemini".into(), Kind::Ai));
        assert_eq!(
            of_host("accounts.google.com"),
            ("accounts.google.com".into(), Kind::Other)
        );
        assert_eq!(of_host("l.facebook.com"), ("facebook".into(), Kind::Social));
        assert_eq!(of_host("t.co"), ("twitter".into(), Kind::Social));
        assert_eq!(of_host("www.tiktok.com"), ("tiktok".into(), Kind::Social));
        assert_eq!(of_host("checkout.stripe.com"), ("stripe".into(), Kind::Payment));
        assert_eq!(of_host("stripe.com"), ("stripe.com".into(), Kind::Other));
        assert_eq!(of_host("m.youtube.com"), ("youtube".into(), Kind::Video));
        assert_eq!(of_host("com.google.android.gm"), ("gmail".into(), Kind::Email));
    }

    #[test]
    fn hosts_that_only_look_like_one_are_themselves() {
        for host in [
            "google.evil.com",
            "notgoogle.com",
            "google",
            "fb",
            "google.com.evil.io",
            "netflix.community",
        ] {
            assert_eq!(of_host(host), (host.to_owned(), Kind::Other));
        }
        assert_eq!(of_host("www.example.com"), ("example.com".into(), Kind::Other));
    }

    #[test]
    fn campaigns_are_found_by_any_spelling() {
        let named = |text: &'static str| Source::named(text).map(|s| (s.name.into_owned(), s.kind));
        assert_eq!(named("Google"), Some(("google".into(), Kind::Search)));
        assert_eq!(named(" FB "), Some(("facebook".into(), Kind::Social)));
        assert_eq!(named("chatgpt.com"), Some(("chatgpt".into(), Kind::Ai)));
        assert_eq!(named("www.Google.de"), Some(("google".into(), Kind::Search)));
        assert_eq!(named("Spring Sale"), Some(("spring sale".into(), Kind::Other)));
        assert_eq!(named("(direct)"), None);
        assert_eq!(named("  "), None);
    }
}
