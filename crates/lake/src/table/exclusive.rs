//! The table feature by which a table asks other programs to leave writing to Footfall.
//!
//! Another program's merge or delete loses what stands in the files' tags, and its vacuum deletes files that queries and
//! imports still need. A program that does not know a writer's feature must not write (Delta protocol, "Table
//! Features"); reading needs none of them, so every reader goes on.

use deltalake_core::kernel::{Metadata, Protocol};

use super::compat::{self, Incompatible, ProtocolView};
use super::{Table, delta};
use crate::LakeError;
use crate::commit::TableChange;

/// The feature, for writers only.
pub(super) const FEATURE: &str = "footfall-exclusiveWriter";

/// The property of a table that other programs may write too, "true": the feature is not added again.
const SHARED_KEY: &str = "footfall.sharedWriting";

/// The writer version from which on a protocol names its features.
const NAMED: i64 = 7;

/// The features that a lower writer version has, each with the first version that has it.
const IMPLIED: [(i64, &str); 7] = [
    (2, "appendOnly"),
    (2, "invariants"),
    (3, "checkConstraints"),
    (4, "changeDataFeed"),
    (4, "generatedColumns"),
    (5, "columnMapping"),
    (6, "identityColumns"),
];

/// The protocol of a new table.
pub(super) fn new_protocol() -> Result<Protocol, Incompatible> {
    with_feature(ProtocolView {
        min_reader_version: 1,
        min_writer_version: 2,
        reader_features: None,
        writer_features: None,
    })
}

/// The protocol with the feature, if the table lacks it and other programs may not write.
pub(super) fn claim(protocol: &Protocol, metadata: &Metadata) -> Result<Option<Protocol>, Incompatible> {
    let protocol: ProtocolView = compat::view(protocol)?;
    if is_exclusive(&protocol) || compat::property(metadata, SHARED_KEY).is_some_and(|shared| shared == "true") {
        return Ok(None);
    }
    with_feature(protocol).map(Some)
}

fn is_exclusive(protocol: &ProtocolView) -> bool {
    let features = protocol.writer_features.iter().flatten();
    features.into_iter().any(|feature| feature == FEATURE)
}

fn with_feature(mut protocol: ProtocolView) -> Result<Protocol, Incompatible> {
    let version = protocol.min_writer_version;
    let mut features = protocol.writer_features.take().unwrap_or_else(|| {
        let implied = IMPLIED.iter().filter(|(since, _)| version >= *since && version < NAMED);
        implied.map(|(_, feature)| (*feature).to_owned()).collect()
    });
    features.push(FEATURE.to_owned());
    compat::view(&ProtocolView {
        min_writer_version: NAMED,
        writer_features: Some(features),
        ..protocol
    })
}

fn without_feature(mut protocol: ProtocolView) -> Result<Protocol, Incompatible> {
    protocol
        .writer_features
        .iter_mut()
        .for_each(|features| features.retain(|feature| feature != FEATURE));
    compat::view(&protocol)
}

/// What makes a table exclusive, or shared; `None` if it is.
fn change(protocol: &Protocol, metadata: &Metadata, exclusive: bool) -> Result<Option<TableChange>, Incompatible> {
    let view: ProtocolView = compat::view(protocol)?;
    if is_exclusive(&view) == exclusive {
        return Ok(None);
    }
    let (operation, protocol) = match exclusive {
        true => ("UPGRADE PROTOCOL", with_feature(view)?),
        false => ("DROP FEATURE", without_feature(view)?),
    };
    let shared = (!exclusive).then_some("true");
    Ok(Some(TableChange {
        operation,
        protocol: Some(protocol),
        metadata: Some(compat::with_property(metadata, SHARED_KEY, shared)?),
    }))
}

impl Table {
    /// Asks other programs not to write to the table, or lets them. Returns whether that is a change.
    ///
    /// # Errors
    /// The store's, or the table can't be followed.
    pub async fn set_exclusive(&self, exclusive: bool) -> Result<bool, LakeError> {
        let mut following = self.following.lock().await;
        loop {
            self.catch_up(&mut following).await?;
            let change = change(&following.protocol, &following.metadata, exclusive);
            let Some(change) = change.map_err(delta::refused(&self.spec))? else {
                return Ok(false);
            };
            let version = self.snapshot().version() + 1;
            if delta::commit_change(&self.store, &self.spec, version, change, self.clock.now()).await? {
                self.catch_up(&mut following).await?;
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake_core::kernel::new_metadata;
    use footfall_model::clock::SystemClock;
    use footfall_model::table::events;
    use object_store::ObjectStore;
    use object_store::memory::InMemory;
    use serde_json::{Value, json};

    use super::*;
    use crate::Commit;

    fn protocol(text: Value) -> Protocol {
        serde_json::from_value(text).unwrap()
    }

    fn metadata(properties: &[(&str, &str)]) -> Metadata {
        let columns = deltalake_core::kernel::StructType::try_new([]).unwrap();
        new_metadata(&columns, [""; 0], properties.iter().copied()).unwrap()
    }

    #[test]
    fn feature_keeps_what_the_protocol_required() {
        let claimed = |text| {
            let claimed = claim(&protocol(text), &metadata(&[])).unwrap();
            claimed.map(|protocol| serde_json::to_value(protocol).unwrap())
        };
        let legacy = claimed(json!({"minReaderVersion": 1, "minWriterVersion": 3})).unwrap();
        assert_eq!(legacy["minReaderVersion"], 1, "readers need nothing new");
        assert_eq!(legacy["minWriterVersion"], 7);
        let mut features: Vec<_> = legacy["writerFeatures"].as_array().unwrap().iter().collect();
        features.sort_by_key(ToString::to_string);
        assert_eq!(
            json!(features),
            json!(["appendOnly", "checkConstraints", FEATURE, "invariants"])
        );
        let named = json!({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["timestampNtz"],
            "writerFeatures": ["timestampNtz"]});
        let named = claimed(named).unwrap();
        assert_eq!(named["readerFeatures"], json!(["timestampNtz"]));
        assert_eq!(claimed(named), None, "it has the feature");
    }

    #[test]
    fn shared_table_is_not_claimed() {
        let plain = protocol(json!({"minReaderVersion": 1, "minWriterVersion": 2}));
        assert_eq!(claim(&plain, &metadata(&[(SHARED_KEY, "true")])).unwrap(), None);
        assert!(claim(&plain, &metadata(&[(SHARED_KEY, "false")])).unwrap().is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn shared_table_stays_shared_and_is_written_on() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let open = async || {
            Table::open(Arc::clone(&store), Arc::clone(events()), Arc::new(SystemClock))
                .await
                .unwrap()
        };
        let (table, other) = (open().await, open().await);
        let is_exclusive = async |table: &Table| {
            let following = table.following.lock().await;
            is_exclusive(&compat::view(&following.protocol).unwrap())
        };
        assert!(is_exclusive(&table).await);
        assert!(!table.set_exclusive(true).await.unwrap());
        assert!(table.set_exclusive(false).await.unwrap());
        assert!(!table.set_exclusive(false).await.unwrap());
        for table in [&other, &open().await] {
            table
                .commit(&Commit::append(table.snapshot().version().into(), Vec::new()))
                .await
                .unwrap();
            table.refresh().await.unwrap();
            assert!(!is_exclusive(table).await, "a start does not claim it again");
        }
        table.checkpoint().await.unwrap();
        assert!(table.set_exclusive(true).await.unwrap());
        assert!(is_exclusive(&open().await).await);
    }
}
