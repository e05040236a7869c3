//! Processes are started, stopped in order, crashed, frozen, and run twice.

use std::sync::Arc;

use footfall_lake::LakeError;
use tokio_util::sync::CancellationToken;

use super::{Shutdown, Simulation, TIMEOUT, ZOMBIE_LIVES, Zombie};
use crate::simulation::history::Power;
use crate::simulation::invariants::{self, Violation};
use crate::simulation::process::{self, Ending, Opened, Process, SimWal, World};
use crate::wal::{EventLog, LocalWal, WalError};
use crate::writer::WriterError;

impl Simulation {
    /// A writer may give up because of another writer of the same WAL, and for nothing else.
    pub(super) fn accept(&self, error: &WriterError) -> Result<(), Violation> {
        match error {
            // What an earlier process had sent to the lake may have arrived only now.
            WriterError::Lake(LakeError::Fenced { .. }) if self.rivals || self.started > 1 => Ok(()),
            WriterError::Log(WalError::NotHeld(_)) if self.rivals => Ok(()),
            other => Err(Violation::new("a_writer_gives_up_only_for_a_rival", other.to_string())),
        }
    }

    /// The process ends.
    pub(in crate::simulation) fn end(&mut self, power: Power) {
        self.world
            .trace
            .note(format_args!("{} end, power {power:?}", self.world.time.micros()));
        *self.endpoint.lock() = None;
        if let Some(process) = self.process.take() {
            self.discard(process);
        }
        self.start_at = self.world.time.micros();
        match power {
            Power::Stays => self.world.disk.kill(),
            Power::Fails => {
                self.world.disk.power_failure();
                for zombie in std::mem::take(&mut self.zombies) {
                    self.discard(zombie.process);
                }
            }
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "what is buried is gone")]
    pub(super) fn discard(&mut self, process: Process) {
        process.log.go();
        process.tasks().for_each(|task| self.executor.kill(task));
        let table = process.table.lock().take();
        self.followed.extend(table.map(|table| table.snapshot()));
    }

    pub(super) fn start(&mut self) -> Result<(), Violation> {
        let World {
            disk,
            ids,
            model,
            trace,
            time,
            ..
        } = self.world.clone();
        let opened = LocalWal::open_manual(Arc::new(disk.clone()), process::log_options(), ids.as_ref());
        let (log, committer, recovery) = match opened {
            Ok(opened) => opened,
            Err(WalError::Disk { path, source }) => {
                trace.note(format_args!("{} no log: {path}: {source}", time.micros()));
                if disk.is_dead() {
                    self.end(self.dying);
                }
                self.start_at = time.micros() + 1_000_000;
                return Ok(());
            }
            Err(error) => return Err(Violation::new("a_log_can_be_opened_after_any_crash", error.to_string())),
        };
        trace.note(format_args!("{} log open: {recovery:?}", time.micros()));
        invariants::what_was_acknowledged_is_found_again(&model.lock(), &recovery, self.tampered)?;
        model.lock().torn_bytes += recovery.torn_bytes;
        self.started += 1;
        let log = Arc::new(SimWal::new(log, model));
        let committer = process::commit(committer, Arc::clone(&log), self.world.clone());
        let (stop, table, ending) = (CancellationToken::new(), Opened::default(), Ending::default());
        let writer = process::write(
            self.world.clone(),
            Arc::clone(&log),
            stop.clone(),
            Arc::clone(&table),
            Arc::clone(&ending),
        );
        self.process = Some(Process {
            log: Arc::clone(&log),
            stop,
            writer: self.executor.spawn(format!("writer {}", self.started), writer),
            committer: self.executor.spawn(format!("committer {}", self.started), committer),
            others: Vec::new(),
            ending,
            table,
        });
        *self.endpoint.lock() = Some(log);
        Ok(())
    }

    /// Shuts the process down in order, as on SIGTERM, if there is one.
    pub(super) fn stop(&mut self) -> Result<Shutdown, Violation> {
        let Some(process) = &self.process else {
            return Ok(Shutdown::Otherwise);
        };
        let (started, writer, committer) = (self.started, process.writer, process.committer);
        let (log, ending) = (Arc::clone(&process.log), Arc::clone(&process.ending));
        process.stop.cancel();
        let same = move |this: &Self| this.process.is_some() && this.started == started;
        let late = |what: &str| Err(Violation::new("a_stop_ends", format!("the {what} does not stop")));
        if !self.pass_until(TIMEOUT, |this| !same(this) || this.executor.is_done(writer))? {
            return late("writer");
        }
        let clean = matches!(*ending.lock(), Some(Ok(())));
        if !same(self) || !clean {
            return Ok(Shutdown::Otherwise);
        }
        *self.endpoint.lock() = None;
        let stopped = Arc::clone(&log);
        let close = async move { log.close().await };
        self.executor.spawn("close".to_owned(), close);
        if !self.pass_until(TIMEOUT, |this| !same(this) || this.executor.is_done(committer))? {
            return late("log");
        }
        if !same(self) {
            return Ok(Shutdown::Otherwise);
        }
        self.stopped = (stopped.id(), stopped.last());
        self.end(Power::Stays);
        Ok(Shutdown::Clean)
    }

    /// Freezes the process while another one runs in its stead; later it continues.
    pub(super) fn zombie(&mut self, millis: u64) {
        let Some(process) = self.process.take() else { return };
        self.rivals = true;
        *self.endpoint.lock() = None;
        process.log.go();
        process.tasks().for_each(|task| self.executor.freeze(task));
        let thaws = self.world.time.micros() + millis * 1_000;
        let ends = thaws + ZOMBIE_LIVES * 1_000;
        self.zombies.push(Zombie { process, thaws, ends });
        self.start_at = self.world.time.micros();
    }

    /// A second writer over the same WAL.
    pub(super) fn rival(&mut self) {
        let Some(process) = &mut self.process else { return };
        self.rivals = true;
        let rival = process::write(
            self.world.clone(),
            Arc::clone(&process.log),
            process.stop.clone(),
            Opened::default(),
            Ending::default(),
        );
        process.others.push(self.executor.spawn("rival".to_owned(), rival));
    }
}
