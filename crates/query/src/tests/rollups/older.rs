//! Segments that an older version has made, whose `visits` did not tell sessions and users apart.

use super::*;
use crate::testing::rows;

/// The rollups as they were.
fn without_ids() -> Vec<Rollup> {
    let mut rollups = built_in();
    for rollup in &mut rollups {
        rollup.ids.clear();
    }
    rollups
}

/// A compactor of the older version.
async fn older(store: &Arc<dyn ObjectStore>) -> Compactor {
    let kinds: Vec<Arc<dyn SegmentKind>> = vec![Arc::new(RollupSegments(without_ids()))];
    let tables = kinds[0].tables().unwrap();
    let specs: Vec<_> = [Arc::clone(events_table())].into_iter().chain(tables).collect();
    let lake = Lake::open(Arc::clone(store), &specs, Arc::new(SystemClock))
        .await
        .unwrap();
    let ids = CountedIds(AtomicU64::new(PROCESSES.fetch_add(1, Ordering::SeqCst) << 32));
    Compactor::new(&lake, kinds, Policy::default(), Arc::new(SystemClock), Arc::new(ids)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_without_ids_are_not_taken_for_segments_of_null() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let rolled = Rolled::over(Arc::clone(&store), &Policy::default()).await;
    rolled.add(events().crowd(50).session(Some("one")).crowd(50), 0).await;
    rolled.add(events().at("2026-11-02 10:00").crowd(50), 1).await;
    let older = older(&store).await;
    older.execute(&older.plan_day(20_758)[0], None).await.unwrap();
    rolled.lake.refresh().await.unwrap();

    let distinct = "SELECT count(DISTINCT session_id), count(DISTINCT user_id), count(session_id) FROM events \
                    WHERE tracking_id = 'a'";
    let of_view = "SELECT count(DISTINCT session_hash), count(DISTINCT client_hash), sum(event_count) FROM visits";
    for merged_since in [false, true] {
        let answer = async |caller: Caller, sql: &str| {
            let batches = rows(&rolled.engine, caller, sql, &[]).await.unwrap();
            let columns = batches[0].columns().iter();
            let numbers = columns.map(|column| arrow::util::display::array_value_to_string(column, 0).unwrap());
            numbers.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(answer(unrouted(&SiteScope::All), distinct).await, "51 0 150");
        assert_eq!(answer(Caller::from(&SiteScope::All), distinct).await, "51 0 150");
        assert_eq!(answer(Caller::from(&SiteScope::All), of_view).await, "51 50 150");
        let plan = table(&rolled.engine, &SiteScope::All, &format!("EXPLAIN {of_view}")).await;
        assert_eq!(plan.contains("rollups/visits-session-user/"), merged_since, "{plan}");
        assert!(!plan.contains("rollups/visits/"), "{plan}");
        if !merged_since {
            // The others are as they were.
            let hourly = "EXPLAIN SELECT sum(event_count) FROM events_hourly";
            let plan = table(&rolled.engine, &SiteScope::All, hourly).await;
            assert!(plan.contains("rollups/events_hourly/"), "{plan}");
            let [compactor, _] = &rolled.compactors;
            compactor.execute(&compactor.plan_day(20_759)[0], None).await.unwrap();
        }
    }
}
