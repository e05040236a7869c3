//! `GET /api/v1/openapi.json`: the OpenAPI 3.1 document, from the handlers and their types. The names of metrics and
//! dimensions come from the vocabulary.

use axum::response::Response;
use utoipa::openapi::schema::{ArrayItems, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};

use super::{exports, funnel, json_reply, lists, live, meta, query, realtime, retention, sql};
use crate::problem::{self, Problem};
use crate::report::{Direction, OrderBy, ReportReply, ReportRequest};
use crate::vocabulary::METRICS;

#[derive(OpenApi)]
#[openapi(
    info(title = "Footfall", description = "Reports over HTTP and JSON. Every number comes from Flight SQL, by the caller's own token."),
    paths(
        query::query, exports::exports, sql::sql, meta::meta, realtime::realtime, live::stream, funnel::analysis, retention::retention,
        lists::sessions, lists::visitor
    ),
    components(schemas(
        ReportRequest, OrderBy, Direction, ReportReply, problem::Body, sql::SqlRequest, realtime::Realtime, realtime::Page,
        funnel::Analysis, funnel::Progress, funnel::Group, funnel::Step
    )),
    security(("token" = [])),
    modifiers(&Bearer, &Names),
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
    }
}

pub(super) async fn openapi() -> Result<Response, Problem> {
    let document = serde_json::to_vec(&Api::openapi()).map_err(|error| Problem::internal(&error))?;
    Ok(json_reply(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_has_every_path_and_the_metrics() {
        let document = serde_json::to_value(Api::openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["paths"].as_object().unwrap().len(), 10);
        let metrics = &document["components"]["schemas"]["ReportRequest"]["properties"]["metrics"];
        assert_eq!(metrics["items"]["enum"].as_array().unwrap().len(), METRICS.len());
        let parameters = document["paths"]["/api/v1/retention"]["get"]["parameters"]
            .as_array()
            .unwrap();
        for parameter in parameters {
            assert_eq!(parameter["in"], "query", "{parameter}");
            assert_eq!(parameter["required"], parameter["name"] == "tracking_id", "{parameter}");
        }
    }
}
