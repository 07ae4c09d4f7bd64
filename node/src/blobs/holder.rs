//! One stream to a holder of a file: frames to it, frames from it, until either side ends it.

use super::limits;
use super::pace::Gate;
use lanchat_net::{Link, StreamError};
use lanchat_node_core::fetch::SourceId;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::wire::blob::BlobOpen;
use tokio::sync::mpsc;
use tokio::time::timeout;

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

/// Opens a stream and carries frames until it ends.
pub(super) async fn carry(
    (source, link, open): (SourceId, Link, BlobOpen),
    mut to_holder: mpsc::Receiver<ToHolder>,
    events: mpsc::Sender<FromHolder>,
    pace: impl Fn() -> u64,
    gate: &Gate,
) {
    if let Err(error) = talk((source, &link, &open), &mut to_holder, &events, pace, gate).await {
        tracing::debug!(%error, "The stream to a holder ended");
    }
    // The fetch may be over.
    drop(events.send(FromHolder::Gone(source)).await);
}

async fn talk(
    (source, link, open): (SourceId, &Link, &BlobOpen),
    to_holder: &mut mpsc::Receiver<ToHolder>,
    events: &mpsc::Sender<FromHolder>,
    pace: impl Fn() -> u64,
    gate: &Gate,
) -> Result<(), StreamError> {
    let (mut reader, mut writer) = link.open_stream().await?.split();
    let broken = |error: lanchat_proto::codec::EncodeError| StreamError::Broken(error.to_string());
    writer.send(&Frame::new(Kind::BlobOpen, open).map_err(broken)?).await?;
    writer.flush().await?;
    loop {
        tokio::select! {
            wish = to_holder.recv() => match wish {
                Some(ToHolder::Ask(frame)) => {
                    let sending = async {
                        writer.send(&frame).await?;
                        if to_holder.is_empty() { writer.flush().await } else { Ok(()) }
                    };
                    timeout(limits::SOURCE_IDLE, sending).await.map_err(|_| StreamError::Timeout)??;
                }
                Some(ToHolder::Spent(payload)) => {
                    reader.reuse(payload);
                    if to_holder.is_empty() {
                        writer.flush().await?;
                    }
                }
                None => return Ok(()),
            },
            frame = reader.frame() => {
                let Some(frame) = frame? else { return Ok(()) };
                gate.pass(frame.payload.len(), pace()).await;
                if events.send(FromHolder::Frame(source, frame)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
