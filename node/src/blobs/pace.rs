//! How fast bytes may move, where the settings say so.
//!
//! Keeps true: over any second no more passes than the limit and a tenth of a second's worth of it; whoever waits when
//! the limit changes waits no longer than the new one asks for.

use crate::config::Settings;
use lanchat_net::debt::{Debt, worth};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Lets so many bytes a second pass, for all transfers together.
#[derive(Debug)]
pub(super) struct Gate {
    settings: watch::Receiver<Settings>,
    /// Which of the settings is the limit, in bytes a second; 0: there is none.
    limit: fn(&Settings) -> u64,
    owed: Mutex<Owed>,
}

/// What was let pass and is not paid for by time.
#[derive(Debug)]
struct Owed {
    /// The limit at which it was reckoned.
    rate: u64,
    debt: Debt,
}

/// What may pass at once after a quiet time.
const BURST: Duration = Duration::from_millis(100);

impl Gate {
    pub(super) fn new(settings: watch::Receiver<Settings>, limit: fn(&Settings) -> u64) -> Self {
        let owed = Owed { rate: 0, debt: Debt::new(Instant::now()) };
        Self { settings, limit, owed: Mutex::new(owed) }
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many bytes may pass.
    pub(super) async fn pass(&self, bytes: usize) {
        loop {
            let now = Instant::now();
            let (rate, until) = self.take(bytes, now);
            if until <= now {
                return;
            }
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.changed_from(rate) => {}
            }
        }
    }

    /// Takes what so many bytes are worth at the limit of now. Returns that limit, and when they may pass.
    fn take(&self, bytes: usize, now: Instant) -> (u64, Instant) {
        let mut owed = self.owed();
        // Under the lock, so that nobody reckons with a limit that is older than another's.
        let rate = (self.limit)(&self.settings.borrow());
        if owed.rate != rate {
            // All who wait take theirs anew, so nothing is owed but by them.
            *owed = Owed { rate, debt: Debt::new(now) };
        }
        if rate == 0 {
            return (rate, now);
        }
        (rate, owed.debt.take(worth(bytes as u64, rate), BURST, now))
    }

    /// Waits until the limit is another.
    async fn changed_from(&self, rate: u64) {
        let mut settings = self.settings.clone();
        if settings.wait_for(|settings| (self.limit)(settings) != rate).await.is_err() {
            // Nobody can change it any more.
            std::future::pending::<()>().await;
        }
    }

    /// Whether somebody has to wait.
    #[cfg(test)]
    pub(super) fn is_shut(&self) -> bool {
        let (now, mut debt) = (Instant::now(), self.owed().debt);
        debt.take(Duration::ZERO, BURST, now) > now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use tokio::time::timeout;

    fn gate(rate: u64) -> (Gate, watch::Sender<Settings>) {
        let (sender, settings) = watch::channel(Settings { rate_limit_up: rate, ..Settings::default() });
        (Gate::new(settings, |settings| settings.rate_limit_up), sender)
    }

    /// How long four take for a mebibyte each that wait at five bytes a second when the limit becomes another.
    async fn took(rate: u64) -> Duration {
        let (gate, settings) = gate(5);
        let mut begin = Instant::now();
        let all = join_all((0..4).map(|_| gate.pass(1 << 20)));
        let change = async {
            // The four were asked first, so all of them wait.
            assert!(gate.is_shut());
            // What is no limit wakes nobody.
            settings.send_modify(|settings| settings.mdns = false);
            tokio::task::yield_now().await;
            begin = Instant::now();
            settings.send_modify(|settings| settings.rate_limit_up = rate);
        };
        let both = async { tokio::join!(all, change) };
        // At the first limit it is more than a week.
        assert!(
            timeout(Duration::from_secs(60), both).await.is_ok(),
            "they wait for a limit that is no more"
        );
        begin.elapsed()
    }

    #[tokio::test]
    async fn a_limit_that_is_lifted_or_changed_is_the_one_that_all_who_wait_wait_for() {
        took(0).await;
        let took = took(8 << 20).await;
        assert!(took + BURST >= Duration::from_millis(500), "{took:?}");
    }

    #[tokio::test]
    async fn no_more_passes_than_the_limit_also_when_nobody_can_change_it() {
        let (gate, settings) = gate(1000);
        drop(settings);
        let begin = Instant::now();
        for _ in 0..10 {
            gate.pass(50).await;
        }
        let took = begin.elapsed();
        assert!(took + BURST >= Duration::from_millis(500), "{took:?}");
    }
}
