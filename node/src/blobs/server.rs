//! Sends what is offered from here: one task for each stream that another node opened.
//!
//! Keeps true: nothing is sent that was not asked for, nor to anybody whom the core does not name; the core is asked once
//! a stream can be stopped, so that no pause and no withdrawal misses it; a file that is no more the one that was
//! offered is not sent on; at most [`limits::READ_AHEAD`] pieces of a stream are in memory. Goes in: asks. Goes out:
//! pieces in the order asked, or why there are none. The rules: `docs/protocol.md#transfer`.

mod places;

pub(super) use places::Place;

use super::limits;
use super::shelf::{Owner, Part};
use super::source::{Source, SourceFault, Sources, read_exact_at};
use super::{Files, FromFiles};
use lanchat_net::{BlobReader, BlobStream, BlobWriter, LinkId as NetLink, StreamError};
use lanchat_node_core::boot::{LinkId, StoredTransfer};
use lanchat_node_core::fetch::Flow;
use lanchat_proto::blob::Units;
use lanchat_proto::codec::{Blob, BoundedVec};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::MessageId;
use lanchat_proto::limits::{MAX_PIECE, MAX_VALUES};
use lanchat_proto::wire::blob::{
    BlobAsk, BlobAskValues, BlobHave, BlobOpen, BlobRefusal, BlobRefused, BlobValues, Piece,
};
use places::{Opening, Taken};
use std::fs::File;
use std::path::PathBuf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// What another node asked.
enum Asked {
    Values(BlobAskValues),
    Piece(BlobAsk),
}

/// What it gets.
enum Answered {
    Values(BlobValues),
    Piece(BlobAsk, Vec<u8>),
    Refused(BlobRefusal),
}

/// How serving ended.
enum End {
    /// The other side has what it wanted, or is gone.
    Over,
    /// The user stopped it, or somebody else has the place now.
    Stopped,
    /// The file cannot be sent on.
    Refused(BlobRefusal),
}

/// What is needed to read a file that is offered.
struct Reading {
    sources: Sources,
    size: u64,
    /// The one of them that is read.
    source: Source,
    file: File,
    units: Units,
    values: PathBuf,
}

impl Files {
    /// Serves a stream that another node opened, until it ends.
    pub fn serve(&self, stream: BlobStream) {
        let opening = self.opening(stream.link());
        let files = self.clone();
        tokio::spawn(async move {
            let link = stream.link();
            let (mut reader, mut writer) = stream.split();
            let served = match opening {
                Some(opening) => files.serve_stream((link, opening), &mut reader, &mut writer).await,
                None => Err(BlobRefusal::Busy),
            };
            if let Err(reason) = served {
                drop(timeout(limits::OPEN_IDLE, refuse(&mut writer, reason)).await);
                // What was sent is lost with the stream unless the other side has read it, and it ends the stream then.
                let rest = async { while let Ok(Some(_)) = reader.frame().await {} };
                drop(timeout(limits::OPEN_IDLE, rest).await);
            }
        });
    }

    async fn serve_stream(
        &self,
        (link, opening): (NetLink, Opening),
        reader: &mut BlobReader,
        writer: &mut BlobWriter,
    ) -> Result<(), BlobRefusal> {
        let first = timeout(limits::OPEN_IDLE, reader.frame()).await;
        let Ok(Ok(Some(frame))) = first else { return Ok(()) };
        let open = frame.decode::<BlobOpen>().ok().filter(|_| frame.known() == Some(Kind::BlobOpen));
        let open = open.ok_or(BlobRefusal::Other)?;
        let row = self.may_fetch(link, open).await?;
        let taken = self.take_place(&row).ok_or(BlobRefusal::Busy)?;
        drop(opening);
        // What the user decided before the place was taken did not stop it.
        let row = self.may_fetch(link, open).await?;
        let end = self.serve_file(&row, &taken, reader, writer).await;
        match end {
            End::Stopped if taken.was_given_up() => Err(BlobRefusal::Busy),
            // The core knows why.
            End::Stopped => self.may_fetch(link, open).await.map(drop),
            End::Refused(reason) => Err(self.refused(row.offer, reason).await),
            End::Over => Ok(()),
        }
    }

    async fn serve_file(
        &self,
        row: &StoredTransfer,
        taken: &Taken,
        reader: &mut BlobReader,
        writer: &mut BlobWriter,
    ) -> End {
        let files = self.clone();
        let (hash, size) = (row.file.hash, row.file.size);
        let reading = tokio::task::spawn_blocking(move || files.open_source(hash, size)).await;
        let reading = match reading.unwrap_or(Err(BlobRefusal::Other)) {
            Ok(reading) => reading,
            Err(reason) => return End::Refused(reason),
        };
        let have = BlobHave { size, units: Blob::default() };
        let Ok(have) = Frame::new(Kind::BlobHave, &have) else { return End::Refused(BlobRefusal::Other) };
        let greeting = async {
            writer.send(&have).await?;
            writer.flush().await
        };
        match taken.sending(in_time(greeting)).await {
            Some(true) => {}
            Some(false) => return End::Over,
            None => return End::Stopped,
        }
        self.begin_serving(row.offer).await;
        let end = self.serve_asks(taken, reading, reader, writer).await;
        self.end_serving(row.offer).await;
        end
    }

