//! Validates new sites and tokens: pure checks whose messages say what is expected. Whether a tenant or a site exists
//! is for the catalog to check.

use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::Micros;
use url::Url;

use crate::{CatalogError, MAX_FUNNELS, MAX_ROLLUPS, MAX_SAVED, NewSite, NewToken, SavedKind, SiteChange};

const MAX_TRACKING_ID: usize = 64;
const MAX_NAME: usize = 200;
const MAX_URL: usize = 2048;

/// A century.
const MAX_RETENTION_DAYS: u32 = 36_500;

const MAX_SAVED_NAME: usize = 100;

/// How much of a bad value a message repeats, in characters.
const MAX_ECHO: usize = 64;

pub(crate) fn site(site: &NewSite) -> Result<(), CatalogError> {
    if !is_tracking_id(&site.tracking_id) {
        let expected = format!("expected 1 to {MAX_TRACKING_ID} characters of A-Z a-z 0-9 . _ -");
        return Err(invalid(
            "tracking_id",
            &site.tracking_id,
            "is not a tracking id",
            &expected,
        ));
    }
    let name_length = site.name.chars().count();
    if site.name.trim().is_empty() || name_length > MAX_NAME || site.name.chars().any(char::is_control) {
        let expected = format!("expected 1 to {MAX_NAME} characters, none of them a control character");
        return Err(invalid("name", &site.name, "is not a name", &expected));
    }
    if let Some(url) = &site.url
        && !is_web_address(url)
    {
        let expected = "expected an address such as https://example.com, of at most 2048 bytes";
        return Err(invalid("url", url, "is not a web address", expected));
    }
    if site.timezone.parse::<chrono_tz::Tz>().is_err() {
        let expected = "expected an IANA name such as Europe/Berlin or UTC";
        return Err(invalid("timezone", &site.timezone, "is not a time zone", expected));
    }
    if site.currency.len() != 3 || !site.currency.bytes().all(|b| b.is_ascii_uppercase()) {
        let expected = "expected three capital letters (ISO 4217) such as EUR or USD";
        return Err(invalid("currency", &site.currency, "is not a currency", expected));
    }
    Ok(())
}

pub(crate) fn change(change: &SiteChange) -> Result<(), CatalogError> {
    if *change == SiteChange::default() {
        return Err(CatalogError::Invalid {
            field: "dedupe_by",
            reason: "is missing, and so is retention_days; expected one of them".into(),
        });
    }
    match change.retention_days.flatten() {
        Some(days) if !(1..=MAX_RETENTION_DAYS).contains(&days) => {
            let expected = format!("expected 1 to {MAX_RETENTION_DAYS} days");
            Err(invalid(
                "retention_days",
                &days.to_string(),
                "is not a time to keep events",
                &expected,
            ))
        }
        _ => Ok(()),
    }
}

/// `now`: UTC microseconds.
pub(crate) fn token(token: &NewToken, now: Micros) -> Result<(), CatalogError> {
    if token.expires_at.is_some_and(|at| at <= now) {
        return Err(CatalogError::Invalid {
            field: "expires_at",
            reason: "lies in the past; expected a time in the future, or none for a token that never expires".into(),
        });
    }
    let reason = match (token.role, &token.sites) {
        (_, SiteScope::All) => return Ok(()),
        (Role::Admin, SiteScope::Only(_)) => "an admin token covers every site; give it no list of sites",
        (_, SiteScope::Only(sites)) if sites.is_empty() => {
            "a reader or writer token needs sites; expected at least one tracking id, or all sites"
        }
        (_, SiteScope::Only(_)) => return Ok(()),
    };
    Err(CatalogError::Invalid {
        field: "sites",
        reason: reason.into(),
    })
}

pub(crate) fn is_tracking_id(text: &str) -> bool {
    (1..=MAX_TRACKING_ID).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// For a tenant that the catalog does not have.
pub(crate) fn unknown_tenant(tenant: &str) -> CatalogError {
    invalid(
        "tenant",
        tenant,
        "does not exist",
        "expected an existing tenant such as default",
    )
}

/// For a site that the catalog does not have.
pub(crate) fn unknown_site(tracking_id: &str) -> CatalogError {
    invalid(
        "sites",
        tracking_id,
        "does not exist",
        "expected tracking ids of existing sites; create the site first",
    )
}

/// For a funnel of a site that the catalog does not have.
pub(crate) fn unknown_site_of_funnel(tracking_id: &str) -> CatalogError {
    invalid(
        "tracking_id",
        tracking_id,
        "does not exist",
        "expected the tracking id of an existing site; create the site first",
    )
}

/// For a site that has as many funnels as it may have.
pub(crate) fn too_many_funnels(tracking_id: &str) -> CatalogError {
    let problem = format!("has {MAX_FUNNELS} funnels");
    invalid(
        "tracking_id",
        tracking_id,
        &problem,
        "delete one that is no longer needed",
    )
}

pub(crate) fn saved_name(name: &str) -> Result<(), CatalogError> {
    let chars = name.chars().count();
    let odd = |c: char| c.is_control() || c == ',';
    if name.trim().is_empty() || chars > MAX_SAVED_NAME || name.chars().any(odd) {
        return Err(CatalogError::Invalid {
            field: "name",
            reason: format!("expected 1 to {MAX_SAVED_NAME} characters, no comma and no control character among them"),
        });
    }
    Ok(())
}

/// For a segment or a dashboard of a site that the catalog does not have.
pub(crate) fn unknown_site_of_saved(tracking_id: &str) -> CatalogError {
    unknown_site_of_funnel(tracking_id)
}

/// For a site that has as many segments or dashboards as it may have.
pub(crate) fn too_many_saved(kind: SavedKind, tracking_id: &str) -> CatalogError {
    let problem = format!("has {MAX_SAVED} {}s", kind.what());
    let expected = "delete one that is no longer needed";
    invalid("tracking_id", tracking_id, &problem, expected)
}

/// For a rollup beyond the most that there may be.
pub(crate) fn too_many_rollups(name: &str) -> CatalogError {
    let problem = format!("is one too many: there are {MAX_ROLLUPS} rollups");
    invalid("name", name, &problem, "drop one that is no longer needed")
}

fn is_web_address(text: &str) -> bool {
    text.len() <= MAX_URL && Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn invalid(field: &'static str, value: &str, problem: &str, expected: &str) -> CatalogError {
    let mut echo: String = value.chars().take(MAX_ECHO).collect();
    if echo.len() < value.len() {
        echo.push_str("...");
    }
    CatalogError::Invalid {
        field,
        reason: format!("{echo:?} {problem}; {expected}"),
    }
}
