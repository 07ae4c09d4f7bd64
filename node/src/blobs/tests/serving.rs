//! What is sent: from where, to whom, for how long.

use super::*;
use crate::blobs::shelf::{Owner, Part};
use crate::blobs::source::{Source, Sources};
use lanchat_net::{BlobReader, BlobWriter};
use lanchat_proto::codec::Blob;
use lanchat_proto::wire::blob::{BlobAsk, BlobHave, BlobRefused, Piece};

/// A sender's place and device, a receiver's, and the receiver's link to the sender.
async fn scene(seed: u8) -> (Place, Device, Place, Device, lanchat_net::Link) {
    let (mut sender, mut receiver) = (Device::new(seed).await, Device::new(seed + 1).await);
    let link = receiver.link(&mut sender).await;
    (Place::new(), sender, Place::new(), receiver, link)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_offered_from_several_places_is_sent_while_one_of_them_has_it() {
    let (from, sender, mut to, _receiver, link) = scene(20).await;
    let bytes = content(3 << 20);
    let (report, copy) = (from.write("report.pdf", &bytes), from.write("copy.pdf", &bytes));
    let row = row(offer(1), from.files.offer(&report, |_| {}).await.unwrap().file);
    from.files.offer(&copy, |_| {}).await.unwrap();
    assert_eq!(from.files.source(&row.file.hash), Some(copy.clone()), "what was offered last");
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(from.files.source(&row.file.hash), Some(report.clone()), "where it still lies");
    let files = from.files.clone();
    drop(serve(sender, from, Arc::new(Mutex::new(Ok(row.clone())))));
    let id = LinkId(link.id().0);
    to.fetch(&row, &link);
    assert_eq!(to.end(id).await, FetchEnd::Complete);
    let row = StoredTransfer { offer: offer(2), ..row };
    std::fs::write(&report, b"another").unwrap();
    to.fetch(&row, &link);
    assert_eq!(to.end(id).await, FetchEnd::Refused(BlobRefusal::Changed), "one is gone, one is another");
    std::fs::remove_file(&report).unwrap();
    to.fetch(&row, &link);
    assert_eq!(to.end(id).await, FetchEnd::Refused(BlobRefusal::Gone));
    // The same place again: what is there now is what counts.
    std::fs::write(&copy, &bytes).unwrap();
    files.offer(&copy, |_| {}).await.unwrap();
    to.fetch(&row, &link);
    assert_eq!(to.end(id).await, FetchEnd::Complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_goes_while_it_is_sent_is_followed_by_another() {
    let (from, sender, mut to, _receiver, link) = scene(22).await;
    from.settings.send_modify(|settings| settings.rate_limit_up = 8 << 20);
    let bytes = content(6 << 20);
    let (report, copy) = (from.write("report.pdf", &bytes), from.write("copy.pdf", &bytes));
    let row = row(offer(1), from.files.offer(&report, |_| {}).await.unwrap().file);
    from.files.offer(&copy, |_| {}).await.unwrap();
    drop(serve(sender, from, Arc::new(Mutex::new(Ok(row.clone())))));
    to.fetch(&row, &link);
    soon("the first bytes", async {
        while to.files.progress(&row.offer).is_none_or(|progress| progress.done == 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Complete);
    assert!(to.saved()["report.pdf"] == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_a_unit_another_copy_goes_on_with_the_next_byte() {
    let (from, sender, _to, _receiver, link) = scene(56).await;
    let bytes = content(3 << 20);
    let (report, copy) = (from.write("report.pdf", &bytes), from.write("copy.pdf", &bytes));
    let row = row(offer(1), from.files.offer(&report, |_| {}).await.unwrap().file);
    from.files.offer(&copy, |_| {}).await.unwrap();
    drop(serve(sender, from, Arc::new(Mutex::new(Ok(row.clone())))));
    let (have, mut reader, mut writer) = ask(&link, &row, 1).await;
    assert_eq!(have, Some(Kind::BlobHave));
    let mut answer = async |unit: u32, offset: u64| {
        let ask = BlobAsk { unit, offset, len: PIECE };
        writer.send(&Frame::new(Kind::BlobAsk, &ask).unwrap()).await.unwrap();
        writer.flush().await.unwrap();
        soon("an answer", reader.frame()).await.unwrap().unwrap()
    };
    const PIECE: u32 = 64 << 10;
    let is_good = |frame: &Frame, at: usize| {
        let piece = Piece::parse(&frame.payload).unwrap();
        frame.known() == Some(Kind::BlobPiece) && piece.bytes == &bytes[at..at + PIECE as usize]
    };
    assert!(is_good(&answer(0, 0).await, 0));
    // Something else in the place that is read, and then no name for the other one.
    std::fs::write(&copy, content(4 << 20)).unwrap();
    assert!(is_good(&answer(0, 1 << 16).await, 1 << 16));
    std::fs::remove_file(&report).unwrap();
    assert!(is_good(&answer(0, 2 << 16).await, 2 << 16));
    // What is not open any more is gone.
    let refused: BlobRefused = answer(1, 0).await.decode().unwrap();
    assert_eq!(refused.reason, BlobRefusal::Changed);
}

#[tokio::test]
async fn places_are_bounded_and_those_that_hold_nothing_are_forgotten_first() {
    let place = Place::new();
    let shelf = &place.files.0.shelf;
    let kept = async |name: String| {
        let path = place.write(&name, b"the same");
        (place.files.offer(&path, |_| {}).await.unwrap().file.hash, path)
    };
    let (hash, first) = kept("first".to_owned()).await;
    let mut gone = Vec::new();
    for number in 1..limits::PLACES {
        gone.push(kept(number.to_string()).await.1);
    }
    gone.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let (_, newest) = kept("newest".to_owned()).await;
    assert_eq!(place.files.source(&hash), Some(newest.clone()));
    std::fs::remove_file(newest).unwrap();
    assert_eq!(place.files.source(&hash), Some(first.clone()), "the oldest, which is still there");
    // Offered again and again, a place counts once.
    for number in 0..limits::PLACES + 2 {
        kept(format!("one of many {number}")).await;
        kept("first".to_owned()).await;
    }
    assert_eq!(place.files.source(&hash), Some(first));
    let bytes = std::fs::read(shelf.path(&Owner::Content(hash), Part::Sources)).unwrap();
    assert!(bytes.len() <= limits::MAX_RECORD);
}

#[tokio::test]
async fn what_an_earlier_version_offered_is_still_there_and_joins_what_is_offered_now() {
    let place = Place::new();
    let shelf = &place.files.0.shelf;
    let (old, new) = (place.write("old", b"content"), place.write("new", b"content"));
    let hashed = source::hash_file(&old, &Watched::default()).unwrap();
    let owner = Owner::Content(hashed.hash);
    shelf.keep::<Source>(&owner, Part::Source, &hashed.source).unwrap();
    assert_eq!(place.files.source(&hashed.hash), Some(old.clone()));
    assert!(Sources::kept(shelf, &hashed.hash).open(7).is_ok());
    place.files.offer(&new, |_| {}).await.unwrap();
    assert_eq!(place.files.source(&hashed.hash), Some(new.clone()));
    assert!(!shelf.path(&owner, Part::Source).exists(), "there is one record of it");
    std::fs::remove_file(new).unwrap();
    assert_eq!(place.files.source(&hashed.hash), Some(old));
}

/// A holder that says again and again what it has, and sends nothing of it.
fn talks_only(mut device: Device, have: BlobHave) {
    tokio::spawn(async move {
        let _runs = &device.net;
        while let Some(event) = device.events.recv().await {
            if let NetEvent::Stream { stream, .. } = event {
                let have = Frame::new(Kind::BlobHave, &have).unwrap();
                tokio::spawn(async move {
                    let (_reader, mut writer) = stream.split();
                    while writer.send(&have).await.is_ok() && writer.flush().await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                });
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_talks_and_sends_nothing_is_given_up() {
    let waits = Waits { source: Duration::from_millis(300), ..Waits::default() };
    for (seed, units) in [(24, Vec::new()), (26, vec![0])] {
        let mut to = Place::waiting(tempfile::tempdir().unwrap(), waits);
        let (mut holder, mut receiver) = (Device::new(seed).await, Device::new(seed + 1).await);
        let link = receiver.link(&mut holder).await;
        let path = to.write("a", &content(3 << 20));
        let row = row(offer(1), to.files.offer(&path, |_| {}).await.unwrap().file);
        // Once it has all, once it has nothing that could be asked for.
        talks_only(holder, BlobHave { size: row.file.size, units: Blob::new(units).unwrap() });
        to.fetch(&row, &link);
        assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Broken);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_is_not_given_up_for_what_the_own_settings_hold_back() {
    let (from, sender, _, _receiver, link) = scene(28).await;
    let waits = Waits { source: Duration::from_millis(600), ..Waits::default() };
    let mut to = Place::waiting(tempfile::tempdir().unwrap(), waits);
    // A piece takes longer than a holder is waited for.
    to.settings.send_modify(|settings| settings.rate_limit_down = 64 << 10);
    let path = from.write("a", &content(192 << 10));
    let row = row(offer(1), from.files.offer(&path, |_| {}).await.unwrap().file);
    drop(serve(sender, from, Arc::new(Mutex::new(Ok(row.clone())))));
    to.fetch(&row, &link);
    assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_reaches_a_stream_whenever_it_comes() {
    let (mut from, mut sender, mut to, _receiver, link) = scene(30).await;
    let path = from.write("a", &content(3 << 20));
    let row = row(offer(1), from.files.offer(&path, |_| {}).await.unwrap().file);
    // The user pauses right after the core was asked for the first or second time.
    for pause_after in [1, 2] {
        to.fetch(&row, &link);
        let mut asked = 0;
        let end = loop {
            tokio::select! {
                event = sender.events.recv() => {
                    if let Some(NetEvent::Stream { stream, .. }) = event {
                        from.files.serve(stream);
                    }
                }
                Some(said) = from.said.recv() => match said {
                    FromFiles::MayFetch { answer, .. } => {
                        asked += 1;
                        let paused = asked > pause_after;
                        let allowed = if paused { Err(BlobRefusal::Paused) } else { Ok(row.clone()) };
                        if asked == pause_after {
                            from.files.stop(row.offer, false);
                        }
                        answer.send(allowed).unwrap();
                        if asked == pause_after && pause_after > 1 {
                            from.files.stop(row.offer, false);
                        }
                    }
                    FromFiles::Transfers { answer } => drop(answer.send(Vec::new())),
                    _ => {}
                },
                end = to.end(LinkId(link.id().0)) => break end,
            }
        };
        assert_eq!(end, FetchEnd::Refused(BlobRefusal::Paused));
        assert_eq!(to.files.progress(&row.offer).map_or(0, |progress| progress.done), 0);
    }
    assert!(to.saved().is_empty());
}

/// A place that offers a file, the file's name, and a device that allows everybody to have it in any conversation.
async fn generous(seed: u8, waits: Waits) -> (NetHandle, Endpoint, StoredTransfer) {
    let Device { net, mut events, at } = Device::new(seed).await;
    let mut from = Place::waiting(tempfile::tempdir().unwrap(), waits);
    let path = from.write("a", &content(3 << 20));
    let row = row(offer(1), from.files.offer(&path, |_| {}).await.unwrap().file);
    let allowed = row.clone();
    tokio::spawn(async move {
        let _lies = &from.dir;
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(NetEvent::Stream { stream, .. }) => from.files.serve(stream),
                    Some(NetEvent::Opened(opened)) => opened.link.admit(),
                    Some(_) => {}
                    None => return,
                },
                Some(said) = from.said.recv() => match said {
                    FromFiles::MayFetch { answer, open, .. } => {
                        let row = StoredTransfer { conversation: open.conversation, ..allowed.clone() };
                        drop(answer.send(Ok(row)));
                    }
                    FromFiles::Transfers { answer } => drop(answer.send(Vec::new())),
                    _ => {}
                },
            }
        }
    });
    (net, at, row)
}

/// Another device's link to one that runs by itself.
async fn link_to(device: &mut Device, (net, at): (&NetHandle, Endpoint)) -> lanchat_net::Link {
    let target =
        DialTarget { device: Some(net.device()), endpoints: vec![at], channel: Channel::Link, via: None };
    device.net.dial(DialId(0), target).unwrap();
    let link = device.opened().await.link;
    link.admit();
    link
}

/// A stream to somebody who may be about to admit the link.
async fn open(link: &lanchat_net::Link) -> lanchat_net::BlobStream {
    let opened = async {
        loop {
            match link.open_stream().await {
                Err(lanchat_net::StreamError::Refused) => tokio::time::sleep(Duration::from_millis(1)).await,
                opened => return opened.unwrap(),
            }
        }
    };
    soon("a stream", opened).await
}

/// A stream on which something was asked for: what came as an answer, and what keeps it open.
async fn ask(
    link: &lanchat_net::Link,
    row: &StoredTransfer,
    conversation: u8,
) -> (Option<Kind>, BlobReader, BlobWriter) {
    let (mut reader, mut writer) = open(link).await.split();
    let conversation = ConversationId([conversation; 32]);
    let open = BlobOpen { conversation, offer: row.entry, hash: row.file.hash };
    writer.send(&Frame::new(Kind::BlobOpen, &open).unwrap()).await.unwrap();
    writer.flush().await.unwrap();
    let frame = soon("an answer", reader.frame()).await.unwrap().unwrap();
    if frame.known() == Some(Kind::BlobRefused) {
        let refused: BlobRefused = frame.decode().unwrap();
        assert_eq!(refused.reason, BlobRefusal::Busy);
    }
    (frame.known(), reader, writer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_say_nothing_take_no_place_from_others() {
    let (net, at, row) = generous(32, Waits::default()).await;
    let (mut silent, mut honest) = (Device::new(33).await, Device::new(34).await);
    let link = link_to(&mut silent, (&net, at)).await;
    let mut streams = Vec::new();
    for _ in 0..limits::OPENING_LINK {
        streams.push(open(&link).await);
    }
    // The link has no more of them, which is told at once.
    let (mut reader, _writer) = open(&link).await.split();
    let frame = soon("an answer", reader.frame()).await.unwrap().unwrap();
    assert_eq!(frame.known(), Some(Kind::BlobRefused));
    let link = link_to(&mut honest, (&net, at)).await;
    assert_eq!(ask(&link, &row, 1).await.0, Some(Kind::BlobHave));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_has_its_share_and_what_does_not_move_gives_way() {
    let lagging = Duration::from_millis(500);
    let (net, at, row) = generous(36, Waits { lagging, ..Waits::default() }).await;
    let (mut one, mut two) = (Device::new(37).await, Device::new(38).await);
    let (one, two) = (link_to(&mut one, (&net, at)).await, link_to(&mut two, (&net, at)).await);
    let begun = std::time::Instant::now();
    let mut slow = Vec::new();
    for _ in 0..limits::SERVED_EACH {
        slow.push(ask(&one, &row, 1).await);
    }
    let full = ask(&two, &row, 1).await.0;
    if begun.elapsed() < lagging {
        assert_eq!(full, Some(Kind::BlobRefused), "all of the conversation's places are taken");
    }
    assert_eq!(ask(&two, &row, 2).await.0, Some(Kind::BlobHave), "another conversation has its own");
    // A byte now and then is no progress.
    let (_, reader, writer) = &mut slow[0];
    let little = BlobAsk { unit: 0, offset: 0, len: 1 };
    // On a machine that was slow it may have given way already; why it ended is asked below.
    writer.send(&Frame::new(Kind::BlobAsk, &little).unwrap()).await.ok();
    writer.flush().await.ok();
    let served = async {
        while ask(&two, &row, 1).await.0 != Some(Kind::BlobHave) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("one gives way", served).await;
    // It had not moved for longest; what it asked for before may be on its way.
    let told = async {
        loop {
            match reader.frame().await.unwrap().unwrap().known() {
                Some(Kind::BlobRefused) => return,
                kind => assert!(matches!(kind, Some(Kind::BlobPiece | Kind::BlobValues)), "{kind:?}"),
            }
        }
    };
    soon("why it ended", told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_have_many_places_do_not_keep_out_one_who_has_none() {
    let (net, at, row) = generous(40, Waits::default()).await;
    let mut taken = Vec::new();
    let mut devices = Vec::new();
    for number in 0..8 {
        let mut device = Device::new(41 + number).await;
        let link = link_to(&mut device, (&net, at)).await;
        for _ in 0..limits::SERVED / 8 {
            taken.push(ask(&link, &row, number).await);
        }
        devices.push(device);
    }
    assert!(taken.iter().all(|(kind, ..)| *kind == Some(Kind::BlobHave)));
    let mut other = Device::new(49).await;
    let link = link_to(&mut other, (&net, at)).await;
    let mut more = Vec::new();
    for _ in 1..limits::SERVED / 8 {
        more.push(ask(&link, &row, 9).await);
    }
    assert!(more.iter().all(|(kind, ..)| *kind == Some(Kind::BlobHave)));
    // Now all have about the same, and the next one waits.
    assert_eq!(ask(&link, &row, 9).await.0, Some(Kind::BlobRefused));
}