    /// One more stream carries an offered file. Whoever shows it is told in the order in which it happens.
    async fn begin_serving(&self, offer: MessageId) {
        self.show(offer, |shown| shown.sources += 1);
        // A loop that has ended need not know.
        let permit = self.0.to_loop.reserve().await;
        let mut state = self.0.state();
        let streams = state.serving.entry(offer).or_default();
        *streams += 1;
        if let (1, Ok(permit)) = (*streams, permit) {
            permit.send(FromFiles::Serving { offer, now: true });
        }
    }

    async fn end_serving(&self, offer: MessageId) {
        self.show(offer, |shown| {
            shown.sources = shown.sources.saturating_sub(1);
            if shown.sources == 0 {
                shown.flow = Flow::default();
            }
        });
        let permit = self.0.to_loop.reserve().await;
        let mut state = self.0.state();
        let streams = state.serving.entry(offer).or_default();
        *streams = streams.saturating_sub(1);
        if *streams == 0 {
            state.serving.remove(&offer);
            if let Ok(permit) = permit {
                permit.send(FromFiles::Serving { offer, now: false });
            }
        }
    }

    /// A reason that is one for the user here too is told to the core.
    async fn refused(&self, offer: MessageId, reason: BlobRefusal) -> BlobRefusal {
        if matches!(reason, BlobRefusal::Gone | BlobRefusal::Changed) {
            // A loop that has ended need not know.
            drop(self.0.to_loop.send(FromFiles::SourceLost { offer, reason }).await);
        }
        reason
    }

    async fn may_fetch(&self, link: NetLink, open: BlobOpen) -> Result<StoredTransfer, BlobRefusal> {
        let (answer, answered) = oneshot::channel();
        let question = FromFiles::MayFetch { link: LinkId(link.0), open, answer };
        self.0.to_loop.send(question).await.map_err(|_| BlobRefusal::Other)?;
        answered.await.unwrap_or(Err(BlobRefusal::Other))
    }

    fn open_source(&self, hash: lanchat_proto::blob::BlobHash, size: u64) -> Result<Reading, BlobRefusal> {
        let sources = Sources::kept(&self.0.shelf, &hash);
        let (source, file) = sources.open(size).map_err(refusal)?;
        let units = Units::of(size).map_err(|_| BlobRefusal::Other)?;
        let values = self.0.shelf.path(&Owner::Content(hash), Part::Values);
        Ok(Reading { sources, size, source, file, units, values })
    }

    /// Answers asks until the stream ends.
    async fn serve_asks(
        &self,
        taken: &Taken,
        reading: Reading,
        reader: &mut BlobReader,
        writer: &mut BlobWriter,
    ) -> End {
        let offer = taken.offer();
        let (asks, asked) = mpsc::channel(limits::ASKS);
        let (answers, mut answered) = mpsc::channel(limits::READ_AHEAD);
        let (spent, spare) = std::sync::mpsc::channel();
        let units = reading.units;
        tokio::task::spawn_blocking(move || read_asked(reading, asked, &answers, &spare));
        let taking = async {
            // The answers end once this has ended and all asks are answered.
            if let Err(fault) = take_asks(reader, &asks).await {
                tracing::debug!(%offer, %fault, "A stream of content ends");
            }
            drop(asks);
            std::future::pending::<()>().await;
        };
        let mut upto = 0;
        let answering = async {
            loop {
                let answer = tokio::select! {
                    biased;
                    () = taken.stopped() => return End::Stopped,
                    answer = next(&mut answered, writer) => answer,
                };
                let sent = match answer {
                    Some(Answered::Piece(ask, bytes)) => {
                        if !taken.held(self.0.up.pass(bytes.len())).await {
                            return End::Stopped;
                        }
                        let piece = Piece { unit: ask.unit, offset: ask.offset, bytes: &bytes };
                        let sending = in_time(writer.send_piece(piece.header(), &bytes));
                        let Some(sent) = taken.sending(sending).await else { return End::Stopped };
                        taken.sent(bytes.len());
                        let start = units.range(ask.unit).map_or(0, |(start, _)| start);
                        upto = start + ask.offset + u64::from(ask.len);
                        let now = self.now();
                        self.show(offer, |shown| {
                            shown.done = upto;
                            shown.flow.count(bytes.len() as u64, now);
                        });
                        // The reading thread may have ended.
                        drop(spent.send(bytes));
                        sent
                    }
                    Some(Answered::Values(values)) => match Frame::new(Kind::BlobValues, &values) {
                        Ok(frame) => match taken.sending(in_time(writer.send(&frame))).await {
                            Some(sent) => {
                                taken.sent(frame.payload.len());
                                sent
                            }
                            None => return End::Stopped,
                        },
                        Err(_) => false,
                    },
                    Some(Answered::Refused(reason)) => return End::Refused(reason),
                    None => false,
                };
                if !sent {
                    return End::Over;
                }
            }
        };
        let end = tokio::select! {
            () = taking => End::Over,
            end = answering => end,
        };
        self.show(offer, |shown| shown.done = shown.done.max(upto));
        end
    }
}

