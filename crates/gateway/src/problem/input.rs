//! Bodies and query strings that don't fit: which field, where in the text, and what it may be.
//!
//! serde says it in words, which are taken apart here: "unknown field `metric`, expected one of `metrics`, …".

use std::error::Error;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Path;

use super::{Problem, most_alike, printable};

/// What serde says may repeat what the user wrote.
const MAX_TEXT: usize = 300;

/// Types of bodies that are read: JSON and SQL, whatever they are called. `curl -d` calls all that it sends a form's.
const MEDIA_TYPES: [&str; 4] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/sql",
];

/// A body's JSON.
///
/// # Errors
/// Where the text ends to be JSON; or which field is not as expected, and what it may be.
pub fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json);
    let read = read.map_err(|error| of_json(error.path(), error.inner()))?;
    json.end().map_err(|error| of_json_text(&error))?;
    Ok(read)
}

/// A value of parsed JSON as what it shall be.
///
/// # Errors
/// Which field is not as expected, and what it may be.
pub(crate) fn fit<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| of_json(error.path(), error.inner()))
}

/// The parameters of an address.
///
/// # Errors
/// Which of them is not as expected, and what it may be.
pub(crate) fn query_string<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    let error = match query {
        Ok(Query(query)) => return Ok(query),
        Err(error) => error,
    };
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(found) = cause {
        if let Some(error) = found.downcast_ref::<serde_path_to_error::Error<serde::de::value::Error>>() {
            return Err(unfit(error.path(), &error.inner().to_string(), ""));
        }
        cause = found.source();
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, short(&error.body_text())))
}

/// Whether the body is of a type that is read here, and not compressed.
///
/// # Errors
/// 415.
pub fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").trim());
    if let Some(coding) = text(CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        let detail = format!("a body in `{}` is not read here; send it as it is", printable(coding));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            .at("Content-Encoding")
            .header(ACCEPT_ENCODING, "identity"));
    }
    let Some(given) = text(CONTENT_TYPE) else {
        return Ok(());
    };
    let name = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if MEDIA_TYPES.contains(&name.as_str()) || name.ends_with("+json") {
        return Ok(());
    }
    let detail = format!("a body of the type `{}` is not read here; send JSON", printable(&name));
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
        .at("Content-Type")
        .with_allowed(MEDIA_TYPES))
}

fn of_json(path: &Path, error: &serde_json::Error) -> Problem {
    match error.classify() {
        Category::Data => {
            let text = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            match text.strip_suffix(&place) {
                Some(said) => unfit(path, said, &position(error)).with_code("invalid_json"),
                None => unfit(path, &text, "").with_code("invalid_json"),
            }
        }
        Category::Io | Category::Syntax | Category::Eof => of_json_text(error),
    }
}

fn of_json_text(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let said = text.split(" at line ").next().unwrap_or_default();
    let detail = format!("the body is not JSON: {said}{}", position(error));
    Problem::new(StatusCode::BAD_REQUEST, detail).with_code("invalid_json")
}

fn position(error: &serde_json::Error) -> String {
    format!(" (line {}, column {})", error.line(), error.column())
}

