//! Rollups: pre-aggregations of events by dimensions and time buckets. From one declaration come the table of the
//! segments, the aggregation in the compactor, the view in SQL, and (later) what the router matches.

mod built_in;
mod definition;
mod hashed_id;
mod measure;
mod session_measures;
mod view;

pub use built_in::{built_in, views};
pub use definition::{
    ConfiguredRollup, ConfiguredRollups, DefinitionError, MAX_MEASURES, MeasureDefinition, MeasureFunction,
    RollupDefinition,
};
pub use hashed_id::HashedId;
pub use measure::{Function, Measure};
pub use session_measures::SessionMeasure;
pub use view::{Days, Period, RollupView, SourceTable, TimeRange, UNIQUE_USERS, Visitors};

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::access::SiteScope;
use crate::clock::{DAY, Micros};
use crate::schema;
use crate::table::{SITE_COLUMN, SpecError, TableColumns, TableSpec};

/// The width of a rollup's time buckets, aligned to UTC midnight. None is longer than a day, so that a bucket never
/// lies in two partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    QuarterHour,
    Hour,
    Day,
}

impl Grain {
    /// Microseconds of a bucket.
    pub fn micros(self) -> Micros {
        match self {
            Self::QuarterHour => 900_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => DAY,
        }
    }

    /// The start of a time's bucket, in SQL.
    fn bucket_of(self, time: &str) -> String {
        let width = self.micros();
        // Not by date_bin, which goes through nanoseconds. Events are never older than 1970.
        format!("arrow_cast(CAST({time} AS BIGINT) / {width} * {width}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
    }

    /// The column with a bucket's start; a day's is the partition column.
    pub fn column(self) -> Option<&'static str> {
        match self {
            Self::QuarterHour => Some("quarter_hour"),
            Self::Hour => Some("hour"),
            Self::Day => None,
        }
    }
}

/// A declared pre-aggregation of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollup {
    /// The name of the view in SQL and of the folder below `rollups/`.
    pub name: String,
    /// Tells a configured rollup from others that have had its name, also in its folder; 0 if it is built in.
    pub revision: u64,
    /// Events of other sites are not in it.
    pub sites: SiteScope,
    pub grain: Grain,
    /// Whether a row is of one visitor. Such a rollup counts distinct visitors exactly.
    pub per_visitor: bool,
    /// The ids by which the rows of a visitor differ too, whose distinct values it counts exactly; only per visitor.
    pub ids: Vec<HashedId>,
    /// Text and boolean columns of `events` to group by, in addition to the site and the bucket.
    pub dimensions: Vec<String>,
    pub measures: Vec<Measure>,
}

/// The column with a row's visitor, of events and of rollups per visitor.
pub const VISITOR_COLUMN: &str = "client_hash";

/// With more dimensions than this there are nearly as many groups as events.
pub const MAX_DIMENSIONS: usize = 16;

/// The folder of a rollup's segments, below the shard's root.
pub fn folder(name: &str, revision: u64) -> String {
    match revision {
        0 => format!("rollups/{name}"),
        // No name has a hyphen, so that this is nobody else's.
        revision => format!("rollups/{name}-{revision}"),
    }
}

impl Rollup {
    /// The folder of its segments, below the shard's root. It names the ids, so that segments without one of them, as
    /// older versions have written, are not taken for segments in which it is null.
    pub fn folder(&self) -> String {
        let ids = self.ids.iter().map(|id| format!("-{}", id.subject()));
        ids.fold(folder(&self.name, self.revision), |folder, id| folder + &id)
    }