/// The next answer; what was sent before leaves while there is none.
async fn next(answered: &mut mpsc::Receiver<Answered>, writer: &mut BlobWriter) -> Option<Answered> {
    if let Ok(answer) = answered.try_recv() {
        return Some(answer);
    }
    if !in_time(writer.flush()).await {
        return None;
    }
    answered.recv().await
}

async fn in_time(sending: impl Future<Output = Result<(), StreamError>>) -> bool {
    matches!(timeout(limits::STREAM_IDLE, sending).await, Ok(Ok(())))
}

async fn refuse(writer: &mut BlobWriter, reason: BlobRefusal) -> Result<(), StreamError> {
    if let Ok(frame) = Frame::new(Kind::BlobRefused, &BlobRefused { reason }) {
        writer.send(&frame).await?;
    }
    writer.close().await
}

/// Reads asks until the stream ends or the other side breaks the rules.
async fn take_asks(reader: &mut BlobReader, asks: &mpsc::Sender<Asked>) -> Result<(), String> {
    loop {
        let frame = timeout(limits::ASK_IDLE, reader.frame()).await.map_err(|_| "idle".to_owned())?;
        let Some(frame) = frame.map_err(|error| error.to_string())? else { return Ok(()) };
        let asked = match frame.known() {
            Some(Kind::BlobAsk) => frame.decode().map(Asked::Piece),
            Some(Kind::BlobAskValues) => frame.decode().map(Asked::Values),
            Some(_) => return Err("a frame that is none for here".to_owned()),
            None => continue,
        };
        let asked = asked.map_err(|error| error.to_string())?;
        if asks.send(asked).await.is_err() {
            return Ok(());
        }
    }
}

/// The disk's side: reads what is asked for, in order. Ends with the asks, or with what cannot be sent.
fn read_asked(
    mut reading: Reading,
    mut asked: mpsc::Receiver<Asked>,
    answers: &mpsc::Sender<Answered>,
    spare: &std::sync::mpsc::Receiver<Vec<u8>>,
) {
    while let Some(asked) = asked.blocking_recv() {
        let answer = match asked {
            Asked::Piece(ask) => {
                let mut bytes = spare.try_recv().unwrap_or_default();
                reading.piece(&ask, &mut bytes).map(|()| Answered::Piece(ask, bytes))
            }
            Asked::Values(ask) => reading.values(&ask).map(Answered::Values),
        };
        let over = answer.is_err();
        if answers.blocking_send(answer.unwrap_or_else(Answered::Refused)).is_err() || over {
            return;
        }
    }
}

fn refusal(fault: SourceFault) -> BlobRefusal {
    match fault {
        SourceFault::Gone => BlobRefusal::Gone,
        SourceFault::Changed => BlobRefusal::Changed,
    }
}

impl Reading {
    fn piece(&mut self, ask: &BlobAsk, bytes: &mut Vec<u8>) -> Result<(), BlobRefusal> {
        let (start, len) = self.units.range(ask.unit).map_err(|_| BlobRefusal::NotHeld)?;
        let wanted = ask.len as usize;
        let end = ask.offset.checked_add(u64::from(ask.len)).filter(|end| *end <= len);
        if wanted > MAX_PIECE || end.is_none() {
            return Err(BlobRefusal::NotHeld);
        }
        if ask.offset == 0 && self.source.check().is_err() {
            self.move_on()?;
        }
        bytes.resize(wanted, 0);
        // Each place is gone at most once, unless somebody plays with them.
        for _ in 0..=limits::PLACES {
            match read_exact_at(&self.file, bytes, start + ask.offset) {
                // So far what was read is what was offered, whether or not the file still has its name.
                Ok(()) if self.source.is(&self.file) => return Ok(()),
                Err(error)
                    if error.kind() != std::io::ErrorKind::UnexpectedEof && self.source.check().is_ok() =>
                {
                    return Err(BlobRefusal::Other);
                }
                Ok(()) | Err(_) => self.move_on()?,
            }
        }
        Err(BlobRefusal::Other)
    }

    /// What is read is no more what was offered: another copy goes on, from the very byte.
    fn move_on(&mut self) -> Result<(), BlobRefusal> {
        (self.source, self.file) = self.sources.open(self.size).map_err(refusal)?;
        Ok(())
    }

    fn values(&self, ask: &BlobAskValues) -> Result<BlobValues, BlobRefusal> {
        let end = ask.first.checked_add(ask.count).filter(|end| *end <= self.units.count());
        if end.is_none() || ask.count as usize > MAX_VALUES {
            return Err(BlobRefusal::NotHeld);
        }
        let file = File::open(&self.values).map_err(|_| BlobRefusal::Gone)?;
        let mut bytes = vec![0; ask.count as usize * 32];
        read_exact_at(&file, &mut bytes, u64::from(ask.first) * 32).map_err(|_| BlobRefusal::Gone)?;
        let values = BoundedVec::first(bytes.as_chunks::<32>().0.iter().copied());
        Ok(BlobValues { first: ask.first, values })
    }
}
