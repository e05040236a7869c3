//! The rules for text and identity.

use footfall_model::hash::DedupeBy;
use proptest::prelude::*;

use super::*;
use footfall_model::field::{EventField, FieldType};

fn ruled(field: EventField, sent: &str) -> (Option<String>, Vec<What>) {
    let mut changes = Changes::default();
    let text = text(field, sent, &mut changes).map(Cow::into_owned);
    (text, changes.iter().map(|change| change.what).collect())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn plain_text_is_borrowed() {
    let mut changes = Changes::default();
    let title = "Schöne Schuhe ".to_owned();
    assert!(matches!(text(EventField::PageTitle, &title, &mut changes), Some(Cow::Borrowed(kept)) if kept == title));
    assert!(changes.is_empty());
}

#[test]
fn blank_text_is_absent() {
    assert_eq!(
        ruled(EventField::PageTitle, ""),
        (None, vec![]),
        "empty is as good as not sent"
    );
    for blank in [" ", "\t\r\n", "\u{a0}\u{3000}"] {
        assert_eq!(
            ruled(EventField::PageTitle, blank),
            (None, vec![What::Blanked]),
            "{blank:?}"
        );
        assert_eq!(
            ruled(EventField::ClientId, blank),
            (None, vec![What::Blanked]),
            "{blank:?}"
        );
    }
    let spaces_first = format!("{}x", " ".repeat(1_024));
    assert_eq!(
        ruled(EventField::PageTitle, &spaces_first),
        (None, vec![What::Cut, What::Blanked])
    );
}

#[test]
fn long_text_is_cut_between_characters() {
    let limit = |field: EventField| field.spec().max_chars.unwrap();
    for (field, character) in [
        (EventField::PageTitle, "ü"),
        (EventField::UtmTerm, "x"),
        (EventField::Referrer, "😀"),
        (EventField::EventType, "€"),
    ] {
        let fits = character.repeat(limit(field));
        assert_eq!(ruled(field, &fits), (Some(fits.clone()), vec![]), "{field:?}");
        let long = character.repeat(limit(field) + 1);
        assert_eq!(ruled(field, &long), (Some(fits), vec![What::Cut]), "{field:?}");
    }
}

#[test]
fn long_ids_stay_different() {
    for field in [
        EventField::ClientId,
        EventField::EventId,
        EventField::SessionId,
        EventField::UserId,
    ] {
        let (a, b) = (format!("{}a", "x".repeat(256)), format!("{}b", "x".repeat(256)));
        let (cut, what) = ruled(field, &a);
        let cut = cut.unwrap();
        assert_eq!((cut.len(), what), (256, vec![What::Cut]), "{field:?}");
        assert_eq!(&cut[..240], format!("{}~", "x".repeat(239)));
        assert!(cut[240..].bytes().all(|b| b.is_ascii_hexdigit()), "{cut}");
        assert_ne!(Some(cut), ruled(field, &b).0);
    }
}

#[test]
fn nul_is_replaced() {
    assert_eq!(
        ruled(EventField::PageTitle, "a\0b\0"),
        (some("a\u{fffd}b\u{fffd}"), vec![What::Replaced])
    );
    assert_eq!(
        ruled(EventField::ClientId, "\0"),
        (some("\u{fffd}"), vec![What::Replaced])
    );
    let long = format!("\0{}", "x".repeat(64));
    let kept = format!("\u{fffd}{}", "x".repeat(63));
    assert_eq!(
        ruled(EventField::Browser, &long),
        (Some(kept), vec![What::Replaced, What::Cut])
    );
}

#[test]
fn country_is_a_code_in_upper_case() {
    assert_eq!(ruled(EventField::Country, "DE"), (some("DE"), vec![]));
    assert_eq!(ruled(EventField::Country, " de "), (some("DE"), vec![]));
    for no_code in ["Germany", "4!", "d", "ß", "d\0"] {
        assert_eq!(
            ruled(EventField::Country, no_code),
            (None, vec![What::Ignored]),
            "{no_code}"
        );
    }
}

#[test]
fn json_scalars_keep_their_digits() {
    let text = |text: &'static str, mended| Scalar::Text {
        text: text.into(),
        mended,
    };
    for (json, expected) in [
        (r#""a""#, text("a", false)),
        (r#""a\u00fc\n\"""#, text("aü\n\"", false)),
        (r#""\ud83d\ude00""#, text("😀", false)),
        (r#""Shoes \ud83d""#, text("Shoes \u{fffd}", true)),
        (r#""\udc00x""#, text("\u{fffd}x", true)),
        ("98765432109876543210987", Scalar::Number("98765432109876543210987")),
        ("1.10", Scalar::Number("1.10")),
        ("-1E400", Scalar::Number("-1E400")),
        ("true", Scalar::Flag("true")),
        ("null", Scalar::Null),
        ("{}", Scalar::Other("an object")),
        ("[1]", Scalar::Other("an array")),
    ] {
        assert_eq!(scalar(json), expected, "{json}");
    }
}

/// The id of an event of these texts.
fn id(moment: Moment, texts: &[(EventField, &'static str)]) -> String {
    id_by(DedupeBy::Content, moment, texts)
}

fn id_by(by: DedupeBy, moment: Moment, texts: &[(EventField, &'static str)]) -> String {
    event_id(by, moment, |field| {
        let found = texts.iter().find(|(name, _)| *name == field);
        found.map(|(_, text)| Value::Text(text))
    })
}

#[test]
fn identity_is_of_all_that_was_sent() {
    let base = [
        (EventField::TrackingId, "shop"),
        (EventField::ClientId, "c"),
        (EventField::PageTitle, "t"),
    ];
    let sent = Moment::Sent(1);
    assert_eq!(
        id(sent, &base),
        id(sent, &[base[2], base[0], base[1]]),
        "in whatever order"
    );
    let others = [
        id(Moment::Sent(2), &base),
        id(sent, &base[..2]),
        id(sent, &[base[0], base[1], (EventField::PageUrl, "t")]),
        id(
            sent,
            &[base[0], (EventField::ClientId, "ct"), (EventField::PageTitle, "")],
        ),
        id(sent, &[base[0], base[1], base[2], (EventField::UtmSource, "")]),
        id(Moment::Received { at: 1, ordinal: 0 }, &base),
        id(Moment::Received { at: 1, ordinal: 1 }, &base),
        id(Moment::Received { at: 2, ordinal: 0 }, &base),
    ];
    let mut all: Vec<_> = others.iter().chain([&id(sent, &base)]).cloned().collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 9);
}

#[test]
fn identity_by_key_is_the_specifications() {
    let base = [
        (EventField::TrackingId, "shop"),
        (EventField::ClientId, "c"),
        (EventField::SessionId, "s"),
        (EventField::EventType, "e"),
    ];
    let mut more = base.to_vec();
    more.push((EventField::PageTitle, "t"));
    let expected = footfall_model::hash::derived_event_id("shop", "c", "s", 5, "e");
    for texts in [base.as_slice(), &more] {
        assert_eq!(id_by(DedupeBy::Key, Moment::Sent(5), texts), expected);
        assert_eq!(
            id_by(DedupeBy::Key, Moment::Received { at: 5, ordinal: 1 }, texts),
            expected
        );
    }
}

fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\0 a-c\u{fc}\u{fffd}\u{1f600}~]{0,300}",
        "\\s{0,300}",
        any::<String>(),
        "[a-zA-Z ]{0,3}",
    ]
}

proptest! {
    /// Whatever the text, there is a result within the limits, and it is its own result.
    #[test]
    fn rules_never_refuse_a_text(sent in odd_text(), times in 1_usize..30) {
        let sent = sent.repeat(times);
        for field in EventField::ALL.iter().filter(|field| field.spec().field_type == FieldType::Text) {
            let (once, _) = ruled(*field, &sent);
            if let Some(once) = once {
                prop_assert_eq!(field.spec().excess_chars(&once), None);
                prop_assert!(!once.contains('\0') && !once.trim().is_empty());
                prop_assert_eq!(ruled(*field, &once), (Some(once), vec![]));
            }
        }
    }
}
