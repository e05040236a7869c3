use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static BOTS: LazyLock<Bots> = LazyLock::new(|| Bots::compile().expect("the words compile"));

/// What a phone of this model sends, and what a bot adds to it.
fn android(model: &str, added: &str) -> String {
    format!(
        "Mozilla/5.0 (Linux; Android 13; {model}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile \
         Safari/537.36{added}"
    )
}

fn name_of(user_agent: &str) -> Option<String> {
    let bot = BOTS.find(user_agent).unwrap_or_else(|| panic!("no bot: {user_agent}"));
    bot.name
}

#[test]
fn bots_are_known_by_name_on_any_device() {
    let table = [
        (
            "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
            "Bytespider",
        ),
        (
            "Mozilla/5.0 (Linux; Android 7.0;) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)",
            "PetalBot",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 11_0 like Mac OS X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/46.0 Mobile Safari/537.36; Bytespider",
            "Bytespider",
        ),
        (
            "Mozilla/5.0 (Linux; Android 8.0; Pixel 2 Build/OPD3.170816.012; Storebot-Google/1.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/81.0 Mobile Safari/537.36",
            "Storebot-Google",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 7_0 like Mac OS X) AppleWebKit/537.51.1 (KHTML, like Gecko) Version/7.0 Mobile/11A465 Safari/9537.53 BingPreview/1.0b",
            "BingPreview",
        ),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot",
        ),
        ("Googlebot-Image/1.0", "Googlebot-Image"),
        (
            "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
            "DuckDuckBot",
        ),
        (
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "Slackbot-LinkExpanding",
        ),
        ("Screaming Frog SEO Spider/14.0", "Screaming Frog SEO Spider"),
        ("WhatsApp/2.23.20.0", "WhatsApp"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
            "HeadlessChrome",
        ),
        ("Mozilla/5.0 Moreover/5.1 (+http://www.moreover.com)", "Moreover"),
        (
            "Mozilla/5.0 (compatible; theoldreader.com; 1 subscribers)",
            "theoldreader.com",
        ),
        ("Mozilla/5.0 (compatible; Nonsuch)", "Nonsuch"),
    ];
    for (user_agent, name) in table {
        assert_eq!(name_of(user_agent).as_deref(), Some(name), "{user_agent}");
    }
}

#[test]
fn fetchers_of_ai_assistants_are_bots_with_a_name() {
    let gecko = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible;";
    for (user_agent, name) in [
        (format!("{gecko} Claude-User/1.0; +Claude-User@anthropic.com)"), "Claude-User"),
        (format!("{gecko} ClaudeBot/1.0; +claudebot@anthropic.com)"), "ClaudeBot"),
        (format!("{gecko} Claude-SearchBot/1.0; +searchbot@anthropic.com)"), "Claude-SearchBot"),
        (format!("{gecko} ChatGPT-User/1.0; +https://openai.com/bot"), "ChatGPT-User"),
        (format!("{gecko} OAI-SearchBot/1.0; +https://openai.com/searchbot"), "OAI-SearchBot"),
        (format!("{gecko} GPTBot/1.1; +https://openai.com/gptbot)"), "GPTBot"),
        (format!("{gecko} Perplexity-User/1.0; +https://perplexity.ai/perplexity-user)"), "Perplexity-User"),
        (format!("{gecko} MistralAI-User/1.0; +https://docs.mistral.ai/robots)"), "MistralAI-User"),
        (format!("{gecko} Amzn-User/0.1) Chrome/119.0.6045.214 Safari/537.36"), "Amzn-User"),
        ("DuckAssistBot/1.2; (+http://duckduckgo.com/duckassistbot.html)".to_owned(), "DuckAssistBot"),
        ("meta-externalfetcher/1.1".to_owned(), "meta-externalfetcher"),
        ("Google-NotebookLM".to_owned(), "Google-NotebookLM"),
        ("Google-Extended".to_owned(), "Google-Extended"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/132.0.0.0 Safari/537.36; Manus-User/1.0".to_owned(),
            "Manus-User",
        ),
    ] {
        assert_eq!(name_of(&user_agent).as_deref(), Some(name), "{user_agent}");
    }
}

#[test]
fn phones_whose_model_reads_like_a_bot_belong_to_people() {
    for model in [
        "CUBOT C9+ Build/JDQ39",
        "XBot_Senior",
        "M bot 54",
        "Spider 8",
        "Scan-Check 2 Build/X",
    ] {
        assert_eq!(BOTS.find(&android(model, "")), None, "{model}");
        let bot = android(model, " (compatible; Googlebot/2.1; +http://www.google.com/bot.html)");
        assert_eq!(name_of(&bot).as_deref(), Some("Googlebot"), "{model}");
        assert_eq!(
            name_of(&android(model, "; Bytespider")).as_deref(),
            Some("Bytespider"),
            "{model}"
        );
    }
    for app in [
        "mozilla/5.0 (linux; android 6.0; cubot echo) applewebkit/537.36 (khtml, like gecko) chrome/70.0 mobile safari/537.36",
        "Mozilla/5.0 (Linux; U; Android 4.2.2; es-es; CUBOT GT99 Build/JDQ39) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30",
        "Dalvik/2.1.0 (Linux; U; Android 13; CUBOT P80 Build/TP1A.220624.014)",
        "SomeApp/1.0 (brand=CUBOT; os=Android)",
    ] {
        assert_eq!(BOTS.find(app), None, "{app}");
    }
}

#[test]
fn apps_and_old_browsers_belong_to_people() {
    for user_agent in [
        "iRobot Home/6.1 CFNetwork/1494.0.7 Darwin/23.4.0",
        "ChatBot/1.2 CFNetwork/1494.0.7 Darwin/23.4.0",
        "okhttp/4.12.0",
        "Slack/396839 CFNetwork/889.9 Darwin/17.2.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Notion/3.1.0 Chrome/120.0.6099.291 Electron/28.2.6 Safari/537.36",
        "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; Banca Caboto s.p.a.; rv:11.0) like Gecko",
        "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; Embedded Web Browser from: http://bsalsa.com/)",
        "Mozilla/5.0 (compatible; Konqueror/4.5; FreeBSD) KHTML/4.5.4 (like Gecko)",
        "Mozilla/5.0 (Linux; Android 13; Pixel 7; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36 QRScanner/1.0",
        "something nobody has heard of",
        "ann@home",
        "Mozilla/4.0 (CCleaner, 5.86.9258)",
    ] {
        assert_eq!(BOTS.find(user_agent), None, "{user_agent}");
    }
}

#[test]
fn a_bot_without_a_name_has_none() {
    for user_agent in [
        "Mozilla/5.0 (compatible)",
        "Mozilla/5.0 (bang2013@example.com)",
        "Mozilla/5.0 (compatible; +http://example.com)",
        "${jndi:ldap://example.com}",
    ] {
        assert_eq!(name_of(user_agent), None, "{user_agent}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let _ = BOTS.find(&text);
    }

    #[test]
    fn text_of_the_shape_of_user_agents_is_read_without_a_panic(
        text in "((android|Android) ?[0-9.]{0,3};? ?|cubot|irobot|CUBOT|é|;|\\)|xx-yy; |compatible; ?|bot|/1|@a\\.b| - |\\+http){0,12}"
    ) {
        let _ = BOTS.find(&text);
    }
}
