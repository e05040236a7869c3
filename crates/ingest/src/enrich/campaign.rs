//! Campaign parameters of a landing page: UTM and the click ids of advertising networks, from its query and fragment.

use std::borrow::Cow;

use super::click_id::ClickId;
use super::url;

/// Longest campaign value that is kept, in characters.
pub const MAX_CHARS: usize = 256;

/// What the address of a page says of the campaign that led there. Of repeated parameters the first one that says
/// something counts, and one of the query before one of the fragment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Campaign<'a> {
    pub source: Option<Cow<'a, str>>,
    pub medium: Option<Cow<'a, str>>,
    pub name: Option<Cow<'a, str>>,
    pub term: Option<Cow<'a, str>>,
    pub content: Option<Cow<'a, str>>,
    /// One that only paid clicks carry before others.
    pub click_id: Option<&'static ClickId>,
}

impl<'a> Campaign<'a> {
    /// Reads the query of `page_url`, and its fragment if that has parameters: `#utm_source=x`, `#?utm_source=x`,
    /// `#/route?utm_source=x`. Percent signs and pluses are decoded as a form's are, names count in any case, and what
    /// HTML leaves of `&` (`&amp;utm_medium=` in mails, `&#038;utm_medium=` of WordPress) stands for it.
    pub fn of(page_url: &'a str) -> Self {
        let mut campaign = Self::default();
        for parameters in [url::query(page_url), url::fragment_parameters(page_url)] {
            for (name, value) in form_urlencoded::parse(parameters.unwrap_or_default().as_bytes()) {
                campaign.take(without_entity(&name), value);
            }
        }
        campaign
    }

    fn take(&mut self, name: &str, value: Cow<'a, str>) {
        let Some(field) = self.utm(name) else {
            return self.click(name, &value);
        };
        if field.is_none() {
            *field = clean(value);
        }
    }

    fn utm(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        let (prefix, rest) = name.split_at_checked("utm_".len())?;
        let is = |word: &str| rest.eq_ignore_ascii_case(word);
        match rest.len() {
            _ if !prefix.eq_ignore_ascii_case("utm_") => None,
            6 if is("source") => Some(&mut self.source),
            6 if is("medium") => Some(&mut self.medium),
            8 if is("campaign") => Some(&mut self.name),
            4 if is("term") => Some(&mut self.term),
            7 if is("content") => Some(&mut self.content),
            _ => None,
        }
    }

    fn click(&mut self, name: &str, value: &str) {
        if self.click_id.is_some_and(ClickId::is_paid) || value.trim().is_empty() {
            return;
        }
        if let Some(id) = ClickId::named(name).filter(|id| self.click_id.is_none() || id.is_paid()) {
            self.click_id = Some(id);
        }
    }
}

/// The name of a parameter without what is left of `&amp;`, `&#38;` and `&#038;` before it.
fn without_entity(mut name: &str) -> &str {
    loop {
        let lower_amp = name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("amp;"));
        let rest = if lower_amp { name.get(4..) } else { without_number(name) };
        match rest {
            Some(rest) => name = rest,
            None => return name,
        }
    }
}

/// The `#` that begins the fragment is gone, later ones are not.
fn without_number(name: &str) -> Option<&str> {
    let digits = name.strip_prefix('#').unwrap_or(name);
    digits.trim_start_matches('0').strip_prefix("38;")
}

