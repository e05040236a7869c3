//! The files that follow from declarations: of the event's fields `proto/footfall/v1/ingest.proto` and `docs/events.md`,
//! of the rollups `docs/rollups.md`. `UPDATE_GENERATED=1 cargo test -p footfall-model --test generated` writes them anew.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::path::Path;

use arrow::datatypes::{DataType, Field};
use footfall_model::field::{EventField, FieldOrigin, FieldSpec, FieldType};
use footfall_model::rollup::{Grain, Period, RollupView, UNIQUE_USERS, Visitors, views};

#[test]
fn wire_schema_matches_declaration() {
    assert_generated("proto/footfall/v1/ingest.proto", &proto());
}

#[test]
fn documentation_matches_declaration() {
    assert_generated("docs/events.md", &documentation());
}

#[test]
fn rollups_documentation_matches_declaration() {
    assert_generated("docs/rollups.md", &rollups());
}

fn assert_generated(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, text,
        "{file} differs from the declarations in crates/model/src: run with UPDATE_GENERATED=1"
    );
}

const PROTO_HEAD: &str = r#"syntax = "proto3";

// The wire and WAL schema. One `EventBatch` is at once the gRPC body, the record of the write-ahead log
// and the Kafka message.
//
// Generated from crates/model/src/field.rs: change the fields of `Event` there (see CONTRIBUTING.md).
package footfall.v1;

service IngestService {
  // Stores batches. The reply comes after the last batch is on stable storage.
  rpc Publish(stream EventBatch) returns (PublishSummary);
}

message EventBatch {
  repeated Event events = 1;
}

