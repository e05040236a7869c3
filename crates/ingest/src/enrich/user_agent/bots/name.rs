//! What a bot is called in the column `browser`: its own name without a version.

/// The name after `compatible;`, else the first product, else the one that carries the word by which the bot was found,
/// else the last product. Products that all browsers share name no bot, and on a phone the first one is the phone's.
pub(super) fn of<'a>(user_agent: &'a str, word: Option<&'a str>, on_phone: bool) -> Option<&'a str> {
    let first = || if on_phone { None } else { product(user_agent) };
    after_compatible(user_agent)
        .or_else(|| first().filter(|name| !is_shared(name)))
        .or_else(|| word.and_then(product_of_word))
        .or_else(|| last_product(user_agent))
}

/// Products that browsers put into their User-Agents, whoever makes them.
#[rustfmt::skip]
const SHARED: [&str; 18] = [
    "Mozilla", "Opera", "AppleWebKit", "KHTML", "Gecko", "Chrome", "Chromium", "CriOS", "Safari", "Version", "Mobile",
    "Firefox", "FxiOS", "Edg", "Edge", "OPR", "Trident", "Electron",
];

fn is_shared(name: &str) -> bool {
    SHARED.iter().any(|shared| name.eq_ignore_ascii_case(shared))
}

fn after_compatible(user_agent: &str) -> Option<&str> {
    let (_, after) = user_agent.split_once("compatible;")?;
    let name = product(after.trim_start())?;
    let of_platforms = ["MSIE", "Windows", "Linux", "Konqueror", "X11", "Macintosh", "http"];
    let of_platform = name == "U" || of_platforms.iter().any(|word| name.starts_with(word));
    (!of_platform && !is_shared(name)).then_some(name)
}

/// `Screaming Frog SEO Spider` of `Screaming Frog SEO Spider/14.0 (...)`.
fn product(text: &str) -> Option<&str> {
    if !text.starts_with(char::is_alphanumeric) {
        return None;
    }
    let name = text.split(['/', '(', ')', ';', ',', '|', '<', '+', '@']).next()?;
    let name = name.split(" - ").next()?.trim();
    let name = name.trim_end_matches("http:").trim_end_matches("https:").trim_end();
    let name = without_version(name);
    (!name.is_empty()).then_some(name)
}

/// Cuts ` 1.0` or ` v2` from the end of a name.
fn without_version(name: &str) -> &str {
    match name.rsplit_once(' ') {
        Some((before, version)) if is_version(version) => before.trim_end(),
        _ => name,
    }
}

fn is_version(text: &str) -> bool {
    let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// The name in the match of a word, which may end with what stands behind it. Not the file of a web address.
fn product_of_word(word: &str) -> Option<&str> {
    let name = product(word)?.split_whitespace().next()?;
    let name = name.trim_matches(['.', '-', '_', '!', '\'']);
    let of_address = [".html", ".htm", ".php", ".aspx"].iter().any(|end| name.ends_with(end));
    let is_bare = BARE.iter().any(|bare| name.eq_ignore_ascii_case(bare));
    (!of_address && !is_bare && !name.is_empty()).then_some(name)
}

/// Words that name no bot in particular.
const BARE: [&str; 7] = ["bot", "bots", "crawler", "spider", "robot", "scraper", "google"];

/// `Moreover` of `Mozilla/5.0 Moreover/5.1 (+http://www.moreover.com)`.
fn last_product(user_agent: &str) -> Option<&str> {
    user_agent.split_whitespace().rev().find_map(|token| {
        let token = token.trim_matches(['(', ')', ';', ',']);
        let (name, version) = token.split_once('/')?;
        let is_name = name.len() > 1
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        (is_name && version.starts_with(|c: char| c.is_ascii_digit()) && !is_shared(name)).then_some(name)
    })
}
