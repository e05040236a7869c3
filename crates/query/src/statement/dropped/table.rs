//! What follows a table's name.

use datafusion::sql::sqlparser::ast::{
    FunctionArg, TableAlias, TableAliasColumnDef, TableFactor, TableFunctionArgs, TableSampleKind,
};

use super::select::joins;
use super::{Checked, absent, refused};

const NO_VERSIONS: &str = "leave it out; a query reads the newest version";
const NO_ORDINALITY: &str = "write row_number() OVER () among the columns";

pub(in super::super) fn table(table: &TableFactor) -> Checked {
    match table {
        TableFactor::Table { .. } => named_table(table),
        TableFactor::Derived {
            lateral: _,
            subquery: _,
            alias: named,
            sample,
        } => {
            sampled(sample.as_ref())?;
            optional(named.as_ref())
        }
        TableFactor::Function {
            lateral: _,
            name: _,
            args,
            with_ordinality,
            alias: named,
        } => {
            absent(*with_ordinality, "WITH ORDINALITY", NO_ORDINALITY)?;
            absent(
                args.iter().any(|arg| !matches!(arg, FunctionArg::Unnamed(_))),
                "a named argument of a table function",
                "write the arguments in their order, without names",
            )?;
            optional(named.as_ref())
        }
        TableFactor::UNNEST {
            alias: named,
            array_exprs: _,
            with_offset: _, // refused by the planner, as the next two
            with_offset_alias: _,
            with_ordinality: _,
        } => optional(named.as_ref()),
        TableFactor::NestedJoin {
            table_with_joins,
            alias: named,
        } => {
            joins(table_with_joins)?;
            optional(named.as_ref())
        }
        // Refused by the planner, whose message shows the whole tree.
        TableFactor::TableFunction { .. } => refused("TABLE (…)", "write the table function alone"),
        TableFactor::Pivot { .. } => refused("PIVOT", "write sum(…) FILTER (WHERE …) for each column"),
        TableFactor::Unpivot { .. } => refused("UNPIVOT", "write UNION ALL of one SELECT for each column"),
        TableFactor::MatchRecognize { .. } => refused("MATCH_RECOGNIZE", "write window functions"),
        TableFactor::JsonTable { .. }
        | TableFactor::OpenJsonTable { .. }
        | TableFactor::XmlTable { .. }
        | TableFactor::SemanticView { .. } => refused("this kind of table", "SHOW TABLES lists what there is"),
    }
}

fn named_table(table: &TableFactor) -> Checked {
    let TableFactor::Table {
        name,
        alias: named,
        args,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        index_hints,
    } = table
    else {
        return Ok(());
    };
    absent(
        !with_hints.is_empty() || !index_hints.is_empty(),
        "a hint after a table's name",
        "leave it out; readers take no locks and there are no indexes",
    )?;
    if let Some(version) = version {
        return refused(version, NO_VERSIONS);
    }
    absent(*with_ordinality, "WITH ORDINALITY", NO_ORDINALITY)?;
    absent(
        !partitions.is_empty(),
        "PARTITION after a table's name",
        "write WHERE event_date = …",
    )?;
    absent(
        json_path.is_some(),
        "a path after a table's name",
        "write it among the columns",
    )?;
    sampled(sample.as_ref())?;
    if let Some(args) = args {
        let TableFunctionArgs { args: _, settings } = args;
        absent(settings.is_some(), "SETTINGS", "leave it out")?;
        absent(
            name.0.len() > 1,
            format!("the table function {name}"),
            "write its name without a schema",
        )?;
    }
    optional(named.as_ref())
}

fn sampled(sample: Option<&TableSampleKind>) -> Checked {
    match sample {
        None => Ok(()),
        Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) => refused(
            sample.to_string().trim(),
            "only tables can be sampled: write FROM events TABLESAMPLE SYSTEM (10) inside the subquery",
        ),
    }
}

fn optional(named: Option<&TableAlias>) -> Checked {
    named.map_or(Ok(()), alias)
}

pub(super) fn alias(named: &TableAlias) -> Checked {
    let TableAlias {
        explicit,
        name,
        columns,
        at,
    } = named;
    // ClickHouse's FINAL is parsed here as a name.
    absent(
        !explicit && name.quote_style.is_none() && name.value.eq_ignore_ascii_case("FINAL"),
        "FINAL",
        "leave it out; an event is stored once",
    )?;
    absent(at.is_some(), "AT after a table's name", NO_ORDINALITY)?;
    columns.iter().try_for_each(|column| {
        let TableAliasColumnDef { name, data_type } = column;
        absent(
            data_type.is_some(),
            format!("a type for the column {name} of an alias"),
            "write CAST among the columns",
        )
    })
}
