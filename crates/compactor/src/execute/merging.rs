//! The merge runs ahead of the encoder, on a thread that may block.

use arrow::array::RecordBatch;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::CompactError;
use super::input::Input;
use super::output::Output;
use crate::merge::Merge;

/// Batches that the merge is ahead of the encoder.
const AHEAD: usize = 2;

/// Merges on a thread of its own, or inline if there is no runtime; returns how many duplicates were dropped.
pub(super) async fn merge_into(
    output: &mut Output<'_>,
    inputs: Vec<Input>,
    batch_rows: usize,
) -> Result<u64, CompactError> {
    let Ok(runtime) = Handle::try_current() else {
        let mut merge = Merge::new(inputs, batch_rows)?;
        while let Some(batch) = merge.next_batch()? {
            output.write(batch).await?;
        }
        return Ok(merge.duplicates());
    };
    let (sender, mut batches) = mpsc::channel(AHEAD);
    let merging = runtime.spawn_blocking(move || merge(inputs, batch_rows, &sender));
    while let Some(batch) = batches.recv().await {
        output.write(batch).await?;
    }
    merging.await.map_err(|error| CompactError::of_task(&error))?
}

/// Sends merged events; returns how many duplicates were dropped.
fn merge(inputs: Vec<Input>, batch_rows: usize, sender: &mpsc::Sender<RecordBatch>) -> Result<u64, CompactError> {
    let mut merge = Merge::new(inputs, batch_rows)?;
    while let Some(batch) = merge.next_batch()? {
        if sender.blocking_send(batch).is_err() {
            // The encoder has failed, and says why.
            break;
        }
    }
    Ok(merge.duplicates())
}
