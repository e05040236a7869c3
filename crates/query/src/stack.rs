//! Stack for planning.
//!
//! Much of DataFusion's planner recurses over expressions with frames of several kilobytes and no check of its own.
//! [`crate::statement`] bounds the depth of a statement; this is the stack that such a depth needs.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use crate::control::{Control, Phase, enter};

/// Enough for the deepest statement that is allowed, in unoptimized code. Shallow statements reserve it but do not
/// touch it.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// Plans the statement of `control`, each step on a stack of its own.
pub(crate) async fn planning<T>(control: Arc<Control>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        enter(&control, Phase::Planning, || {
            stacker::grow(STACK_BYTES, || work.as_mut().poll(cx))
        })
    })
    .await
}
