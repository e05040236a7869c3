//! Programs without a person in front of them, beyond what uap-core calls a spider.

/// Words of headless browsers, test drivers and monitors, in lower case.
const CRAWLER_WORDS: [&str; 20] = [
    "headless",
    "phantomjs",
    "slimerjs",
    "puppeteer",
    "playwright",
    "selenium",
    "webdriver",
    "jsdom",
    "chrome-lighthouse",
    "gtmetrix",
    "ptst/",
    "uptimerobot",
    "newrelicpinger",
    "datadogsynthetics",
    "facebookexternalhit",
    "meta-externalagent",
    "google-inspectiontool",
    "googleother",
    "google-read-aloud",
    "mediapartners-google",
];

/// First words of HTTP libraries and command-line tools, in lower case, without the version.
const LIBRARIES: [&str; 52] = [
    "aiohttp",
    "akka-http",
    "apache-httpclient",
    "apachebench",
    "aria2",
    "axios",
    "bun",
    "colly",
    "curl",
    "deno",
    "faraday",
    "fasthttp",
    "go-http-client",
    "go-resty",
    "google-http-java-client",
    "got",
    "grequests",
    "guzzlehttp",
    "hey",
    "http.rb",
    "httpie",
    "httpx",
    "insomnia",
    "java",
    "java-http-client",
    "jersey",
    "k6",
    "libcurl",
    "libwww-perl",
    "lua-resty-http",
    "node",
    "node-fetch",
    "node.js",
    "oha",
    "php",
    "postmanruntime",
    "pycurl",
    "python",
    "python-httpx",
    "python-requests",
    "python-urllib",
    "python-urllib3",
    "reactornetty",
    "req",
    "reqwest",
    "rest-client",
    "restsharp",
    "ruby",
    "symfony",
    "undici",
    "ureq",
    "wget",
];

/// A robot by its own words. `+http` is how crawlers give the address of their documentation; no browser does.
pub(super) fn is_crawler(user_agent: &str) -> bool {
    let lower = user_agent.to_ascii_lowercase();
    lower.contains("+http") || CRAWLER_WORDS.iter().any(|word| lower.contains(word))
}

/// Whether the User-Agent is a library's own, like `curl/8.5.0` or `Python/3.12 aiohttp/3.9`.
pub(super) fn is_library(user_agent: &str) -> bool {
    if user_agent.contains("WindowsPowerShell") || user_agent.contains("PowerShell/") {
        return true;
    }
    let end = user_agent.find(['/', ' ', '(']).unwrap_or(user_agent.len());
    let product = user_agent[..end].to_ascii_lowercase();
    LIBRARIES.contains(&product.as_str())
}
