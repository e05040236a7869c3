use std::sync::LazyLock;

use super::*;

static USER_AGENTS: LazyLock<UserAgents> = LazyLock::new(|| UserAgents::new().expect("the built-in rules compile"));

fn describe(event: &mut Event, user_agent: Option<&str>) {
    if let Some(agent) = user_agent.and_then(|text| USER_AGENTS.agent(text)) {
        agent.describe(event);
    }
}

fn described(user_agent: &str) -> Event {
    let mut event = Event::default();
    describe(&mut event, Some(user_agent));
    event
}

#[test]
fn people_use_the_browsers_that_they_know() {
    let table = [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Chrome",
            "Windows",
            "desktop",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            "Edge",
            "Windows",
            "desktop",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0",
            "Opera",
            "Windows",
            "desktop",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
            "Safari",
            "Mac OS X",
            "desktop",
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            "Firefox",
            "Ubuntu",
            "desktop",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Chrome",
            "Linux",
            "desktop",
        ),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Chrome",
            "Chrome OS",
            "desktop",
        ),
        (
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)",
            "IE",
            "Windows",
            "desktop",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari",
            "iOS",
            "mobile",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
            "Chrome",
            "iOS",
            "mobile",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
            "Firefox",
            "iOS",
            "mobile",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
            "Safari (in-app)",
            "iOS",
            "mobile",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1",
            "Safari",
            "iOS",
            "tablet",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome",
            "Android",
            "mobile",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Chrome",
            "Android",
            "tablet",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
            "Samsung Internet",
            "Android",
            "mobile",
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/110.6.7 like Chrome/110.0.5481.212 Safari/537.36",
            "Amazon Silk",
            "Android",
            "tablet",
        ),
        (
            "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
            "Firefox",
            "Android",
            "mobile",
        ),
        (
            "Mozilla/5.0 (Android 14; Tablet; rv:127.0) Gecko/127.0 Firefox/127.0",
            "Firefox",
            "Android",
            "tablet",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; Pixel 7; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36",
            "Android WebView",
            "Android",
            "mobile",
        ),
        (
            "Mozilla/5.0 (Linux; Android 4.2.2; CUBOT C9+ Build/JDQ39) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/31.0.1650.59 Mobile Safari/537.36",
            "Chrome",
            "Android",
            "mobile",
        ),
        (
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/4.0 Chrome/76.0.3809.146 TV Safari/537.36",
            "Samsung Internet",
            "Tizen",
            "other",
        ),
    ];
    for (user_agent, browser, os, device) in table {
        let event = described(user_agent);
        let found = (
            event.browser.as_deref(),
            event.os.as_deref(),
            event.device.as_deref(),
            event.is_bot,
        );
        assert_eq!(found, (Some(browser), Some(os), Some(device), false), "{user_agent}");
    }
}

#[test]
fn robots_are_flagged() {
    let robots = [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.1; +https://openai.com/gptbot)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Perplexity-User/1.0; +https://perplexity.ai/perplexity-user)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "WhatsApp/2.23.20.0",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36 Chrome-Lighthouse",
        "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
        "Scrapy/2.11.2 (+https://scrapy.org)",
        "curl/8.5.0",
        "Wget/1.21.4",
        "python-requests/2.32.3",
        "Python/3.12 aiohttp/3.9.5",
        "Python-urllib/3.12",
        "Go-http-client/2.0",
        "Java/17.0.1",
        "axios/1.7.2",
        "node",
        "PostmanRuntime/7.39.0",
        "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.4522",
    ];
    for robot in robots {
        let event = described(robot);
        assert!(event.is_bot, "{robot}");
        assert_eq!(event.device.as_deref(), Some("other"), "{robot}");
    }
}

#[test]
fn robots_are_named_in_the_browser_column() {
    for (robot, name) in [
        (
            "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
            Some("Bytespider"),
        ),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Claude-User/1.0; +Claude-User@anthropic.com)",
            Some("Claude-User"),
        ),
        ("python-requests/2.32.3", Some("Python Requests")),
        ("python-httpx/0.27.0", Some("python-httpx")),
        ("node", Some("node")),
        ("http://example.com/bot", None),
    ] {
        let event = described(robot);
        assert!(event.is_bot, "{robot}");
        assert_eq!(event.browser.as_deref(), name, "{robot}");
    }
}

#[test]
fn apps_are_no_robots() {
    let apps = [
        ("okhttp/4.12.0", "other"),
        ("Dart/3.4 (dart:io)", "other"),
        (
            "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A.230805.001)",
            "mobile",
        ),
        ("MyApp/1 CFNetwork/1494.0.7 Darwin/23.4.0", "mobile"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 15_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 YJApp-IOS jp.co.yahoo.ipn.appli/4.86.0",
            "mobile",
        ),
        ("something nobody has heard of", "other"),
    ];
    for (app, device) in apps {
        let event = described(app);
        assert_eq!((event.is_bot, event.device.as_deref()), (false, Some(device)), "{app}");
    }
}

#[test]
fn a_server_that_speaks_for_a_visitor_is_no_robot_and_lends_it_nothing() {
    let mut event = Event {
        device: Some("mobile".into()),
        ..Event::default()
    };
    describe(&mut event, Some("python-requests/2.32.3"));
    assert_eq!(
        event,
        Event {
            device: Some("mobile".into()),
            ..Event::default()
        }
    );
}

#[test]
fn a_crawler_is_one_whatever_the_event_says() {
    let mut event = Event {
        browser: Some("Chrome".into()),
        ..Event::default()
    };
    describe(
        &mut event,
        Some("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    );
    assert!(event.is_bot);
    assert_eq!(event.browser.as_deref(), Some("Chrome"));
}

#[test]
fn without_a_user_agent_nothing_is_said_and_nothing_is_taken_back() {
    for user_agent in [None, Some(""), Some("  ")] {
        let mut event = Event {
            is_bot: true,
            ..Event::default()
        };
        describe(&mut event, user_agent);
        assert_eq!(
            event,
            Event {
                is_bot: true,
                ..Event::default()
            }
        );
    }
}

#[test]
fn what_the_client_sent_wins() {
    let mut event = Event {
        browser: Some("Kiosk".into()),
        device: Some("".into()),
        ..Event::default()
    };
    describe(
        &mut event,
        Some("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"),
    );
    assert_eq!(event.browser.as_deref(), Some("Kiosk"));
    assert_eq!(event.os.as_deref(), Some("Linux"));
    assert_eq!(event.device.as_deref(), Some("desktop"));
}

#[test]
fn a_long_user_agent_is_cut_between_characters() {
    let long = format!("{}é", "a".repeat(MAX_BYTES - 1));
    assert_eq!(cut(&long).len(), MAX_BYTES - 1);
    assert!(!described(&"curl/".repeat(100_000)).device.expect("a device").is_empty());
}

#[test]
fn a_name_from_the_user_agent_is_short_and_printable() {
    let browser = described(&format!("a\u{7}{}/1 CFNetwork/1 Darwin/23.4.0", "b".repeat(150)))
        .browser
        .expect("a browser");
    assert_eq!(browser.chars().count(), MAX_NAME);
    assert!(!browser.contains('\u{7}'));
}
