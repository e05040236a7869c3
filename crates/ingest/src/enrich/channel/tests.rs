use super::super::click_id::ClickId;
use super::super::sources::Source;
use super::*;

/// A visit that a campaign names; `""`: not given.
fn campaign(source: &'static str, medium: &'static str, click_id: Option<&str>) -> Channel {
    let click_id = click_id.map(|name| ClickId::named(name).expect("a click id"));
    let medium = (!medium.is_empty()).then_some(medium);
    channel(&Attribution {
        source: Source::named(source),
        medium,
        click_id,
        referred: false,
    })
}

fn referral(host: &'static str) -> Channel {
    channel(&Attribution {
        source: Some(Source::of_host(host.into())),
        medium: None,
        click_id: None,
        referred: true,
    })
}

#[test]
fn campaigns_have_the_first_channel_that_matches() {
    let table = [
        ("google", "cpc", "Paid Search"),
        ("Google", "CPC", "Paid Search"),
        ("bing", "ppc", "Paid Search"),
        ("adwords", "paidsearch", "Paid Search"),
        ("duckduckgo.com", "cpm", "Paid Search"),
        ("yandex", "retargeting", "Paid Search"),
        ("facebook", "cpc", "Paid Social"),
        ("fb", "paid", "Paid Social"),
        ("ig", "paid_social", "Paid Social"),
        ("linkedin", "paid-social", "Paid Social"),
        ("twitter", "ecpm", "Paid Social"),
        ("youtube", "cpv, cpc", "Paid Video"),
        ("tiktok", "paidvideo", "Paid Social"),
        ("vimeo", "paidvideo", "Paid Video"),
        ("amazon", "cpc", "Paid Shopping"),
        ("google_shopping", "cpc", "Paid Shopping"),
        ("newsite", "display", "Display"),
        ("google", "display", "Display"),
        ("partner", "banner", "Display"),
        ("partner", "cpm", "Display"),
        ("partner", "interstitial", "Display"),
        ("partner", "cpc", "Paid Other"),
        ("chatgpt", "cpc", "Paid Other"),
        ("newsletter", "paid", "Paid Other"),
        ("", "cpc", "Paid Other"),
        ("ebay", "", "Organic Shopping"),
        ("etsy.com", "social", "Organic Shopping"),
        ("facebook", "", "Organic Social"),
        ("facebook", "referral", "Organic Social"),
        ("reddit", "post", "Organic Social"),
        ("partner", "social", "Organic Social"),
        ("partner", "social media", "Organic Social"),
        ("partner", "sm", "Organic Social"),
        ("youtube", "organic", "Organic Video"),
        ("partner", "product-video", "Organic Video"),
        ("google", "organic", "Organic Search"),
        ("google", "", "Organic Search"),
        ("smallengine", "organic", "Organic Search"),
        ("chatgpt.com", "", "AI Assistants"),
        ("perplexity", "answer", "AI Assistants"),
        ("claude", "", "AI Assistants"),
        ("newsletter", "email", "Email"),
        ("newsletter", "E-Mail", "Email"),
        ("email", "", "Email"),
        ("mailchimp", "campaign", "Email"),
        ("partner", "affiliate", "Affiliates"),
        ("partner", "affiliates", "Affiliates"),
        ("podcast", "audio", "Audio"),
        ("twilio", "sms", "SMS"),
        ("sms", "text", "SMS"),
        ("braze", "push", "Push"),
        ("braze", "web-push", "Push"),
        ("braze", "mobile", "Push"),
        ("braze", "notification", "Push"),
        ("firebase", "", "Push"),
        ("partner", "referral", "Referral"),
        ("partner", "link", "Referral"),
        ("partner", "app", "Referral"),
        ("", "", "Direct"),
        ("(direct)", "(none)", "Direct"),
        ("", "anything", "Direct"),
        ("partner", "", "Unassigned"),
        ("partner", "qr", "Unassigned"),
        ("partner", "prepaid", "Unassigned"),
    ];
    for (source, medium, expected) in table {
        assert_eq!(
            campaign(source, medium, None).as_str(),
            expected,
            "source {source:?}, medium {medium:?}"
        );
    }
}

#[test]
fn a_click_id_of_paid_clicks_counts_if_no_medium_is_stated() {
    let table = [
        ("google", "", "gclid", "Paid Search"),
        ("google", "(none)", "wbraid", "Paid Search"),
        ("google", " ", "gbraid", "Paid Search"),
        ("google", "organic", "gclid", "Organic Search"),
        ("google", "display", "gclid", "Display"),
        ("google", "cpc", "srsltid", "Paid Search"),
        ("google", "", "srsltid", "Organic Search"),
        ("bing", "", "msclkid", "Paid Search"),
        ("facebook", "", "fbclid", "Organic Social"),
        ("facebook", "paid", "fbclid", "Paid Social"),
        ("twitter", "", "twclid", "Paid Social"),
        ("twitter", "social", "twclid", "Organic Social"),
        ("youtube", "", "gclid", "Paid Video"),
        ("google shopping", "", "gclid", "Paid Shopping"),
        ("linkedin", "", "gclid", "Paid Social"),
        ("newsletter", "email", "gclid", "Email"),
        ("newsletter", "", "gclid", "Unassigned"),
        ("chatgpt", "", "gclid", "AI Assistants"),
        ("chatgpt", "", "oppref", "Paid Other"),
        ("display & video 360", "", "dclid", "Display"),
        ("taboola", "", "tblci", "Paid Other"),
        ("partner", "", "tblci", "Unassigned"),
        ("awin", "", "awc", "Affiliates"),
        ("partner", "", "awc", "Unassigned"),
        ("", "", "gclid", "Direct"),
    ];
    for (source, medium, click_id, expected) in table {
        assert_eq!(
            campaign(source, medium, Some(click_id)).as_str(),
            expected,
            "{source:?}, {medium:?}, {click_id:?}"
        );
    }
}

#[test]
fn referring_sites_have_a_channel_of_their_kind_or_are_referrals() {
    let table = [
        ("www.google.com", "Organic Search"),
        ("duckduckgo.com", "Organic Search"),
        ("search.yahoo.com", "Organic Search"),
        ("lm.facebook.com", "Organic Social"),
        ("out.reddit.com", "Organic Social"),
        ("t.co", "Organic Social"),
        ("www.youtube.com", "Organic Video"),
        ("www.amazon.co.uk", "Organic Shopping"),
        ("chatgpt.com", "AI Assistants"),
        ("copilot.microsoft.com", "AI Assistants"),
        ("mail.google.com", "Email"),
        ("outlook.live.com", "Email"),
        ("docs.google.com", "Referral"),
        ("example.com", "Referral"),
        ("10.0.0.1", "Referral"),
    ];
    for (host, expected) in table {
        assert_eq!(referral(host).as_str(), expected, "{host}");
    }
}

#[test]
fn an_unknown_medium_does_not_hide_that_a_site_referred() {
    let source = Some(Source::of_host("example.com".into()));
    let visit = Attribution {
        source,
        medium: Some("qr"),
        click_id: None,
        referred: true,
    };
    assert_eq!(channel(&visit), Channel::Referral);
}
