//! The site: its pages, its products, and its traffic sources.

/// A product. Prices are in cents.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) category: &'static str,
    pub(super) cents: u32,
    /// Weight of its views.
    pub(super) weight: u32,
}

const fn product(id: &'static str, name: &'static str, category: &'static str, cents: u32, weight: u32) -> Product {
    Product {
        id,
        name,
        category,
        cents,
        weight,
    }
}

pub(super) static PRODUCTS: [Product; 12] = [
    product("trail-runner", "Trail Runner", "shoes", 12_990, 20),
    product("road-racer", "Road Racer", "shoes", 15_950, 14),
    product("city-walker", "City Walker", "shoes", 8_990, 11),
    product("wool-socks", "Wool Socks", "accessories", 1_490, 12),
    product("rain-jacket", "Rain Jacket", "clothing", 18_900, 9),
    product("running-shirt", "Running Shirt", "clothing", 3_990, 10),
    product("running-shorts", "Running Shorts", "clothing", 4_490, 8),
    product("head-lamp", "Head Lamp", "accessories", 5_995, 6),
    product("water-bottle", "Water Bottle", "accessories", 1_995, 7),
    product("hydration-vest", "Hydration Vest", "accessories", 9_900, 4),
    product("gps-watch", "GPS Watch", "electronics", 34_900, 6),
    product("heart-rate-strap", "Heart Rate Strap", "electronics", 6_990, 3),
];

pub(super) static CATEGORIES: [&str; 4] = ["shoes", "clothing", "accessories", "electronics"];

pub(super) static ARTICLES: [(&str, &str); 5] = [
    ("how-to-choose-running-shoes", "How to choose running shoes"),
    ("first-marathon", "Your first marathon"),
    ("running-in-the-rain", "Running in the rain"),
    ("recovery-after-a-long-run", "Recovery after a long run"),
    ("heart-rate-zones", "Heart rate zones explained"),
];

/// Pages where a session may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    Home,
    Category,
    Product,
    Article,
}

/// A traffic source.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) weight: u32,
    pub(super) referrer: Option<&'static str>,
    /// What the link adds to the URL.
    pub(super) query: &'static str,
    pub(super) landing: Landing,
}

const fn way(weight: u32, referrer: Option<&'static str>, query: &'static str, landing: Landing) -> Entrance {
    Entrance {
        weight,
        referrer,
        query,
        landing,
    }
}

pub(super) static ENTRANCES: [Entrance; 19] = [
    way(22, None, "", Landing::Home),
    way(18, Some("https://www.google.com/"), "", Landing::Product),
    way(12, Some("https://www.google.com/"), "", Landing::Article),
    way(3, Some("https://www.bing.com/"), "", Landing::Category),
    way(3, Some("https://duckduckgo.com/"), "", Landing::Article),
    way(
        7,
        Some("https://www.google.com/"),
        "?utm_source=google&utm_medium=cpc&utm_campaign=autumn-shoes&gclid=EAIaIQ",
        Landing::Product,
    ),
    way(
        3,
        Some("https://www.google.com/"),
        "?utm_source=google&utm_medium=cpc&utm_campaign=brand&utm_term=demo+shop",
        Landing::Home,
    ),
    way(
        4,
        Some("https://www.facebook.com/"),
        "?utm_source=facebook&utm_medium=paid_social&utm_campaign=autumn-shoes&utm_content=video-a",
        Landing::Category,
    ),
    way(3, Some("https://www.instagram.com/"), "", Landing::Product),
    way(2, Some("https://www.reddit.com/r/running/"), "", Landing::Article),
    way(1, Some("https://t.co/abc123"), "", Landing::Article),
    way(2, Some("https://www.youtube.com/"), "", Landing::Product),
    way(
        3,
        Some("https://chatgpt.com/"),
        "?utm_source=chatgpt.com",
        Landing::Article,
    ),
    way(
        7,
        None,
        "?utm_source=newsletter&utm_medium=email&utm_campaign=weekly",
        Landing::Category,
    ),
    way(2, Some("https://mail.google.com/"), "", Landing::Home),
    way(2, Some("https://runnersblog.example/best-shoes"), "", Landing::Product),
    way(
        2,
        None,
        "?utm_source=partner&utm_medium=affiliate&utm_campaign=spring",
        Landing::Product,
    ),
    way(1, Some("https://github.com/awesome/running"), "", Landing::Home),
    way(
        1,
        None,
        "?utm_source=app&utm_medium=push&utm_campaign=restock",
        Landing::Product,
    ),
];