    /// The table of its segments: site, visitor, ids, bucket, dimensions, measures; sorted by all but the measures.
    ///
    /// # Errors
    /// For an impossible dimension or measure, with the possible ones.
    pub fn table(&self) -> Result<TableSpec, SpecError> {
        let events = schema::event_file();
        let wrong = |reason: String| SpecError::new(format!("rollup {}: {reason}", self.name));
        if self.dimensions.len() > MAX_DIMENSIONS {
            let count = self.dimensions.len();
            return Err(wrong(format!("{count} dimensions are more than {MAX_DIMENSIONS}")));
        }
        let mut fields = vec![Field::new(SITE_COLUMN, DataType::Utf8, false)];
        if self.per_visitor {
            fields.push(Field::new(VISITOR_COLUMN, DataType::Int64, false));
        } else if let Some(id) = self.ids.first() {
            return Err(wrong(format!("{} without visitors", id.hash_column())));
        }
        let ids = self.ids.iter();
        fields.extend(ids.map(|id| Field::new(id.hash_column(), DataType::Int64, true)));
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        fields.extend(self.grain.column().map(|name| Field::new(name, utc, false)));
        for name in &self.dimensions {
            let field = events.field_with_name(name).ok().filter(|field| {
                matches!(field.data_type(), DataType::Utf8 | DataType::Boolean) && field.name() != SITE_COLUMN
            });
            let field = field.ok_or_else(|| {
                let possible = events.fields().iter();
                let possible = possible.filter(|f| matches!(f.data_type(), DataType::Utf8 | DataType::Boolean));
                let possible: Vec<_> = possible.map(|f| f.name().as_str()).skip(1).collect();
                wrong(format!(
                    "{name} can't be a dimension; possible are {}",
                    possible.join(", ")
                ))
            })?;
            fields.push(field.clone());
        }
        let sort: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        for measure in &self.measures {
            let of = measure.function.column();
            let of = of
                .map(|name| events.field_with_name(name).map_err(|_| name))
                .transpose();
            let of = of.map_err(|name| wrong(format!("{}: events have no column {name}", measure.name)))?;
            let (kind, nullable) = measure.function.result(of).ok_or_else(|| {
                let function = &measure.function;
                wrong(format!("{}: {} is not possible", measure.name, function.over_events()))
            })?;
            fields.push(Field::new(&measure.name, kind, nullable));
        }
        let sort: Vec<&str> = sort.iter().map(String::as_str).collect();
        let statistics: Vec<&str> = [SITE_COLUMN]
            .into_iter()
            .chain(self.per_visitor.then_some(VISITOR_COLUMN))
            .chain(self.grain.column())
            .collect();
        TableSpec::new(
            &self.name,
            &self.folder(),
            1,
            TableColumns {
                file: fields,
                partition: Field::new(schema::PARTITION_COLUMN, DataType::Date32, false),
                sort: &sort,
                statistics: &statistics,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollup(dimensions: &[&str], measures: Vec<Measure>) -> Rollup {
        Rollup {
            name: "mine".into(),
            revision: 0,
            sites: SiteScope::All,
            grain: Grain::Hour,
            per_visitor: false,
            ids: Vec::new(),
            dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
            measures,
        }
    }

    #[test]
    fn invalid_rollups_are_refused_with_alternatives() {
        let refused = |rollup: Rollup| rollup.table().unwrap_err().to_string();
        let unknown = refused(rollup(&["colour"], Vec::new()));
        assert!(
            unknown.contains("colour can't be a dimension; possible are"),
            "{unknown}"
        );
        assert!(unknown.contains("country"), "{unknown}");
        assert!(refused(rollup(&["revenue"], Vec::new())).contains("revenue can't be a dimension"));
        let sum = |column: &str| Measure {
            name: "total".into(),
            function: Function::Sum(column.into()),
            description: String::new(),
        };
        assert!(refused(rollup(&["country"], vec![sum("country")])).contains("sum(country) is not possible"));
        assert!(refused(rollup(&["country"], vec![sum("price")])).contains("no column price"));
        assert!(refused(rollup(&["country", "country"], Vec::new())).contains("country is declared twice"));
        assert!(refused(rollup(&["country"; 17], Vec::new())).contains("17 dimensions"));
        let sessions = Rollup {
            ids: vec![HashedId::Session],
            ..rollup(&[], Vec::new())
        };
        assert!(refused(sessions).contains("session_hash without visitors"));
    }

    #[test]
    fn segments_with_other_ids_lie_in_other_folders() {
        let of = |ids: &[HashedId], revision| {
            let ids = ids.to_vec();
            let rollup = rollup(&[], Vec::new());
            Rollup {
                ids,
                revision,
                per_visitor: true,
                ..rollup
            }
            .folder()
        };
        assert_eq!(of(&[], 0), "rollups/mine");
        assert_eq!(of(&[HashedId::Session], 0), "rollups/mine-session");
        assert_eq!(of(&HashedId::ALL, 0), "rollups/mine-session-user");
        assert_eq!(of(&[HashedId::User], 3), "rollups/mine-3-user");
    }

    #[test]
    fn buckets_are_never_longer_than_a_day() {
        for grain in [Grain::QuarterHour, Grain::Hour, Grain::Day] {
            assert_eq!(Grain::Day.micros() % grain.micros(), 0);
        }
    }
}
