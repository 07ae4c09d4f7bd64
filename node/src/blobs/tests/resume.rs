//! Fetches that are interrupted, and holders that lie.

use super::*;
use crate::blobs::source::{Watched, hash_file};
use lanchat_proto::codec::{Blob, BoundedVec};
use lanchat_proto::limits::MAX_PIECE;
use lanchat_proto::wire::blob::{BlobAsk, BlobAskValues, BlobHave, BlobValues, Piece};

/// A holder that follows a script.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) values: Arc<Vec<[u8; 32]>>,
    /// Bytes of content sent, by all streams.
    pub(super) sent: Arc<AtomicU64>,
    /// Bytes after which a stream is dropped.
    pub(super) cut: Arc<AtomicU64>,
    /// Whether one byte of every unit is another.
    lies: bool,
}

impl Script {
    pub(super) fn new(place: &Place, len: usize) -> (Self, FileBody) {
        let bytes = content(len);
        let path = place.write("source", &bytes);
        let hashed = hash_file(&path, &Watched::default()).unwrap();
        let body = FileBody {
            name: Text::new("file.bin".to_owned()).unwrap(),
            size: len as u64,
            media_type: Text::default(),
            hash: hashed.hash,
            changed: Wall(hashed.changed),
        };
        let (values, sent) = (Arc::new(hashed.list.values().to_vec()), Arc::default());
        (Self { bytes: Arc::new(bytes), values, sent, cut: Arc::new(u64::MAX.into()), lies: false }, body)
    }

    /// Serves every stream of a device.
    pub(super) fn hold(self, mut device: Device) {
        tokio::spawn(async move {
            let _runs = &device.net;
            while let Some(event) = device.events.recv().await {
                match event {
                    NetEvent::Stream { stream, .. } => drop(tokio::spawn(self.clone().answer(stream))),
                    NetEvent::Opened(opened) => opened.link.admit(),
                    _ => {}
                }
            }
        });
    }

