//! Sending and waiting: what has become of a message is read from the events, so that nothing is asked twice.
//!
//! Keeps true: events are listened to before the command is given, so that no receipt is missed; a wait that ends
//! leaves the message on its way.

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::limits::{ANSWER, STORING};
use crate::api::types::{SentJson, Wait};
use crate::handle::NumberedEvent;
use lanchat_net::clock::rfc3339;
use lanchat_node_core::input::Command;
use lanchat_node_core::output::{Answer, Event};
use lanchat_proto::ids::{LogId, MessageId, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};

/// Whom a message has reached so far.
struct Reached {
    message: MessageId,
    recipients: BTreeSet<UserId>,
    /// Where the message stands in its log, once its event came.
    place: Option<(LogId, u64)>,
    /// Newest numbers by log and user: on disk, seen. Receipts may come before the place is known.
    receipts: BTreeMap<(LogId, UserId), (u64, u64)>,
    delivered: BTreeSet<UserId>,
    read: BTreeSet<UserId>,
}

impl Reached {
    fn see(&mut self, event: &Event) {
        match event {
            Event::Message(stored) if stored.entry.header.message == self.message => {
                self.place = Some((stored.entry.header.log(), stored.entry.header.number));
            }
            Event::Receipt { log, user, received, read } if self.recipients.contains(user) => {
                self.receipts.insert((*log, *user), (*received, *read));
            }
            Event::Message(_)
            | Event::Receipt { .. }
            | Event::Presence { .. }
            | Event::Link { .. }
            | Event::Transfer { .. }
            | Event::Profile { .. }
            | Event::Coordinator(_)
            | Event::Notice(_) => return,
        }
        let Some((place, number)) = self.place else { return };
        // Receipts about other logs say nothing of this message.
        self.receipts.retain(|(log, _), _| *log == place);
        for ((_, user), (received, read)) in &self.receipts {
            if *received >= number {
                self.delivered.insert(*user);
            }
            if *read >= number {
                self.delivered.insert(*user);
                self.read.insert(*user);
            }
        }
    }

    fn has(&self, wait: Wait) -> bool {
        match wait {
            Wait::Stored => true,
            Wait::Delivered => self.recipients.is_subset(&self.delivered),
            Wait::Read => self.recipients.is_subset(&self.read),
        }
    }
}

/// Looks the message up, after events were missed.
async fn look_up(api: &Api, reached: &mut Reached) -> Result<(), ApiError> {
    let message = reached.message;
    if let Some(row) = api.read(move |reader| reader.message(&message)).await? {
        reached.place = Some((row.log, row.number));
        reached.delivered.extend(row.delivered_to.iter().chain(&row.read_by));
        reached.read.extend(row.read_by);
    }
    Ok(())
}

async fn wait_for(
    api: &Api,
    events: &mut Receiver<NumberedEvent>,
    reached: &mut Reached,
    wait: Wait,
) -> Result<(), ApiError> {
    while !reached.has(wait) {
        match events.recv().await {
            Ok(numbered) => reached.see(&numbered.event),
            Err(RecvError::Lagged(_)) => look_up(api, reached).await?,
            Err(RecvError::Closed) => return Err(ApiError::stopping()),
        }
    }
    Ok(())
}

/// Gives a command that writes a message, and waits.
pub(super) async fn send_and_wait(
    api: &Api,
    command: Command,
    wait: Wait,
    limit: Duration,
) -> Result<SentJson, ApiError> {
    let deadline = Instant::now() + limit;
    let mut events = api.handle.events();
    let answered = timeout(limit.clamp(STORING, ANSWER), api.handle.command(command)).await;
    let answer = answered.map_err(|_| ApiError::timed_out("the message could not be stored in time"))??;
    let Answer::Sent { message, conversation, sent_at, recipients } = answer else {
        return Err(ApiError::stopping());
    };
    let mut reached = Reached {
        message,
        recipients: recipients.into_iter().collect(),
        place: None,
        receipts: BTreeMap::new(),
        delivered: BTreeSet::new(),
        read: BTreeSet::new(),
    };
    let waited = tokio::select! {
        waited = timeout_at(deadline, wait_for(api, &mut events, &mut reached, wait)) => waited,
        () = api.stop.cancelled() => return Err(ApiError::stopping()),
    };
    // What came meanwhile without being waited for.
    while let Ok(numbered) = events.try_recv() {
        reached.see(&numbered.event);
    }
    let hex = |users: &BTreeSet<UserId>| users.iter().map(UserId::to_string).collect::<Vec<_>>();
    let delivered = reached.recipients.intersection(&reached.delivered).copied().collect();
    let sent = SentJson {
        id: message.to_string(),
        conversation: conversation.to_string(),
        sent_at: rfc3339(sent_at),
        delivered_to: hex(&delivered),
        pending: hex(&reached.recipients.difference(&reached.delivered).copied().collect()),
        read_by: hex(&reached.recipients.intersection(&reached.read).copied().collect()),
    };
    match waited {
        Ok(Ok(())) => Ok(sent),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let message = "not there within the time; the message stays on its way";
            let json = serde_json::to_value(&sent).unwrap_or_default();
            Err(ApiError::timed_out(message).with("sent", json))
        }
    }
}
