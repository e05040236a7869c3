//! `windowFunnel(3600)(timestamp, a, b)`, as ClickHouse writes it, becomes `windowFunnel(3600, timestamp, a, b)`.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArgumentList, FunctionArguments};

/// The functions that take their parameters as their first arguments.
const FUNCTIONS: [&str; 2] = ["windowfunnel", "window_funnel"];

/// Other calls stay as they are, and are refused later.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(Function {
        name, parameters, args, ..
    }) = expr
    else {
        return;
    };
    if !FUNCTIONS.contains(&name.to_string().to_lowercase().as_str()) {
        return;
    }
    if let FunctionArguments::List(FunctionArgumentList {
        duplicate_treatment: None,
        args: first,
        clauses,
    }) = parameters
        && clauses.is_empty()
        && let FunctionArguments::List(list) = args
    {
        list.args.splice(0..0, std::mem::take(first));
        *parameters = FunctionArguments::None;
    }
}
