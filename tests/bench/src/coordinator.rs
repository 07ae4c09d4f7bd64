//! `coordinator`: one coordinator with many signed-in devices. What it needs, how fast they come on, and how soon all of
//! them know that one left or came.
//!
//! The devices are [`Session`]s in this process, which shares the machine with the coordinator: its part of the processor
//! time is told beside the rates.

use crate::error::BenchError;
use crate::figures::{Report, Samples, TimeUnit, count};
use crate::light::session::{Known, Watcher};
use crate::light::{self, Identity, Session};
use crate::memory::{Memory, megabytes, processor_time};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::coordinator::{Change, DirectoryMark};
use lanchat_tests::Office;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Devices that come at a time. They share one address, from which a coordinator takes few strangers at once.
const AT_ONCE: usize = 8;
/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Files that a process may need here beyond one for each device.
const SPARE_FILES: u64 = 256;

/// Measures with this many devices.
///
/// # Errors
/// [`BenchError`].
pub async fn run(devices: usize, quick: bool) -> Result<Report, BenchError> {
    let devices = devices.max(2);
    let mut report = Report::new("coordinator", quick);
    report.add("devices", count(devices), "");
    report.add("open files allowed", raise_open_files(devices)?, "");
    let running = Running::open()?;
    running.memory(&mut report, "idle");
    let identities = running.enrol(devices, &mut report).await?;
    running.memory(&mut report, "accounts opened");
    let witness = Arc::<Witness>::default();
    let mut sessions = running.first_sign_in(&identities, &witness, &mut report).await?;
    running.memory(&mut report, "all signed in");
    let rounds = if quick { 2 } else { 20 };
    running.leave_and_come(&identities, &witness, &mut sessions, rounds, &mut report).await?;
    running.storm(&identities, &witness, sessions, &mut report).await?;
    Ok(report)
}

/// Lets this process and its children open enough files; tells how many.
fn raise_open_files(devices: usize) -> Result<f64, BenchError> {
    let wanted = u64::try_from(devices).unwrap_or(u64::MAX).saturating_add(SPARE_FILES);
    let allowed =
        rlimit::increase_nofile_limit(wanted.max(4096)).map_err(BenchError::io("raising open files"))?;
    if allowed < wanted {
        let text = format!("{wanted} open files are needed and {allowed} allowed: see ulimit -Hn");
        return Err(BenchError::Unexpected(text));
    }
    Ok(count(usize::try_from(allowed).unwrap_or(usize::MAX)))
}

/// Who has heard of the change that is watched for.
#[derive(Default)]
struct Witness {
    watched: Mutex<Watched>,
    news: Notify,
}

#[derive(Default)]
struct Watched {
    /// Whose change, and whether it is a coming.
    change: Option<(DeviceId, bool)>,
    heard: BTreeSet<usize>,
    last: Option<Instant>,
}

impl Witness {
    fn watch(&self, device: DeviceId, coming: bool) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        *watched = Watched { change: Some((device, coming)), ..Watched::default() };
    }

    fn hear(&self, number: usize, change: &Change) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let is = match change {
            Change::Online(online) => (online.device, true),
            Change::Offline { device, .. } => (*device, false),
        };
        if watched.change == Some(is) && watched.heard.insert(number) {
            watched.last = Some(Instant::now());
            self.news.notify_one();
        }
    }

    /// When the last of so many sessions heard of it.
    async fn all(&self, sessions: usize) -> Result<Instant, BenchError> {
        let heard = async {
            loop {
                let (heard, last) = {
                    let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
                    (watched.heard.len(), watched.last)
                };
                match last {
                    Some(last) if heard >= sessions => return last,
                    Some(_) | None => self.news.notified().await,
                }
            }
        };
        let what = || format!("that {sessions} devices heard of a change");
        timeout(PATIENCE, heard).await.map_err(|_| BenchError::TimedOut { what: what(), after: PATIENCE })
    }

    fn watcher(self: &Arc<Self>) -> Watcher {
        let witness = self.clone();
        Arc::new(move |number, change| witness.hear(number, change))
    }
}

