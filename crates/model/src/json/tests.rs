use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::*;

fn normal(text: &str) -> String {
    normalize(text).unwrap().into_owned()
}

#[test]
fn whitespace_between_tokens_is_dropped() {
    for (text, expected) in [
        (
            " { \"a\" :\t[ 1 ,\r\n 2 ] , \"b\" : { } , \"c\" : [ ] } ",
            r#"{"a":[1,2],"b":{},"c":[]}"#,
        ),
        (" 1 ", "1"),
        ("\n\"a b\"\n", "\"a b\""),
        ("[[],{}, [{}]]", "[[],{},[{}]]"),
        (
            r#"{"a": true,"b": false ,"c":null}"#,
            r#"{"a":true,"b":false,"c":null}"#,
        ),
    ] {
        assert_eq!(normal(text), expected);
    }
}

#[test]
fn escapes_become_shortest() {
    for (text, expected) in [
        (r#""\u00fc""#, "\"ü\""),
        (r#""\u00FC\u20ac""#, "\"ü€\""),
        (r#""\ud83d\ude00""#, "\"😀\""),
        (r#""\uD83D\uDE00""#, "\"😀\""),
        (r#""a\/b""#, "\"a/b\""),
        (r#""\u0022\u005c\u002f""#, r#""\"\\/""#),
        (r#""\u0008\u000c\u000a\u000D\u0009""#, r#""\b\f\n\r\t""#),
        (r#""\b\f\n\r\t\"\\""#, r#""\b\f\n\r\t\"\\""#),
        (r#""\u001F\u001f\u0001""#, r#""\u001f\u001f\u0001""#),
        (r#""\u007f\u2028""#, "\"\u{7f}\u{2028}\""),
        (r#"{"\u0061":1}"#, r#"{"a":1}"#),
    ] {
        assert_eq!(normal(text), expected, "{text}");
    }
}

#[test]
fn characters_that_no_text_holds_are_replaced() {
    for (text, expected) in [
        (r#""a\u0000b""#, "\"a\u{fffd}b\""),
        (r#""\ud83d""#, "\"\u{fffd}\""),
        (r#""\ude00""#, "\"\u{fffd}\""),
        (r#""\ude00\ud83d""#, "\"\u{fffd}\u{fffd}\""),
        (r#""\ud83dx""#, "\"\u{fffd}x\""),
        (r#""\ud83d\n""#, "\"\u{fffd}\\n\""),
        (r#""\ud83d\ud83d\ude00""#, "\"\u{fffd}😀\""),
        (r#""\ud83d\u0041""#, "\"\u{fffd}A\""),
    ] {
        assert_eq!(normal(text), expected, "{text}");
    }
}

#[test]
fn digits_keys_and_their_order_are_kept() {
    for text in [
        r#"{"b":123456789012345678901234567890,"a":1.10,"b":-0,"c":1E+05,"d":0.0e-1}"#,
        r#"{"":"ü😀","a b":" x "}"#,
        "0",
        r#""""#,
    ] {
        let made = normalize(text).unwrap();
        assert_eq!(made, text);
        assert!(matches!(made, Cow::Borrowed(_)), "{text} is normal already");
    }
}

#[test]
fn outer_whitespace_alone_costs_no_copy() {
    assert!(matches!(
        normalize(" {\"a\":1}\n").unwrap(),
        Cow::Borrowed(r#"{"a":1}"#)
    ));
}

#[test]
fn faults_are_located() {
    for (text, position, expected) in [
        ("", 0, "a value"),
        (r#"{"a":1"#, 6, "a comma or }"),
        ("[1 2]", 3, "a comma or ]"),
        ("[1,]", 3, "a value"),
        ("{\"a\":1,}", 7, "a key"),
        ("{a:1}", 1, "a key"),
        (r#"{"a" 1}"#, 5, "a colon"),
        ("[1}", 2, "a comma or ]"),
        ("1 2", 2, "the end"),
        ("01", 1, "the end"),
        ("-", 1, "a digit"),
        ("1.", 2, "a digit"),
        ("1e+", 3, "a digit"),
        ("nul", 0, "a value"),
        ("NaN", 0, "a value"),
        (r#""a"#, 2, "a closing quote"),
        ("\"a\nb\"", 2, "no control character, unless escaped,"),
        (r#""\x""#, 1, "a known escape"),
        (r#""\u12g4""#, 1, "four hexadecimal digits after \\u"),
        (r#""\u12"#, 1, "four hexadecimal digits after \\u"),
        (r#""\u+123""#, 1, "four hexadecimal digits after \\u"),
        (r#""\ud83d\uzzzz""#, 7, "four hexadecimal digits after \\u"),
    ] {
        assert_eq!(normalize(text), Err(JsonError { position, expected }), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(normal(&nested(128)), nested(128));
    let too_deep = normalize(&nested(129)).unwrap_err();
    assert_eq!(too_deep.position, 128);
    let mixed = r#"{"a":["#.repeat(64);
    let closed = format!("{mixed}1{}", "]}".repeat(64));
    assert_eq!(normal(&closed), closed);
    assert!(normalize(&format!("{mixed}1{}", "}]".repeat(64))).is_err());
    assert!(normalize(&"[".repeat(1_000_000)).is_err());
}

fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-zü😀 ]{0,4}",
        r#"(\\u00[0-9a-f]{2}|\\u[0-9a-cA-C][0-9a-fA-F]{3}|\\[/bfnrt\\"]|\\ud83d\\ude00|x){0,4}"#,
    ]
    .prop_map(|text| format!("\"{text}\""));
    let leaf = prop_oneof![
        text.clone(),
        r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?([eE][+-]?[0-9])?",
        Just("true".to_owned()),
        Just("null".to_owned()),
    ];
    let space = "[ \t\r\n]{0,2}";
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let item = (space, inner, space).prop_map(|(before, item, after)| format!("{before}{item}{after}"));
        let entry = (space, text.clone(), space, item.clone())
            .prop_map(|(before, key, after, item)| format!("{before}{key}{after}:{item}"));
        prop_oneof![
            prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(entry, 0..4).prop_map(|entries| format!("{{{}}}", entries.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn meaning_is_kept(text in json()) {
        let made = normal(&text);
        let replaced = text.replace("\\u0000", "\\ufffd");
        prop_assert_eq!(serde_json::from_str::<Value>(&made).unwrap(), serde_json::from_str::<Value>(&replaced).unwrap());
    }

    #[test]
    fn normal_form_is_stable(text in json()) {
        let made = normal(&text);
        let again = normalize(&made).unwrap();
        prop_assert!(matches!(again, Cow::Borrowed(_)));
        prop_assert_eq!(again, made.as_str());
    }

    #[test]
    fn accepts_what_json_is(text in r#"[\[\]{}",:\\u0-9a-f+.eE ntrs-]{0,12}"#) {
        prop_assert_eq!(normalize(&text).is_ok(), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn damaged_json_is_judged_alike(text in json(), at in any::<prop::sample::Index>(), with in r#"[\[\]{}",:\\u0-9 ü]"#) {
        let mut characters: Vec<char> = text.chars().collect();
        let index = at.index(characters.len());
        characters[index] = with.chars().next().unwrap();
        let damaged: String = characters.into_iter().collect();
        prop_assert_eq!(normalize(&damaged).is_ok(), serde_json::from_str::<IgnoredAny>(&damaged).is_ok(), "{}", damaged);
    }

    #[test]
    fn plain_bytes_end_at_first_special_one(plain in "[ !#\\[\\]~\x7fü😀]{0,20}", special in r#"["\\\x00-\x1f]"#, rest in ".{0,20}") {
        prop_assert_eq!(plain_bytes(plain.as_bytes()), plain.len());
        prop_assert_eq!(plain_bytes(format!("{plain}{special}{rest}").as_bytes()), plain.len());
    }

    #[test]
    fn first_value_is_normal_and_ends_where_rest_begins(first in json(), rest in r#"[ ,\]}]{0,3}[a-z1]{0,3}"#) {
        // In an array, because a number would go on.
        let first = format!("[{first}]");
        let both = format!("{first}{rest}");
        let (normal, end) = normalize_first(&both).unwrap();
        prop_assert_eq!(normal, normalize(&first).unwrap());
        prop_assert_eq!(&both[end..], rest);
    }
}
