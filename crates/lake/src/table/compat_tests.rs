use arrow::datatypes::DataType;
use deltalake_core::kernel::new_metadata;
use footfall_model::schema;
use footfall_model::table::{COMMENT, TableColumns, events};
use serde_json::json;

use super::*;

fn protocol(text: Value) -> Protocol {
    serde_json::from_value(text).unwrap()
}

fn plain() -> Protocol {
    protocol(json!({"minReaderVersion": 1, "minWriterVersion": 2}))
}

fn stored(fields: &[Field], partition: &[&str], properties: &[(&str, &str)]) -> Metadata {
    let schema = StructType::try_from_arrow(&Schema::new(fields.to_vec())).unwrap();
    new_metadata(&schema, partition, properties.iter().copied()).unwrap()
}

fn fields() -> Vec<Field> {
    schema::events()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect()
}

fn current(properties: &[(&str, &str)]) -> Metadata {
    let version = events().version().to_string();
    let mut all = vec![(SCHEMA_VERSION, version.as_str())];
    all.extend(properties);
    stored(&fields(), &["event_date"], &all)
}

#[test]
fn unsupported_features_and_versions_are_refused() {
    let check = |protocol| check(events(), &protocol, &current(&[])).map_err(|refusal| refusal.reason);
    assert_eq!(check(plain()), Ok(Fit::Exact));
    let known = json!({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["timestampNtz", "deletionVectors"],
        "writerFeatures": ["timestampNtz", "deletionVectors", "appendOnly", "invariants"]});
    assert_eq!(check(protocol(known)), Ok(Fit::Exact));
    for feature in ["rowTracking", "clustering", "somethingNew"] {
        let demanded = json!({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": [feature]});
        assert!(check(protocol(demanded)).unwrap_err().contains(feature));
    }
    let newer = json!({"minReaderVersion": 1, "minWriterVersion": 8});
    if let Ok(newer) = serde_json::from_value(newer) {
        assert!(check(newer).unwrap_err().contains("writer version 8"));
    }
}

#[test]
fn unsupported_properties_are_refused() {
    for (key, value) in [
        ("delta.enableDeletionVectors", "TRUE"),
        ("delta.columnMapping.mode", "name"),
        ("delta.appendOnly", "true"),
        ("delta.enableInCommitTimestamps", "true"),
        ("delta.constraints.positive", "revenue > 0"),
        ("delta.logRetentionDuration", "interval 59 seconds"),
        ("delta.logRetentionDuration", "interval 1 fortnight"),
        ("footfall.schemaVersion", "99"),
    ] {
        let refusal = check(events(), &plain(), &current(&[(key, value)])).unwrap_err();
        assert!(
            refusal.reason.contains(key) || refusal.reason.contains("version 99"),
            "{refusal:?}"
        );
        assert!(!refusal.advice.is_empty());
    }
    for (key, value) in [
        ("delta.enableDeletionVectors", "false"),
        ("delta.columnMapping.mode", "none"),
        ("delta.enableChangeDataFeed", "true"),
        ("delta.logRetentionDuration", "interval 30 days"),
        ("delta.logRetentionDuration", "interval 3 minutes"),
        ("delta.logRetentionDuration", "interval 2 weeks"),
        ("owner", "somebody"),
    ] {
        assert_eq!(
            check(events(), &plain(), &current(&[(key, value)])),
            Ok(Fit::Exact),
            "{key} {value}"
        );
    }
}

#[test]
fn other_columns_are_refused() {
    let with = |change: fn(&mut Vec<Field>)| {
        let mut fields = fields();
        change(&mut fields);
        let refused = check(events(), &plain(), &stored(&fields, &["event_date"], &[]));
        refused.unwrap_err().reason
    };
    assert!(with(|fields| fields.push(Field::new("mine", DataType::Utf8, true))).contains("mine"));
    assert!(with(|fields| fields[1] = Field::new("client_hash", DataType::Utf8, false)).contains("client_hash"));
    assert!(
        with(|fields| fields[0] = Field::new("tracking_id", DataType::Utf8, true)).contains("tracking_id may be null")
    );
    assert!(with(|fields| drop(fields.remove(3))).contains("no column event_id"));
    let checked = |fields: &mut Vec<Field>| {
        let rule = HashMap::from([("delta.invariants".to_owned(), "{}".to_owned())]);
        fields[4] = fields[4].clone().with_metadata(rule);
    };
    assert!(with(checked).contains("delta.invariants"));
    let unpartitioned = check(events(), &plain(), &stored(&fields(), &[], &[])).unwrap_err();
    assert!(unpartitioned.reason.contains("partitioned by"));
}

#[test]
fn older_table_gets_new_columns() {
    let columns = |names: &[(&str, bool)]| TableColumns {
        file: names
            .iter()
            .map(|(name, nullable)| {
                Field::new(*name, DataType::Utf8, *nullable)
                    .with_metadata(HashMap::from([(COMMENT.to_owned(), format!("Comment of {name}."))]))
            })
            .collect(),
        partition: Field::new("day", DataType::Date32, false),
        sort: &["tracking_id"],
        statistics: &["tracking_id"],
    };
    let spec = |version, names: &[(&str, bool)]| TableSpec::new("t", "t", version, columns(names)).unwrap();
    let old = spec(1, &[("tracking_id", false), ("session", false)]);
    let new = spec(2, &[("tracking_id", false), ("session", true), ("page", true)]);
    let fields: Vec<_> = old
        .table_schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    let metadata = stored(&fields, &["day"], &[(SCHEMA_VERSION, "1"), ("owner", "x")]);
    assert_eq!(check(&old, &plain(), &metadata), Ok(Fit::Exact));
    let Ok(Fit::Older(upgrade)) = check(&new, &plain(), &metadata) else {
        panic!("it is older");
    };
    let upgraded = upgraded(&new, &metadata, &upgrade).unwrap();
    assert_eq!(check(&new, &plain(), &upgraded), Ok(Fit::Exact));
    let text = serde_json::to_value(&upgraded).unwrap();
    assert_eq!(text["configuration"], json!({SCHEMA_VERSION: "2", "owner": "x"}));
    let schema = text["schemaString"].as_str().unwrap();
    assert!(schema.contains("Comment of page.") && !schema.contains("Comment of session."));
    assert!(
        check(&old, &plain(), &upgraded)
            .unwrap_err()
            .reason
            .contains("version 2")
    );
    let required = spec(2, &[("tracking_id", false), ("session", false), ("page", false)]);
    assert!(
        check(&required, &plain(), &metadata)
            .unwrap_err()
            .reason
            .contains("no column page")
    );
}

#[test]
fn table_without_version_is_older() {
    let metadata = stored(&fields(), &["event_date"], &[]);
    let Ok(Fit::Older(upgrade)) = check(events(), &plain(), &metadata) else {
        panic!("it is older");
    };
    let upgraded = upgraded(events(), &metadata, &upgrade).unwrap();
    assert_eq!(check(events(), &plain(), &upgraded), Ok(Fit::Exact));
}