/// A coordinator process, restarted once.
struct Running {
    coordinator: Office,
    office: light::Office,
}

impl Running {
    fn open() -> Result<Self, BenchError> {
        let coordinator = Office::by_invite();
        let office = light::Office::of_link(&coordinator.join())?;
        Ok(Self { coordinator, office })
    }

    fn memory(&self, report: &mut Report, when: &str) {
        let memory = self.coordinator.pid().and_then(Memory::of);
        report.add_known(format!("memory, {when}, RSS"), memory.map(|m| megabytes(m.rss)), "MB");
        report.add_known(format!("memory, {when}, PSS"), memory.map(|m| megabytes(m.pss)), "MB");
    }

    fn cost(&self) -> Option<Duration> {
        self.coordinator.pid().and_then(processor_time)
    }

    /// Tells a rate and the coordinator's processor time for each.
    fn rate(&self, report: &mut Report, what: &str, number: usize, took: Duration, before: Option<Duration>) {
        report.add(format!("{what}, rate"), count(number) / took.as_secs_f64(), "/s");
        let cost = self.cost().zip(before).map(|(now, before)| now.saturating_sub(before));
        let each = cost.map(|cost| cost.as_secs_f64() * 1000.0 / count(number));
        report.add_known(format!("{what}, coordinator's processor time each"), each, "ms");
    }

    async fn enrol(&self, devices: usize, report: &mut Report) -> Result<Vec<Identity>, BenchError> {
        let (begin, cost) = (Instant::now(), self.cost());
        let office = self.office.clone();
        let identities = paced((0..devices).collect(), move |number: usize| {
            let office = office.clone();
            async move { office.enrol(&format!("user{number}")).await }
        })
        .await?;
        self.rate(report, "accounts opened", devices, begin.elapsed(), cost);
        Ok(identities)
    }

    async fn sign_in_all(
        &self,
        identities: &[Identity],
        mark: DirectoryMark,
        witness: &Arc<Witness>,
    ) -> Result<Vec<Session>, BenchError> {
        let (office, watcher) = (self.office.clone(), witness.watcher());
        let numbered = identities.iter().cloned().enumerate().collect();
        paced(numbered, move |(number, identity)| {
            let (office, watcher) = (office.clone(), watcher.clone());
            async move { Session::sign_in(&office, &identity, mark, number, watcher).await }
        })
        .await
    }

    /// Everybody's first sign-in: each also fetches the whole directory.
    async fn first_sign_in(
        &self,
        identities: &[Identity],
        witness: &Arc<Witness>,
        report: &mut Report,
    ) -> Result<Vec<Session>, BenchError> {
        let (begin, cost) = (Instant::now(), self.cost());
        let sessions = self.sign_in_all(identities, DirectoryMark::default(), witness).await?;
        self.rate(report, "first sign-in", sessions.len(), begin.elapsed(), cost);
        let devices = sessions.len();
        let everything = move |known: &Known| known.complete && known.online == devices;
        all_know(&sessions, "that all know everybody", everything).await?;
        report.add("first sign-in, until all know everybody", begin.elapsed().as_secs_f64(), "s");
        Ok(sessions)
    }

