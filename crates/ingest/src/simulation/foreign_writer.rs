//! Another program that commits to the same table: its versions come between the writer's.

use footfall_lake::{Commit, NewFile, Origin, Txn, file_name, partitions, write_file};
use footfall_model::clock::{Clock, IdGen};

use super::events::{self, FOREIGN_EVENTS};
use super::process::{World, open_table};
use crate::writer;

/// How often it asks a lake that does not answer.
const TRIES: u32 = 12;

/// Commits events with the numbers of the `nth` foreign writer in one transaction.
pub(super) async fn commit(world: World, nth: u32, rows: u32) {
    let numbers: Vec<u32> = (0..rows).map(|row| FOREIGN_EVENTS + nth * 100 + row).collect();
    let Some(table) = open_table(&world, None).await else {
        return;
    };
    let events: Vec<_> = numbers.iter().map(|number| events::event(*number)).collect();
    let days = partitions(&writer::rows(&events)).unwrap();
    let id = world.ids.next_id();
    let mut add = Vec::new();
    for (nth_file, day) in days.into_iter().enumerate() {
        let mut tries = 0;
        add.push(loop {
            let (name, now) = (file_name(id, nth_file), Clock::now(&world.time));
            let new = NewFile::new(table.spec(), day.event_date, name, Origin::Import, now);
            match write_file(table.store(), new, day.rows.clone()).await {
                Ok(file) => break file,
                Err(_) if tries < TRIES => tries += 1,
                Err(_) => return,
            }
            world.time.sleep_millis(300).await;
        });
    }
    world.model.lock().strangers_possible.extend(&numbers);
    // With a position or without: such a commit is known by its id alone.
    let txn = nth.is_multiple_of(2).then(|| Txn {
        app_id: format!("foreign_writer-{nth}"),
        after: 0,
        upto: 1,
        fingerprint: None,
    });
    let commit = Commit {
        txn,
        ..Commit::append(id, add)
    };
    for _ in 0..TRIES {
        match table.commit(&commit).await {
            Ok(version) => {
                world
                    .trace
                    .note(format_args!("foreign writer {nth}: version {version}"));
                world.model.lock().foreign_writers.extend(&numbers);
                return;
            }
            Err(error) if error.is_transient() => world.time.sleep_millis(400).await,
            Err(error) => {
                let wrong = format!("foreign writer {nth} was refused: {error}");
                return world.model.lock().wrong.push(wrong);
            }
        }
    }
}
