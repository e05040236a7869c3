//! `GET /api/v1/openapi.json`: the OpenAPI 3.1 document, from the handlers and their types. The names of metrics and
//! dimensions come from the vocabulary.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, ObjectBuilder, OneOf, OneOfBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};

use super::format::{Escape, Format};
use super::{
    Gateway, exports, funnel, json_reply, lists, live, meta, query, realtime, retention, schemas, segments, sql,
    visitors,
};
use crate::problem;
use crate::report::{Direction, OrderBy, ReportReply, ReportRequest, dates};
use crate::vocabulary::{DIMENSIONS, METRICS, PROPERTY_PREFIX};

#[derive(OpenApi)]
#[openapi(
    info(title = "Footfall", description = "Reports over HTTP and JSON. Every number comes from Flight SQL, by the caller's own token."),
    paths(
        query::query, exports::exports, sql::sql, meta::meta, realtime::realtime, live::stream, funnel::analysis, retention::retention,
        funnel::unsaved_analysis, segments::preview, segments::unsaved_preview,
        lists::sessions, visitors::visitor
    ),
    components(schemas(
        schemas::SessionsReply, schemas::Session, schemas::Bounds, schemas::VisitorReply, schemas::RetentionReply,
        schemas::CohortReply, schemas::RowsReply, schemas::ColumnReply, schemas::MetaReply,
        ReportRequest, OrderBy, Direction, ReportReply, problem::Body, sql::SqlRequest, realtime::Realtime, realtime::Page,
        funnel::Analysis, funnel::Progress, funnel::Group, funnel::Step,
        funnel::AnalysisRequest, segments::Preview, segments::PreviewRequest
    )),
    security(("token" = [])),
    modifiers(&Bearer, &Names, &Exports),
)]
struct Api;

/// How a token is sent.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The metrics that a report may name.
struct Names;

impl Modify for Names {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let Some(RefOr::T(Schema::Object(request))) = components.schemas.get_mut("ReportRequest") else {
            return;
        };
        if let Some(RefOr::T(Schema::Array(metrics))) = request.properties.get_mut("metrics") {
            let names = METRICS.iter().map(|metric| metric.name);
            let name = ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(names))
                .build();
            metrics.items = ArrayItems::RefOrSchema(Box::new(name.into()));
        }
        if let Some(RefOr::T(Schema::Array(dimensions))) = request.properties.get_mut("dimensions") {
            let names = DIMENSIONS.iter().map(|dimension| dimension.name);
            let name = text().enum_values(Some(names));
            let key = text().pattern(Some(format!("^{}.{{1,64}}$", PROPERTY_PREFIX.replace('.', "\\."))));
            let either = OneOfBuilder::new().item(name.build()).item(key.build()).build();
            dimensions.items = ArrayItems::RefOrSchema(Box::new(Schema::OneOf(either).into()));
        }
        let words = [
            ("date_range", dates::PRESETS.as_slice(), "A range"),
            ("compare", &dates::COMPARISONS, "What it is compared with"),
        ];
        for (field, words, what) in words {
            request
                .properties
                .insert(field.into(), Schema::OneOf(word_or_bounds(words, what)).into());
        }
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// One of the words, in which `N` is a number; or two dates, or two times.
fn word_or_bounds(words: &[&str], what: &str) -> OneOf {
    let words = words.iter().filter(|word| !word.starts_with('{'));
    let words: Vec<String> = words.map(|word| word.replace("_N_", "_[1-9][0-9]{0,3}_")).collect();
    let word = text().pattern(Some(format!("^({})$", words.join("|"))));
    // A date, or a time.
    let bound = || text().pattern(Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.+)?$"));
    let bounds = ["start", "end"].into_iter().fold(ObjectBuilder::new(), |bounds, name| {
        bounds.property(name, bound()).required(name)
    });
    let bounds = bounds.additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let description =
        format!("{what}: a word, or dates, both included, or times (RFC 3339), of which the second is not.");
    OneOfBuilder::new()
        .item(word.build())
        .item(bounds.build())
        .description(Some(description))
        .build()
}

/// What an export takes: the fields of a report, of which it needs fewer and has two of its own.
struct Exports;

impl Modify for Exports {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let Some(RefOr::T(Schema::Object(report))) = components.schemas.get("ReportRequest") else {
            return;
        };
        let mut request = report.clone();
        request.description = Some("A report, all of it; or, as `report` says, something else.".into());
        request
            .properties
            .retain(|name, _| !["cursor", "explain", "totals", "limit"].contains(&name.as_str()));
        let choice = |names: &[&'static str]| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(names.to_vec()))
        };
        let report = choice(&exports::REPORTS).description(Some("`query` by default: a report as for `/api/v1/query`"));
        let format = choice(&Format::ALL.map(Format::name)).description(Some("Instead of `Accept`"));
        let escape = choice(&Escape::NAMES).description(Some("Of texts in CSV; `formulas` by default"));
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .description(Some("By default all rows"));
        let named = [
            ("report", report),
            ("format", format),
            ("escape", escape),
            ("limit", limit),
        ];
        for (name, schema) in named {
            request.properties.insert(name.into(), schema.build().into());
        }
        // Those of the other reports, as the addresses of their own endpoints have them.
        for name in ["start_date", "end_date", "cohort", "after", "funnel_id", "breakdown_by"] {
            request.properties.insert(name.into(), text().build().into());
        }
        let unbounded = ObjectBuilder::new().schema_type(Type::Boolean);
        request.properties.insert("unbounded".into(), unbounded.build().into());
        request.required = vec!["tracking_id".into()];
        components.schemas.insert("ExportRequest".into(), request.into());
    }
}

