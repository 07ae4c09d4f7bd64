//! From an offer to a saved file, and every way that does not lead there.

use super::*;

/// A sender's place and device, a receiver's, and the receiver's link to the sender.
async fn scene() -> (Place, Device, Place, Device, lanchat_net::Link) {
    let (mut sender, mut receiver) = (Device::new(1).await, Device::new(2).await);
    let link = receiver.link(&mut sender).await;
    (Place::new(), sender, Place::new(), receiver, link)
}

#[test]
fn the_name_says_what_kind_of_content_is_offered() {
    for (name, kind) in [
        ("report.PDF", "application/pdf"),
        ("照片.jpeg", "image/jpeg"),
        ("notes.txt", "text/plain"),
        ("README", ""),
        (".profile", ""),
        ("x.no such kind", ""),
    ] {
        assert_eq!(&*media_type(name), kind, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_any_size_arrive_whole_under_names_that_replace_nothing() {
    let (from, sender, mut to, _receiver, link) = scene().await;
    let mut rows = Vec::new();
    for (number, len) in [0, 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 77].into_iter().enumerate() {
        let path = from.write("report.pdf", &content(len));
        let prepared = from.files.offer(&path, |_| {}).await.unwrap();
        assert_eq!(prepared.file.hash.0, *blake3::hash(&content(len)).as_bytes());
        let kept = from.dir.path().join(format!("kept-{len}"));
        std::fs::rename(&path, &kept).unwrap();
        from.files.offer(&kept, |_| {}).await.unwrap();
        rows.push((row(offer(u8::try_from(number).unwrap()), prepared.file), len));
    }
    let rule: Rule = Arc::new(Mutex::new(Err(BlobRefusal::NotOffered)));
    let mut serving = serve(sender, from, rule.clone());
    for (row, _) in &rows {
        *rule.lock().unwrap() = Ok(row.clone());
        to.fetch(row, &link);
        assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Complete);
        assert_eq!(to.files.progress(&row.offer).unwrap().done, row.file.size);
        // Of a file without content nothing is to be fetched.
        if row.file.size > 0 {
            assert_eq!(soon("serving", serving.recv()).await, Some(true));
            assert_eq!(soon("serving ends", serving.recv()).await, Some(false));
        }
    }
    let names = ["report.pdf", "report (1).pdf", "report (2).pdf", "report (3).pdf", "report (4).pdf"];
    let saved = to.saved();
    assert_eq!(saved.len(), names.len());
    for (name, (row, len)) in names.iter().zip(&rows) {
        assert!(saved[*name] == content(*len), "{name}");
        assert_eq!(to.files.saved(&row.offer).unwrap().file_name().unwrap(), *name);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(to.dir.path().join("saved/report.pdf")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(to.kept().iter().all(|name| name.ends_with(".saved")), "{:?}", to.kept());
    // Told to fetch it again, as after a crash before its end was told, it saves nothing twice.
    let to = to.restart().await;
    let mut to = to;
    to.fetch(&rows[4].0, &link);
    assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Complete);
    assert_eq!(to.saved().len(), names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_changed_or_is_gone_is_named_and_what_was_not_offered_is_refused() {
    let (from, sender, mut to, _receiver, link) = scene().await;
    let path = from.write("a", &content(3 << 20));
    let prepared = from.files.offer(&path, |_| {}).await.unwrap();
    let row = row(offer(1), prepared.file);
    let rule: Rule = Arc::new(Mutex::new(Ok(row.clone())));
    drop(serve(sender, from, rule.clone()));
    let id = LinkId(link.id().0);
    *rule.lock().unwrap() = Err(BlobRefusal::NotOffered);
    to.fetch(&row, &link);
    assert_eq!(to.end(id).await, FetchEnd::Refused(BlobRefusal::NotOffered));
    *rule.lock().unwrap() = Ok(row.clone());
    std::fs::write(&path, content((3 << 20) + 1)).unwrap();
    to.fetch(&row, &link);
    assert_eq!(to.end(id).await, FetchEnd::Refused(BlobRefusal::Changed));
    std::fs::remove_file(&path).unwrap();
    to.fetch(&row, &link);
    assert_eq!(to.end(id).await, FetchEnd::Refused(BlobRefusal::Gone));
    assert!(to.saved().is_empty());
    to.files.stop(row.offer, true);
    soon("the part is removed", async {
        while to.kept().iter().any(|name| name.ends_with(".partial")) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn only_ordinary_files_are_offered() {
    let place = Place::new();
    let dir = place.dir.path();
    let error = |path: PathBuf| async move { place_error(&path).await };
    assert!(matches!(error(dir.join("nothing")).await, OfferError::Missing(_)));
    assert!(matches!(error(dir.to_path_buf()).await, OfferError::Directory(_)));
    #[cfg(unix)]
    {
        assert!(matches!(error(PathBuf::from("/dev/zero")).await, OfferError::Special(_)));
        std::os::unix::fs::symlink("/dev/zero", dir.join("link")).unwrap();
        assert!(matches!(error(dir.join("link")).await, OfferError::Special(_)));
        let socket = std::os::unix::net::UnixListener::bind(dir.join("socket")).unwrap();
        assert!(matches!(error(dir.join("socket")).await, OfferError::Special(_)));
        drop(socket);
        let made = std::process::Command::new("mkfifo").arg(dir.join("pipe")).status();
        if made.is_ok_and(|status| status.success()) {
            assert!(matches!(error(dir.join("pipe")).await, OfferError::Special(_)));
        }
        std::fs::write(dir.join("a\\b:c"), b"x").unwrap();
        let prepared = place.files.offer(&dir.join("a\\b:c"), |_| {}).await.unwrap();
        assert_eq!(&*prepared.file.name, "a_b_c");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_system_makes_up_while_it_is_read_is_not_offered_as_an_empty_file() {
    for path in ["/proc/cpuinfo", "/proc/self/status"] {
        let error = place_error(Path::new(path)).await;
        assert!(matches!(error, OfferError::Special(_)), "{error:?}");
    }
    let place = Place::new();
    let empty = place.files.offer(&place.write("empty", b""), |_| {}).await.unwrap();
    assert_eq!(empty.file.size, 0);
}

#[tokio::test]
async fn a_file_that_goes_or_is_another_until_all_that_is_needed_of_it_is_kept_is_not_offered() {
    let place = Place::new();
    let hashed = |path: &Path| source::hash_file(path, &Watched::default()).unwrap();
    let (path, other) = (place.write("a", b"content"), place.write("b", b"another"));
    let is_changed = |hashed: &Hashed| {
        let kept = place.files.keep_offered(&path, hashed);
        matches!(kept, Err(OfferError::Changed(changed)) if changed == path)
    };
    let first = hashed(&path);
    place.files.keep_offered(&path, &first).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert!(is_changed(&first), "replaced");
    let second = hashed(&path);
    std::fs::remove_file(&path).unwrap();
    assert!(is_changed(&second), "gone");
}

async fn place_error(path: &Path) -> OfferError {
    let place = Place::new();
    soon("an answer", place.files.offer(path, |_| {})).await.unwrap_err()
}

#[tokio::test]
async fn a_file_without_room_waits_and_one_without_a_name_fails() {
    let mut to = Place::new();
    let (mut sender, mut receiver) = (Device::new(3).await, Device::new(4).await);
    let link = receiver.link(&mut sender).await;
    let body = |name: &str, size| FileBody {
        name: Text::new(name.to_owned()).unwrap(),
        size,
        media_type: Text::default(),
        hash: BlobHash([9; 32]),
        changed: Wall(0),
    };
    to.fetch(&row(offer(1), body("large", 1 << 60)), &link);
    assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::NoRoom);
    to.fetch(&row(offer(2), body("../x", 10)), &link);
    assert!(matches!(to.end(LinkId(link.id().0)).await, FetchEnd::Failed(_)));
    assert!(to.saved().is_empty());
}

#[tokio::test]
async fn two_that_do_not_both_fit_are_not_both_begun() {
    let mut to = Place::new();
    // One who never answers: what is begun stays so.
    let (mut silent, mut receiver) = (Device::new(14).await, Device::new(15).await);
    let link = receiver.link(&mut silent).await;
    let room = fs4::available_space(to.dir.path()).unwrap();
    let sized = |number: u8| {
        let body = FileBody {
            name: Text::new(number.to_string()).unwrap(),
            size: room / 10 * 6,
            media_type: Text::default(),
            hash: BlobHash([number; 32]),
            changed: Wall(0),
        };
        row(offer(number), body)
    };
    let begun = async |files: &Files| {
        while files.still_coming() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    to.fetch(&sized(1), &link);
    soon("there is room for the first", begun(&to.files)).await;
    to.fetch(&sized(2), &link);
    assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::NoRoom);
    to.files.stop(offer(1), true);
    soon("the first gives its room back", async {
        while to.files.still_coming() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    to.fetch(&sized(2), &link);
    soon("there is room for the second", begun(&to.files)).await;
}

#[tokio::test]
async fn what_is_left_over_is_collected_and_what_goes_on_is_kept() {
    let place = Place::new();
    let shelf = &place.files.0.shelf;
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(25 * 3600);
    let body = place.files.offer(&place.write("x", b"x"), |_| {}).await.unwrap().file;
    let make = |number: u8, old: bool| {
        let path = shelf.path(&Owner::Offer(offer(number)), Part::Partial);
        let file = std::fs::File::create(path).unwrap();
        if old {
            file.set_modified(long_ago).unwrap();
        }
    };
    for (number, old) in [(1, false), (2, true), (3, false), (4, true), (5, false)] {
        make(number, old);
    }
    let rows = [
        row(offer(1), body.clone()),
        row(offer(2), body.clone()),
        StoredTransfer { state: TransferState::Cancelled, ..row(offer(3), body.clone()) },
    ];
    place.files.collect(&rows);
    let partials: Vec<String> = place.kept().into_iter().filter(|name| name.ends_with("partial")).collect();
    // The first goes on, the fifth may not be known yet.
    assert_eq!(partials, [1, 5].map(|number| format!("{}.partial", offer(number))));
    assert!(place.files.source(&body.hash).is_some());
}

#[tokio::test]
async fn what_begins_while_the_transfers_are_asked_for_is_still_shown() {
    let place = Place::new();
    let show = |number: u8| place.files.show(offer(number), |progress| progress.done = 1);
    (1..=2).for_each(show);
    let seen = place.files.0.state().seen();
    show(3);
    let body = FileBody {
        name: Text::new("a".to_owned()).unwrap(),
        size: 1,
        media_type: Text::default(),
        hash: BlobHash([1; 32]),
        changed: Wall(0),
    };
    place.files.forget(&seen, &[row(offer(1), body)]);
    let shown = [1, 2, 3].map(|number| place.files.progress(&offer(number)).is_some());
    assert_eq!(shown, [true, false, true]);
}

#[tokio::test]
async fn a_wish_is_kept_and_one_that_cannot_be_is_refused() {
    let place = Place::new();
    let dir = place.dir.path().join("deep/er");
    place.files.wish(offer(1), Some(&dir)).unwrap();
    let place = place.restart().await;
    assert_eq!(place.files.target(&offer(1)), place.dir.path().join("deep/er"));
    let file = place.write("file", b"");
    assert!(place.files.wish(offer(1), Some(&file)).is_err());
    assert!(place.files.wish(offer(1), Some(Path::new("relative"))).is_err());
    place.files.wish(offer(1), None).unwrap();
    assert_eq!(place.files.target(&offer(1)), place.dir.path().join("saved"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_and_what_leaves_keeps_to_the_limits_of_the_settings() {
    for limits_receiver in [true, false] {
        let (from, sender, mut to, _receiver, link) = scene().await;
        let limited = if limits_receiver { &to } else { &from };
        limited.settings.send_modify(|settings| {
            settings.rate_limit_down = 4 << 20;
            settings.rate_limit_up = 4 << 20;
        });
        let path = from.write("a", &content(3 << 20));
        let prepared = from.files.offer(&path, |_| {}).await.unwrap();
        let row = row(offer(1), prepared.file);
        drop(serve(sender, from, Arc::new(Mutex::new(Ok(row.clone())))));
        let begin = std::time::Instant::now();
        to.fetch(&row, &link);
        assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Complete);
        // Three quarters of a second, less what may pass at once.
        assert!(begin.elapsed() > Duration::from_millis(600), "{:?}", begin.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_lifted_holds_back_nothing_that_waits_for_it() {
    for limits_receiver in [true, false] {
        let (from, sender, mut to, _receiver, link) = scene().await;
        let limited = if limits_receiver { &to } else { &from };
        // Hours for each piece.
        limited.settings.send_modify(|settings| (settings.rate_limit_down, settings.rate_limit_up) = (5, 5));
        let (settings, files) = (limited.settings.clone(), limited.files.clone());
        let path = from.write("a", &content(3 << 20));
        let row = row(offer(1), from.files.offer(&path, |_| {}).await.unwrap().file);
        drop(serve(sender, from, Arc::new(Mutex::new(Ok(row.clone())))));
        to.fetch(&row, &link);
        soon("a piece waits", async {
            while !files.0.down.is_shut() && !files.0.up.is_shut() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        settings.send_modify(|settings| (settings.rate_limit_down, settings.rate_limit_up) = (0, 0));
        assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Complete);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_shown_falls_to_nothing_on_both_sides_while_nothing_comes() {
    let (from, sender, mut to, _receiver, link) = scene().await;
    from.settings.send_modify(|settings| settings.rate_limit_up = 1 << 20);
    let path = from.write("a", &content(6 << 20));
    let row = row(offer(1), from.files.offer(&path, |_| {}).await.unwrap().file);
    let (settings, files) = (from.settings.clone(), [from.files.clone(), to.files.clone()]);
    drop(serve(sender, from, Arc::new(Mutex::new(Ok(row.clone())))));
    to.fetch(&row, &link);
    let shown = |moves: bool| {
        let (files, offer) = (&files, row.offer);
        let is_so = move |files: &Files| {
            files.progress(&offer).is_some_and(|shown| shown.sources == 1 && (shown.rate > 0) == moves)
        };
        async move {
            while !files.iter().all(is_so) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    soon("both show a rate", shown(true)).await;
    // Two minutes for the next piece: the stream stays, and nothing comes on it.
    settings.send_modify(|settings| settings.rate_limit_up = 1024);
    soon("both show that nothing comes", shown(false)).await;
    settings.send_modify(|settings| settings.rate_limit_up = 0);
    assert_eq!(to.end(LinkId(link.id().0)).await, FetchEnd::Complete);
    assert_eq!(files[1].progress(&row.offer).unwrap().rate, 0, "of what is over");
}
