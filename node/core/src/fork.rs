//! Copies of the data that went back in time, and logs that part in two.
//!
//! Keeps true: an own log at a peer that is longer than here, or different, opens a new epoch before anything more is
//! written; what was written on the losing branch is issued again there under the same message ids, so that everybody
//! gets it once. Of others' logs that part in two what is here is kept, and nothing is added. `docs/protocol.md#epochs`.

use crate::boot::LinkId;
use crate::output::Change;
use crate::state::NodeState;
use lanchat_proto::entry::WireEntry;
use lanchat_proto::ids::LogId;
use lanchat_proto::wire::link::Head;

impl NodeState {
    /// A peer says where it stands in a log; in an own one that may show that this copy is old.
    pub(crate) fn check_own_log(&mut self, log: &LogId, head: &Head) {
        let mine = log.device == self.me.device && log.epoch == self.me.epoch;
        let row = self.logs.all.get(log);
        let end = row.map(|row| row.end).unwrap_or(lanchat_proto::entry::LogEnd::EMPTY);
        let tail = row.map_or(0, |row| row.tail.number);
        let other = head.number == end.number && head.number > 0 && head.hash != end.hash;
        if mine && (head.number > tail || other) {
            self.new_epoch(true);
        }
    }

    /// An own entry of the epoch in use comes from a peer: this copy is old.
    pub(crate) fn check_restored(&mut self, log: &LogId) {
        if log.device == self.me.device && log.epoch == self.me.epoch {
            self.new_epoch(true);
        }
    }

    /// A signed entry shows that a log has two branches.
    pub(crate) fn fork_proved(&mut self, _link: LinkId, log: &LogId, _number: u64) {
        if log.device == self.me.device {
            return;
        }
        if let Some(row) = self.logs.all.get_mut(log) {
            row.frozen = true;
            self.save(vec![Change::Freeze { log: *log }]);
        }
    }

    pub(crate) fn fork_read(&mut self, _log: LogId, _entries: Vec<(u64, WireEntry)>) {}
}
