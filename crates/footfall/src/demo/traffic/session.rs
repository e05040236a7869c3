//! One visit: a random walk over the site's graph, with the events on its pages.
//!
//! Purchase follows checkout, checkout follows cart, and cart follows product view: the funnel of every session
//! narrows.

use chrono::{DateTime, SecondsFormat};
use footfall_model::clock::Micros;
use rand::{Rng, RngExt};
use serde::{Serialize, Serializer};

use super::catalogue::{ARTICLES, CATEGORIES, ENTRANCES, Entrance, Landing, PRODUCTS, Product};
use super::people::{Visitor, pick};
use super::{HOME, SITE};

const SECOND: Micros = 1_000_000;

/// Maximum length of a session.
const MAX_HITS: usize = 40;

/// One event, in its JSON form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Hit {
    /// The `User-Agent` of its request.
    #[serde(skip)]
    pub(crate) agent: &'static str,
    #[serde(rename = "timestamp", serialize_with = "rfc3339")]
    pub(crate) at: Micros,
    pub(crate) tracking_id: &'static str,
    pub(crate) event_id: String,
    pub(crate) client_id: String,
    pub(crate) session_id: String,
    pub(crate) event_type: &'static str,
    pub(crate) page: Page,
    user: User,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revenue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_properties: Option<Properties>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Page {
    pub(crate) url: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<String>,
}

/// Device, browser and system are left to the server, which derives them from the `User-Agent`. The sender's address
/// is this machine's, so the event has an explicit country.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    country: &'static str,
    city: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Properties {
    product_id: &'static str,
    category: &'static str,
    price: f64,
}

fn rfc3339<S: Serializer>(at: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    let time = DateTime::from_timestamp_micros(*at).unwrap_or_default();
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// A node of the graph.
#[derive(Debug, Clone, Copy)]
enum Node {
    Home,
    Category(usize),
    Product(usize),
    Article(usize),
    Cart,
    Checkout,
    Thanks,
}

/// A visit under way.
struct RandomWalk<'a> {
    visitor: &'a Visitor,
    session_id: String,
    at: Micros,
    /// The referrer: first another site, then the previous page.
    referrer: Option<String>,
    /// What the link added to the first page's URL.
    query: &'static str,
    cart: Vec<&'static Product>,
    hits: Vec<Hit>,
}

/// The events of a visit in order of time, from `start` on, still without event ids.
pub(super) fn generate(rng: &mut impl Rng, visitor: &Visitor, start: Micros) -> Vec<Hit> {
    let start = start - start.rem_euclid(1_000);
    let mut walk = RandomWalk {
        visitor,
        session_id: format!("{}_{start}", visitor.client_id),
        at: start,
        referrer: None,
        query: "",
        cart: Vec::new(),
        hits: Vec::new(),
    };
    if visitor.is_bot {
        walk.crawl(rng);
    } else {
        let entrance = &ENTRANCES[pick(rng, &ENTRANCES, |way| way.weight)];
        walk.visit(rng, entrance);
    }
    walk.hits
}