/// The group of an endpoint, and the order of groups.
const GROUPS: [(&str, &[&str]); 8] = [
    ("reports", &["query", "exports", "sql", "meta"]),
    ("now", &["realtime"]),
    ("funnels", &["funnels"]),
    ("visitors", &["retention", "sessions", "visitors"]),
    ("segments", &["segments"]),
    ("dashboards", &["dashboards"]),
    ("administration", &["sites", "tokens"]),
    ("rollups", &["rollups"]),
];

/// The first words of the paths of reports and management.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|(_, words)| words.iter().copied())
}

/// What every endpoint may answer.
fn unavailable() -> Json {
    json!({
        "description": "It can't be answered now; with `Retry-After`, where another try may help",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

/// Gives the endpoints of a document their groups, by the first word of their paths, and the reply that all have.
fn group(document: &mut Json) {
    let groups = GROUPS.iter().map(|(group, _)| json!({"name": group}));
    document["tags"] = groups.collect();
    let paths = document["paths"].as_object_mut();
    for (path, operations) in paths.into_iter().flatten() {
        let word = path
            .trim_start_matches("/api/v1/")
            .split('/')
            .next()
            .unwrap_or_default();
        let group = GROUPS.iter().find(|(_, words)| words.contains(&word));
        let tag = group.map_or(word, |(group, _)| group);
        for (_, operation) in operations.as_object_mut().into_iter().flatten() {
            operation["tags"] = json!([tag]);
            operation["responses"]["5XX"] = unavailable();
        }
    }
}

/// The document in JSON, with that of other endpoints.
///
/// # Errors
/// The other document is none, or describes the same as this one.
pub(super) fn document(others: Option<&str>) -> Result<Vec<u8>, String> {
    let wrong = |error: serde_json::Error| error.to_string();
    let mut document = serde_json::to_value(Api::openapi()).map_err(wrong)?;
    if let Some(others) = others {
        let mut others: Json = serde_json::from_str(others).map_err(wrong)?;
        for place in ["/paths", "/components/schemas"] {
            let (Some(ours), Some(theirs)) = (
                document.pointer_mut(place).and_then(Json::as_object_mut),
                others.pointer_mut(place).and_then(Json::as_object_mut),
            ) else {
                return Err(format!("there is no {place}"));
            };
            for (name, described) in std::mem::take(theirs) {
                if ours.insert(name.clone(), described).is_some() {
                    return Err(format!("{place} has {name} twice"));
                }
            }
        }
    }
    group(&mut document);
    serde_json::to_vec(&document).map_err(wrong)
}

pub(super) async fn openapi(State(gateway): State<Gateway>) -> Response {
    json_reply(gateway.document.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_has_every_path_and_the_metrics() {
        let document = serde_json::to_value(Api::openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["paths"].as_object().unwrap().len(), 13);
        let metrics = &document["components"]["schemas"]["ReportRequest"]["properties"]["metrics"];
        assert_eq!(metrics["items"]["enum"].as_array().unwrap().len(), METRICS.len());
        let parameters = document["paths"]["/api/v1/retention"]["get"]["parameters"]
            .as_array()
            .unwrap();
        for parameter in parameters {
            assert_eq!(parameter["in"], "query", "{parameter}");
            assert_eq!(parameter["required"], parameter["name"] == "tracking_id", "{parameter}");
        }
        assert!(document["components"]["schemas"]["ExportRequest"]["properties"]["format"].is_object());
    }

    #[test]
    fn other_endpoints_are_merged_once() {
        let other = r#"{"paths": {"/api/v1/x": {"get": {"responses": {}}}}, "components": {"schemas": {"X": {}}}}"#;
        let merged: Json = serde_json::from_slice(&super::document(Some(other)).unwrap()).unwrap();
        for (path, method) in [("/api/v1/x", "get"), ("/api/v1/query", "post")] {
            assert!(merged["paths"][path][method]["responses"]["5XX"].is_object(), "{path}");
        }
        for odd in [
            "",
            "{}",
            r#"{"paths": {"/api/v1/query": {}}, "components": {"schemas": {}}}"#,
        ] {
            assert!(super::document(Some(odd)).is_err(), "{odd}");
        }
    }
}
