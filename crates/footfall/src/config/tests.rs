use std::path::Path;

use footfall_ingest::collect::AddressHeader;
use footfall_model::hash::DedupeBy;

use super::load::{ConfigError, settings_of};
use super::*;

fn env(variables: &[(&str, &str)]) -> Vec<Setting> {
    settings_of(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("footfall.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources {
        file: Some(path),
        ..Sources::default()
    };
    sources.load().map_err(|error| without_folder(&error, folder.path()))
}

fn from_env(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let sources = Sources {
        env: env(variables),
        ..Sources::default()
    };
    sources.load()
}

fn without_folder(error: &ConfigError, folder: &Path) -> ConfigError {
    ConfigError::Invalid(error.to_string().replace(&format!("{}/", folder.display()), ""))
}

fn message(loaded: Result<Config, ConfigError>) -> String {
    loaded.expect_err("the configuration should be refused").to_string()
}

#[test]
fn empty_configuration_is_the_defaults() {
    assert_eq!(Sources::default().load(), Ok(Config::default()));
}

#[test]
fn sources_override_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.toml");
    std::fs::write(
        &path,
        "data = 'file'\n[http]\naddr = '1.1.1.1:1'\n[flight]\naddr = '1.1.1.1:1'\n[query]\nconcurrency = 7\n",
    )
    .unwrap();
    let config = Sources {
        defaults: vec![Setting::preset("data", "default"), Setting::preset("log.level", "warn")],
        file: Some(path),
        env: env(&[
            ("FOOTFALL_HTTP__ADDR", "2.2.2.2:2"),
            ("FOOTFALL_FLIGHT__ADDR", "2.2.2.2:2"),
        ]),
        flags: vec![Setting::flag("--flight", "flight.addr", "3.3.3.3:3")],
    }
    .load()
    .unwrap();
    assert_eq!(config.log.level, "warn");
    assert_eq!(config.data, "file");
    assert_eq!(config.query.concurrency, 7);
    assert_eq!(config.http.addr.to_string(), "2.2.2.2:2");
    assert_eq!(config.flight.addr.to_string(), "3.3.3.3:3");
}

#[test]
fn unknown_key_error_names_source() {
    let file = message(from_file("[http]\nadr = '127.0.0.1:80'\n"));
    assert_eq!(file, "file footfall.toml: unknown key http.adr; known here: addr");
    let env = message(from_env(&[("FOOTFALL_HTTP__ADR", "127.0.0.1:80")]));
    assert_eq!(
        env,
        "environment variable FOOTFALL_HTTP__ADR: unknown key http.adr; known here: addr"
    );
    assert!(message(from_file("dta = 'x'")).starts_with("file footfall.toml: unknown key dta; known here: data, "));
}

#[test]
fn bad_value_error_names_key_and_source() {
    for (text, expected) in [
        (
            "http.addr = 'here'",
            "file footfall.toml: http.addr: invalid socket address syntax",
        ),
        (
            "wal.segment_bytes = '1 banana'",
            "file footfall.toml: wal.segment_bytes is string \"1 banana\"; expected a size such as \"64MiB\" or a number of bytes",
        ),
        (
            "query.timeout = 'soon'",
            "file footfall.toml: query.timeout is string \"soon\"; expected a duration such as \"2s\", \"250ms\" or \"90d\"",
        ),
        (
            "roles = ['ingest', 'cook']",
            "file footfall.toml: roles: \"cook\" is not a role; expected all, or a list of ingest, query, compact, gateway",
        ),
        (
            "log.format = 'xml'",
            "file footfall.toml: log.format is \"xml\"; expected text or json",
        ),
    ] {
        assert_eq!(message(from_file(text)), expected);
    }
    let flag = Sources {
        flags: vec![Setting::flag("--roles", "roles", "")],
        ..Sources::default()
    };
    assert_eq!(
        message(flag.load()),
        "flag --roles: roles: \"\" is not a role; expected all, or a list of ingest, query, compact, gateway"
    );
    assert!(message(from_file("data = 'gs://bucket'")).contains("only local folders and s3://bucket/prefix"));
}

