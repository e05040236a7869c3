//! Whether we can read and write a table as its Delta log requires. Pure: `protocol` and `metaData` in, a reason out.
//! Requirements that we don't support are refused, never ignored.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use arrow::datatypes::{Field, Schema};
use deltalake_core::kernel::engine::arrow_conversion::{TryFromArrow, TryIntoArrow};
use deltalake_core::kernel::{Metadata, Protocol, StructType, new_metadata};
use footfall_model::clock::{DAY, Micros};
use footfall_model::table::TableSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::exclusive;

/// The table property that counts the changes of a table's columns.
pub(super) const SCHEMA_VERSION: &str = "footfall.schemaVersion";

/// The table property of [`LOG_RETENTION`].
pub(super) const LOG_RETENTION_KEY: &str = "delta.logRetentionDuration";

/// How long versions stay in the Delta log. Followers rely on it.
pub(super) const LOG_RETENTION: &str = "interval 1 days";

/// The table property of [`REMOVED_KNOWN`].
pub(super) const TOMBSTONES_KEY: &str = "delta.deletedFileRetentionDuration";

/// [`REMOVED_KNOWN`] as the property says it. Delta's default is a week: of a table with a commit every two seconds, each
/// checkpoint would carry a quarter of a million removed files.
pub(super) const TOMBSTONES: &str = "interval 2 days";

/// How long checkpoints keep the names of removed files, by which vacuum finds them without listing folders.
pub const REMOVED_KNOWN: Micros = 2 * DAY;

/// What other programs show of a table.
const DESCRIPTION: &str =
    "A table of Footfall's. Every Delta reader may read it; `footfall table unlock` lets other programs write it.";

/// The shortest retention that we accept: followers could miss versions that are kept for less.
const SHORTEST_RETENTION: Duration = Duration::from_secs(60);

/// The newest protocol that we know.
const VERSIONS: (i64, i64) = (3, 7);

