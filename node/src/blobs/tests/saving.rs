//! What was fetched before, by a program that was killed, and how a file that is whole gets its name.

use super::resume::Script;
use super::*;
use crate::blobs::partial::{Confirmed, Partial};
use lanchat_node_core::fetch::UnitSet;
use lanchat_proto::blob::{UnitList, Units};

/// So many units that not all which were claimed are looked at when the fetch goes on.
const UNITS: u32 = 90;
const CAME: u32 = 80;
const MIB: usize = 1 << 20;

/// A receiver with its holder.
struct Scene {
    to: Place,
    script: Script,
    row: StoredTransfer,
    link: lanchat_net::Link,
    _receiver: Device,
}

impl Scene {
    async fn new(seed: u8, len: usize) -> Self {
        let to = Place::new();
        let (mut sender, mut receiver) = (Device::new(seed).await, Device::new(seed + 1).await);
        let link = receiver.link(&mut sender).await;
        let (script, body) = Script::new(&to, len);
        script.clone().hold(sender);
        Self { to, script, row: row(offer(1), body), link, _receiver: receiver }
    }

    /// As an earlier run of the program left it.
    fn came(&self, count: u32) {
        let found = Partial::open(&self.to.files.0.shelf, self.row.offer, &self.row.file).unwrap();
        let bytes = &self.script.bytes[..count as usize * MIB];
        assert_eq!(platform::write_at(&found.partial.file, bytes, 0).unwrap(), bytes.len());
        let units = Units::of(self.row.file.size).unwrap();
        let list = UnitList::check(units, self.script.values.to_vec(), &self.row.file.hash).unwrap();
        found.partial.keep_list(&list).unwrap();
        let mut done = UnitSet::none(units.count());
        (0..count).for_each(|unit| done.add(unit));
        found.partial.claim(&done).unwrap();
    }

    fn path(&self, part: Part) -> PathBuf {
        self.to.files.0.shelf.path(&Owner::Offer(self.row.offer), part)
    }

    async fn restart(&mut self) {
        let other = std::mem::replace(&mut self.to, Place::new());
        self.to = other.restart().await;
    }

    /// Fetches until that ends with a word other than broken. Bytes that were sent.
    async fn fetch(&mut self) -> (FetchEnd, u64) {
        self.script.sent.store(0, Ordering::Relaxed);
        loop {
            self.to.fetch(&self.row, &self.link);
            match self.to.end(LinkId(self.link.id().0)).await {
                FetchEnd::Broken => {}
                end => return (end, self.script.sent.load(Ordering::Relaxed)),
            }
        }
    }

