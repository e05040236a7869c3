//! Where a visit came from: UTM first, then the network of a click id that only paid clicks carry, then the referrer, then
//! the network of another click id.

use footfall_model::proto::Event;

use super::campaign::Campaign;
use super::channel::channel;
use super::click_id::ClickId;
use super::sources::{Kind, Source};
use super::{fill, missing, url};

/// All that the channel of a visit depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution<'a> {
    /// None: nothing says where the visit came from, or it came from the same site.
    pub source: Option<Source<'a>>,
    /// `utm_medium`, in any case.
    pub medium: Option<&'a str>,
    pub click_id: Option<&'static ClickId>,
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
fn attribution<'a>(event: &'a Event, click_id: Option<&'static ClickId>) -> Attribution<'a> {
    let visit = |source, referred| Attribution {
        source,
        medium: event.utm_medium.as_deref(),
        click_id,
        referred,
    };
    if !missing(event.source.as_deref()) {
        return visit(event.source.as_deref().and_then(Source::named), false);
    }
    if let Some(source) = event.utm_source.as_deref().and_then(Source::named) {
        return visit(Some(source), false);
    }
    let referrer = referrer(event);
    match click_id {
        Some(id) if id.is_paid() || referrer.is_none() => {
            let of_network = |source: &Source<'_>| id.sites.iter().any(|site| *site == source.name);
            let first = || id.sites.first().and_then(|site| Source::named(site));
            visit(referrer.filter(of_network).or_else(first), false)
        }
        _ => {
            let referred = referrer.is_some();
            visit(referrer, referred)
        }
    }
}

/// The site that referred, unless it is the page's own or one that visitors only pay at.
fn referrer(event: &Event) -> Option<Source<'_>> {
    let from = url::host(event.referrer.as_deref()?)?;
    let page = event.page_url.as_deref().and_then(url::host);
    if page.is_some_and(|page| url::same_site(&from, &page)) {
        return None;
    }
    Some(Source::of_host(from)).filter(|source| source.kind != Kind::Payment)
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
        assert_visit("https://a.com/?fbclid=1", "", Some("facebook"), "Organic Social");
        assert_visit("https://a.com/", bing, Some("bing"), "Organic Search");
        assert_visit(
            "https://a.com/?utm_medium=email",
            "https://b.com/",
            Some("b.com"),
            "Email",
        );
    }

    #[test]
    fn a_stated_medium_wins_over_the_click_id() {
        for (page, source, channel) in [
            (
                "utm_source=facebook&utm_medium=social&fbclid=x",
                "facebook",
                "Organic Social",
            ),
            ("utm_source=facebook&utm_medium=cpc&fbclid=x", "facebook", "Paid Social"),
            ("utm_source=facebook&fbclid=x", "facebook", "Organic Social"),
            (
                "utm_source=google&utm_medium=organic&gclid=x",
                "google",
                "Organic Search",
            ),
            ("utm_source=google&utm_medium=display&gclid=x", "google", "Display"),
            ("utm_source=google&gclid=x", "google", "Paid Search"),
            ("utm_medium=email&gclid=x", "google", "Organic Search"),
            ("utm_medium=cpc&fbclid=x", "facebook", "Paid Social"),
            ("utm_source=newsletter&utm_medium=email&gclid=x", "newsletter", "Email"),
            ("utm_source=newsletter&gclid=x", "newsletter", "Unassigned"),
            ("utm_source=linkedin&gclid=x", "linkedin", "Paid Social"),
            ("wbraid=x", "google", "Paid Search"),
            ("gbraid=x", "google", "Paid Search"),
            ("fbclid=y&gclid=x", "google", "Paid Search"),
        ] {
            assert_visit(&format!("https://a.com/?{page}"), "", Some(source), channel);
        }
    }

    #[test]
    fn a_click_id_of_every_link_names_the_source_only_without_a_referrer() {
        let page = "https://a.com/?fbclid=x";
        assert_visit(page, "", Some("facebook"), "Organic Social");
        assert_visit(page, "https://l.instagram.com/", Some("instagram"), "Organic Social");
        assert_visit(page, "https://lm.facebook.com/", Some("facebook"), "Organic Social");
        assert_visit(page, "https://b.com/", Some("b.com"), "Referral");
        assert_visit(page, "https://a.com/x", Some("facebook"), "Organic Social");
        assert_visit(
            "https://a.com/?srsltid=x",
            "https://www.google.com/",
            Some("google"),
            "Organic Search",
        );
        assert_visit("https://a.com/?ysclid=x", "", Some("yandex"), "Organic Search");
    }

    #[test]
    fn a_click_id_of_ads_names_the_source_or_lets_a_site_of_its_network() {
        assert_visit(
            "https://a.com/?gclid=1",
            "https://b.com/",
            Some("google"),
            "Paid Search",
        );
        assert_visit(
            "https://a.com/?gclid=1",
            "https://www.youtube.com/",
            Some("youtube"),
            "Paid Video",
        );
        assert_visit(
            "https://a.com/?yclid=1",
            "https://search.yahoo.co.jp/",
            Some("yahoo"),
            "Paid Search",
        );
        assert_visit("https://a.com/?yclid=1", "", Some("yandex"), "Paid Search");
    }

    #[test]
    fn a_return_from_a_payment_provider_is_no_source() {
        for referrer in [
            "https://www.paypal.com/checkoutnow?token=1",
            "https://checkout.stripe.com/c/pay/cs_live_1",
            "https://hooks.stripe.com/3d_secure/authenticate",
            "https://pay.klarna.com/",
            "https://checkoutshopper-live.adyen.com/",
            "https://www.mollie.com/checkout/select-method",
            "https://pay.google.com/",
            "https://payments.amazon.de/",
            "android-app://com.paypal.android.p2pmobile/",
        ] {
            assert_visit("https://a.com/thanks", referrer, None, "Direct");
            assert_visit(
                "https://a.com/?utm_source=news&utm_medium=email",
                referrer,
                Some("news"),
                "Email",
            );
        }
        // A campaign of a payment provider is one, and its other sites refer.
        assert_visit(
            "https://a.com/?utm_source=paypal&utm_medium=cpc",
            "",
            Some("paypal"),
            "Paid Other",
        );
        assert_visit(
            "https://a.com/",
            "https://docs.stripe.com/",
            Some("docs.stripe.com"),
            "Referral",
        );
        assert_visit(
            "https://a.com/",
            "https://www.klarna.com/",
            Some("klarna"),
            "Organic Shopping",
        );
    }

    #[test]
    fn utm_behind_the_hash_decides_the_channel() {
        for page in [
            "https://shop.example/#?utm_source=news&utm_medium=email",
            "https://shop.example/#utm_source=news&amp;utm_medium=email",
            "https://shop.example/#/cart?utm_source=news&utm_medium=email",
        ] {
            assert_visit(page, "https://b.com/", Some("news"), "Email");
        }
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