/// Features that a protocol may name: we support them, or they take effect only through a property or a column's
/// metadata, which is checked.
const FEATURES: [&str; 14] = [
    "allowColumnDefaults",
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "columnMapping",
    "deletionVectors",
    "domainMetadata",
    "generatedColumns",
    "identityColumns",
    "inCommitTimestamp",
    "invariants",
    "timestampNtz",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// Properties with refused values, and why.
const PROPERTIES: [(&str, &[&str], &str); 8] = [
    (
        "delta.enableDeletionVectors",
        &["true"],
        "rows that deletion vectors hide would be counted",
    ),
    (
        "delta.columnMapping.mode",
        &["name", "id"],
        "its files use other column names",
    ),
    ("delta.enableRowTracking", &["true"], "rows would need ids"),
    (
        "delta.enableInCommitTimestamps",
        &["true"],
        "commits would need timestamps of their own",
    ),
    ("delta.appendOnly", &["true"], "files could not be merged or expire"),
    (
        "delta.enableIcebergCompatV1",
        &["true"],
        "files would have to fit Iceberg",
    ),
    (
        "delta.enableIcebergCompatV2",
        &["true"],
        "files would have to fit Iceberg",
    ),
    (
        "delta.enableIcebergCompatV3",
        &["true"],
        "files would have to fit Iceberg",
    ),
];

/// Keys of a column's metadata that put requirements on writers.
const COLUMN_KEYS: [&str; 3] = ["delta.invariants", "delta.generationExpression", "delta.identity.start"];

/// How the table fits its declaration.
#[derive(Debug, PartialEq)]
pub(super) enum Fit {
    Exact,
    /// An older version created it: [`upgraded`] migrates it to this one.
    Older(Upgrade),
}

/// What the table's metadata lacks.
#[derive(Debug, PartialEq)]
pub(super) struct Upgrade {
    /// New columns, all nullable.
    pub(super) columns: Vec<Field>,
    /// Columns that are nullable now.
    pub(super) nullable: Vec<String>,
}

/// Why a table can't be followed, and what to do about it.
#[derive(Debug, PartialEq)]
pub(super) struct Incompatible {
    pub(super) reason: String,
    pub(super) advice: String,
}

fn refuse<T>(reason: impl Into<String>, advice: impl Into<String>) -> Result<T, Incompatible> {
    Err(Incompatible {
        reason: reason.into(),
        advice: advice.into(),
    })
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProtocolView {
    pub(super) min_reader_version: i64,
    pub(super) min_writer_version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reader_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) writer_features: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetadataView {
    schema_string: String,
    partition_columns: Vec<String>,
    configuration: HashMap<String, String>,
}

pub(super) fn view<T: for<'de> Deserialize<'de>>(action: &impl serde::Serialize) -> Result<T, Incompatible> {
    serde_json::to_value(action)
        .and_then(T::deserialize)
        .or_else(|e| refuse(e.to_string(), "repair the table's log"))
}

/// How the table of this protocol and metadata fits `spec`.
pub(super) fn check(spec: &TableSpec, protocol: &Protocol, metadata: &Metadata) -> Result<Fit, Incompatible> {
    check_protocol(&view(protocol)?)?;
    let metadata: MetadataView = view(metadata)?;
    let partition = spec.partition().name();
    if metadata.partition_columns != [partition.as_str()] {
        let reason = format!(
            "it is partitioned by {:?} instead of {partition}",
            metadata.partition_columns
        );
        return refuse(reason, "give Footfall a folder of its own");
    }
    let version = check_properties(spec, &metadata.configuration)?;
    let fit = check_schema(spec, &metadata.schema_string)?;
    Ok(match fit {
        Fit::Exact if version < spec.version() => Fit::Older(Upgrade {
            columns: Vec::new(),
            nullable: Vec::new(),
        }),
        fit => fit,
    })
}

fn check_protocol(protocol: &ProtocolView) -> Result<(), Incompatible> {
    let versions = (protocol.min_reader_version, protocol.min_writer_version);
    if versions.0 > VERSIONS.0 || versions.1 > VERSIONS.1 {
        let (reader, writer) = versions;
        let reason = format!("its protocol requires reader version {reader} and writer version {writer}");
        return refuse(reason, "use a newer Footfall");
    }
    let features = [&protocol.reader_features, &protocol.writer_features];
    let known = |feature: &str| FEATURES.contains(&feature) || feature == exclusive::FEATURE;
    let unknown = features.into_iter().flatten().flatten().find(|feature| !known(feature));
    match unknown {
        Some(feature) => {
            let reason = format!("its protocol requires the feature {feature}, which Footfall does not have");
            refuse(reason, format!("drop it: ALTER TABLE … DROP FEATURE {feature}"))
        }
        None => Ok(()),
    }
}

/// The version of the table's columns.
fn check_properties(spec: &TableSpec, properties: &HashMap<String, String>) -> Result<u32, Incompatible> {
    let lower: BTreeMap<_, _> = properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.to_lowercase()))
        .collect();
    for (key, refused, why) in PROPERTIES {
        if let Some(value) = lower.get(key)
            && refused.contains(&value.as_str())
        {
            return refuse(format!("its property {key} is {value}: {why}"), format!("unset {key}"));
        }
    }
    if let Some(key) = lower.keys().find(|key| key.starts_with("delta.constraints.")) {
        return refuse(
            format!("it has the constraint {key}, which Footfall does not check"),
            "drop the constraint",
        );
    }
    if let Some(text) = lower.get(LOG_RETENTION_KEY)
        && interval(text).is_none_or(|retention| retention < SHORTEST_RETENTION)
    {
        let reason =
            format!("its property {LOG_RETENTION_KEY} is {text:?}: processes that follow it could miss versions");
        return refuse(reason, format!("set it to \"{LOG_RETENTION}\" or longer"));
    }
    let version = match lower.get(SCHEMA_VERSION).map(|text| text.parse()) {
        None => 0,
        Some(Ok(version)) => version,
        Some(Err(_)) => return refuse(format!("its property {SCHEMA_VERSION} is not a number"), "repair it"),
    };
    if version > spec.version() {
        let reason = format!(
            "its columns are of version {version}, this Footfall knows {}",
            spec.version()
        );
        return refuse(reason, "use the newer Footfall that changed it");
    }
    Ok(version)
}

/// How long versions stay in the Delta log; `None` if the table does not set it.
pub(super) fn log_retention(metadata: &Metadata) -> Option<Duration> {
    interval(&property(metadata, LOG_RETENTION_KEY)?.to_lowercase())
}

/// Parses an interval such as "interval 1 days". Months and years have no fixed length.
fn interval(text: &str) -> Option<Duration> {
    let mut words = text.trim().trim_start_matches("interval").split_whitespace();
    let (number, unit) = (words.next()?.parse::<u64>().ok()?, words.next()?);
    let seconds = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        _ => return None,
    };
    words
        .next()
        .is_none()
        .then(|| Duration::from_secs(number.saturating_mul(seconds)))
}

