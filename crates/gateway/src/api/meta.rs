//! `GET /api/v1/meta`: what reports can be asked for. It is the same for everybody, and needs no token.

use axum::response::Response;
use serde_json::{Value, json};

use super::json_reply;
use crate::problem::Problem;
use crate::report::dates::{COMPARISONS, PRESETS};
use crate::report::sampling::Sampling;
use crate::report::{DEFAULT_LIMIT, MAX_LIMIT, OPERATORS};
use crate::vocabulary::{Base, DIMENSIONS, Dimension, METRICS, Metric, measure};

/// Metrics, dimensions, operators and ranges.
#[utoipa::path(
    get,
    path = "/api/v1/meta",
    security(()),
    responses((status = 200, description = "What reports can be asked for", body = super::schemas::MetaReply))
)]
pub(super) async fn meta() -> Result<Response, Problem> {
    let body = json!({
        "metrics": METRICS.iter().map(metric).collect::<Vec<_>>(),
        "dimensions": DIMENSIONS.iter().map(dimension).collect::<Vec<_>>(),
        "properties": {
            "name": "custom_properties.KEY",
            "title": "A custom property of the event",
            "type": "text",
            "of": ["events", "visitors"],
        },
        "operators": OPERATORS.map(|(name, title, operator, _)| json!({"name": name, "title": title, "type": operator.takes()})),
        "date_ranges": PRESETS.map(range),
        "comparisons": COMPARISONS.map(range),
        "sampling": [Sampling::Exact, Sampling::Sampled, Sampling::Auto],
        "limits": {"rows": MAX_LIMIT, "default_rows": DEFAULT_LIMIT},
    });
    let body = serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?;
    Ok(json_reply(body))
}

/// A word for a range, with a title for people. `N` in it is a number.
fn range(name: &str) -> Value {
    let title = match name.starts_with('{') {
        true => "from one day or time to another".to_owned(),
        false => name.replace('_', " "),
    };
    json!({"name": name, "title": title, "type": "range"})
}

fn metric(metric: &Metric) -> Value {
    let mut bases: Vec<Base> = Vec::new();
    let mut measures = serde_json::Map::new();
    for measure in metric.measures.iter().filter_map(|name| measure(name)) {
        if !bases.contains(&measure.base) {
            bases.push(measure.base);
        }
        measures.insert(measure.name.to_owned(), json!(measure.sql));
    }
    json!({
        "name": metric.name,
        "title": metric.title,
        "description": metric.description,
        "type": metric.value_type,
        "format": metric.format,
        "of": bases,
        "sql": metric.sql,
        "measures": measures,
    })
}

fn dimension(dimension: &Dimension) -> Value {
    let bases = Base::ALL.into_iter().filter(|base| dimension.has(*base));
    json!({
        "name": dimension.name,
        "title": dimension.title,
        "type": dimension.kind,
        "of": bases.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_has_a_name_a_title_and_a_type() {
        let body = meta().await.unwrap().into_body();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        for list in ["metrics", "dimensions", "operators", "date_ranges", "comparisons"] {
            let words = body[list].as_array().unwrap();
            assert!(words.len() > 2, "{list}");
            for word in words {
                let said = ["name", "title", "type"].map(|key| word[key].as_str().unwrap_or_default());
                assert!(said.iter().all(|text| !text.is_empty()), "{list}: {word}");
            }
        }
    }
}
