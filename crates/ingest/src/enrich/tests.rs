use std::sync::LazyLock;

use proptest::option;
use proptest::prelude::*;

use super::*;

static ENRICHER: LazyLock<Enricher> =
    LazyLock::new(|| Enricher::new(EnrichOptions::default()).expect("the built-in data are good"));

const PHONE: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile \
                     Safari/537.36";

fn enriched(mut event: Event, sender: Sender<'_>) -> Event {
    ENRICHER.enrich(&mut event, sender);
    event
}

#[test]
fn an_event_learns_all_that_its_sender_and_page_say() {
    let event = Event {
        page_url: Some("https://shop.example/?utm_source=newsletter&utm_medium=email&utm_campaign=may".into()),
        referrer: Some("https://mail.google.com/".into()),
        ..Event::default()
    };
    let sender = Sender {
        ip: Some("8.8.8.8".parse().expect("an address")),
        user_agent: Some(PHONE),
    };
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(
        enriched(event.clone(), sender),
        Event {
            utm_source: text("newsletter"),
            utm_medium: text("email"),
            utm_campaign: text("may"),
            country: text("US"),
            device: text("mobile"),
            browser: text("Chrome"),
            os: text("Android"),
            source: text("newsletter"),
            channel: text("Email"),
            ..event
        }
    );
}

#[test]
fn an_unknown_sender_leaves_the_place_and_the_browser_open() {
    let event = enriched(Event::default(), Sender::default());
    assert_eq!(
        event,
        Event {
            channel: Some("Direct".into()),
            ..Event::default()
        }
    );
}

#[test]
fn what_the_client_sent_stays() {
    let text = |value: &str| Some(value.to_owned());
    let event = Event {
        page_url: text("https://a.com/?utm_source=google&utm_medium=cpc&utm_campaign=c&utm_term=t&utm_content=n"),
        utm_source: text("1"),
        utm_medium: text("2"),
        utm_campaign: text("3"),
        utm_term: text("4"),
        utm_content: text("5"),
        country: text("JP"),
        city: text("Tokyo"),
        device: text("tablet"),
        browser: text("Kiosk"),
        os: text("KioskOS"),
        source: text("6"),
        channel: text("7"),
        is_bot: true,
        ..Event::default()
    };
    let sender = Sender {
        ip: Some("8.8.8.8".parse().expect("an address")),
        user_agent: Some(PHONE),
    };
    assert_eq!(enriched(event.clone(), sender), event);
}

#[test]
fn one_enricher_serves_all_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Enricher>();
}

/// Text as clients send it: any at all, and such as has the shape of a URL or a User-Agent.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "(https?://|//|android-app://)?(www\\.)?(a|b|google|t)\\.(com|co|de)(:[0-9]{1,6})?/?(\\?[a-z_=&%+]{0,20})?",
        "https://a\\.com/\\?(utm_(source|medium|campaign)=(google|cpc|%20x|Email)&){0,3}(gclid|fbclid)?=?1?",
        "(curl|Mozilla|python-requests)/[0-9](\\.[0-9])? ?(\\((Android|iPhone|iPad|X11); [a-z]{0,9}\\))?(bot|Chrome/1)?",
        "[ \t\u{0}]{0,3}",
    ]
}

prop_compose! {
    fn any_event()(
        texts in proptest::collection::vec(option::of(any_text()), 14),
        is_bot in any::<bool>(),
    ) -> Event {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        Event {
            page_url: next(), referrer: next(), utm_source: next(), utm_medium: next(), utm_campaign: next(),
            utm_term: next(), utm_content: next(), country: next(), city: next(), device: next(), browser: next(),
            os: next(), source: next(), channel: next(), is_bot, ..Event::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn enriching_twice_equals_enriching_once(
        event in any_event(),
        user_agent in option::of(any_text()),
        ip in option::of(any::<IpAddr>()),
    ) {
        let sender = Sender { ip, user_agent: user_agent.as_deref() };
        let once = enriched(event, sender);
        prop_assert_eq!(enriched(once.clone(), sender), once);
    }

    #[test]
    fn a_field_with_text_is_never_changed(event in any_event(), user_agent in any_text(), ip in any::<IpAddr>()) {
        let after = enriched(event.clone(), Sender { ip: Some(ip), user_agent: Some(&user_agent) });
        let fields = |event: &Event| [
            event.utm_source.clone(), event.utm_medium.clone(), event.utm_campaign.clone(), event.utm_term.clone(),
            event.utm_content.clone(), event.country.clone(), event.city.clone(), event.device.clone(),
            event.browser.clone(), event.os.clone(), event.source.clone(), event.channel.clone(),
        ];
        for (before, after) in fields(&event).into_iter().zip(fields(&after)) {
            prop_assert!(missing(before.as_deref()) || before == after, "{:?} became {:?}", before, after);
        }
        prop_assert!(after.is_bot || !event.is_bot);
        prop_assert!(after.channel.is_some());
    }
}