fn check_schema(spec: &TableSpec, schema: &str) -> Result<Fit, Incompatible> {
    const COLUMNS: &str = "give the table its columns back, or give Footfall a folder of its own";
    let raw: Value = serde_json::from_str(schema).or_else(|e| refuse(format!("its schema: {e}"), COLUMNS))?;
    for column in raw["fields"].as_array().into_iter().flatten() {
        if let Some(key) = COLUMN_KEYS.iter().find(|key| column["metadata"].get(**key).is_some()) {
            return refuse(
                format!(
                    "its column {} has {key}, which Footfall does not honour",
                    column["name"]
                ),
                COLUMNS,
            );
        }
    }
    let stored: StructType = serde_json::from_value(raw).or_else(|e| refuse(format!("its schema: {e}"), COLUMNS))?;
    let stored: Schema = (&stored)
        .try_into_arrow()
        .or_else(|e| refuse(format!("its schema: {e}"), COLUMNS))?;
    let declared = spec.commented_schema();
    if let Some(other) = stored
        .fields()
        .iter()
        .find(|field| declared.index_of(field.name()).is_err())
    {
        let reason = format!(
            "it has a column {}, which Footfall does not know: merging files would lose it",
            other.name()
        );
        return refuse(reason, "drop the column");
    }
    let mut upgrade = Upgrade {
        columns: Vec::new(),
        nullable: Vec::new(),
    };
    for field in declared.fields() {
        let name = field.name();
        match stored.field_with_name(name) {
            Err(_) if field.is_nullable() => upgrade.columns.push(field.as_ref().clone()),
            Err(_) => return refuse(format!("it has no column {name}"), COLUMNS),
            Ok(stored) if stored.data_type() != field.data_type() => {
                let reason = format!(
                    "its column {name} is {} instead of {}",
                    stored.data_type(),
                    field.data_type()
                );
                return refuse(reason, COLUMNS);
            }
            Ok(stored) if stored.is_nullable() && !field.is_nullable() => {
                return refuse(format!("its column {name} may be null"), COLUMNS);
            }
            Ok(stored) if !stored.is_nullable() && field.is_nullable() => upgrade.nullable.push(name.clone()),
            Ok(_) => {}
        }
    }
    Ok(if upgrade.columns.is_empty() && upgrade.nullable.is_empty() {
        Fit::Exact
    } else {
        Fit::Older(upgrade)
    })
}

/// The metadata with the missing columns added.
pub(super) fn upgraded(spec: &TableSpec, metadata: &Metadata, upgrade: &Upgrade) -> Result<Metadata, Incompatible> {
    let unreadable = |e: serde_json::Error| Incompatible {
        reason: format!("its metadata: {e}"),
        advice: "repair the table's log".into(),
    };
    let mut action = serde_json::to_value(metadata).map_err(unreadable)?;
    let text = action["schemaString"].as_str().unwrap_or_default();
    let mut schema: Value = serde_json::from_str(text).map_err(unreadable)?;
    if let Some(fields) = schema["fields"].as_array_mut() {
        for field in fields.iter_mut() {
            if upgrade.nullable.iter().any(|name| field["name"] == **name) {
                field["nullable"] = true.into();
            }
        }
        let added = StructType::try_from_arrow(&Schema::new(upgrade.columns.clone()));
        let added = added.or_else(|e| refuse(e.to_string(), "declare columns that Delta has"))?;
        for field in added.fields() {
            fields.push(serde_json::to_value(field).map_err(unreadable)?);
        }
    }
    action["schemaString"] = schema.to_string().into();
    action["configuration"][SCHEMA_VERSION] = spec.version().to_string().into();
    serde_json::from_value(action).map_err(unreadable)
}

/// The metadata of a new table.
pub(super) fn declared(spec: &TableSpec, now: Micros) -> Result<Metadata, Incompatible> {
    let failed = |reason: String| Incompatible {
        reason,
        advice: "declare columns that Delta has".into(),
    };
    let columns = StructType::try_from_arrow(spec.commented_schema().as_ref()).map_err(|e| failed(e.to_string()))?;
    let properties = [
        (LOG_RETENTION_KEY, LOG_RETENTION),
        (TOMBSTONES_KEY, TOMBSTONES),
        (SCHEMA_VERSION, &spec.version().to_string()),
    ];
    let metadata = new_metadata(&columns, [spec.partition().name()], properties).map_err(|e| failed(e.to_string()))?;
    let mut action = serde_json::to_value(metadata).map_err(|e| failed(e.to_string()))?;
    action["name"] = json!(spec.name());
    action["description"] = json!(DESCRIPTION);
    action["createdTime"] = json!(now.div_euclid(1_000));
    serde_json::from_value(action).map_err(|e| failed(e.to_string()))
}

/// The metadata with a property set, or unset.
pub(super) fn with_property(metadata: &Metadata, key: &str, value: Option<&str>) -> Result<Metadata, Incompatible> {
    let changed = serde_json::to_value(metadata).and_then(|mut action| {
        if let Some(properties) = action["configuration"].as_object_mut() {
            match value {
                Some(value) => properties.insert(key.to_owned(), value.into()),
                None => properties.remove(key),
            };
        }
        serde_json::from_value(action)
    });
    changed.or_else(|e| refuse(format!("its metadata: {e}"), "repair the table's log"))
}

/// A property of the table.
pub(super) fn property(metadata: &Metadata, key: &str) -> Option<String> {
    view::<MetadataView>(metadata).ok()?.configuration.remove(key)
}

#[cfg(test)]
#[path = "compat_tests.rs"]
mod tests;
