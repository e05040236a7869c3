use std::net::IpAddr;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn placed(geo: &Geo, address: &str, mut event: Event) -> (Option<String>, Option<String>) {
    geo.find(ip(address)).fill(&mut event);
    (event.country, event.city)
}

fn country_of(address: &str) -> Option<String> {
    placed(&Geo::open(None).expect("no database"), address, Event::default()).0
}

/// A database of MaxMind's format that holds one IPv4 network.
struct Database {
    kind: &'static str,
    network: ([u8; 4], usize),
    record: Vec<u8>,
}

impl Database {
    fn city(country: &str, city: &str) -> Self {
        let names = map(&[("names", map(&[("en", text(city))]))]);
        let record = map(&[("city", names), ("country", map(&[("iso_code", text(country))]))]);
        Self {
            kind: "Test-City",
            network: ([81, 2, 69, 0], 24),
            record,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let (address, bits) = self.network;
        let nodes = u32::try_from(bits).expect("at most 32");
        let (empty, data) = (nodes, nodes + 16);
        let mut out = Vec::new();
        for bit in 0..bits {
            let next = u32::try_from(bit + 1).expect("at most 32");
            let inside = if next == nodes { data } else { next };
            let is_one = address[bit / 8] >> (7 - bit % 8) & 1 == 1;
            for record in if is_one { [empty, inside] } else { [inside, empty] } {
                out.extend_from_slice(&record.to_be_bytes()[1..]);
            }
        }
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&self.record);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        out.extend_from_slice(&map(&[
            ("binary_format_major_version", number(5, 2)),
            ("binary_format_minor_version", number(5, 0)),
            ("build_epoch", number(9, 0)),
            ("database_type", text(self.kind)),
            ("description", map(&[])),
            ("ip_version", number(5, 4)),
            ("languages", vec![0x00, 0x04]),
            ("node_count", number(6, nodes)),
            ("record_size", number(5, 24)),
        ]));
        out
    }

    fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("geo.mmdb");
        fs::write(&path, self.bytes()).expect("a temporary file");
        path
    }
}

/// Control byte: type in the upper three bits, size in the lower five.
fn control(kind: u8, size: usize) -> u8 {
    assert!(size < 29, "longer sizes have another form");
    kind << 5 | u8::try_from(size).expect("small")
}

fn text(value: &str) -> Vec<u8> {
    [&[control(2, value.len())], value.as_bytes()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![control(7, entries.len())];
    for (key, value) in entries {
        out.extend(text(key));
        out.extend(value);
    }
    out
}

/// Types above 7 are written as 0, their number less 7 following.
fn number(kind: u8, value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let bytes = if kind == 5 { &bytes[2..] } else { &bytes[..] };
    let head = if kind > 7 {
        vec![control(0, bytes.len()), kind - 7]
    } else {
        vec![control(kind, bytes.len())]
    };
    [head, bytes.to_vec()].concat()
}

#[test]
fn public_addresses_have_the_country_that_they_were_delegated_to() {
    assert_eq!(country_of("8.8.8.8").as_deref(), Some("US"));
    assert_eq!(country_of("193.0.6.139").as_deref(), Some("NL"));
    assert_eq!(country_of("2001:67c:2e8::1").as_deref(), Some("NL"));
    assert_eq!(country_of("::ffff:8.8.8.8").as_deref(), Some("US"));
}

#[test]
fn private_and_reserved_addresses_have_none() {
    let addresses = [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
    ];
    for address in addresses {
        assert_eq!(country_of(address), None, "{address}");
    }
}

#[test]
fn a_country_that_the_client_sent_wins() {
    let geo = Geo::open(None).expect("no database");
    let event = Event {
        country: Some("JP".into()),
        ..Event::default()
    };
    assert_eq!(placed(&geo, "8.8.8.8", event).0.as_deref(), Some("JP"));
    let event = Event {
        country: Some(" ".into()),
        ..Event::default()
    };
    assert_eq!(placed(&geo, "8.8.8.8", event).0.as_deref(), Some("US"));
}

#[test]
fn a_database_gives_country_and_city_and_the_registries_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let geo = Geo::open(Some(Database::city("GB", "Boxford").write(folder.path()))).expect("a database");
    let both = |country: &str, city: &str| (Some(country.to_owned()), Some(city.to_owned()));
    assert_eq!(placed(&geo, "81.2.69.160", Event::default()), both("GB", "Boxford"));
    assert_eq!(
        placed(&geo, "::ffff:81.2.69.160", Event::default()),
        both("GB", "Boxford")
    );
    assert_eq!(placed(&geo, "8.8.8.8", Event::default()), (Some("US".into()), None));
    assert_eq!(
        placed(&geo, "2001:67c:2e8::1", Event::default()),
        (Some("NL".into()), None)
    );
    assert_eq!(placed(&geo, "10.0.0.1", Event::default()), (None, None));
}

