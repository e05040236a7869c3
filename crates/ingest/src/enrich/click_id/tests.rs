use std::collections::HashSet;

use super::super::attribution;
use super::*;
use footfall_model::proto::Event;

/// Source and channel of a page with this parameter and nothing else.
fn alone(parameter: &str) -> (Option<String>, String) {
    let mut event = Event {
        page_url: Some(format!("https://shop.example/?{parameter}=x")),
        ..Event::default()
    };
    attribution::attribute(&mut event);
    (event.source, event.channel.expect("every event has a channel"))
}

#[test]
fn each_click_id_names_its_network_and_whether_the_click_was_paid_for() {
    let table = [
        ("gclid", "google", "Paid Search"),
        ("fbclid", "facebook", "Organic Social"),
        ("gad_source", "google", "Paid Search"),
        ("gad_campaignid", "google", "Paid Search"),
        ("gbraid", "google", "Paid Search"),
        ("wbraid", "google", "Paid Search"),
        ("srsltid", "google", "Organic Search"),
        ("msclkid", "bing", "Paid Search"),
        ("ttclid", "tiktok", "Paid Social"),
        ("igshid", "instagram", "Organic Social"),
        ("igsh", "instagram", "Organic Social"),
        ("li_fat_id", "linkedin", "Paid Social"),
        ("twclid", "twitter", "Paid Social"),
        ("epik", "pinterest", "Paid Social"),
        ("rdt_cid", "reddit", "Paid Social"),
        ("sccid", "snapchat", "Paid Social"),
        ("yclid", "yandex", "Paid Search"),
        ("ysclid", "yandex", "Organic Search"),
        ("dclid", "display & video 360", "Display"),
        ("qclid", "quora", "Paid Social"),
        ("ndclid", "nextdoor", "Paid Social"),
        ("oppref", "chatgpt", "Paid Other"),
        ("tblci", "taboola", "Paid Other"),
        ("dicbo", "outbrain", "Paid Other"),
        ("irclickid", "impact", "Affiliates"),
        ("irclid", "impact", "Affiliates"),
        ("awc", "awin", "Affiliates"),
        ("cjevent", "cj", "Affiliates"),
        ("sscid", "shareasale", "Affiliates"),
        ("ranmid", "rakuten advertising", "Affiliates"),
    ];
    let tested: HashSet<&str> = table.iter().map(|(parameter, ..)| *parameter).collect();
    let known: HashSet<&str> = CLICK_IDS.iter().map(|id| id.parameter).collect();
    assert_eq!(tested, known);
    assert_eq!(known.len(), CLICK_IDS.len());
    for (parameter, source, channel) in table {
        let expected = (Some(source.to_owned()), channel.to_owned());
        assert_eq!(alone(parameter), expected, "{parameter}");
        assert_eq!(alone(&parameter.to_uppercase()), expected, "{parameter}");
    }
}

#[test]
fn sites_of_a_network_are_called_as_sources_are() {
    for id in &CLICK_IDS {
        for site in id.sites {
            let source = super::super::sources::Source::named(site).expect("a source");
            assert_eq!(&source.name, site, "{}", id.parameter);
        }
    }
}
