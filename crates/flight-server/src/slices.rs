//! Splits rows into messages that every client accepts.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// Splits `batch` into slices, in order, of at most `max_bytes` or one row each.
///
/// Arrow's own encoder divides by the average row, so a run of long rows can exceed what clients accept.
pub(crate) fn split(batch: RecordBatch, max_bytes: usize) -> Vec<RecordBatch> {
    let mut whole = vec![batch];
    let mut slices = Vec::new();
    while let Some(batch) = whole.pop() {
        let rows = batch.num_rows();
        if rows <= 1 || batch.columns().iter().map(|column| bytes(column)).sum::<usize>() <= max_bytes {
            slices.push(batch);
        } else {
            whole.push(batch.slice(rows / 2, rows - rows / 2));
            whole.push(batch.slice(0, rows / 2));
        }
    }
    slices
}

/// The size of a slice as it is written: of lists, only the items of its own rows.
fn bytes(array: &dyn Array) -> usize {
    let validity = array.len() / 8;
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (start, end) = (list.value_offsets()[0], list.value_offsets()[array.len()]);
            validity + 4 * array.len() + bytes(&list.values().slice(start as usize, (end - start) as usize))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let (start, end) = (list.value_offsets()[0], list.value_offsets()[array.len()]);
            validity + 8 * array.len() + bytes(&list.values().slice(start as usize, (end - start) as usize))
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            let (start, end) = (map.value_offsets()[0], map.value_offsets()[array.len()]);
            validity + 4 * array.len() + bytes(&map.entries().slice(start as usize, (end - start) as usize))
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            validity + columns.iter().map(|column| bytes(column)).sum::<usize>()
        }
        _ => {
            let data = array.to_data();
            data.get_slice_memory_size()
                .unwrap_or_else(|_| array.get_array_memory_size())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn adjacent_long_rows_respect_slice_limit() {
        let texts = (0..1000).map(|row| if row < 900 { "x".to_owned() } else { "x".repeat(1000) });
        let given = of(vec![
            ("n", Arc::new(Int64Array::from_iter_values(0..1000))),
            ("s", Arc::new(StringArray::from_iter_values(texts))),
        ]);
        let slices = split(given.clone(), 4000);
        for slice in &slices {
            let bytes: usize = slice.columns().iter().map(|column| bytes(column)).sum();
            assert!(bytes <= 4000, "{bytes}");
        }
        assert!(slices.len() < 80, "{} slices", slices.len());
        assert_eq!(arrow::compute::concat_batches(&given.schema(), &slices).unwrap(), given);
    }

    #[test]
    fn list_items_outside_slice_are_not_counted() {
        let lists = (0..64).map(|row| Some(vec![Some(row); 16]));
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(lists);
        let given = of(vec![("l", Arc::new(list))]);
        let slices = split(given, 600);
        assert_eq!(slices.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), vec![8; 8]);
    }

    #[test]
    fn oversized_row_is_sliced_alone() {
        let given = of(vec![(
            "s",
            Arc::new(StringArray::from(vec!["x".repeat(100), "y".repeat(100)])),
        )]);
        assert_eq!(split(given, 10).len(), 2);
    }
}
