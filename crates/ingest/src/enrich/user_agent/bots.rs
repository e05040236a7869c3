//! Programs without a person in front of them, and what they are called.
//!
//! [`Bots::find`] knows a bot by one of:
//! 1. a word or name of `data/bots.txt`, on any device. The model of a phone is left out, so a CUBOT is a phone;
//! 2. `+http`: how crawlers give the address of their documentation, and no browser does;
//! 3. `compatible;` in the User-Agent of a phone's browser, where none says it;
//! 4. off phones, the trade that it names (`scanner`, `monitor`), or a web or mail address;
//! 5. `Mozilla/` without any platform: each browser names its own.
//!
//! Apps of Apple's systems (`CFNetwork`) send their own name, whatever it is, so they are bots by the second rule only.

use std::borrow::Cow;

use ua_parser::device::{Builder, Extractor, Flag, Parser};

use super::super::EnrichError;
use super::rules::broken;

mod name;
mod tables {
    include!(concat!(env!("OUT_DIR"), "/bots.rs"));
}

#[cfg(test)]
mod tests;

/// The compiled words of `data/bots.txt`.
pub(super) struct Bots {
    anywhere: Extractor<'static>,
    off_phones: Extractor<'static>,
}

/// A bot, and what it calls itself, as far as that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bot {
    pub(super) name: Option<String>,
}

impl Bots {
    pub(super) fn compile() -> Result<Self, EnrichError> {
        Ok(Self {
            anywhere: words(tables::ANYWHERE)?,
            off_phones: words(tables::OFF_PHONES)?,
        })
    }

    /// The bot that sends this User-Agent. None: a browser, an app or a library.
    pub(super) fn find(&self, user_agent: &str) -> Option<Bot> {
        let lower = user_agent.to_ascii_lowercase();
        let has_documentation = lower.contains("+http");
        if lower.contains("cfnetwork/") && !has_documentation {
            return None;
        }
        let on_phone = has_any(&lower, &PHONES);
        let text = without_phones(user_agent, &lower);
        let word = product_with(&self.anywhere, &text);
        let word = word.or_else(|| {
            if on_phone {
                None
            } else {
                product_with(&self.off_phones, &text)
            }
        });
        let is_bot = word.is_some()
            || has_documentation
            || (on_phone && lower.contains("applewebkit") && lower.contains("compatible;"))
            || (!on_phone && has_address(&lower))
            || (lower.starts_with("mozilla/") && !has_any(&lower, &PLATFORMS));
        is_bot.then(|| Bot {
            name: name::of(user_agent, word, on_phone).map(str::to_owned),
        })
    }
}

fn words(pattern: &'static str) -> Result<Extractor<'static>, EnrichError> {
    let rule = Parser {
        regex: pattern.into(),
        regex_flag: Some(Flag::IgnoreCase),
        ..Parser::default()
    };
    Builder::new().push(rule).map_err(broken)?.build().map_err(broken)
}

/// The product that carries one of the words. The expressions find the word alone: having to find the start of its
/// product, too, makes them ten times slower.
fn product_with<'a>(words: &'a Extractor<'static>, text: &'a str) -> Option<&'a str> {
    let word = words.extract(text)?.device;
    let at = text.find(&*word)?;
    let (before, after) = (text.get(..at)?, text.get(at + word.len()..)?);
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '!' | '\'' | '-');
    let start = before.trim_end_matches(in_name).len();
    let end = text.len() - after.trim_start_matches(in_name).len();
    text.get(start..end)
}

/// What marks phones, tablets and their apps, in lower case.
const PHONES: [&str; 7] = ["android", "iphone", "ipad", "ipod", "mobile", "midp", "darwin"];

/// What browsers say of the system or device that they run on, in lower case, the frequent ones first.
#[rustfmt::skip]
const PLATFORMS: [&str; 75] = [
    "windows", "android", "iphone", "macintosh", "linux", "ipad", "x11", "mobile", "cros", "mac os", "mac_", "darwin",
    "ipod", "tablet", "tv", "tizen", "webos", "web0s", "playstation", "ps3", "nintendo", "xbox", "watch", "kindle",
    "crkey", "roku", "kaios", "harmony", "fuchsia", "msie", "win9", "winnt", "win3", "win ", "blackberry", "bb10",
    "playbook", "rim", "symbian", "series", "nokia", "midp", "j2me", "brew", "samsung", "sony", "lg-", "palm", "psp",
    "meego", "maemo", "teleca", "netfront", "vodafone", "foma", "ppc", "opera mini", "konqueror", "sunos", "bsd",
    "haiku", "beos", "amiga", "os/2", "risc os", "hp-ux", "irix", "aix", "syllable", "inferno", "dreamcast", "astro;",
    "jig browser", "ms-office", "ccleaner",
];

/// Browsers and players that give the address of their maker, in lower case.
const MAKERS: [&str; 4] = ["bsalsa.com", "xbmc.org", "kodi.tv", "qbittorrent"];

/// Brands of phones and vacuum cleaners that end in `bot`, in lower case.
const BRANDS: [&str; 2] = ["cubot", "irobot"];

fn has_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// Whether the User-Agent says where its owner can be reached: a web page or a mail address.
fn has_address(lower: &str) -> bool {
    let signs = ["http://", "https://", "www.", "[at]", "(at)"];
    (has_any(lower, &signs) || has_mail(lower)) && !has_any(lower, &MAKERS)
}

/// `@` with a host of two labels behind it.
fn has_mail(lower: &str) -> bool {
    lower.split('@').skip(1).any(|after| {
        let rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-');
        rest.len() < after.len()
            && rest
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    })
}

/// The User-Agent without the model that follows Android's version, and without [`BRANDS`].
fn without_phones<'a>(user_agent: &'a str, lower: &str) -> Cow<'a, str> {
    let model = model(lower);
    let in_model = |at: usize| model.is_some_and(|(start, end)| (start..end).contains(&at));
    let brands = BRANDS
        .iter()
        .flat_map(|brand| lower.match_indices(brand).map(|(at, brand)| (at, at + brand.len())));
    let mut cuts: Vec<(usize, usize)> = brands.filter(|(at, _)| !in_model(*at)).chain(model).collect();
    // From the end to the start, so that the offsets of what is still to be cut stay right.
    cuts.sort_unstable_by(|a, b| b.cmp(a));
    let mut text = Cow::Borrowed(user_agent);
    for (start, end) in cuts {
        text.to_mut().replace_range(start..end, "");
    }
    text
}

/// Where the model stands in `(Linux; U; Android 4.2.2; es-es; DG500 Build/JDQ39)`: start and end, in bytes.
fn model(lower: &str) -> Option<(usize, usize)> {
    let (_, after) = lower.split_once("android")?;
    let rest = after
        .trim_start_matches([' ', '/', '-'])
        .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
        .strip_prefix(';')?;
    let rest = without_locale(rest.trim_start());
    let start = lower.len() - rest.len();
    Some((start, start + rest.find([';', ')']).unwrap_or(rest.len())))
}

fn without_locale(rest: &str) -> &str {
    match rest.split_once(';') {
        Some((locale, after)) if locale.len() == 5 && matches!(locale.as_bytes().get(2), Some(b'-' | b'_')) => {
            after.trim_start()
        }
        _ => rest,
    }
}
