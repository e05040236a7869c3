//! Segments and dashboards, from their JSON to what the catalog keeps. Both ends use it: the command line with a state
//! folder of its own, and a server.

use footfall_catalog::{CatalogError, NewSaved, Saved, SavedKind};
use footfall_gateway::{Problem, read_json};
use footfall_model::clock::{Clock, SystemClock};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::wire::TimeText;

/// The key of what they consist of.
fn content(kind: SavedKind) -> &'static str {
    match kind {
        SavedKind::Segment => "filters",
        SavedKind::Dashboard => "widgets",
    }
}

/// The JSON of a request, as in a file.
///
/// # Errors
/// It is not such an object, or has a key that is not known.
pub(crate) fn parse_saved(kind: SavedKind, json: &[u8]) -> Result<NewSaved, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Segment {
        tracking_id: String,
        name: String,
        filters: Value,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Dashboard {
        tracking_id: String,
        name: String,
        widgets: Value,
    }
    let (tracking_id, name, definition) = match kind {
        SavedKind::Segment => {
            let new: Segment = read_json(json)?;
            (new.tracking_id, new.name, new.filters)
        }
        SavedKind::Dashboard => {
            let new: Dashboard = read_json(json)?;
            (new.tracking_id, new.name, new.widgets)
        }
    };
    Ok(NewSaved {
        tracking_id,
        name,
        definition,
    })
}

/// The JSON of a request.
pub(super) fn request(kind: SavedKind, new: NewSaved) -> Value {
    let mut body = Map::new();
    body.insert("tracking_id".into(), new.tracking_id.into());
    body.insert("name".into(), new.name.into());
    body.insert(content(kind).into(), new.definition);
    body.into()
}

/// The JSON of a reply.
pub(crate) fn saved_to_json(kind: SavedKind, saved: Saved) -> serde_json::Result<Value> {
    let mut body = Map::new();
    body.insert(format!("{}_id", kind.what()), saved.id.into());
    body.insert("tracking_id".into(), saved.tracking_id.into());
    body.insert("name".into(), saved.name.into());
    body.insert(content(kind).into(), saved.definition);
    for (key, time) in [("created_at", saved.created_at), ("updated_at", saved.updated_at)] {
        body.insert(key.into(), serde_json::to_value(TimeText(time))?);
    }
    Ok(body.into())
}

/// From the JSON of a reply.
pub(super) fn from_json(kind: SavedKind, mut body: Value) -> serde_json::Result<Saved> {
    #[derive(Deserialize)]
    struct Body {
        tracking_id: String,
        name: String,
        created_at: TimeText,
        updated_at: TimeText,
    }
    let definition = body[content(kind)].take();
    let id = body[format!("{}_id", kind.what())].take();
    let body: Body = serde_json::from_value(body)?;
    Ok(Saved {
        id: serde_json::from_value(id)?,
        tracking_id: body.tracking_id,
        name: body.name,
        definition,
        created_at: body.created_at.0,
        updated_at: body.updated_at.0,
    })
}

/// The JSON of a reply that lists them.
pub(super) fn list_to_json(kind: SavedKind, all: Vec<Saved>) -> serde_json::Result<Value> {
    let all = all.into_iter().map(|saved| saved_to_json(kind, saved));
    Ok(json!({plural(kind): all.collect::<serde_json::Result<Vec<_>>>()?}))
}

/// Its part of an address, and the key of a list.
pub(super) fn plural(kind: SavedKind) -> &'static str {
    match kind {
        SavedKind::Segment => "segments",
        SavedKind::Dashboard => "dashboards",
    }
}

/// Whether reports can use it.
pub(super) fn check(kind: SavedKind, definition: &Value) -> Result<(), Problem> {
    let now = SystemClock.now();
    match kind {
        SavedKind::Segment => footfall_gateway::check_segment(definition, now),
        SavedKind::Dashboard => footfall_gateway::check_dashboard(definition, now),
    }
}

/// For a change that names another site.
pub(super) fn check_site(kind: SavedKind, known: &Saved, tracking_id: &str) -> Result<(), CatalogError> {
    if known.tracking_id == tracking_id {
        return Ok(());
    }
    Err(CatalogError::Invalid {
        field: "tracking_id",
        reason: format!(
            "a {} stays with its site; expected {:?}",
            kind.what(),
            known.tracking_id
        ),
    })
}

pub(super) fn not_found(kind: SavedKind, id: &str) -> CatalogError {
    CatalogError::NotFound {
        what: kind.what(),
        id: id.to_owned(),
    }
}
