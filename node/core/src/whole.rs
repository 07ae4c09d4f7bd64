//! Logs that began above 1 because this device was not endorsed, fetched whole once it is.
//!
//! Keeps true: what is here of such a log stays in history, moved aside, and the log begins anew from nothing, so that
//! everybody who believes the endorsement sends it from its first entry. Goes in: a chain that was adopted, reads. Goes
//! out: branches to be stored, then heads.

use crate::output::{Change, Output};
use crate::state::NodeState;
use crate::sync::Purpose;
use crate::writes::Write;
use lanchat_proto::entry::{Entry, LogEnd, WireEntry};
use lanchat_proto::ids::LogId;
use lanchat_proto::limits::MAX_BATCH_BYTES;

impl NodeState {
    /// This device is endorsed from now on: has the logs found that began above 1 for it.
    pub(crate) fn fetch_whole_logs(&mut self) {
        self.links.all.values_mut().for_each(|link| link.sync.floors.clear());
        let begun =
            self.logs.all.iter().filter(|(log, row)| log.device != self.me.device && row.tail.number > 1);
        let logs: Vec<LogId> = begun.filter(|(_, row)| !row.frozen).map(|(log, _)| *log).collect();
        logs.into_iter().for_each(|log| self.read_beginning(log, false));
    }

    /// `again`: after a failure that nobody could say the outcome of.
    pub(crate) fn read_beginning(&mut self, log: LogId, again: bool) {
        let id = self.loads.add(Purpose::Beginning { log, again });
        self.out.push_back(Output::Load { id, log, from: 1, max_entries: 1, max_bytes: MAX_BATCH_BYTES });
    }

    pub(crate) fn beginning_read(&mut self, log: LogId, again: bool, entries: &[(u64, WireEntry)]) {
        let Some(row) = self.logs.all.get_mut(&log) else { return };
        if row.broken || row.doubted {
            self.empty_later(log);
            return;
        }
        let first = entries.first().and_then(|(_, wire)| Entry::read(wire).ok());
        match first.map(|entry| entry.header.number) {
            Some(from) if from > 1 => {
                // What comes from now on has to be the log's first entry.
                row.tail = LogEnd::EMPTY;
                let write = Write { emptied: Some(log), ..Write::default() };
                self.write(write, vec![Change::Branch { log, from }]);
            }
            None if again => self.log_emptied(log),
            Some(_) | None => {}
        }
    }

    /// What was here of a log is moved aside: whoever may send it from its first entry is told that nothing is here.
    pub(crate) fn log_emptied(&mut self, log: LogId) {
        let Some(row) = self.logs.all.get_mut(&log) else { return };
        row.end = LogEnd::EMPTY;
        for (_, link) in self.audience(&log.conversation) {
            self.tell_head(link, log);
        }
    }

    /// It could not be moved aside; `end` is where the log ends then, if anybody can say.
    pub(crate) fn log_not_emptied(&mut self, log: LogId, end: Option<LogEnd>) {
        if end.is_some_and(|end| end.number == 0) {
            self.log_emptied(log);
            return;
        }
        if let Some(row) = self.logs.all.get_mut(&log) {
            if row.queued == 0 {
                row.tail = row.end;
            } else {
                row.broken = true;
            }
        }
        self.empty_later(log);
    }
}
