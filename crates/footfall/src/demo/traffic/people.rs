//! Visitors: where they live and what they browse with. A visitor is a function of its number, so none is stored.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// A city where visitors live, and its winter time. Daylight saving is left out.
#[derive(Debug, PartialEq)]
pub(super) struct City {
    pub(super) country: &'static str,
    pub(super) name: &'static str,
    pub(super) offset_minutes: i16,
    weight: u32,
}

const fn city(country: &'static str, name: &'static str, offset_minutes: i16, weight: u32) -> City {
    City {
        country,
        name,
        offset_minutes,
        weight,
    }
}

static CITIES: [City; 16] = [
    city("US", "New York", -300, 16),
    city("US", "San Francisco", -480, 10),
    city("DE", "Berlin", 60, 14),
    city("DE", "Munich", 60, 6),
    city("GB", "London", 0, 10),
    city("FR", "Paris", 60, 8),
    city("IN", "Mumbai", 330, 7),
    city("NL", "Amsterdam", 60, 4),
    city("ES", "Madrid", 60, 4),
    city("CA", "Toronto", -300, 4),
    city("BR", "São Paulo", -180, 4),
    city("JP", "Tokyo", 540, 4),
    city("AU", "Sydney", 600, 3),
    city("PL", "Warsaw", 60, 3),
    city("MX", "Mexico City", -360, 2),
    city("NP", "Kathmandu", 345, 1),
];

/// Browsers and their weights.
static BROWSERS: [(u32, &str); 10] = [
    (
        24,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    (
        20,
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    ),
    (
        19,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 \
         Mobile/15E148 Safari/604.1",
    ),
    (
        9,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 \
         Safari/537.36",
    ),
    (
        8,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 \
         Safari/605.1.15",
    ),
    (
        7,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 \
         Safari/537.36 Edg/142.0.0.0",
    ),
    (
        5,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    ),
    (
        3,
        "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    ),
    (
        3,
        "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 \
         Chrome/130.0.0.0 Mobile Safari/537.36",
    ),
    (
        2,
        "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 \
         Mobile/15E148 Safari/604.1",
    ),
];

/// User agents of crawlers.
static BOTS: [(u32, &str); 4] = [
    (
        5,
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ),
    (
        3,
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    ),
    (
        2,
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    ),
    (1, "python-requests/2.32.3"),
];

/// The share of visitors that have an account.
const WITH_ACCOUNT: f64 = 0.25;

/// A visitor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Visitor {
    pub(super) client_id: String,
    pub(super) user_id: Option<String>,
    pub(super) home: &'static City,
    pub(super) agent: &'static str,
    pub(super) is_bot: bool,
}

impl Visitor {
    /// The same for the same numbers.
    pub(super) fn person(seed: u64, number: u64) -> Self {
        // Any odd number that spreads neighbours far apart; the generator does the rest.
        let mut rng = StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self {
            client_id: client_id(&mut rng),
            user_id: rng
                .random_bool(WITH_ACCOUNT)
                .then(|| format!("user_{}", 1_000 + number)),
            home: &CITIES[pick(&mut rng, &CITIES, |city| city.weight)],
            agent: BROWSERS[pick(&mut rng, &BROWSERS, |(weight, _)| *weight)].1,
            is_bot: false,
        }
    }

    /// A crawler, which is a new client each time.
    pub(super) fn bot(rng: &mut impl Rng) -> Self {
        Self {
            client_id: client_id(rng),
            user_id: None,
            home: &CITIES[1],
            agent: BOTS[pick(rng, &BOTS, |(weight, _)| *weight)].1,
            is_bot: true,
        }
    }
}

/// As tracking scripts make them.
fn client_id(rng: &mut impl Rng) -> String {
    format!("{:08x}.{:08x}", rng.random::<u32>(), rng.random::<u32>())
}

/// The index of one of `choices`, by weight.
pub(super) fn pick<T>(rng: &mut impl Rng, choices: &[T], weight: impl Fn(&T) -> u32) -> usize {
    let total: u32 = choices.iter().map(&weight).sum();
    let mut left = rng.random_range(0..total.max(1));
    for (index, choice) in choices.iter().enumerate() {
        match left.checked_sub(weight(choice)) {
            Some(rest) => left = rest,
            None => return index,
        }
    }
    0
}
