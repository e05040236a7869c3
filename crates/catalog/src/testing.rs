//! A clock and ids that tests control, and example sites and tokens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use footfall_funnels::{Definition, Step, Window};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::{Clock, IdGen, Micros};
use footfall_model::hash::DedupeBy;

use crate::{DEFAULT_TENANT, NewFunnel, NewSite, NewToken};

/// 2026-02-02T10:30:00Z.
pub(crate) const START: Micros = 1_770_028_200_000_000;
pub(crate) const SECOND: Micros = 1_000_000;

/// A clock that stands still until a test advances it.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START)))
    }

    pub(crate) fn set(&self, now: Micros) {
        self.0.store(now, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

/// 1, 2, 3, ...
#[derive(Debug, Default)]
pub(crate) struct CountingIds(AtomicU64);

impl IdGen for CountingIds {
    fn next_id(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

pub(crate) fn new_site(tracking_id: &str) -> NewSite {
    NewSite {
        tracking_id: tracking_id.into(),
        tenant: DEFAULT_TENANT.into(),
        name: format!("Site {tracking_id}"),
        url: Some("https://example.com/shop".into()),
        timezone: "Asia/Kathmandu".into(),
        currency: "NPR".into(),
        writer_token_required: true,
        dedupe_by: Some(DedupeBy::Key),
    }
}

pub(crate) fn new_token(role: Role, sites: SiteScope) -> NewToken {
    NewToken {
        role,
        sites,
        expires_at: None,
    }
}

pub(crate) fn only(sites: &[&str]) -> SiteScope {
    SiteScope::Only(Arc::new(
        sites.iter().map(|&site| site.to_owned()).collect::<BTreeSet<_>>(),
    ))
}

pub(crate) fn new_funnel(tracking_id: &str) -> NewFunnel {
    let step = |event_type: &str| Step {
        name: format!("Step {event_type}"),
        event_type: event_type.into(),
        filters: [("page_path".to_owned(), "/products/*".to_owned())].into(),
    };
    NewFunnel {
        tracking_id: tracking_id.into(),
        definition: Definition {
            name: "Purchase Funnel".into(),
            steps: vec![step("pageview"), step("purchase")],
            window: Window::default(),
            ..Definition::default()
        },
    }
}