    async fn answer(self, stream: lanchat_net::BlobStream) {
        let (mut reader, mut writer) = stream.split();
        let mut left = self.cut.load(Ordering::Relaxed);
        while let Ok(Some(frame)) = reader.frame().await {
            let sent = match frame.known().unwrap() {
                Kind::BlobOpen => {
                    let have = BlobHave { size: self.bytes.len() as u64, units: Blob::default() };
                    writer.send(&Frame::new(Kind::BlobHave, &have).unwrap()).await
                }
                Kind::BlobAskValues => {
                    let ask: BlobAskValues = frame.decode().unwrap();
                    let part = &self.values[ask.first as usize..(ask.first + ask.count) as usize];
                    let values =
                        BlobValues { first: ask.first, values: BoundedVec::new(part.to_vec()).unwrap() };
                    writer.send(&Frame::new(Kind::BlobValues, &values).unwrap()).await
                }
                Kind::BlobAsk => {
                    let ask: BlobAsk = frame.decode().unwrap();
                    assert!(ask.len as usize <= MAX_PIECE);
                    let start = usize::try_from((u64::from(ask.unit) << 20) + ask.offset).unwrap();
                    let mut bytes = self.bytes[start..start + ask.len as usize].to_vec();
                    if self.lies && ask.offset == 0 {
                        bytes[0] ^= 1;
                    }
                    if left < u64::from(ask.len) {
                        return;
                    }
                    left -= u64::from(ask.len);
                    self.sent.fetch_add(u64::from(ask.len), Ordering::Relaxed);
                    let piece = Piece { unit: ask.unit, offset: ask.offset, bytes: &bytes };
                    writer.send_piece(piece.header(), &bytes).await
                }
                other => panic!("{other:?}"),
            };
            if sent.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
    }
}

const LEN: usize = (24 << 20) + 12_345;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_interrupted_fifty_times_ends_with_the_file_and_little_is_sent_twice() {
    let mut to = Place::new();
    let (mut sender, mut receiver) = (Device::new(5).await, Device::new(6).await);
    let link = receiver.link(&mut sender).await;
    let (script, body) = Script::new(&to, LEN);
    script.clone().hold(sender);
    let row = row(offer(1), body);
    let mut cuts = 0;
    let end = loop {
        // Between nothing and what a few units take.
        let cut = if cuts < 50 { (cuts * 7_654_321 + 12_345) % (3 << 20) } else { u64::MAX };
        script.cut.store(cut, Ordering::Relaxed);
        to.fetch(&row, &link);
        match to.end(LinkId(link.id().0)).await {
            FetchEnd::Broken => cuts += 1,
            end => break end,
        }
        if cuts % 10 == 9 {
            to = to.restart().await;
        }
    };
    assert_eq!(end, FetchEnd::Complete);
    assert!(cuts > 10, "{cuts}");
    assert!(to.saved()["file.bin"] == content(LEN));
    let sent = script.sent.load(Ordering::Relaxed);
    // A cut costs what was on its way, and the beginning of the unit that it fell into.
    assert!(sent <= LEN as u64 + cuts * (1 << 20), "{sent} bytes, {cuts} cuts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_after_the_last_claim_is_found_again() {
    let mut to = Place::new();
    let (mut sender, mut receiver) = (Device::new(7).await, Device::new(8).await);
    let link = receiver.link(&mut sender).await;
    let (script, body) = Script::new(&to, LEN);
    script.clone().hold(sender);
    let row = row(offer(1), body);
    script.cut.store(10 << 20, Ordering::Relaxed);
    to.fetch(&row, &link);
    assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Broken);
    to = to.restart().await;
    assert!(to.files.progress(&row.offer).unwrap().done >= 8 << 20, "how far it was is known at once");
    // A unit that was good is damaged on the disk, and the claim is lost.
    to.files.0.shelf.remove(&Owner::Offer(row.offer), Part::Have);
    let partial = to.files.0.shelf.path(&Owner::Offer(row.offer), Part::Partial);
    let file = std::fs::File::options().write(true).open(partial).unwrap();
    platform::write_at(&file, b"damaged", 3 << 20).unwrap();
    let before = script.sent.swap(0, Ordering::Relaxed);
    script.cut.store(u64::MAX, Ordering::Relaxed);
    to.fetch(&row, &link);
    assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Complete);
    assert!(to.saved()["file.bin"] == content(LEN));
    let sent = script.sent.load(Ordering::Relaxed);
    assert!(sent + before <= LEN as u64 + (3 << 20), "{before} and {sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_sends_something_else_is_dropped_and_nothing_of_it_is_saved() {
    let mut to = Place::new();
    let (mut sender, mut receiver) = (Device::new(9).await, Device::new(10).await);
    let link = receiver.link(&mut sender).await;
    let (script, body) = Script::new(&to, LEN);
    Script { lies: true, ..script }.hold(sender);
    let row = row(offer(1), body);
    for fault in 1..=limits::FAULTS {
        to.fetch(&row, &link);
        let end = to.end(LinkId(link.id().0)).await;
        match fault == limits::FAULTS {
            true => assert!(matches!(end, FetchEnd::Failed(_)), "{end:?}"),
            false => assert_eq!(end, FetchEnd::Broken),
        }
    }
    assert!(to.saved().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_route_takes_over_and_the_first_is_drained() {
    let mut to = Place::new();
    let (mut sender, mut receiver) = (Device::new(11).await, Device::new(12).await);
    let one = receiver.link(&mut sender).await;
    let mut other = Device::new(13).await;
    let two = receiver.link(&mut other).await;
    let (script, body) = Script::new(&to, LEN);
    script.clone().hold(sender);
    script.clone().hold(other);
    let row = row(offer(1), body);
    to.fetch(&row, &one);
    soon("the first bytes", async {
        while script.sent.load(Ordering::Relaxed) < 2 << 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    to.fetch(&row, &two);
    assert_eq!(to.end(LinkId(two.id().0)).await, FetchEnd::Complete);
    assert!(to.saved()["file.bin"] == content(LEN));
    // What was asked of the first still comes, and the second goes on there.
    assert_eq!(script.sent.load(Ordering::Relaxed), LEN as u64);
}