/// What serde says of the value at `path`.
fn unfit(path: &Path, said: &str, position: &str) -> Problem {
    let place = path.to_string();
    let place = if place == "." { "" } else { place.as_str() };
    let below = |name: &str| match place {
        "" => name.to_owned(),
        // A key that is there is part of the path.
        place if place == name || place.ends_with(&format!(".{name}")) => place.to_owned(),
        place => format!("{place}.{name}"),
    };
    if let Some(name) = between(said, "missing field `", "`") {
        return Problem::invalid(below(name), format!("the field `{name}` is missing{position}"));
    }
    if let Some(name) = between(said, "duplicate field `", "`") {
        return Problem::invalid(below(name), format!("the field `{name}` is given twice{position}"));
    }
    for (what, is_name) in [("unknown field", true), ("unknown variant", false)] {
        let Some((given, expected)) = said
            .strip_prefix(what)
            .and_then(|rest| rest.strip_prefix(" `"))
            .and_then(|rest| {
                rest.rsplit_once("`, expected ")
                    .or_else(|| rest.rsplit_once("`, there are no "))
            })
        else {
            continue;
        };
        let allowed: Vec<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let hint = match most_alike(given, &allowed) {
            Some(name) => format!("; did you mean `{name}`?"),
            None => String::new(),
        };
        let shown = printable(given);
        let (field, what) = match is_name {
            true if place.is_empty() => (shown.clone(), what),
            true => (short(place), what),
            false => (short(place), "unknown value"),
        };
        let problem = Problem::invalid(field, format!("{what} `{shown}`{hint}{position}"));
        return problem.with_allowed(allowed.iter().map(String::as_str));
    }
    // Some values say themselves which field they are.
    let leaf = place.rsplit('.').next().unwrap_or_default();
    let said = said
        .strip_prefix(leaf)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(said);
    let problem = Problem::new(StatusCode::BAD_REQUEST, format!("{}{position}", short(said)));
    if place.is_empty() {
        problem
    } else {
        problem.at(short(place))
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_suffix(after)
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Uri};
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[serde(rename = "metrics")]
        _metrics: Vec<String>,
        #[serde(default, rename = "order")]
        _order: Vec<Order>,
        #[serde(default, rename = "limit")]
        _limit: Option<u32>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[serde(rename = "direction")]
        _direction: Direction,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Direction {
        Asc,
        Desc,
    }

    fn shown(problem: &Problem) -> (Value, String) {
        let body = serde_json::to_value(problem).unwrap();
        (body["field"].clone(), problem.detail().to_owned())
    }

    #[test]
    fn misfit_names_field_and_alternatives() {
        for (body, field, detail) in [
            (
                r#"{"metric": []}"#,
                "metric",
                "unknown field `metric`; did you mean `metrics`? (line 1, column 9)",
            ),
            ("{}", "metrics", "the field `metrics` is missing (line 1, column 2)"),
            (
                r#"{"metrics": [1]}"#,
                "metrics[0]",
                "invalid type: integer `1`, expected a string (line 1, column 14)",
            ),
            (
                "{\"metrics\": [],\n\"order\": [{\"direction\": \"descending\"}]}",
                "order[0].direction",
                "unknown value `descending`; did you mean `desc`? (line 2, column 36)",
            ),
            (
                r#"{"metrics": [], "order": [{}]}"#,
                "order[0].direction",
                "the field `direction` is missing (line 1, column 28)",
            ),
            (
                r#"{"metrics": [], "order": [{"by": 1}]}"#,
                "order[0].by",
                "unknown field `by` (line 1, column 31)",
            ),
        ] {
            let problem = read_json::<Asked>(body.as_bytes()).unwrap_err();
            assert_eq!(shown(&problem), (json!(field), detail.to_owned()), "{body}");
            assert_eq!(problem.status(), 400);
            let parsed = fit::<Asked>(serde_json::from_str(body).unwrap()).unwrap_err();
            assert_eq!(shown(&parsed).0, json!(field), "{body}");
        }
        let unknown = read_json::<Asked>(br#"{"metric": []}"#).unwrap_err();
        let allowed = serde_json::to_value(&unknown).unwrap()["allowed"].clone();
        assert_eq!(allowed, json!(["metrics", "order", "limit"]));
    }

    #[test]
    fn malformed_text_is_refused_with_its_position() {
        for (body, detail) in [
            ("", "the body is not JSON: EOF while parsing a value (line 1, column 0)"),
            (
                "{\n  \"metrics\": [,]}",
                "the body is not JSON: expected value (line 2, column 15)",
            ),
            (
                r#"{"metrics": []} x"#,
                "the body is not JSON: trailing characters (line 1, column 17)",
            ),
        ] {
            let problem = read_json::<Asked>(body.as_bytes()).unwrap_err();
            assert_eq!(shown(&problem), (Value::Null, detail.to_owned()));
        }
        let long = format!(r#"{{"{}": 1}}"#, "x".repeat(10_000));
        assert!(read_json::<Asked>(long.as_bytes()).unwrap_err().body().len() < 1_000);
    }

    #[test]
    fn parameters_are_refused_by_name() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Parameters {
            #[serde(rename = "tracking_id")]
            _tracking_id: String,
            #[serde(rename = "limit")]
            _limit: Option<u32>,
            #[serde(rename = "direction")]
            _direction: Option<Direction>,
        }
        for (query, field, detail) in [
            ("", "tracking_id", "the field `tracking_id` is missing"),
            ("tracking_id=a&limit=x", "limit", "invalid digit found in string"),
            (
                "tracking_id=a&limits=1",
                "limits",
                "unknown field `limits`; did you mean `limit`?",
            ),
            ("tracking_id=a&direction=up", "direction", "unknown value `up`"),
            (
                "tracking_id=a&tracking_id=b",
                "tracking_id",
                "the field `tracking_id` is given twice",
            ),
        ] {
            let uri: Uri = format!("/?{query}").parse().unwrap();
            let problem = query_string(Query::<Parameters>::try_from_uri(&uri)).unwrap_err();
            assert_eq!(shown(&problem), (json!(field), detail.to_owned()), "{query}");
        }
    }

    #[test]
    fn other_media_types_are_refused() {
        let with = |name, value: &'static str| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        for fine in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/x-www-form-urlencoded",
            "text/plain;charset=UTF-8",
            "application/vnd.api+json",
        ] {
            assert!(check_media_type(&with(CONTENT_TYPE, fine)).is_ok(), "{fine}");
        }
        for odd in ["text/csv", "application/xml", "multipart/form-data; boundary=x", ""] {
            assert_eq!(
                check_media_type(&with(CONTENT_TYPE, odd)).unwrap_err().status(),
                415,
                "{odd}"
            );
        }
        assert_eq!(
            check_media_type(&with(CONTENT_ENCODING, "gzip")).unwrap_err().status(),
            415
        );
        assert!(check_media_type(&with(CONTENT_ENCODING, "identity")).is_ok());
        assert!(check_media_type(&HeaderMap::new()).is_ok());
    }
}