    fn is_saved_once(&self) -> bool {
        let saved = self.to.saved();
        saved.len() == 1 && saved["file.bin"] == *self.script.bytes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_part_is_lost_the_saved_file_is_right() {
    let all = u64::from(UNITS) * MIB as u64;
    let rest = u64::from(UNITS - CAME) * MIB as u64;
    for (seed, lost, at_most) in [
        (40, None, rest),
        (42, Some(Part::Partial), all),
        (44, Some(Part::Have), all - u64::from(limits::REHASH_UNITS) * MIB as u64),
        (46, Some(Part::Values), all),
    ] {
        let mut scene = Scene::new(seed, UNITS as usize * MIB).await;
        scene.came(CAME);
        if let Some(lost) = lost {
            std::fs::remove_file(scene.path(lost)).unwrap();
        }
        scene.restart().await;
        let shown = scene.to.files.progress(&scene.row.offer).map_or(0, |progress| progress.done);
        assert_eq!(shown > 0, !matches!(lost, Some(Part::Partial | Part::Have)), "{lost:?}: {shown}");
        let (end, sent) = scene.fetch().await;
        assert_eq!(end, FetchEnd::Complete, "{lost:?}");
        assert!(scene.is_saved_once(), "{lost:?}");
        assert_eq!(sent, at_most, "{lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_damaged_on_the_disk_between_two_runs_is_fetched_again_before_the_file_is_saved() {
    let mut scene = Scene::new(48, UNITS as usize * MIB).await;
    scene.came(CAME);
    let file = std::fs::File::options().write(true).open(scene.path(Part::Partial)).unwrap();
    platform::write_at(&file, b"damaged", 3 << 20).unwrap();
    scene.restart().await;
    let (end, sent) = scene.fetch().await;
    assert_eq!(end, FetchEnd::Complete);
    assert!(scene.is_saved_once());
    assert_eq!(sent, u64::from(UNITS - CAME + 1) * MIB as u64, "what is missing, and the damaged unit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_at_a_whole_file_can_be_given_up_and_costs_nothing_that_came() {
    let mut scene = Scene::new(76, UNITS as usize * MIB).await;
    scene.came(UNITS);
    scene.restart().await;
    let open = || Partial::open(&scene.to.files.0.shelf, scene.row.offer, &scene.row.file).unwrap();
    let mut found = open();
    found.look().unwrap();
    let asked = std::cell::Cell::new(0);
    let given_up = || asked.replace(asked.get() + 1) == 5;
    assert_eq!(found.partial.confirm(given_up).unwrap(), Confirmed::Stopped);
    asked.set(0);
    let mut found = open();
    found.look().unwrap();
    assert_eq!(found.done.len(), UNITS);
    let never = || asked.replace(asked.get() + 1) > UNITS;
    assert_eq!(found.partial.confirm(never).unwrap(), Confirmed::Good);
    assert_eq!(asked.get(), UNITS - limits::REHASH_UNITS - 5, "what was looked at is not looked at again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_not_believed_is_taken_back_before_anything_is_written() {
    let mut scene = Scene::new(50, UNITS as usize * MIB).await;
    scene.came(CAME);
    std::fs::remove_file(scene.path(Part::Partial)).unwrap();
    scene.restart().await;
    scene.script.cut.store(0, Ordering::Relaxed);
    scene.to.fetch(&scene.row, &scene.link);
    assert_eq!(scene.to.end(LinkId(scene.link.id().0)).await, FetchEnd::Broken);
    // The file has its length again, as after its last unit came first.
    let file = std::fs::File::options().write(true).open(scene.path(Part::Partial)).unwrap();
    file.set_len(scene.row.file.size).unwrap();
    scene.restart().await;
    assert_eq!(scene.to.files.progress(&scene.row.offer).map(|progress| progress.done), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parts_of_an_offer_are_collected_together() {
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(25 * 3600);
    let parts = [Part::Have, Part::Values, Part::Partial];
    for lost in [None, Some(Part::Partial), Some(Part::Have), Some(Part::Values)] {
        for old in [true, false] {
            let scene = Scene::new(52, 3 * MIB).await;
            scene.came(2);
            if let Some(lost) = lost {
                std::fs::remove_file(scene.path(lost)).unwrap();
            }
            for part in parts.into_iter().filter(|part| old && Some(*part) != lost) {
                let file = std::fs::File::options().write(true).open(scene.path(part)).unwrap();
                file.set_modified(long_ago).unwrap();
            }
            scene.to.files.collect(std::slice::from_ref(&scene.row));
            let kept = parts.into_iter().filter(|part| scene.path(*part).exists()).count();
            let expected = match (old, lost) {
                (true, _) | (_, Some(Part::Partial)) => 0,
                (false, None) => 3,
                (false, Some(_)) => 2,
            };
            assert_eq!(kept, expected, "{lost:?}, old: {old}");
        }
    }
    // A part whose bytes are old, but that was added to.
    let scene = Scene::new(54, 3 * MIB).await;
    scene.came(2);
    let file = std::fs::File::options().write(true).open(scene.path(Part::Partial)).unwrap();
    file.set_modified(long_ago).unwrap();
    scene.to.files.collect(std::slice::from_ref(&scene.row));
    assert!(parts.into_iter().all(|part| scene.path(part).exists()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_has_its_name_already_is_not_saved_again_although_its_part_is_still_there() {
    let mut scene = Scene::new(56, 3 * MIB).await;
    scene.came(3);
    let saved = scene.to.dir.path().join("saved");
    std::fs::create_dir(&saved).unwrap();
    std::fs::write(saved.join("file.bin"), &*scene.script.bytes).unwrap();
    let owner = Owner::Offer(scene.row.offer);
    let kept = KeptPath::new(&saved.join("file.bin")).unwrap();
    scene.to.files.0.shelf.keep(&owner, Part::Saved, &kept).unwrap();
    scene.restart().await;
    assert_eq!(scene.fetch().await, (FetchEnd::Complete, 0));
    assert!(scene.is_saved_once());
    assert_eq!(scene.to.files.saved(&scene.row.offer).unwrap(), saved.join("file.bin"));
    assert!(scene.to.kept().iter().all(|name| name.ends_with(".saved")), "{:?}", scene.to.kept());
    // One that is there and was changed is another.
    let mut scene = Scene::new(58, 3 * MIB).await;
    scene.came(3);
    let saved = scene.to.dir.path().join("saved");
    std::fs::create_dir(&saved).unwrap();
    std::fs::write(saved.join("file.bin"), vec![0; 3 * MIB]).unwrap();
    let kept = KeptPath::new(&saved.join("file.bin")).unwrap();
    scene.to.files.0.shelf.keep(&owner, Part::Saved, &kept).unwrap();
    scene.restart().await;
    assert_eq!(scene.fetch().await, (FetchEnd::Complete, 0));
    assert!(scene.to.saved()["file (1).bin"] == *scene.script.bytes);
    assert!(scene.to.saved()["file.bin"] == vec![0; 3 * MIB]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_at_the_name_is_replaced_only_if_it_was_made_for_this_file() {
    for (seed, own, name) in [(60, true, "file.bin"), (62, false, "file (1).bin")] {
        let mut scene = Scene::new(seed, 3 * MIB).await;
        scene.came(2);
        let saved = scene.to.dir.path().join("saved");
        std::fs::create_dir(&saved).unwrap();
        std::fs::write(saved.join("file.bin"), b"").unwrap();
        if own {
            let kept = KeptPath::new(&saved.join("file.bin")).unwrap();
            scene.to.files.0.shelf.keep(&Owner::Offer(scene.row.offer), Part::Saved, &kept).unwrap();
        }
        scene.restart().await;
        assert_eq!(scene.fetch().await.0, FetchEnd::Complete);
        assert!(scene.to.saved()[name] == *scene.script.bytes);
        assert_eq!(scene.to.saved().len(), if own { 1 } else { 2 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_begun_elsewhere_goes_with_its_transfer() {
    for (seed, how) in [(64, "cancelled"), (66, "collected"), (68, "idle"), (70, "saved")] {
        let mut scene = Scene::new(seed, 3 * MIB).await;
        scene.came(3);
        let elsewhere = scene.to.dir.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let copy = elsewhere.join(format!(".lanchat-{}.partial", scene.row.offer));
        std::fs::write(&copy, b"half").unwrap();
        let kept = KeptPath::new(&copy).unwrap();
        scene.to.files.0.shelf.keep(&Owner::Offer(scene.row.offer), Part::Copy, &kept).unwrap();
        scene.restart().await;
        match how {
            "cancelled" => scene.to.files.stop(scene.row.offer, true),
            "collected" => scene
                .to
                .files
                .collect(&[StoredTransfer { state: TransferState::Cancelled, ..scene.row.clone() }]),
            "idle" => {
                let long_ago = std::time::SystemTime::now() - Duration::from_secs(25 * 3600);
                for part in [Part::Have, Part::Values, Part::Partial, Part::Copy] {
                    let file = std::fs::File::options().write(true).open(scene.path(part)).unwrap();
                    file.set_modified(long_ago).unwrap();
                }
                scene.to.files.collect(std::slice::from_ref(&scene.row));
            }
            _ => assert_eq!(scene.fetch().await, (FetchEnd::Complete, 0)),
        }
        soon("the copy and the record of it are removed", async {
            while copy.exists() || scene.path(Part::Copy).exists() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_this_run_of_the_program_wrote_is_not_hashed_at_every_retry_but_after_a_start() {
    let mut scene = Scene::new(72, UNITS as usize * MIB).await;
    scene.came(CAME);
    let file = std::fs::File::options().write(true).open(scene.path(Part::Partial)).unwrap();
    platform::write_at(&file, b"damaged", u64::from(CAME - 1) << 20).unwrap();
    scene.script.cut.store(0, Ordering::Relaxed);
    for (restarted, came) in [(false, CAME), (false, CAME), (true, CAME - 1)] {
        if restarted {
            scene.restart().await;
        }
        scene.to.fetch(&scene.row, &scene.link);
        assert_eq!(scene.to.end(LinkId(scene.link.id().0)).await, FetchEnd::Broken);
        let done = scene.to.files.progress(&scene.row.offer).unwrap().done;
        assert_eq!(done, u64::from(came) << 20, "restarted: {restarted}");
    }
    scene.script.cut.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(scene.fetch().await.0, FetchEnd::Complete);
    assert!(scene.is_saved_once());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_all_here_is_saved_without_a_link_once_it_can_be() {
    let mut scene = Scene::new(78, 3 * MIB).await;
    let saved = scene.to.dir.path().join("saved");
    scene.to.settings.send_modify(|settings| settings.rate_limit_down = 1024);
    scene.to.fetch(&scene.row, &scene.link);
    soon("something comes", async {
        while !scene.to.files.0.down.is_shut() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    std::fs::write(&saved, b"not a directory").unwrap();
    scene.to.settings.send_modify(|settings| settings.rate_limit_down = 0);
    assert_eq!(scene.to.is_whole().await, scene.row.offer, "before the end, which the core acts on");
    let end = scene.to.end(LinkId(scene.link.id().0)).await;
    assert!(matches!(end, FetchEnd::Failed(_)), "{end:?}");
    // Nobody has the file any more.
    scene.script.cut.store(0, Ordering::Relaxed);
    assert!(matches!(scene.to.save_end(&scene.row).await, FetchEnd::Failed(_)));
    scene.restart().await;
    assert_eq!(scene.to.is_whole().await, scene.row.offer, "the next program finds it");
    std::fs::remove_file(&saved).unwrap();
    assert_eq!(scene.to.save_end(&scene.row).await, FetchEnd::Complete);
    assert!(scene.is_saved_once());
    assert_eq!(scene.to.save_end(&scene.row).await, FetchEnd::Complete, "told twice, saved once");
    assert!(scene.is_saved_once());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_whole_and_is_damaged_or_gone_is_not_saved() {
    for (seed, lost) in [(80, None), (82, Some(Part::Partial)), (84, Some(Part::Have))] {
        let mut scene = Scene::new(seed, UNITS as usize * MIB).await;
        scene.came(UNITS);
        match lost {
            Some(part) => std::fs::remove_file(scene.path(part)).unwrap(),
            None => {
                let file = std::fs::File::options().write(true).open(scene.path(Part::Partial)).unwrap();
                platform::write_at(&file, b"damaged", 3 << 20).unwrap();
            }
        }
        scene.restart().await;
        assert_eq!(scene.to.save_end(&scene.row).await, FetchEnd::Broken, "{lost:?}");
        assert!(scene.to.saved().is_empty(), "{lost:?}");
        assert_eq!(scene.fetch().await.0, FetchEnd::Complete, "{lost:?}");
        assert!(scene.is_saved_once(), "{lost:?}");
    }
}

#[tokio::test]
async fn room_is_looked_for_before_anything_is_hashed() {
    let mut scene = Scene::new(74, MIB).await;
    let size = fs4::available_space(scene.to.dir.path()).unwrap() * 2;
    let units = Units::of(size).unwrap();
    let (list, hash) = UnitList::hashed(units, vec![[7; 32]; units.count() as usize]).unwrap();
    scene.row.file = FileBody { size, hash, ..scene.row.file };
    let found = Partial::open(&scene.to.files.0.shelf, scene.row.offer, &scene.row.file).unwrap();
    found.partial.file.set_len(units.unit_len()).unwrap();
    found.partial.keep_list(&list).unwrap();
    let mut done = UnitSet::none(units.count());
    done.add(0);
    found.partial.claim(&done).unwrap();
    scene.restart().await;
    assert_eq!(scene.fetch().await.0, FetchEnd::NoRoom);
    // Its bytes are not those of the unit, which nobody saw.
    scene.restart().await;
    assert_eq!(scene.to.files.progress(&scene.row.offer).unwrap().done, units.unit_len());
}

/// A directory in which nobody may make a file.
#[cfg(unix)]
fn unwritable(place: &Place) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let dir = place.dir.path().join("unwritable");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(dir.join("probe"), b"").is_err() {
        return Some(dir);
    }
    // Whoever may do everything still cannot make files here.
    let made_up = PathBuf::from("/proc");
    made_up.is_dir().then_some(made_up)
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_saved_is_refused_before_anything_is_fetched() {
    let mut scene = Scene::new(88, 3 * MIB).await;
    let Some(dir) = unwritable(&scene.to) else { return };
    let file = scene.to.write("file", b"");
    let cases = [
        (dir.clone(), SaveError::NotAllowed),
        (dir.join("new/below"), SaveError::NotAllowed),
        (file.clone(), SaveError::NoDirectory),
        (file.join("below"), SaveError::NoDirectory),
    ];
    for (bad, why) in cases {
        let refused = scene.to.files.wish(scene.row.offer, Some(&bad)).unwrap_err();
        assert_eq!(refused.dir, bad);
        scene.to.settings.send_modify(|settings| settings.download_dir = Some(bad.clone()));
        let (end, sent) = scene.fetch().await;
        assert_eq!(end, FetchEnd::Failed(why.to_string()), "{}", bad.display());
        assert_eq!(sent, 0);
        assert!(scene.to.kept().is_empty(), "{:?}", scene.to.kept());
    }
    // What would be made is looked at where it would be, and nothing is left there.
    let good = scene.to.dir.path().join("is/made/later");
    scene.to.settings.send_modify(|settings| settings.download_dir = Some(good.clone()));
    let (end, _) = scene.fetch().await;
    assert_eq!(end, FetchEnd::Complete);
    assert_eq!(std::fs::read_dir(&good).unwrap().count(), 1);
    let beside = std::fs::read_dir(scene.to.dir.path()).unwrap();
    let names: Vec<_> = beside.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
}