impl RandomWalk<'_> {
    fn visit(&mut self, rng: &mut impl Rng, entrance: &Entrance) {
        self.referrer = entrance.referrer.map(str::to_owned);
        self.query = entrance.query;
        let mut node = match entrance.landing {
            Landing::Home => Node::Home,
            Landing::Category => category(rng),
            Landing::Product => product(rng),
            Landing::Article => article(rng),
        };
        loop {
            self.view(node);
            if self.hits.len() >= MAX_HITS {
                return;
            }
            match self.act(rng, node) {
                Some(next) => node = next,
                None => return,
            }
            // Most pages are left within a minute, some are read.
            let seconds = if rng.random_bool(0.1) { 60..600 } else { 3..60 };
            self.pause(rng, seconds);
        }
    }

    /// Every page of a part of the site, at a machine's pace.
    fn crawl(&mut self, rng: &mut impl Rng) {
        for _ in 0..rng.random_range(6..20) {
            let node = match rng.random_range(0..4) {
                0 => Node::Home,
                1 => category(rng),
                2 => product(rng),
                _ => article(rng),
            };
            self.view(node);
            self.referrer = None;
            self.pause(rng, 1..4);
        }
    }

    /// The events on the page, and the next page; `None`: the visit ends.
    fn act(&mut self, rng: &mut impl Rng, node: Node) -> Option<Node> {
        match node {
            Node::Home => choose(rng, &[(35, category), (25, product), (8, article)], 32),
            Node::Category(_) => choose(rng, &[(55, product), (12, category)], 33),
            Node::Article(_) => choose(rng, &[(14, product), (12, article), (8, category)], 66),
            Node::Product(number) => {
                let shown = &PRODUCTS[number];
                self.pause(rng, 1..2);
                self.happen("view_item", Some(shown));
                if !rng.random_bool(0.24) {
                    return choose(rng, &[(28, product), (17, category)], 55);
                }
                self.pause(rng, 4..50);
                self.happen("add_to_cart", Some(shown));
                self.cart.push(shown);
                choose(rng, &[(60, |_| Node::Cart), (25, product)], 15)
            }
            Node::Cart => choose(rng, &[(58, |_| Node::Checkout), (17, product)], 25),
            Node::Checkout => {
                self.pause(rng, 1..2);
                self.happen("begin_checkout", None);
                choose(rng, &[(62, |_| Node::Thanks)], 38)
            }
            Node::Thanks => {
                self.pause(rng, 1..2);
                let cents: u32 = self.cart.iter().map(|product| product.cents).sum();
                self.happen("purchase", None);
                if let Some(purchase) = self.hits.last_mut() {
                    purchase.revenue = Some(format!("{}.{:02}", cents / 100, cents % 100));
                }
                None
            }
        }
    }

    fn pause(&mut self, rng: &mut impl Rng, seconds: std::ops::Range<Micros>) {
        self.at += rng.random_range(seconds.start * 1_000..seconds.end * 1_000) * (SECOND / 1_000);
    }

    /// A page view. Its URL is the next page's referrer.
    fn view(&mut self, node: Node) {
        let (path, title) = address(node);
        let url = format!("{HOME}{path}{}", std::mem::take(&mut self.query));
        let referrer = self.referrer.replace(url.clone());
        let page = Page {
            url,
            title: format!("{title} - Demo Shop"),
            referrer,
        };
        self.push("pageview", page, None);
    }

    /// Another event on the last viewed page.
    fn happen(&mut self, event_type: &'static str, product: Option<&'static Product>) {
        if let Some(last) = self.hits.last() {
            let page = last.page.clone();
            self.push(event_type, page, product);
        }
    }

    fn push(&mut self, event_type: &'static str, page: Page, product: Option<&'static Product>) {
        self.hits.push(Hit {
            agent: self.visitor.agent,
            at: self.at,
            tracking_id: SITE,
            event_id: String::new(),
            client_id: self.visitor.client_id.clone(),
            session_id: self.session_id.clone(),
            event_type,
            page,
            user: User {
                user_id: self.visitor.user_id.clone(),
                country: self.visitor.home.country,
                city: self.visitor.home.name,
            },
            revenue: None,
            custom_properties: product.map(|product| Properties {
                product_id: product.id,
                category: product.category,
                price: f64::from(product.cents) / 100.0,
            }),
        });
    }
}

fn address(node: Node) -> (String, String) {
    match node {
        Node::Home => ("/".into(), "Home".into()),
        Node::Category(number) => {
            let name = CATEGORIES[number];
            (format!("/{name}"), format!("All {name}"))
        }
        Node::Product(number) => {
            let Product { id, name, category, .. } = &PRODUCTS[number];
            (format!("/{category}/{id}"), (*name).to_owned())
        }
        Node::Article(number) => {
            let (slug, title) = ARTICLES[number];
            (format!("/blog/{slug}"), title.to_owned())
        }
        Node::Cart => ("/cart".into(), "Your cart".into()),
        Node::Checkout => ("/checkout".into(), "Checkout".into()),
        Node::Thanks => ("/thank-you".into(), "Thank you".into()),
    }
}

fn category<R: Rng>(rng: &mut R) -> Node {
    Node::Category(rng.random_range(0..CATEGORIES.len()))
}

fn product<R: Rng>(rng: &mut R) -> Node {
    Node::Product(pick(rng, &PRODUCTS, |product| product.weight))
}

fn article<R: Rng>(rng: &mut R) -> Node {
    Node::Article(rng.random_range(0..ARTICLES.len()))
}

/// A weight and the node that it leads to.
type Way<R> = (u32, fn(&mut R) -> Node);

/// Chooses an edge by weight; `leave` is the weight of leaving the site.
fn choose<R: Rng>(rng: &mut R, ways: &[Way<R>], leave: u32) -> Option<Node> {
    let total: u32 = ways.iter().map(|(weight, _)| weight).sum();
    let mut left = rng.random_range(0..total + leave);
    for (weight, make) in ways {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return Some(make(rng)),
        }
    }
    None
}
