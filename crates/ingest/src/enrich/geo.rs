//! Country and city of an address. The address is looked at and forgotten.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use footfall_model::proto::Event;
use maxminddb::{MaxMindDbError, PathElement, Reader};
use metrics::counter;

use super::{EnrichError, fill};

#[cfg(test)]
mod tests;

/// Where addresses are looked up: a database if one is configured, else the address registries' delegations.
pub struct Geo {
    database: Option<Reader<Vec<u8>>>,
}

impl Geo {
    /// Reads the database into memory.
    ///
    /// # Errors
    /// It can't be read, is damaged, or holds neither countries nor cities.
    pub(super) fn open(path: Option<PathBuf>) -> Result<Self, EnrichError> {
        let database = match path {
            Some(path) => match read(&path) {
                Ok(reader) => Some(reader),
                Err(reason) => return Err(EnrichError::GeoDatabase { path, reason }),
            },
            None => None,
        };
        Ok(Self { database })
    }

    /// Where an address is; nowhere if it is not one of the public internet.
    pub(super) fn find(&self, ip: IpAddr) -> GeoLocation<'_> {
        let ip = ip.to_canonical();
        if !is_public(ip) {
            return GeoLocation::default();
        }
        let (country, city) = self
            .database
            .as_ref()
            .map_or((None, None), |database| from_database(database, ip));
        GeoLocation {
            country: country.or_else(|| from_registries(ip)),
            city,
        }
    }
}

/// What is known of a sender's address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct GeoLocation<'a> {
    pub(super) country: Option<&'a str>,
    pub(super) city: Option<&'a str>,
}

impl GeoLocation<'_> {
    /// Fills `country` and `city` where the client left them out. A city is only given to an event of the same country:
    /// a server's address says nothing of the visitor for whom it names another one.
    pub(super) fn fill(&self, event: &mut Event) {
        fill(&mut event.country, self.country);
        if self.country.is_some() && event.country.as_deref() == self.country {
            fill(&mut event.city, self.city);
        }
    }
}

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self
            .database
            .as_ref()
            .map(|reader| reader.metadata().database_type.as_str());
        f.debug_struct("Geo").field("database", &database).finish()
    }
}

/// Registries write `EU` and `AP` for networks that lie in no one country: that is none.
fn from_registries(ip: IpAddr) -> Option<&'static str> {
    iptocc::country_code(ip).filter(|code| !matches!(*code, "EU" | "AP"))
}

/// MaxMind's and DB-IP's layout, or IPinfo's flat one.
fn from_database(database: &Reader<Vec<u8>>, ip: IpAddr) -> (Option<&str>, Option<&str>) {
    let damaged = || counter!("footfall_ingest_geo_errors_total").increment(1);
    let record = match database.lookup(ip) {
        Ok(record) => record,
        // An IPv6 address in a database of IPv4 is an error to the reader, and none to us.
        Err(MaxMindDbError::InvalidInput { .. }) => return (None, None),
        Err(_) => {
            damaged();
            return (None, None);
        }
    };
    let text = |path: &[&str]| {
        let path: Vec<PathElement<'_>> = path.iter().map(|key| PathElement::Key(key)).collect();
        record.decode_path::<&str>(&path).unwrap_or_else(|_| {
            damaged();
            None
        })
    };
    let country = text(&["country", "iso_code"]);
    (country.filter(|code| code.len() == 2), text(&["city", "names", "en"]))
}

fn read(path: &Path) -> Result<Reader<Vec<u8>>, String> {
    checked(fs::read(path).map_err(|error| error.to_string())?)
}

/// A database that is of MaxMind's format and has places. Where it is damaged the reader finds nothing.
fn checked(bytes: Vec<u8>) -> Result<Reader<Vec<u8>>, String> {
    let database = Reader::from_source(bytes).map_err(|error| error.to_string())?;
    let kind = &database.metadata().database_type;
    let lower = kind.to_ascii_lowercase();
    match ["country", "city", "enterprise", "location"]
        .iter()
        .any(|word| lower.contains(word))
    {
        true => Ok(database),
        false => Err(format!("it is of the type {kind:?}, which has no countries")),
    }
}

/// A door for the fuzz targets: an event from `ip` after the lookup in a database that may be damaged; `None` if the
/// database is refused.
#[cfg(fuzzing)]
pub fn placed(database: Vec<u8>, ip: IpAddr) -> Option<Event> {
    let database = Some(checked(database).ok()?);
    let mut event = Event::default();
    Geo { database }.find(ip).fill(&mut event);
    Some(event)
}

/// Whether an address is out on the internet. Private and reserved ones have no country, whatever a database says.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    let shared = first == 100 && (64..128).contains(&second); // carriers' NAT, RFC 6598
    let reserved = first == 0 || first >= 224;
    !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation() || shared || reserved)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // 2000::/3 is all that has been given out; 2001:db8::/32 of it is for documentation.
    let [first, second, ..] = ip.segments();
    first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0x0db8)
}
