//! The channel of a visit: how people speak of where visitors come from.
//!
//! First match wins, in an order that follows Google Analytics 4's default channel group
//! (<https://support.google.com/analytics/answer/9756891>) and adds AI assistants. [`channel`] is that list;
//! `docs/channels.md` tells users the same.

use std::fmt;

use super::Attribution;
use super::sources::{Kind, lower};

#[cfg(test)]
mod tests;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    PaidSearch,
    PaidSocial,
    PaidVideo,
    PaidShopping,
    Display,
    PaidOther,
    OrganicShopping,
    OrganicSocial,
    OrganicVideo,
    OrganicSearch,
    AiAssistants,
    Email,
    Affiliates,
    Audio,
    Sms,
    Push,
    Referral,
    Direct,
    Unassigned,
}

impl Channel {
    /// The name as it stands in the column `channel`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PaidSearch => "Paid Search",
            Self::PaidSocial => "Paid Social",
            Self::PaidVideo => "Paid Video",
            Self::PaidShopping => "Paid Shopping",
            Self::Display => "Display",
            Self::PaidOther => "Paid Other",
            Self::OrganicShopping => "Organic Shopping",
            Self::OrganicSocial => "Organic Social",
            Self::OrganicVideo => "Organic Video",
            Self::OrganicSearch => "Organic Search",
            Self::AiAssistants => "AI Assistants",
            Self::Email => "Email",
            Self::Affiliates => "Affiliates",
            Self::Audio => "Audio",
            Self::Sms => "SMS",
            Self::Push => "Push",
            Self::Referral => "Referral",
            Self::Direct => "Direct",
            Self::Unassigned => "Unassigned",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The channel of a visit. Words of the medium count in any case.
pub fn channel(visit: &Attribution<'_>) -> Channel {
    let (name, kind) = visit
        .source
        .as_ref()
        .map_or(("", Kind::Other), |source| (&*source.name, source.kind));
    let stated = lower(visit.medium.unwrap_or_default().trim());
    let medium = match &*stated {
        "" | "(none)" | "(not set)" => medium_of_click(visit, name, kind).unwrap_or_default(),
        stated => stated,
    };

    let paid_medium = is_paid(medium);
    if paid_medium && let Some(paid) = paid_channel(kind) {
        return paid;
    }
    if matches!(medium, "display" | "banner" | "expandable" | "interstitial" | "cpm") {
        return Channel::Display;
    }
    if paid_medium {
        return Channel::PaidOther;
    }
    if let Some(unpaid) = unpaid_channel(kind, medium) {
        return unpaid;
    }
    match medium {
        "affiliate" | "affiliates" => return Channel::Affiliates,
        "audio" => return Channel::Audio,
        "sms" => return Channel::Sms,
        _ => {}
    }
    if name == "sms" {
        return Channel::Sms;
    }
    if medium.ends_with("push") || medium.contains("mobile") || medium.contains("notification") || name == "firebase" {
        return Channel::Push;
    }
    if visit.referred || matches!(medium, "referral" | "app" | "link") {
        return Channel::Referral;
    }
    if visit.source.is_none() {
        Channel::Direct
    } else {
        Channel::Unassigned
    }
}

/// What the click id says in place of a medium, if the source is a site that sells clicks. A click id survives on links
/// that are passed on by mail, so it says nothing of other sources.
fn medium_of_click(visit: &Attribution<'_>, name: &str, kind: Kind) -> Option<&'static str> {
    let id = visit.click_id?;
    let sells_clicks = paid_channel(kind).is_some() || id.sites.contains(&name);
    id.medium.filter(|_| sells_clicks)
}

/// `^(.*cp.*|ppc|retargeting|paid.*)$`
fn is_paid(medium: &str) -> bool {
    medium.contains("cp") || matches!(medium, "ppc" | "retargeting") || medium.starts_with("paid")
}

fn paid_channel(kind: Kind) -> Option<Channel> {
    match kind {
        Kind::Search => Some(Channel::PaidSearch),
        Kind::Social => Some(Channel::PaidSocial),
        Kind::Video => Some(Channel::PaidVideo),
        Kind::Shopping => Some(Channel::PaidShopping),
        Kind::Ai | Kind::Email | Kind::Payment | Kind::Other => None,
    }
}

fn unpaid_channel(kind: Kind, medium: &str) -> Option<Channel> {
    let social = [
        "social",
        "social-network",
        "social-media",
        "sm",
        "social network",
        "social media",
    ];
    if kind == Kind::Shopping {
        Some(Channel::OrganicShopping)
    } else if kind == Kind::Social || social.contains(&medium) {
        Some(Channel::OrganicSocial)
    } else if kind == Kind::Video || medium.contains("video") {
        Some(Channel::OrganicVideo)
    } else if kind == Kind::Search || medium == "organic" {
        Some(Channel::OrganicSearch)
    } else if kind == Kind::Ai {
        Some(Channel::AiAssistants)
    } else if kind == Kind::Email || matches!(medium, "email" | "e-mail" | "e_mail" | "e mail") {
        Some(Channel::Email)
    } else {
        None
    }
}
