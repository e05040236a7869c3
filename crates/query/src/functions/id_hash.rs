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

#[cfg(test)]
mod tests {
    use footfall_model::access::SiteScope;
    use footfall_model::hash;

    use crate::testing::{events, lake, value};

    #[tokio::test(flavor = "multi_thread")]
    async fn ids_are_hashed_within_their_site() {
        let lake = lake().await;
        let of_site = |site: &str| events().site(site).client("x").session(Some("x")).pageview("/");
        lake.add("a", of_site("a").session(None).pageview("/")).await;
        lake.add("b", of_site("b")).await;
        let engine = lake.engine();
        let one = async |sql: &str| value(&engine, &SiteScope::All, sql).await;
        for (sql, expected) in [
            (
                "SELECT count(*) FROM events WHERE client_hash = id_hash(tracking_id, client_id)",
                "3",
            ),
            ("SELECT count(id_hash(tracking_id, session_id)) FROM events", "2"),
            (
                "SELECT count(DISTINCT id_hash(tracking_id, session_id)) FROM events",
                "2",
            ),
            (
                "SELECT id_hash('a', NULL) IS NULL AND id_hash(NULL, 'x') IS NULL",
                "true",
            ),
            ("SELECT id_hash('a', 'bc') = id_hash('ab', 'c')", "false"),
        ] {
            assert_eq!(one(sql).await, expected, "{sql}");
        }
        let expected = hash::id_hash("a", "x").cast_signed().to_string();
        assert_eq!(one("SELECT id_hash('a', 'x')").await, expected);
    }
}
