//! The caller's token, taken from the one `Authorization: Bearer` header before the body is read.

use axum::extract::FromRequestParts;
use footfall_model::access;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::flight::Token;
use crate::problem::Problem;

/// Longer ones are no tokens of ours.
const MAX_TOKEN: usize = 1024;

pub(crate) struct Caller(pub(crate) Token);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Problem::no_token());
        };
        let token = value.to_str().ok().and_then(access::bearer);
        let token = token
            .filter(|token| token.len() <= MAX_TOKEN)
            .ok_or_else(Problem::no_token)?;
        Ok(Self(Token::new(token)))
    }
}
