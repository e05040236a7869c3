//! Where a visit came from: UTM first, then the network of a click id, then the referrer.

use footfall_model::proto::Event;

use super::campaign::{Campaign, ClickId};
use super::channel::channel;
use super::sources::Source;
use super::{fill, missing, url};

/// All that the channel of a visit depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution<'a> {
    /// None: nothing says where the visit came from, or it came from the same site.
    pub source: Option<Source<'a>>,
    /// `utm_medium`, in any case.
    pub medium: Option<&'a str>,
    pub click_id: Option<ClickId>,
    /// Whether `source` is the site that referred.
    pub referred: bool,
}

/// Fills `utm_*`, `source` and `channel` where the client left them out.
pub(super) fn attribute(event: &mut Event) {
    let page = event.page_url.as_deref().unwrap_or_default();
    let campaign = Campaign::of(page);
    fill(&mut event.utm_source, campaign.source.as_deref());
    fill(&mut event.utm_medium, campaign.medium.as_deref());
    fill(&mut event.utm_campaign, campaign.name.as_deref());
    fill(&mut event.utm_term, campaign.term.as_deref());
    fill(&mut event.utm_content, campaign.content.as_deref());
    if !missing(event.source.as_deref()) && !missing(event.channel.as_deref()) {
        return;
    }
    let visit = attribution(event, campaign.click_id);
    let channel = channel(&visit);
    let source = visit.source.map(|source| source.name.into_owned());
    if missing(event.source.as_deref()) {
        event.source = source;
    }
    fill(&mut event.channel, Some(channel.as_str()));
}

/// Reads the source that the client gave, or finds it.
fn attribution(event: &Event, click_id: Option<ClickId>) -> Attribution<'_> {
    let medium = event.utm_medium.as_deref();
    let named = |text: &'_ Option<String>| !missing(text.as_deref());
    let mut referred = false;
    let source = if named(&event.source) {
        event.source.as_deref().and_then(Source::named)
    } else if let Some(source) = event.utm_source.as_deref().and_then(Source::named) {
        Some(source)
    } else if let Some(id) = click_id {
        Source::named(id.network())
    } else {
        let source = referrer(event);
        referred = source.is_some();
        source
    };
    Attribution {
        source,
        medium,
        click_id,
        referred,
    }
}

/// The site that referred, unless it is the page's own.
fn referrer(event: &Event) -> Option<Source<'_>> {
    let from = url::host(event.referrer.as_deref()?)?;
    let page = event.page_url.as_deref().and_then(url::host);
    if page.is_some_and(|page| url::same_site(&from, &page)) {
        return None;
    }
    Some(Source::of_host(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributed(page_url: &str, referrer: &str) -> (Option<String>, String) {
        let mut event = Event {
            page_url: Some(page_url.to_owned()),
            referrer: Some(referrer.to_owned()),
            ..Event::default()
        };
        attribute(&mut event);
        (event.source, event.channel.expect("every event has a channel"))
    }

    fn assert_visit(page_url: &str, referrer: &str, source: Option<&str>, channel: &str) {
        assert_eq!(
            attributed(page_url, referrer),
            (source.map(str::to_owned), channel.to_owned()),
            "{page_url} {referrer}"
        );
    }

    #[test]
    fn utm_comes_before_the_click_id_before_the_referrer() {
        let bing = "https://www.bing.com/";
        assert_visit(
            "https://a.com/?utm_source=fb&gclid=1",
            bing,
            Some("facebook"),
            "Paid Social",
        );
        assert_visit("https://a.com/?gclid=1", bing, Some("google"), "Paid Search");
        assert_visit("https://a.com/?msclkid=1", "", Some("bing"), "Paid Search");
        assert_visit("https://a.com/?fbclid=1", "", Some("facebook"), "Paid Social");
        assert_visit("https://a.com/", bing, Some("bing"), "Organic Search");
        assert_visit(
            "https://a.com/?utm_medium=email",
            "https://b.com/",
            Some("b.com"),
            "Email",
        );
    }

    #[test]
    fn a_referrer_of_the_same_site_is_no_source() {
        for referrer in [
            "https://a.com/x",
            "http://www.a.com",
            "https://blog.a.com/",
            "a.com",
            "HTTPS://A.COM:443/",
        ] {
            assert_visit("https://www.a.com/", referrer, None, "Direct");
        }
        assert_visit(
            "https://bücher.example/",
            "https://xn--bcher-kva.example/x",
            None,
            "Direct",
        );
        assert_visit("https://a.com/", "https://b.com/?a.com", Some("b.com"), "Referral");
    }

    #[test]
    fn a_referrer_that_is_no_web_site_is_none() {
        for referrer in [
            "",
            "about:blank",
            "file:///home",
            "garbage",
            "https://",
            "chrome-extension://x/y",
        ] {
            assert_visit("https://a.com/", referrer, None, "Direct");
        }
        assert_visit(
            "https://a.com/",
            "android-app://com.google.android.gm/",
            Some("gmail"),
            "Email",
        );
        assert_visit(
            "https://a.com/",
            "android-app://org.example.reader",
            Some("org.example.reader"),
            "Referral",
        );
    }

    #[test]
    fn an_event_without_page_and_referrer_is_direct() {
        let mut event = Event::default();
        attribute(&mut event);
        assert_eq!((event.source, event.channel.as_deref()), (None, Some("Direct")));
    }

    #[test]
    fn what_the_client_sent_wins_and_empty_text_is_not_sent() {
        let mut event = Event {
            page_url: Some("https://a.com/?utm_source=google&utm_medium=cpc&utm_campaign=x".into()),
            utm_source: Some("newsletter".into()),
            utm_medium: Some(" ".into()),
            channel: Some("House list".into()),
            ..Event::default()
        };
        attribute(&mut event);
        assert_eq!(event.utm_source.as_deref(), Some("newsletter"));
        assert_eq!(event.utm_medium.as_deref(), Some("cpc"));
        assert_eq!(event.utm_campaign.as_deref(), Some("x"));
        assert_eq!(event.source.as_deref(), Some("newsletter"));
        assert_eq!(event.channel.as_deref(), Some("House list"));
    }

    #[test]
    fn a_source_that_the_client_sent_decides_the_channel() {
        let mut event = Event {
            source: Some("Instagram".into()),
            ..Event::default()
        };
        attribute(&mut event);
        assert_eq!(event.source.as_deref(), Some("Instagram"));
        assert_eq!(event.channel.as_deref(), Some("Organic Social"));
    }
}