#[test]
fn proxies_and_dedupe_by_are_read_from_file_and_variables() {
    let file = from_file(
        "[ingest]\ndedupe_by = 'key'\naddress_header = 'CF-Connecting-IP'\ntrusted_proxies = ['10.0.0.0/8', '::1']",
    );
    let env = from_env(&[
        ("FOOTFALL_INGEST__DEDUPE_BY", "key"),
        ("FOOTFALL_INGEST__ADDRESS_HEADER", "cf-connecting-ip"),
        ("FOOTFALL_INGEST__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
    ]);
    for config in [file.unwrap(), env.unwrap()] {
        let options = config.ingest.collect();
        assert_eq!(options.dedupe_by, DedupeBy::Key);
        assert_eq!(options.trusted_proxies.header, AddressHeader::CfConnectingIp);
        let networks = ["10.0.0.0/8", "::1"].map(|network| network.parse().unwrap());
        assert_eq!(options.trusted_proxies.networks, networks);
        assert_eq!(from_file(&config.to_toml().unwrap()).unwrap().ingest, config.ingest);
    }
    for (setting, expected) in [
        ("ingest.dedupe_by = 'time'", "expected content or key"),
        (
            "ingest.address_header = 'via'",
            "x-forwarded-for, forwarded, x-real-ip, cf-connecting-ip",
        ),
        ("ingest.trusted_proxies = ['proxy']", "a network as 10.0.0.0/8"),
    ] {
        let text = message(from_file(setting));
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn unworkable_limit_is_refused() {
    for setting in [
        "query.concurrency = 0",
        "gateway.burst = 0",
        "wal.queue_bytes = '0MiB'",
        "query.timeout = '0s'",
        "ingest.batch_events = 0",
    ] {
        let key = setting.split_once(' ').unwrap().0;
        let expected = format!("file footfall.toml: {key}: it is zero; expected more, or leave it out for the default");
        assert_eq!(message(from_file(setting)), expected);
    }
    let env = message(from_env(&[("FOOTFALL_QUERY__PARTITIONS", "0")]));
    assert!(
        env.starts_with("environment variable FOOTFALL_QUERY__PARTITIONS: query.partitions: it is zero"),
        "{env}"
    );
}

#[test]
fn invalid_toml_error_names_line() {
    let text = message(from_file("data = 'x'\n[http\n"));
    assert!(text.contains("line 2"), "{text}");
}

#[test]
fn named_file_must_exist() {
    let sources = Sources {
        file: Some("nowhere.toml".into()),
        ..Sources::default()
    };
    assert_eq!(sources.load(), Err(ConfigError::NoFile("nowhere.toml".into())));
}

#[test]
fn variables_parse_as_the_settings_type() {
    let config = from_env(&[
        ("FOOTFALL_S3__ACCESS_KEY_ID", "12345678"),
        ("FOOTFALL_S3__ALLOW_HTTP", "true"),
        ("FOOTFALL_S3__REGION", "true"),
        ("FOOTFALL_ROLES", "query"),
        ("FOOTFALL_QUERY__CONCURRENCY", "3"),
        ("FOOTFALL_QUERY__MEMORY_BYTES", "512MiB"),
        ("FOOTFALL_INGEST__TRUST_FORWARDED_FOR", "2"),
        ("FOOTFALL_INGEST__FLUSH_INTERVAL", "500ms"),
    ])
    .unwrap();
    assert_eq!(config.s3.access_key_id.as_ref().map(Masked::expose), Some("12345678"));
    assert!(config.s3.allow_http);
    assert_eq!(config.s3.region.as_deref(), Some("true"));
    assert!(config.roles.query() && !config.roles.ingest());
    assert_eq!(config.query.concurrency, 3);
    assert_eq!(config.query.memory_bytes, ByteSize::mib(512));
    assert_eq!(config.ingest.trust_forwarded_for, Hops(2));
    assert_eq!(config.ingest.flush_interval, Span(Duration::from_millis(500)));
}

#[test]
fn unrelated_variables_are_ignored() {
    let config = from_env(&[
        ("FOOTFALL_TOKEN", "ffp_secret"),
        ("FOOTFALL_SERVICE_HOST", "10.0.0.1"),
        ("FOOTFALL_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("HOME", "/"),
    ]);
    assert_eq!(config, Ok(Config::default()));
}

#[test]
fn printed_configuration_round_trips() {
    let config = from_file(
        "data = 's3://b/p'\nroles = ['ingest']\n[s3]\nregion = 'eu'\n[wal]\nsegment_bytes = 1000\n[log]\nformat = 'json'\n\
         [ingest]\nretention = '90min'\ntrust_forwarded_for = true\nflush_interval = '1500ms'\n",
    )
    .unwrap();
    let read_back = from_file(&config.to_toml().unwrap()).unwrap();
    let effective = Config {
        state: Some("./footfall-state".into()),
        ..config
    };
    assert_eq!(read_back, effective);
}

#[test]
fn secrets_are_masked() {
    let config = from_file("[s3]\naccess_key_id = 'AKIA'\nsecret_access_key = 'hunter2'\n").unwrap();
    let printed = config.to_toml().unwrap();
    assert!(printed.contains("secret_access_key = \"***\"") && !printed.contains("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2") && !format!("{config:?}").contains("AKIA"));
    assert_eq!(config.s3.options().secret_access_key.as_deref(), Some("hunter2"));
    assert_eq!(
        message(from_file(&printed)),
        "file footfall.toml: s3.access_key_id: it is masked; put the secret itself, or take the key out"
    );
}

#[test]
fn state_folder_defaults_beside_local_lake() {
    let state = |text: &str| from_file(text).unwrap().state_dir();
    assert_eq!(state(""), Path::new("./footfall-data/state"));
    assert_eq!(state("data = '/lake'"), Path::new("/lake/state"));
    assert_eq!(state("data = 's3://bucket'"), Path::new("./footfall-state"));
    assert_eq!(
        state("data = 's3://bucket'\nstate = '/var/lib/footfall'"),
        Path::new("/var/lib/footfall")
    );
}

#[test]
fn sizes_and_durations_are_parsed() {
    for (text, bytes) in [
        ("64MiB", 64 << 20),
        ("64 mib", 64 << 20),
        ("10kB", 10_000),
        ("7", 7),
        ("7B", 7),
    ] {
        let config = from_file(&format!("wal.segment_bytes = '{text}'")).unwrap();
        assert_eq!(config.wal.segment_bytes, ByteSize(bytes), "{text}");
    }
    for text in ["", "MiB", "-1", "1.5GiB", "99999999999GiB"] {
        assert!(from_file(&format!("wal.segment_bytes = '{text}'")).is_err(), "{text}");
    }
    assert_eq!(Span(Duration::from_secs(90)).to_string(), "90s");
    assert_eq!(Span(Duration::from_hours(24 * 396)).to_string(), "396d");
}
