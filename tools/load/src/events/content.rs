//! What visitors do. Every choice is a function of the event's number.

use serde_json::value::RawValue;

use super::identity::mix;

/// What an event says beside who and when.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) kind: &'static str,
    pub(crate) url: String,
    pub(crate) title: String,
    pub(crate) referrer: Option<&'static str>,
    pub(crate) user_id: Option<String>,
    /// In cents.
    pub(crate) revenue: Option<u32>,
    pub(crate) properties: Box<RawValue>,
}

/// What visitors browse with.
pub(crate) static AGENTS: [&str; 8] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 \
     Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 \
     Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 \
     Edg/142.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 \
     Chrome/130.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];

/// Types of event and their shares of a hundred.
static KINDS: [(u64, &str); 5] = [
    (70, "pageview"),
    (18, "click"),
    (8, "scroll"),
    (3, "add_to_cart"),
    (1, "purchase"),
];

static REFERRERS: [&str; 6] = [
    "https://www.google.com/",
    "https://www.google.com/search?q=running+shoes+for+beginners",
    "https://www.bing.com/",
    "https://t.co/x7Yw2kPq",
    "https://news.example/2026/review-of-the-best-running-shoes",
    "https://www.facebook.com/",
];

static CAMPAIGNS: [&str; 4] = [
    "utm_source=google&utm_medium=cpc&utm_campaign=brand&gclid=EAIaIQobChMI5d",
    "utm_source=newsletter&utm_medium=email&utm_campaign=spring",
    "utm_source=facebook&utm_medium=social&utm_campaign=summer-sale",
    "utm_source=partner&utm_medium=affiliate&utm_campaign=review&utm_content=top",
];

static CATEGORIES: [&str; 5] = ["footwear", "shirts", "jackets", "accessories", "sale"];

const PRODUCTS: u64 = 3_000;

/// The first of `weighted` whose cumulated weight exceeds `at`, which lies below the sum of the weights.
fn pick(weighted: &[(u64, &'static str)], mut at: u64) -> &'static str {
    for (weight, value) in weighted {
        if at < *weight {
            return value;
        }
        at -= weight;
    }
    "pageview"
}

fn one_of(choices: &[&'static str], number: u64) -> &'static str {
    usize::try_from(number % choices.len() as u64).map_or("", |index| choices[index])
}

impl Content {
    /// The `number`th event's.
    pub(crate) fn new(number: u64) -> Self {
        let draw = |salt: u64| mix(number.wrapping_mul(16).wrapping_add(salt));
        let kind = pick(&KINDS, draw(0) % 100);
        // Some products are viewed far more often than others.
        let product = (draw(1) % PRODUCTS) * (draw(2) % PRODUCTS) / PRODUCTS;
        let category = one_of(&CATEGORIES, product);
        let (path, title) = match draw(3) % 10 {
            0 | 1 => ("/".to_owned(), "Example store - everything for runners".to_owned()),
            2 => (format!("/category/{category}"), format!("{category} - Example store")),
            3 => (
                "/search?q=running+shoes".to_owned(),
                "Search results - Example store".to_owned(),
            ),
            _ => (
                format!("/product/{category}-{product}"),
                format!("Model {product} from our {category} - Example store"),
            ),
        };
        let landing = draw(4) % 4 == 0;
        let campaign = (landing && draw(5) % 2 == 0).then(|| one_of(&CAMPAIGNS, draw(6)));
        let url = match campaign {
            Some(campaign) => {
                let glue = if path.contains('?') { '&' } else { '?' };
                format!("https://shop.example{path}{glue}{campaign}")
            }
            None => format!("https://shop.example{path}"),
        };
        Self {
            kind,
            url,
            title,
            referrer: landing.then(|| one_of(&REFERRERS, draw(7))),
            user_id: (draw(8) % 5 == 0).then(|| format!("user_{}", draw(9) % 50_000)),
            revenue: (kind == "purchase").then_some(999 + u32::try_from(draw(10) % 20_000).unwrap_or(0)),
            properties: properties(kind, product, category, draw(11)),
        }
    }
}

fn properties(kind: &str, product: u64, category: &str, draw: u64) -> Box<RawValue> {
    let text = match kind {
        "pageview" => format!(
            r#"{{"product_id":"prod_{product}","category":"{category}","price":{}.{:02},"viewport":"{}x{}"}}"#,
            9 + draw % 190,
            draw % 100,
            1280 + draw % 5 * 160,
            720 + draw % 3 * 180
        ),
        "scroll" => format!(r#"{{"depth":{},"seconds":{}}}"#, 25 * (1 + draw % 4), draw % 90),
        "click" => format!(
            r##"{{"selector":"#list > li:nth-child({}) a","text":"Model {product}"}}"##,
            1 + draw % 24
        ),
        _ => format!(
            r#"{{"product_id":"prod_{product}","quantity":{},"currency":"EUR"}}"#,
            1 + draw % 3
        ),
    };
    RawValue::from_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_shares_match_declaration() {
        let views = (0..10_000).filter(|&n| Content::new(n).kind == "pageview").count();
        assert!((6_800..7_200).contains(&views), "{views}");
    }

    #[test]
    fn properties_are_objects() {
        for number in 0..1_000 {
            let properties = Content::new(number).properties;
            let value: serde_json::Value = serde_json::from_str(properties.get()).unwrap();
            assert!(value.is_object(), "{properties}");
        }
    }
}
