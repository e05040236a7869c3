//! Paths below a shard's root. Paths in a Delta log are relative to their table's folder; everywhere else they are
//! relative to the shard's root. This module converts between the two.

use footfall_model::table::TableSpec;
use object_store::path::Path;

use crate::statistics::date;

/// The folder of a table.
pub(crate) fn folder(spec: &TableSpec) -> Path {
    Path::from(spec.folder())
}

/// The folder of a table's Delta log.
pub(crate) fn log_folder(spec: &TableSpec) -> Path {
    folder(spec).join("_delta_log")
}

/// The commit that makes a version.
pub(crate) fn commit_path(spec: &TableSpec, version: u64) -> Path {
    log_folder(spec).join(format!("{version:020}.json"))
}

/// A data file. `name` must be unique over all tables, see [`file_name`]; folders may stand before it.
pub fn data_path(spec: &TableSpec, partition_date: i32, name: &str) -> Path {
    let partition = folder(spec).join(partition_folder(spec, partition_date));
    let name = format!("{name}.parquet");
    name.split('/').fold(partition, Path::join)
}

/// The name of the `nth` file of a commit, unique over all tables. A file's kind is in its tags, not in its name.
pub fn file_name(commit: u128, nth: usize) -> String {
    format!("{commit:032x}-{nth:05}")
}

/// Digits of the id in the name of a segment that was written after its file of events.
const ID_DIGITS: usize = 32;

/// The name of a segment that is written after its file of events `name`. A name of Footfall's has no dot.
pub fn segment_name(name: &str, id: u128) -> String {
    format!("{name}.{id:032x}")
}

/// The name of the file of events that a segment covers: its own, or that which [`segment_name`] was given.
pub fn covered_name(segment: &str) -> &str {
    match segment.rsplit_once('.') {
        Some((name, id)) if id.len() == ID_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit()) => name,
        _ => segment,
    }
}

/// The folder of a partition, as Delta and Hive write it.
pub fn partition_folder(spec: &TableSpec, partition_date: i32) -> String {
    format!("{}={}", spec.partition().name(), partition_value(partition_date))
}

/// A date in the Delta log's format.
pub(crate) fn partition_value(partition_date: i32) -> String {
    date(partition_date).unwrap_or_default().to_string()
}

/// Converts the path of a Delta action, already decoded, to one relative to the shard's root.
pub(crate) fn shard_path(spec: &TableSpec, path: &str) -> Result<Path, String> {
    // Delta allows absolute paths: files of another table, which are not ours to read.
    if path.starts_with('/') || path.contains("://") {
        return Err(format!("{path} lies outside of the table"));
    }
    let path = Path::parse(path).map_err(|e| e.to_string())?;
    let parts: Vec<_> = folder(spec)
        .parts()
        .chain(path.parts())
        .map(|part| part.as_ref().to_owned())
        .collect();
    Path::parse(parts.join("/")).map_err(|e| e.to_string())
}

/// Converts to the path of a Delta action, not yet encoded.
pub(crate) fn table_path(spec: &TableSpec, path: &Path) -> Result<String, String> {
    let inner = path
        .as_ref()
        .strip_prefix(folder(spec).as_ref())
        .and_then(|path| path.strip_prefix('/'));
    let outside = || format!("{path} is not a file of the table {}", spec.name());
    inner.map(str::to_owned).ok_or_else(outside)
}

#[cfg(test)]
mod tests {
    use footfall_model::table::events;

    use super::*;

    #[test]
    fn delta_paths_are_relative_to_table() {
        let path = data_path(events(), 20_758, &file_name(0xAB, 7));
        let name = "000000000000000000000000000000ab-00007";
        assert_eq!(path.as_ref(), format!("events/event_date=2026-11-01/{name}.parquet"));
        let inner = table_path(events(), &path).unwrap();
        assert_eq!(inner, format!("event_date=2026-11-01/{name}.parquet"));
        assert_eq!(shard_path(events(), &inner).unwrap(), path);
        assert_eq!(partition_folder(events(), -1), "event_date=1969-12-31");
        let inner = data_path(events(), 20_758, "sub/x");
        assert_eq!(inner.as_ref(), "events/event_date=2026-11-01/sub/x.parquet");
    }

    #[test]
    fn segment_names_lead_to_their_events_file() {
        let name = segment_name("00ab-00001", 7);
        assert_eq!(name, "00ab-00001.00000000000000000000000000000007");
        assert_eq!(covered_name(&name), "00ab-00001");
        assert_eq!(covered_name("00ab-00001"), "00ab-00001");
        assert_eq!(covered_name("part-0.snappy"), "part-0.snappy");
    }

    #[test]
    fn odd_characters_round_trip() {
        for odd in ["a b.parquet", "100%.parquet", "a%20b.parquet", "ü#[]{}.parquet"] {
            let path = shard_path(events(), odd).unwrap();
            assert_eq!(path.as_ref(), format!("events/{odd}"));
            assert_eq!(table_path(events(), &path).unwrap(), odd);
        }
    }

    #[test]
    fn paths_outside_table_are_refused() {
        for outside in [
            "/etc/passwd",
            "s3://other/x.parquet",
            "../x.parquet",
            "a/../../x.parquet",
            "file:///x",
        ] {
            assert!(shard_path(events(), outside).is_err(), "{outside}");
        }
        for other in ["rollups/x.parquet", "eventsx/x.parquet", "events"] {
            assert!(table_path(events(), &Path::from(other)).is_err(), "{other}");
        }
    }
}