#[test]
fn a_city_is_not_given_to_an_event_of_another_country() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let geo = Geo::open(Some(Database::city("GB", "Boxford").write(folder.path()))).expect("a database");
    let of = |country: &str| Event {
        country: Some(country.into()),
        ..Event::default()
    };
    assert_eq!(placed(&geo, "81.2.69.160", of("US")), (Some("US".into()), None));
    assert_eq!(placed(&geo, "81.2.69.160", of("GB")).1.as_deref(), Some("Boxford"));
}

#[test]
fn a_file_that_is_no_geo_database_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = |bytes: &[u8]| {
        let path = folder.path().join("bad.mmdb");
        fs::write(&path, bytes).expect("a temporary file");
        Geo::open(Some(path))
            .map(|_| ())
            .expect_err("not a geo database")
            .to_string()
    };
    assert!(open(b"hello").contains("bad.mmdb"));
    let asn = Database {
        kind: "Test-ASN",
        ..Database::city("GB", "Boxford")
    };
    assert!(open(&asn.bytes()).contains("Test-ASN"));
    let whole = Database::city("GB", "Boxford").bytes();
    assert!(
        open(&whole[100..]).contains("extends beyond"),
        "{}",
        open(&whole[100..])
    );

    // A tree for IPv6, which the reader descends while it opens, much longer than the file.
    let index = |name: &[u8]| {
        whole
            .windows(name.len())
            .position(|window| window == name)
            .expect("there")
            + name.len()
    };
    let mut short = whole.clone();
    short[index(b"ip_version") + 2] = 6;
    short[index(b"node_count") + 2] = 0x7f;
    short[3..6].copy_from_slice(&[9, 9, 9]);
    short[..3].copy_from_slice(&[9, 9, 9]);
    assert!(open(&short).contains("extends beyond"), "{}", open(&short));

    let missing = Geo::open(Some(folder.path().join("none.mmdb")))
        .map(|_| ())
        .expect_err("no file")
        .to_string();
    assert!(
        missing.contains("none.mmdb") && missing.contains("give the path"),
        "{missing}"
    );
}

/// A tree that leads into the gap before the data: found by fuzzing.
#[test]
fn a_damaged_database_has_no_places_where_it_is_damaged() {
    let mut astray = Database::city("GB", "Boxford").bytes();
    astray[3..6].copy_from_slice(&[0, 0, 24 + 5]);
    let geo = Geo {
        database: Some(checked(astray).expect("its end is whole")),
    };
    assert_eq!(placed(&geo, "193.0.6.139", Event::default()), (Some("NL".into()), None));
    assert_eq!(
        placed(&geo, "81.2.69.160", Event::default()).1.as_deref(),
        Some("Boxford")
    );
}

/// A value beside those that are looked for that contains itself: found by fuzzing.
#[test]
fn a_database_that_points_in_circles_leads_nobody_astray() {
    let to_itself = vec![control(1, 0), 0];
    let indices = Database::city("GB", "Boxford");
    let mut record = map(&[("again", to_itself), ("city", vec![]), ("country", vec![])]);
    record.truncate(record.len() - "city".len() - "country".len() - 2);
    record.extend(&indices.record[1..]);
    let database = Database { record, ..indices };
    let geo = Geo {
        database: Some(checked(database.bytes()).expect("a database")),
    };
    let found = (Some("GB".to_owned()), Some("Boxford".to_owned()));
    assert_eq!(placed(&geo, "81.2.69.160", Event::default()), found);
}
