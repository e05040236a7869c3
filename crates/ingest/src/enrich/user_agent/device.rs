//! The class of a device: desktop, mobile, tablet or other.

pub(super) const DESKTOP: &str = "desktop";
pub(super) const MOBILE: &str = "mobile";
pub(super) const TABLET: &str = "tablet";
/// Televisions, consoles, watches, headsets, and whatever says nothing of itself.
pub(super) const OTHER: &str = "other";

/// The class by the words of the User-Agent, first match wins, and then by the operating system (uap-core's family).
///
/// Android says `Mobile` on phones and leaves it out on tablets, as Chrome's and Mozilla's documentation of their
/// User-Agents have it. Only browsers keep to that: an app without it is taken for one on a phone.
pub(super) fn class(user_agent: &str, os: Option<&str>) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| user_agent.contains(word));
    let os = os.unwrap_or_default();
    if has(&OTHER_WORDS) || is_television(user_agent) {
        OTHER
    } else if has(&["iPad", "PlayBook", "Kindle", "Silk/"]) || (has(&["Tablet"]) && !has(&["Tablet PC"])) {
        TABLET
    } else if has(&PHONE_WORDS) {
        MOBILE
    } else if os == "Android" {
        if has(&["Mozilla/", "AppleWebKit"]) {
            TABLET
        } else {
            MOBILE
        }
    } else if matches!(
        os,
        "iOS" | "Windows Phone" | "Windows Mobile" | "BlackBerry OS" | "Symbian OS" | "KaiOS"
    ) {
        MOBILE
    } else if os.starts_with("Windows")
        || os.starts_with("Mac OS")
        || DESKTOP_SYSTEMS.contains(&os)
        || has(&DESKTOP_WORDS)
    {
        DESKTOP
    } else {
        OTHER
    }
}

const OTHER_WORDS: [&str; 14] = [
    "PlayStation",
    "PLAYSTATION",
    "Xbox",
    "Nintendo",
    "OculusBrowser",
    "Quest",
    "Watch",
    "AppleTV",
    "Apple TV",
    "tvOS",
    "CrKey",
    "Roku",
    "HbbTV",
    "QtCarBrowser",
];

const PHONE_WORDS: [&str; 12] = [
    "Mobile",
    "iPhone",
    "iPod",
    "Windows Phone",
    "IEMobile",
    "BlackBerry",
    "BB10",
    "Opera Mini",
    "Opera Mobi",
    "Symbian",
    "Nokia",
    "MIDP",
];

const DESKTOP_WORDS: [&str; 5] = ["X11", "Macintosh", "Windows NT", "Linux x86_64", "Linux i686"];

const DESKTOP_SYSTEMS: [&str; 17] = [
    "Linux",
    "Ubuntu",
    "Kubuntu",
    "Debian",
    "Fedora",
    "Red Hat",
    "CentOS",
    "SUSE",
    "Gentoo",
    "Slackware",
    "Mint",
    "Linux Mint",
    "Mageia",
    "Chrome OS",
    "FreeBSD",
    "OpenBSD",
    "Solaris",
];

fn is_television(user_agent: &str) -> bool {
    let words = [
        "SmartTV",
        "SMART-TV",
        "Smart TV",
        "SmartTv",
        "GoogleTV",
        "Android TV",
        "BRAVIA",
        "Web0S",
        "webOS.TV",
        "NetCast",
        "InettvBrowser",
        "NetTV",
        "DTV",
        "VIDAA",
        "Viera",
        " TV ",
        " TV)",
        " TV;",
    ];
    // Amazon's televisions: AFTB, AFTMM, AFTKA002...
    words.iter().any(|word| user_agent.contains(word))
        || user_agent
            .split("; AFT")
            .nth(1)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}