    /// One leaves and comes back, again and again.
    async fn leave_and_come(
        &self,
        identities: &[Identity],
        witness: &Arc<Witness>,
        sessions: &mut Vec<Session>,
        rounds: usize,
        report: &mut Report,
    ) -> Result<(), BenchError> {
        let (mut left, mut came) = (Samples::new(), Samples::new());
        let mark = directory_mark(sessions);
        let others = sessions.len() - 1;
        for round in 0..rounds {
            let number = round % sessions.len();
            let Some(identity) = identities.get(number) else { break };
            // Nothing is under way any more when the next measurement begins.
            tokio::time::sleep(Duration::from_millis(200)).await;
            witness.watch(identity.device(), false);
            let begin = Instant::now();
            // The last one takes its place, until it is back.
            let gone = sessions.swap_remove(number).leave();
            left.push(witness.all(others).await?.saturating_duration_since(begin));
            drop(gone.await);
            tokio::time::sleep(Duration::from_millis(200)).await;
            witness.watch(identity.device(), true);
            let begin = Instant::now();
            let back = Session::sign_in(&self.office, identity, mark, number, witness.watcher()).await?;
            came.push(witness.all(others).await?.saturating_duration_since(begin));
            sessions.push(back);
            let last = sessions.len() - 1;
            sessions.swap(number, last);
        }
        report.add_samples("one left, until all others know", &left, &[50, 100], TimeUnit::Millis);
        report.add_samples(
            "one came (from its dial on), until all others know",
            &came,
            &[50, 100],
            TimeUnit::Millis,
        );
        Ok(())
    }

    /// The coordinator is killed and started again; all sign in anew, with the directory that they hold.
    async fn storm(
        &self,
        identities: &[Identity],
        witness: &Arc<Witness>,
        sessions: Vec<Session>,
        report: &mut Report,
    ) -> Result<(), BenchError> {
        let mark = directory_mark(&sessions);
        let gone: Vec<_> = sessions.into_iter().map(Session::leave).collect();
        for session in gone {
            // A session that failed has ended all the same.
            drop(session.await);
        }
        self.coordinator.kill();
        // It listens where it did before: the light devices find it.
        self.coordinator.start();
        let (begin, cost) = (Instant::now(), self.cost());
        let sessions = self.sign_in_all(identities, mark, witness).await?;
        self.rate(report, "sign-in with the directory at hand", sessions.len(), begin.elapsed(), cost);
        let devices = sessions.len();
        all_know(&sessions, "that all know who is on", move |known| known.online == devices).await?;
        report.add(
            "sign-in with the directory at hand, until all know everybody",
            begin.elapsed().as_secs_f64(),
            "s",
        );
        self.memory(report, "after a restart, all signed in");
        Ok(())
    }
}

/// How new a directory all sessions hold.
fn directory_mark(sessions: &[Session]) -> DirectoryMark {
    sessions.first().map(|session| session.known.borrow().directory).unwrap_or_default()
}

/// Waits until every session knows what it should.
async fn all_know(
    sessions: &[Session],
    what: &str,
    is_so: impl Fn(&Known) -> bool + Copy,
) -> Result<(), BenchError> {
    let all = async {
        for session in sessions {
            let mut known: watch::Receiver<Known> = session.known.clone();
            let now = known.wait_for(|known| known.lost || is_so(known)).await;
            if !now.is_ok_and(|known| !known.lost) {
                return Err(BenchError::Unexpected("the coordinator hung up on a device".to_owned()));
            }
        }
        Ok(())
    };
    let timed_out = |_| BenchError::TimedOut { what: what.to_owned(), after: PATIENCE };
    timeout(PATIENCE, all).await.map_err(timed_out)?
}

/// Does something for all, a few at a time, and keeps their order.
async fn paced<T, R, F>(all: Vec<T>, job: impl Fn(T) -> F) -> Result<Vec<R>, BenchError>
where
    R: Send + 'static,
    F: Future<Output = Result<R, BenchError>> + Send + 'static,
{
    let mut results = BTreeMap::new();
    let mut running = JoinSet::new();
    let mut waiting = all.into_iter().enumerate();
    loop {
        while running.len() < AT_ONCE {
            let Some((number, one)) = waiting.next() else { break };
            let job = job(one);
            running.spawn(async move { (number, job.await) });
        }
        let Some(done) = running.join_next().await else { break };
        let (number, result) = done.map_err(BenchError::failed("a device"))?;
        results.insert(number, result?);
    }
    Ok(results.into_values().collect())
}