/// Without control characters and white space around, at most [`MAX_CHARS`]; none if nothing is left.
fn clean(value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let good = |text: &str| {
        !text.starts_with(char::is_whitespace)
            && !text.ends_with(char::is_whitespace)
            && text.len() <= MAX_CHARS
            && !text.chars().any(char::is_control)
    };
    if good(&value) {
        return (!value.is_empty()).then_some(value);
    }
    let visible: String = value.chars().filter(|c| !c.is_control()).collect();
    let short: String = visible.trim().chars().take(MAX_CHARS).collect();
    let short = short.trim_end();
    (!short.is_empty()).then(|| Cow::Owned(short.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click_id(campaign: &Campaign<'_>) -> Option<&'static str> {
        campaign.click_id.map(|id| id.parameter)
    }

    /// Source, medium and campaign.
    fn utm(page: &str) -> [Option<String>; 3] {
        let campaign = Campaign::of(page);
        [campaign.source, campaign.medium, campaign.name].map(|value| value.map(Cow::into_owned))
    }

    fn assert_utm(page: &str, source: &str, medium: &str, name: &str) {
        let expected = [source, medium, name].map(|value| (!value.is_empty()).then(|| value.to_owned()));
        assert_eq!(utm(page), expected, "{page}");
    }

    #[test]
    fn parameters_behind_the_hash_are_read() {
        for page in [
            "https://a.b/#?utm_source=x&utm_medium=email",
            "https://a.b/#utm_source=x&utm_medium=email",
            "https://a.b/#/route?utm_source=x&utm_medium=email",
            "https://a.b/#!/route?utm_source=x&utm_medium=email",
            "https://a.b/#top&utm_source=x&utm_medium=email",
            "https://a.b/?q=1#?utm_source=x&utm_medium=email",
            "#utm_source=x&utm_medium=email",
        ] {
            assert_utm(page, "x", "email", "");
        }
        assert_eq!(click_id(&Campaign::of("https://a.b/#/r?gclid=1")), Some("gclid"));
    }

    #[test]
    fn the_query_counts_before_the_fragment() {
        assert_utm(
            "https://a.b/?utm_source=x#utm_source=y&utm_medium=email",
            "x",
            "email",
            "",
        );
        assert_utm("https://a.b/?utm_source=#utm_source=y", "y", "", "");
        let campaign = Campaign::of("https://a.b/?gclid=1#msclkid=2");
        assert_eq!(click_id(&campaign), Some("gclid"));
    }

    #[test]
    fn what_html_leaves_of_an_ampersand_is_one() {
        for page in [
            "https://a.b/?utm_source=x&amp;utm_medium=email&amp;utm_campaign=may",
            "https://a.b/?utm_source=x&AMP;utm_medium=email&amp;amp;utm_campaign=may",
            "https://a.b/?utm_source=x&#038;utm_medium=email&#038;utm_campaign=may",
            "https://a.b/?utm_source=x&#38;utm_medium=email&#38;utm_campaign=may",
            "https://a.b/?amp;utm_source=x&utm_medium=email&utm_campaign=may",
            "https://a.b/#/r?utm_source=x&amp;utm_medium=email&amp;utm_campaign=may",
        ] {
            assert_utm(page, "x", "email", "may");
        }
        assert_eq!(click_id(&Campaign::of("https://a.b/?q=1&amp;gclid=1")), Some("gclid"));
    }

    #[test]
    fn values_are_decoded_once_and_no_further() {
        assert_utm(
            "https://a.b/?utm_source=news%2520letter&utm_medium=a%2Bb&utm_campaign=a+b",
            "news%20letter",
            "a+b",
            "a b",
        );
        assert_utm(
            "https://a.b/?UTM_Source=X&Utm_Medium=E-Mail&utm%5Fcampaign=%26amp%3B",
            "X",
            "E-Mail",
            "&amp;",
        );
        // As in browsers, a semicolon separates nothing.
        assert_utm("https://a.b/?utm_source=a;utm_medium=b", "a;utm_medium=b", "", "");
        assert_utm("https://a.b/?utm_source=a?b=c/d#", "a?b=c/d", "", "");
    }

    #[test]
    fn a_click_id_of_paid_clicks_counts_before_others() {
        for (page, expected) in [
            ("?fbclid=1", Some("fbclid")),
            ("?fbclid=1&gclid=2", Some("gclid")),
            ("?gclid=2&fbclid=1", Some("gclid")),
            ("?fbclid=1&srsltid=2", Some("fbclid")),
            ("?ttclid=1&gclid=2", Some("ttclid")),
            ("?ScCid=1", Some("sccid")),
            ("?GCLID=1", Some("gclid")),
            ("?gclid=&wbraid=%20", None),
            ("?gclids=1&agclid=1", None),
        ] {
            assert_eq!(click_id(&Campaign::of(page)), expected, "{page}");
        }
    }

    #[test]
    fn parameters_are_decoded_and_trimmed() {
        let campaign = Campaign::of(
            "https://a.b/?utm_source=news%20letter&utm_medium=e+mail&UTM_Campaign=%C3%BCber&utm_term=%20x%20\
             &utm_content=a%00b&gclid=1#utm_source=no",
        );
        assert_eq!(campaign.source.as_deref(), Some("news letter"));
        assert_eq!(campaign.medium.as_deref(), Some("e mail"));
        assert_eq!(campaign.name.as_deref(), Some("über"));
        assert_eq!(campaign.term.as_deref(), Some("x"));
        assert_eq!(campaign.content.as_deref(), Some("ab"));
        assert_eq!(click_id(&campaign), Some("gclid"));
    }

    #[test]
    fn the_first_value_that_says_something_counts() {
        let campaign =
            Campaign::of("/x?utm_source=&utm_source=%20&utm_source=one&utm_source=two&gclid=&fbclid=a&msclkid=b");
        assert_eq!(campaign.source.as_deref(), Some("one"));
        assert_eq!(click_id(&campaign), Some("msclkid"));
    }

    #[test]
    fn broken_encodings_are_kept_as_far_as_they_are_text() {
        let campaign = Campaign::of("?utm_source=100%&utm_medium=%zz&utm_term=%ff");
        assert_eq!(campaign.source.as_deref(), Some("100%"));
        assert_eq!(campaign.medium.as_deref(), Some("%zz"));
        assert_eq!(campaign.term.as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn a_long_value_is_cut_at_256_characters() {
        let campaign = Campaign::of(&format!("?utm_source={}", "é".repeat(300)))
            .source
            .map(|s| s.chars().count());
        assert_eq!(campaign, Some(MAX_CHARS));
    }

    #[test]
    fn a_page_without_parameters_has_no_campaign() {
        for page in [
            "",
            "https://a.b/",
            "https://a.b/?",
            "https://a.b/?q=utm_source",
            "https://a.b/#",
            "https://a.b/#top",
            "https://a.b/#/route",
            "https://a.b/?utm-source=x&utmsource=x&utm_source_platform=x&utm_id=x&xutm_source=x&utm_=x&source=x",
            "https://a.b/?utm_source&utm_medium=&utm_campaign=%20&gclid&gclid=",
            "https://a.b/?amp;&amp;=x&#038;=y",
        ] {
            assert_eq!(Campaign::of(page), Campaign::default(), "{page}");
        }
    }
}
