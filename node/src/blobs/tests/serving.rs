//! What is sent: from where, to whom, for how long.

use super::*;
use crate::blobs::shelf::{Owner, Part};
use crate::blobs::source::{Source, Sources};
use lanchat_proto::codec::Blob;
use lanchat_proto::wire::blob::BlobHave;

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
    to.files.fetch(order(&row, &link), link.clone());
    assert_eq!(to.end(id).await, FetchEnd::Complete);
    let row = StoredTransfer { offer: offer(2), ..row };
    std::fs::write(&report, b"another").unwrap();
    to.files.fetch(order(&row, &link), link.clone());
    assert_eq!(to.end(id).await, FetchEnd::Refused(BlobRefusal::Changed), "one is gone, one is another");
    std::fs::remove_file(&report).unwrap();
    to.files.fetch(order(&row, &link), link.clone());
    assert_eq!(to.end(id).await, FetchEnd::Refused(BlobRefusal::Gone));
    // The same place again: what is there now is what counts.
    std::fs::write(&copy, &bytes).unwrap();
    files.offer(&copy, |_| {}).await.unwrap();
    to.files.fetch(order(&row, &link), link.clone());
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
    to.files.fetch(order(&row, &link), link.clone());
    soon("the first bytes", async {
        while to.files.progress(&row.offer).is_none_or(|progress| progress.done == 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    std::fs::remove_file(&copy).unwrap();
    let mut end = to.end(LinkId(link.id().0)).await;
    if end == FetchEnd::Refused(BlobRefusal::Other) {
        // It went in the middle of a unit.
        to.files.fetch(order(&row, &link), link.clone());
        end = to.end(LinkId(link.id().0)).await;
    }
    assert_eq!(end, FetchEnd::Complete);
    assert!(to.saved()["report.pdf"] == bytes);
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
    let waits = Waits { source: Duration::from_millis(300) };
    for (seed, units) in [(24, Vec::new()), (26, vec![0])] {
        let mut to = Place::waiting(tempfile::tempdir().unwrap(), waits);
        let (mut holder, mut receiver) = (Device::new(seed).await, Device::new(seed + 1).await);
        let link = receiver.link(&mut holder).await;
        let path = to.write("a", &content(3 << 20));
        let row = row(offer(1), to.files.offer(&path, |_| {}).await.unwrap().file);
        // Once it has all, once it has nothing that could be asked for.
        talks_only(holder, BlobHave { size: row.file.size, units: Blob::new(units).unwrap() });
        to.files.fetch(order(&row, &link), link.clone());
        assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Broken);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_is_not_given_up_for_what_the_own_settings_hold_back() {
    let (from, sender, _, _receiver, link) = scene(28).await;
    let waits = Waits { source: Duration::from_millis(600) };
    let mut to = Place::waiting(tempfile::tempdir().unwrap(), waits);
    // A piece takes longer than a holder is waited for.
    to.settings.send_modify(|settings| settings.rate_limit_down = 64 << 10);
    let path = from.write("a", &content(192 << 10));
    let row = row(offer(1), from.files.offer(&path, |_| {}).await.unwrap().file);
    drop(serve(sender, from, Arc::new(Mutex::new(Ok(row.clone())))));
    to.files.fetch(order(&row, &link), link.clone());
    assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Complete);
}
