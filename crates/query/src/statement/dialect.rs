//! The SQL that is read: sqlparser's generic dialect, with PostgreSQL's precedence of `->>` and its kin.

use std::any::TypeId;

use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};

/// As [`GenericDialect`], but `a ->> 'b' = 'c'` is `(a ->> 'b') = 'c'`: operators that have no rank of their own bind
/// tighter than comparisons, IN, LIKE and IS.
#[derive(Debug)]
pub(super) struct Sql;

const GENERIC: GenericDialect = GenericDialect {};

/// What the generic dialect decides itself (sqlparser 0.62); the rest is the same for every dialect.
macro_rules! as_generic {
    ($($feature:ident)*) => {
        $(fn $feature(&self) -> bool {
            GENERIC.$feature()
        })*
    };
}

impl Dialect for Sql {
    fn dialect(&self) -> TypeId {
        GENERIC.dialect()
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        GENERIC.prec_value(match precedence {
            Precedence::PgOther => Precedence::Pipe,
            other => other,
        })
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        GENERIC.is_delimited_identifier_start(character)
    }

    fn is_identifier_start(&self, character: char) -> bool {
        GENERIC.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        GENERIC.is_identifier_part(character)
    }

    as_generic! {
        supports_unicode_string_literal
        supports_partition_by_after_order_by
        supports_array_join_syntax
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_left_associative_joins_without_parens
        supports_connect_by
        supports_match_recognize
        supports_pipe_operator
        supports_start_transaction_modifier
        supports_window_function_null_treatment_arg
        supports_dictionary_syntax
        supports_window_clause_named_window_reference
        supports_parenthesized_set_variables
        supports_select_wildcard_except
        support_map_literal_syntax
        allow_extract_custom
        allow_extract_single_quotes
        supports_extract_comma_syntax
        supports_create_view_comment_syntax
        supports_parens_around_table_factor
        supports_values_as_table_factor
        supports_create_index_with_clause
        supports_explain_with_utility_options
        supports_limit_comma
        supports_update_order_by
        supports_from_first_select
        supports_projection_trailing_commas
        supports_asc_desc_in_column_definition
        supports_try_convert
        supports_bitwise_shift_operators
        supports_comment_on
        supports_load_extension
        supports_named_fn_args_with_assignment_operator
        supports_struct_literal
        supports_empty_projections
        supports_nested_comments
        supports_multiline_comment_hints
        supports_user_host_grantee
        supports_string_escape_constant
        supports_array_typedef_with_brackets
        supports_match_against
        supports_set_names
        supports_comma_separated_set_assignments
        supports_filter_during_aggregation
        supports_select_wildcard_exclude
        supports_data_type_signed_suffix
        supports_interval_options
        supports_quote_delimited_string
        supports_select_wildcard_replace
        supports_select_wildcard_ilike
        supports_select_wildcard_rename
        supports_optimize_table
        supports_install
        supports_detach
        supports_prewhere
        supports_with_fill
        supports_limit_by
        supports_interpolate
        supports_settings
        supports_select_format
        supports_comment_optimizer_hint
        supports_constraint_keyword_without_name
        supports_key_column_option
        supports_comma_separated_trim
        supports_cte_without_as
        supports_select_item_multi_column_alias
        supports_xml_expressions
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use datafusion::sql::sqlparser::ast::{Expr, visit_expressions_mut};
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    /// The tree, without the nodes that stand for parentheses.
    fn parsed(expression: &str) -> Expr {
        let mut parser = Parser::new(&Sql).try_with_sql(expression).unwrap();
        let mut tree = parser.parse_expr().unwrap();
        let _ = visit_expressions_mut(&mut tree, |expr| {
            while let Expr::Nested(inner) = expr {
                *expr = inner.as_ref().clone();
            }
            ControlFlow::<()>::Continue(())
        });
        tree
    }

    #[test]
    fn property_operators_bind_as_in_postgresql() {
        for (bare, grouped) in [
            ("p->>'a' = 'x'", "(p->>'a') = 'x'"),
            ("'x' = p->>'a'", "'x' = (p->>'a')"),
            ("p->>'a' <> p->>'b'", "(p->>'a') <> (p->>'b')"),
            ("p->>'a' IS NULL", "(p->>'a') IS NULL"),
            ("p->>'a' IN ('x', 'y')", "(p->>'a') IN ('x', 'y')"),
            ("p->>'a' NOT LIKE 'x%'", "(p->>'a') NOT LIKE 'x%'"),
            ("p->>'a' BETWEEN 'x' AND 'y'", "(p->>'a') BETWEEN 'x' AND 'y'"),
            ("NOT p->>'a' = 'x' AND y", "(NOT ((p->>'a') = 'x')) AND y"),
            ("p->'a'->>'b' = 'x'", "((p->'a')->>'b') = 'x'"),
            ("p->>'a'::text", "p->>('a'::text)"),
            ("p->1 + 1", "p->(1 + 1)"),
        ] {
            assert_eq!(parsed(bare), parsed(grouped), "{bare}");
        }
    }

    #[test]
    fn is_the_generic_dialect_to_the_parser() {
        let dialect: &dyn Dialect = &Sql;
        assert!(dialect.is::<GenericDialect>());
    }
}
