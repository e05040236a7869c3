//! `id_hash(tracking_id, id)`: the hash of an id within a site, as `client_hash` is that of `client_id`. Null if the id is.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use footfall_model::hash;

static ID_HASH: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(IdHash {
        signature: Signature::exact(vec![DataType::Utf8, DataType::Utf8], Volatility::Immutable),
    }))
});

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::clone(&ID_HASH)]
}

/// `id_hash(site, id)`, of two texts.
pub(crate) fn id_hash(site: Expr, id: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&ID_HASH), vec![site, id]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct IdHash {
    signature: Signature,
}

impl ScalarUDFImpl for IdHash {
    fn name(&self) -> &'static str {
        "id_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let texts = arrays.iter().map(|array| array.as_string_opt::<i32>());
        let texts: Option<Vec<_>> = texts.collect();
        let Some([sites, ids]) = texts.as_deref() else {
            return internal_err!("id_hash of anything but two texts");
        };
        let mut last: Option<(&str, &str, i64)> = None;
        let hashes = sites.iter().zip(ids.iter()).map(|(site, id)| {
            let (site, id) = (site?, id?);
            let hash = match last {
                // Events of a session follow one another.
                Some((of_site, known, hash)) if known == id && of_site == site => hash,
                _ => hash::id_hash(site, id).cast_signed(),
            };
            last = Some((site, id, hash));
            Some(hash)
        });
        Ok(ColumnarValue::Array(Arc::new(hashes.collect::<Int64Array>())))
    }
}
