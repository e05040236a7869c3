//! Click ids: what advertising networks append to the addresses that they link to.
//!
//! A network that marks only the clicks on its ads says by the mark that the click was paid for; one that marks every
//! link says only where the visitor came from. Which is which, by the networks' own documentation as of 2026:
//!
//! - Google Ads: auto-tagging appends `gclid`, or `wbraid` and `gbraid` on iOS, and `gad_source`, `gad_campaignid` to "any
//!   URL coming from a Google ad" (support.google.com/google-ads/answer/1752125, 13327296, 16193746); Display & Video 360
//!   and Campaign Manager 360 append `dclid` (support.google.com/displayvideo/answer/9188083). Merchant Center appends
//!   `srsltid` to free listings, too (support.google.com/merchants/answer/15191080), since 2024 to plain results.
//! - Microsoft Advertising: auto-tagging of `msclkid` (help.ads.microsoft.com/apex/index/3/en/60000).
//! - Meta appends `fbclid` to links in posts and ads alike; `igsh` and `igshid` mark what was shared from Instagram.
//! - TikTok: "whenever a user clicks on an ad" (ads.tiktok.com/help/article/tiktok-click-id). LinkedIn: "every time a user
//!   clicks on a LinkedIn ad" (learn.microsoft.com/linkedin/marketing/conversions/enabling-first-party-cookies). Pinterest:
//!   "promoted traffic" (help.pinterest.com/en/business/article/pinterest-tag-parameters-and-cookies). X:
//!   business.x.com/en/help/campaign-measurement-and-analytics. Yandex Direct: `yclid` of ads
//!   (yandex.ru/support/direct/en/statistics/url-tags); Yandex's search results carry `ysclid`. Yahoo Japan's ads have a
//!   `yclid` of their own.
//! - Reddit, Snapchat, Quora: from the settings of other analytics tools, which take these for clicks on ads. Nextdoor,
//!   Taboola, Outbrain, OpenAI, Impact, Awin, CJ, ShareASale, Rakuten: by general knowledge, no source was found.

use super::sources::lower;

#[cfg(test)]
mod tests;

/// A network's mark on a click.
#[derive(Debug, PartialEq, Eq)]
pub struct ClickId {
    /// The parameter, in lower case; in addresses in any case.
    pub parameter: &'static str,
    /// The sites that it comes from, as sources: the referrer if it is one of them, else the first.
    pub sites: &'static [&'static str],
    /// What the mark says of the medium. None: it is on unpaid clicks, too.
    pub medium: Option<&'static str>,
}

impl ClickId {
    /// The mark that a parameter of this name is.
    pub fn named(parameter: &str) -> Option<&'static Self> {
        let parameter = lower(parameter);
        CLICK_IDS.iter().find(|id| id.parameter == parameter)
    }

    /// Whether only paid clicks carry it.
    pub fn is_paid(&self) -> bool {
        self.medium.is_some()
    }
}

const CPC: Option<&str> = Some("cpc");
const DISPLAY: Option<&str> = Some("display");
const AFFILIATE: Option<&str> = Some("affiliate");
const UNPAID: Option<&str> = None;

const fn id(parameter: &'static str, sites: &'static [&'static str], medium: Option<&'static str>) -> ClickId {
    ClickId {
        parameter,
        sites,
        medium,
    }
}

/// All that are known, the frequent ones first.
static CLICK_IDS: [ClickId; 30] = [
    id("gclid", &["google", "youtube"], CPC),
    id("fbclid", &["facebook", "instagram", "threads", "messenger"], UNPAID),
    id("gad_source", &["google", "youtube"], CPC),
    id("gad_campaignid", &["google", "youtube"], CPC),
    id("gbraid", &["google", "youtube"], CPC),
    id("wbraid", &["google", "youtube"], CPC),
    id("srsltid", &["google"], UNPAID),
    id("msclkid", &["bing"], CPC),
    id("ttclid", &["tiktok"], CPC),
    id("igshid", &["instagram"], UNPAID),
    id("igsh", &["instagram"], UNPAID),
    id("li_fat_id", &["linkedin"], CPC),
    id("twclid", &["twitter"], CPC),
    id("epik", &["pinterest"], CPC),
    id("rdt_cid", &["reddit"], CPC),
    id("sccid", &["snapchat"], CPC),
    id("yclid", &["yandex", "yahoo"], CPC),
    id("ysclid", &["yandex"], UNPAID),
    id("dclid", &["display & video 360"], DISPLAY),
    id("qclid", &["quora"], CPC),
    id("ndclid", &["nextdoor"], CPC),
    id("oppref", &["chatgpt"], CPC),
    id("tblci", &["taboola"], CPC),
    id("dicbo", &["outbrain"], CPC),
    id("irclickid", &["impact"], AFFILIATE),
    id("irclid", &["impact"], AFFILIATE),
    id("awc", &["awin"], AFFILIATE),
    id("cjevent", &["cj"], AFFILIATE),
    id("sscid", &["shareasale"], AFFILIATE),
    id("ranmid", &["rakuten advertising"], AFFILIATE),
];
