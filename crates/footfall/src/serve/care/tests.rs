use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use footfall_catalog::{DEFAULT_TENANT, LeaseRole, NewSite, SiteChange, SqliteCatalog};
use footfall_compactor::Policy;
use footfall_lake::{Commit, Location, NewFile, Origin, S3Options, file_name, write_file};
use footfall_model::clock::{IdGen, RandomIds};
use footfall_model::rollup::RollupDefinition;
use footfall_model::{schema, table};

use super::*;

/// The day of the events, since 1970.
const TODAY: i32 = 20_000;

#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

/// A lake in a folder, and what takes care of it.
struct Cared {
    clock: Arc<HandClock>,
    catalog: Arc<dyn Catalog>,
    lake: Lake,
    compactor: Compactor,
    care: Care,
    folder: tempfile::TempDir,
}

async fn cared() -> Cared {
    let folder = tempfile::tempdir().unwrap();
    let hand = Arc::new(HandClock(AtomicI64::new(Micros::from(TODAY) * DAY)));
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn IdGen>) = (hand.clone(), Arc::new(RandomIds));
    let state = folder.path().join("catalog.sqlite");
    let catalog: Arc<dyn Catalog> = Arc::new(SqliteCatalog::open(&state, clock.clone(), ids.clone()).await.unwrap());
    let config = Config {
        data: folder.path().join("lake").to_str().unwrap().to_owned(),
        ..Config::default()
    };
    let location: Location = config.data.parse().unwrap();
    let store = location
        .shard_store(crate::serve::SHARD, &S3Options::default())
        .unwrap();
    let lake = Lake::open(store, &[Arc::clone(table::events())], clock.clone())
        .await
        .unwrap();
    let compactor = Compactor::new(&lake, Vec::new(), Policy::default(), clock.clone(), ids).unwrap();
    let care = Care::new(&lake, &catalog, &config, &clock);
    Cared {
        clock: hand,
        catalog,
        lake,
        compactor,
        care,
        folder,
    }
}

fn event(site: &str) -> RecordBatch {
    let schema = schema::event_file();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "tracking_id" => Arc::new(StringArray::from(vec![site])) as ArrayRef,
        "client_hash" => Arc::new(Int64Array::from(vec![1])) as ArrayRef,
        "event_timestamp" | "created_at" => {
            let time = TimestampMicrosecondArray::from(vec![Micros::from(TODAY) * DAY]);
            Arc::new(time.with_timezone("UTC")) as ArrayRef
        }
        "is_bot" => Arc::new(BooleanArray::from(vec![false])) as ArrayRef,
        _ if field.is_nullable() => new_null_array(field.data_type(), 1),
        _ => Arc::new(StringArray::from(vec!["x"])) as ArrayRef,
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

impl Cared {
    /// A file with an event of a site that keeps its events for a day; returns its path.
    async fn add(&self, site: &str) -> PathBuf {
        let new = NewSite {
            tracking_id: site.into(),
            tenant: DEFAULT_TENANT.into(),
            name: site.into(),
            url: None,
            timezone: "UTC".into(),
            currency: "EUR".into(),
            writer_token_required: false,
            dedupe_by: None,
        };
        self.catalog.create_site(new).await.unwrap();
        let change = SiteChange {
            retention_days: Some(Some(1)),
            ..SiteChange::default()
        };
        self.catalog.change_site(site, change).await.unwrap();
        let events = self.lake.table("events").unwrap();
        // In the order of the sites.
        let id = u128::from(site.as_bytes()[0]);
        let new = NewFile::new(table::events(), TODAY, file_name(id, 0), Origin::Wal, self.clock.now());
        let file = write_file(events.store(), new, event(site)).await.unwrap();
        let path = self.path(file.path.as_ref());
        events.commit(&Commit::append(id, vec![file])).await.unwrap();
        path
    }

    fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("lake/shard=00").join(below)
    }

    fn live(&self) -> usize {
        self.lake.table("events").unwrap().snapshot().files().count()
    }

    async fn take(&mut self, epoch: i64) -> Option<i64> {
        let fence = Fence {
            app_id: format!("{:?}", LeaseRole::Compactor),
            epoch,
        };
        self.care.take(&mut self.compactor, &fence, self.clock.now()).await
    }

    fn later(&self, time: Micros) {
        self.clock.0.fetch_add(time, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_file_does_not_keep_retention_from_others() {
    let mut cared = cared().await;
    let mut paths = Vec::new();
    for site in ["a", "b", "c"] {
        paths.push(cared.add(site).await);
    }
    std::fs::write(&paths[1], "damaged").unwrap();
    cared.later(5 * DAY);
    assert_eq!(cared.take(1).await, None);
    assert_eq!(cared.live(), 1, "the damaged one is left, the others are gone");
    assert_eq!(cared.take(1).await, None, "the next time is in an hour");
    cared.later(2 * HOUR);
    assert_eq!(cared.take(1).await, None);
    assert!(paths[1].exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn later_epoch_that_retention_meets_is_returned() {
    let mut cared = cared().await;
    cared.add("a").await;
    cared.later(5 * DAY);
    assert_eq!(cared.take(7).await, None);
    cared.add("b").await;
    cared.later(HOUR);
    assert_eq!(cared.take(6).await, Some(7));
    assert_eq!(cared.live(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_of_dropped_rollup_is_deleted_after_a_day() {
    let mut cared = cared().await;
    let definition: RollupDefinition =
        serde_json::from_str(r#"{"name": "mine", "grain": "day", "dimensions": ["country"]}"#).unwrap();
    let made = cared.catalog.create_rollup(definition).await.unwrap();
    crate::rollups::refresh(cared.catalog.as_ref(), &cared.lake)
        .await
        .unwrap();
    let folder = cared.path(format!("rollups/mine-{}", made.revision));
    assert!(folder.exists());
    cared.catalog.drop_rollup("mine").await.unwrap();
    crate::rollups::refresh(cared.catalog.as_ref(), &cared.lake)
        .await
        .unwrap();
    cared.later(DAY - HOUR);
    cared.take(1).await;
    assert!(folder.exists() && cared.catalog.dropped_rollups().await.unwrap().len() == 1);
    cared.later(2 * HOUR);
    cared.take(1).await;
    assert!(!folder.exists());
    assert_eq!(cared.catalog.dropped_rollups().await.unwrap(), []);
}