// One event. docs/events.md says which fields the server fills in where the client left them out.
message Event {
"#;

const PROTO_TAIL: &str = r#"}

message PublishSummary {
  uint64 accepted = 1;
  repeated Rejection rejected = 2;
  // Values that are not stored as they were sent, if the request's metadata has `x-debug-request: true`.
  repeated ChangedValue changed = 3;
}

message Rejection {
  // Index of the event in the whole stream, from 0.
  uint64 index = 1;
  string field = 2;
  string reason = 3;
}

message ChangedValue {
  // Index of the event in the whole stream, from 0.
  uint64 index = 1;
  string field = 2;
  // `cut`, `replaced`, `blanked` or `ignored`.
  string what = 3;
  // Characters before and after.
  uint64 before = 4;
  uint64 after = 5;
}
"#;

/// Fields that are on the wire, by their number there.
fn by_tag() -> Vec<(u32, &'static FieldSpec)> {
    let specs = EventField::ALL.iter().map(|field| field.spec());
    let mut tagged: Vec<_> = specs.filter_map(|spec| Some((spec.tag?, spec))).collect();
    tagged.sort_by_key(|(tag, _)| *tag);
    tagged
}

fn proto() -> String {
    let mut text = PROTO_HEAD.to_owned();
    for (tag, spec) in by_tag() {
        let optional = if spec.nullable { "optional " } else { "" };
        let proto_type = spec.field_type.proto().expect("a type of the wire");
        writeln!(text, "  // {}", spec.description).unwrap();
        if spec.field_type == FieldType::Time {
            writeln!(
                text,
                "  // UTC, microseconds since 1970-01-01; 0 is the same as absent."
            )
            .unwrap();
        }
        writeln!(text, "  {optional}{proto_type} {} = {tag};", spec.name).unwrap();
    }
    text + PROTO_TAIL
}

const DOCUMENTATION_HEAD: &str = "\
# The fields of an event

Each field of an event is a column of the table `events`. Generated from `crates/model/src/field.rs`.

- **JSON**: the path in the body of `POST /api/v1/events`; a query parameter of the beacon has the same name, or the
  column's. **gRPC**: the number in [ingest.proto](../proto/footfall/v1/ingest.proto), where the name is the column's.
  A column of an imported file has any of these names.
- **From**: *client (required)*: an event without it is rejected. *client, else server*: the server fills it in on
  arrival if the client sends none. *derived*: computed from other fields when the event is written to the lake;
  clients and imported files can't set it.
- **Most**: the longest text, in characters. A longer one is cut there; an id (`tracking_id`, `event_id`, `client_id`,
  `session_id`, `user_id`) ends in `~` and 16 digits of a hash of the whole then, so that different ids stay different.
  The whole event is bounded by `ingest.event_bytes`.

Odd text never costs the event: NUL and halves of surrogate pairs become U+FFFD, text that is nothing but white space is
absent, and so is a `country` that is not two letters.

| Column | Type | Null | JSON | gRPC | From | Most | Meaning |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

fn documentation() -> String {
    let mut text = DOCUMENTATION_HEAD.to_owned();
    for field in EventField::ALL {
        let spec = field.spec();
        let null = if spec.nullable { "yes" } else { "no" };
        let json = spec.json.map(|path| format!("`{path}`")).unwrap_or_default();
        let tag = spec.tag.map(|tag| tag.to_string()).unwrap_or_default();
        let most = spec.max_chars.map(|chars| chars.to_string()).unwrap_or_default();
        let from = match spec.origin {
            FieldOrigin::Client if spec.is_required() => "client (required)",
            FieldOrigin::Client => "client",
            FieldOrigin::ClientOrServer => "client, else server",
            FieldOrigin::Server => "server",
            FieldOrigin::Derived => "derived",
        };
        writeln!(
            text,
            "| `{}` | {} | {null} | {json} | {tag} | {from} | {most} | {} |",
            spec.name,
            spec.field_type.sql(),
            spec.description
        )
        .unwrap();
    }
    text
}

/// The results of the examples in it are those of the file: the query engine's tests run them.
const ROLLUPS_HEAD: &str = include_str!("rollups_head.md");

fn rollups() -> String {
    let mut text = ROLLUPS_HEAD.to_owned();
    for view in views() {
        let mut rows = String::new();
        if view.visitors == Visitors::OnePerRow {
            rows.push_str("visitor, ");
            rows.extend(view.rollup.ids.iter().map(|id| format!("{}, ", id.subject())));
        }
        let dimensions: Vec<_> = view.dimensions.iter().map(|name| format!("`{name}`")).collect();
        let period = period(view.period);
        let dimensions = dimensions.join(", ");
        writeln!(
            text,
            "## `{}`\n\nA row for each site, {rows}{period} and {dimensions}.\n",
            view.name
        )
        .unwrap();
        text.push_str("| Column | Type | Meaning |\n| --- | --- | --- |\n");
        for (name, kind, meaning) in columns(&view) {
            writeln!(text, "| `{name}` | {kind} | {meaning} |").unwrap();
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn period(period: Period) -> &'static str {
    match period {
        Period::Buckets(Grain::QuarterHour) => "quarter of an hour",
        Period::Buckets(Grain::Hour) => "hour",
        Period::Buckets(Grain::Day) => "day",
        Period::Week => "week",
        Period::Month => "month",
    }
}

fn columns(view: &RollupView) -> Vec<(String, String, String)> {
    let mut columns: Vec<_> = view.keys().into_iter().map(|name| key(view, name)).collect();
    if view.period == Period::Buckets(Grain::Day) {
        columns.push(("day".into(), "DATE".into(), "The same as `event_date`.".into()));
    }
    let table = view.rollup.table().unwrap();
    columns.extend(view.measures().iter().map(|measure| {
        let stored = table.table_schema().field_with_name(&measure.name).unwrap();
        (measure.name.clone(), sql_type(stored), measure.description.clone())
    }));
    let counted = match &view.visitors {
        Visitors::OnePerRow => return columns,
        Visitors::Of(rollup) => format!("Counted in `{}`.", rollup.name),
        Visitors::Events => {
            "Counted in the events themselves, which takes longer; `visitors_sketch` estimates it.".into()
        }
    };
    columns.push((
        UNIQUE_USERS.into(),
        "BIGINT".into(),
        format!("Exact number of distinct visitors of this row; not to be summed. {counted}"),
    ));
    let sessions = view.session_measures().iter();
    columns.extend(sessions.map(|m| (m.name.into(), m.sql_type.into(), m.description.into())));
    columns
}

fn key(view: &RollupView, name: &str) -> (String, String, String) {
    let column = |kind: &str, meaning: &str| (name.to_owned(), kind.to_owned(), meaning.to_owned());
    if name == view.period.column() {
        return match view.period {
            Period::Week => column("DATE", "The Monday with which the week begins."),
            Period::Month => column("DATE", "The first day of the month."),
            Period::Buckets(grain) => {
                let start = format!("Start of the {}.", period(Period::Buckets(grain)));
                column("TIMESTAMP WITH TIME ZONE", &start)
            }
        };
    }
    if let Some(id) = view.rollup.ids.iter().find(|id| id.hash_column() == name) {
        let meaning = format!(
            "`id_hash(tracking_id, {0})`: 64-bit hash of the site and the {1}; null without a `{0}`.",
            id.column(),
            id.subject()
        );
        return column("BIGINT", &meaning);
    }
    let field = EventField::ALL.iter().find(|field| field.spec().name == name);
    let spec = field.expect("a field of events").spec();
    let meaning = if name == "event_date" {
        "The day."
    } else {
        spec.description
    };
    column(spec.field_type.sql(), meaning)
}

fn sql_type(field: &Field) -> String {
    match field.data_type() {
        DataType::Int64 => "BIGINT".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Timestamp(..) => "TIMESTAMP WITH TIME ZONE".into(),
        DataType::Binary => "BYTEA".into(),
        other => other.to_string(),
    }
}
