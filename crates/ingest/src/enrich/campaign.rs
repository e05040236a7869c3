//! Campaign parameters of a landing page: UTM and the click ids of advertising networks.

use std::borrow::Cow;

use super::url;

/// Longest campaign value that is kept, in characters.
pub const MAX_CHARS: usize = 256;

/// An advertising network's mark on a click. Facebook marks clicks on unpaid posts too; DEFINITIONS counts all as paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClickId {
    /// `gclid`: Google Ads.
    Google,
    /// `msclkid`: Microsoft Advertising.
    Bing,
    /// `fbclid`: Facebook.
    Facebook,
}

impl ClickId {
    /// The network's name as a source.
    pub fn network(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Bing => "bing",
            Self::Facebook => "facebook",
        }
    }
}

/// What the query of a page says of the campaign that led there. Of repeated parameters the first non-empty one counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Campaign<'a> {
    pub source: Option<Cow<'a, str>>,
    pub medium: Option<Cow<'a, str>>,
    pub name: Option<Cow<'a, str>>,
    pub term: Option<Cow<'a, str>>,
    pub content: Option<Cow<'a, str>>,
    pub click_id: Option<ClickId>,
}

impl<'a> Campaign<'a> {
    /// Reads the query of `page_url`; percent signs and pluses are decoded as a form's are, names in any case.
    pub fn of(page_url: &'a str) -> Self {
        let mut campaign = Self::default();
        let Some(query) = url::query(page_url) else {
            return campaign;
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            campaign.take(&name, value);
        }
        campaign
    }

    fn take(&mut self, name: &str, value: Cow<'a, str>) {
        let click_id = |id| (!value.trim().is_empty()).then_some(id);
        let field = match name.len() {
            5 if name.eq_ignore_ascii_case("gclid") => return self.click(click_id(ClickId::Google)),
            7 if name.eq_ignore_ascii_case("msclkid") => return self.click(click_id(ClickId::Bing)),
            6 if name.eq_ignore_ascii_case("fbclid") => return self.click(click_id(ClickId::Facebook)),
            10 if name.eq_ignore_ascii_case("utm_source") => &mut self.source,
            10 if name.eq_ignore_ascii_case("utm_medium") => &mut self.medium,
            12 if name.eq_ignore_ascii_case("utm_campaign") => &mut self.name,
            8 if name.eq_ignore_ascii_case("utm_term") => &mut self.term,
            11 if name.eq_ignore_ascii_case("utm_content") => &mut self.content,
            _ => return,
        };
        if field.is_none() {
            *field = clean(value);
        }
    }

    fn click(&mut self, id: Option<ClickId>) {
        self.click_id = self.click_id.or(id);
    }
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
        assert_eq!(campaign.click_id, Some(ClickId::Google));
    }

    #[test]
    fn the_first_value_that_says_something_counts() {
        let campaign =
            Campaign::of("/x?utm_source=&utm_source=%20&utm_source=one&utm_source=two&gclid=&fbclid=a&msclkid=b");
        assert_eq!(campaign.source.as_deref(), Some("one"));
        assert_eq!(campaign.click_id, Some(ClickId::Facebook));
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
            "https://a.b/#?utm_source=x",
        ] {
            assert_eq!(Campaign::of(page), Campaign::default(), "{page}");
        }
    }
}
