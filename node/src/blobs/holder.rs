//! One stream to a holder of a file: frames to it, frames from it, until either side ends it.
//!
//! Keeps true: a holder that sends nothing of what it was asked for is given up, whatever else it sends; what holds its
//! answers back on this side is not held against it.

use super::pace::Gate;
use lanchat_net::{Link, StreamError};
use lanchat_node_core::fetch::SourceId;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::wire::blob::BlobOpen;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// What a fetch says to a stream's task. The stream ends when nothing more can come.
pub(super) enum ToHolder {
    /// To be sent.
    Ask(Frame),
    /// Memory of a frame that is done with.
    Spent(Vec<u8>),
}

/// What the stream's task says to its fetch.
pub(super) enum FromHolder {
    /// A frame came.
    Frame(SourceId, Frame),
    /// The stream is gone.
    Gone(SourceId),
}

/// How long a holder has been silent.
struct Silence {
    since: Instant,
    /// Answers that are to come: to the opening, then to each ask.
    owed: usize,
    greeted: bool,
}

impl Silence {
    /// It was asked for something.
    fn asked(&mut self) {
        if self.owed == 0 {
            self.since = Instant::now();
        }
        self.owed += 1;
    }

    /// Something of what it was asked for came, and has been taken.
    fn answered(&mut self) {
        self.owed = self.owed.saturating_sub(1);
        self.since = Instant::now();
    }

    /// It says what it has. Only the first time is an answer.
    fn greeted(&mut self) {
        if !std::mem::replace(&mut self.greeted, true) {
            self.answered();
        }
    }

    /// Waits until it has owed an answer for so long.
    async fn lasts(&self, long: Duration) {
        if self.owed == 0 {
            std::future::pending::<()>().await;
        }
        sleep_until(self.since + long).await;
    }
}

/// Opens a stream and carries frames until it ends, or the holder is silent for so long.
pub(super) async fn carry(
    (source, link, open): (SourceId, Link, BlobOpen),
    mut to_holder: mpsc::Receiver<ToHolder>,
    events: mpsc::Sender<FromHolder>,
    (gate, patience): (&Gate, Duration),
) {
    let talk = talk((source, &link, &open), &mut to_holder, &events, (gate, patience));
    if let Err(error) = talk.await {
        tracing::debug!(%error, "The stream to a holder ended");
    }
    // The fetch may be over.
    drop(events.send(FromHolder::Gone(source)).await);
}

async fn talk(
    (source, link, open): (SourceId, &Link, &BlobOpen),
    to_holder: &mut mpsc::Receiver<ToHolder>,
    events: &mpsc::Sender<FromHolder>,
    (gate, patience): (&Gate, Duration),
) -> Result<(), StreamError> {
    let (mut reader, mut writer) = link.open_stream().await?.split();
    let broken = |error: lanchat_proto::codec::EncodeError| StreamError::Broken(error.to_string());
    let opening = Frame::new(Kind::BlobOpen, open).map_err(broken)?;
    let sending = async {
        writer.send(&opening).await?;
        writer.flush().await
    };
    in_time(patience, sending).await?;
    let mut silence = Silence { since: Instant::now(), owed: 1, greeted: false };
    loop {
        tokio::select! {
            wish = to_holder.recv() => match wish {
                Some(ToHolder::Ask(frame)) => {
                    let sending = async {
                        writer.send(&frame).await?;
                        if to_holder.is_empty() { writer.flush().await } else { Ok(()) }
                    };
                    in_time(patience, sending).await?;
                    silence.asked();
                }
                Some(ToHolder::Spent(payload)) => {
                    reader.reuse(payload);
                    if to_holder.is_empty() {
                        in_time(patience, writer.flush()).await?;
                    }
                }
                None => return Ok(()),
            },
            frame = reader.frame() => {
                let Some(frame) = frame? else { return Ok(()) };
                let kind = frame.known();
                // A holder's few words about the file need not wait behind files.
                if !matches!(kind, Some(Kind::BlobHave | Kind::BlobRefused)) {
                    tokio::select! {
                        () = gate.pass(frame.payload.len()) => {}
                        () = events.closed() => return Ok(()),
                    }
                }
                if events.send(FromHolder::Frame(source, frame)).await.is_err() {
                    return Ok(());
                }
                match kind {
                    // One that was not asked for ends the stream.
                    Some(Kind::BlobPiece | Kind::BlobValues) => silence.answered(),
                    Some(Kind::BlobHave) => silence.greeted(),
                    _ => {}
                }
            }
            () = silence.lasts(patience) => return Err(StreamError::Timeout),
        }
    }
}

async fn in_time(
    patience: Duration,
    sending: impl Future<Output = Result<(), StreamError>>,
) -> Result<(), StreamError> {
    timeout(patience, sending).await.map_err(|_| StreamError::Timeout)?
}
