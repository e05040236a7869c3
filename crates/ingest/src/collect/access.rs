//! Whether a client may send events to a site. Pure.

use footfall_catalog::Site;
use footfall_model::access::{Principal, Role};
use footfall_model::field::EventField;

use super::reject::{Cause, Reject};

/// The client's credentials.
#[derive(Debug, Clone)]
pub(super) enum Credentials {
    None,
    /// A token that does not exist, was revoked or has expired.
    Unknown,
    Known(Principal),
}

/// Whether events of `tracking_id` may be stored. `site`: its entry in the catalog.
pub(super) fn check(tracking_id: &str, site: Option<&Site>, credentials: &Credentials) -> Result<(), Reject> {
    let reject = |cause, reason: String| Err(Reject::new(cause, EventField::TrackingId, reason));
    let Some(site) = site else {
        return reject(Cause::UnknownSite, format!("there is no site {tracking_id:?}"));
    };
    if !site.writer_token_required {
        return Ok(());
    }
    match credentials {
        Credentials::None => reject(
            Cause::Unauthenticated,
            format!("site {tracking_id:?} takes events only with a writer token: send Authorization: Bearer <token>"),
        ),
        Credentials::Unknown => reject(
            Cause::Unauthenticated,
            format!("site {tracking_id:?} takes events only with a writer token, and this token is not valid"),
        ),
        Credentials::Known(principal) if may_write(principal, tracking_id) => Ok(()),
        Credentials::Known(_) => reject(
            Cause::Forbidden,
            format!("this token may not send events to site {tracking_id:?}"),
        ),
    }
}

fn may_write(principal: &Principal, tracking_id: &str) -> bool {
    match principal.role {
        Role::Admin => true,
        Role::Writer => principal.sites.allows(tracking_id),
        Role::Reader => false,
    }
}
