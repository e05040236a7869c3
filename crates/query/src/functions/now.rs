//! `now()` and `current_timestamp`: a time of UTC, as PostgreSQL's is of a zone. DataFusion's has none, so that
//! `now() AT TIME ZONE 'Asia/Kathmandu'` would be UTC's clock called Kathmandu's.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::functions::datetime::now::NowFunc;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut config = ConfigOptions::default();
    config.execution.time_zone = Some("UTC".to_owned());
    let now = UtcNow(NowFunc::new_with_config(&config));
    vec![Arc::new(ScalarUDF::new_from_impl(now))]
}

/// DataFusion's, whatever the session's zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UtcNow(NowFunc);

impl ScalarUDFImpl for UtcNow {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.0.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.0.return_field_from_args(arguments)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.0.invoke_with_args(arguments)
    }

    fn simplify(&self, arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.0.simplify(arguments, info)
    }
}
