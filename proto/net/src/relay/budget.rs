//! How fast the relay reads from whom: a budget for each user, and one for all together.
//!
//! Keeps true: over any time, no more is read than rate times time and a small burst, plus one read for each circuit; the
//! circuits of a user take turns, since each waits for what it has itself read; nothing is refused, only later.
//! Goes in: bytes read. Goes out: when whoever read them may read again, and sums.

use crate::debt::{Debt, worth};
use crate::limits::{MAX_USERS, MIN_RATE, PACE_BURST, RelayLimits};
use crate::lock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// A user, as the owner names them.
pub(crate) type User = [u8; 16];

/// A rate, and what was taken of it.
struct Bucket {
    /// Bytes a second.
    rate: u64,
    debt: Debt,
}

impl Bucket {
    fn new(rate: u64) -> Self {
        Self { rate: rate.max(MIN_RATE), debt: Debt::new(Instant::now()) }
    }

    /// Takes bytes; `None` when more may be taken at once.
    fn take(&mut self, bytes: u64, now: Instant) -> Option<Instant> {
        let again = self.debt.take(worth(bytes, self.rate), worth(PACE_BURST, self.rate), now);
        (again > now).then_some(again)
    }
}

/// All budgets.
pub(crate) struct Budgets {
    per_user: u64,
    total: Mutex<Bucket>,
    bytes: AtomicU64,
    users: Mutex<BTreeMap<User, Arc<Account>>>,
}

/// What a user took.
pub(crate) struct Account {
    budgets: Arc<Budgets>,
    bucket: Mutex<Bucket>,
    bytes: AtomicU64,
}

impl Budgets {
    /// Nothing taken yet.
    pub(crate) fn new(limits: &RelayLimits) -> Arc<Self> {
        Arc::new(Self {
            per_user: limits.per_user,
            total: Mutex::new(Bucket::new(limits.total)),
            bytes: AtomicU64::new(0),
            users: Mutex::default(),
        })
    }

    /// The account of a user, the same for all devices.
    pub(crate) fn account(self: &Arc<Self>, user: User) -> Arc<Account> {
        let mut users = lock(&self.users);
        if users.len() >= MAX_USERS && !users.contains_key(&user) {
            users.retain(|_, account| Arc::strong_count(account) > 1);
        }
        let account = || {
            let bucket = Mutex::new(Bucket::new(self.per_user));
            Arc::new(Account { budgets: self.clone(), bucket, bytes: AtomicU64::new(0) })
        };
        users.entry(user).or_insert_with(account).clone()
    }

    /// Bytes taken by all.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes taken by each user that is remembered.
    pub(crate) fn by_user(&self) -> Vec<(User, u64)> {
        let users = lock(&self.users);
        users.iter().map(|(user, account)| (*user, account.bytes.load(Ordering::Relaxed))).collect()
    }
}

impl Account {
    /// Takes bytes that were read; when the reader may read again, if not at once.
    pub(crate) fn take(&self, bytes: usize) -> Option<Instant> {
        let bytes = bytes as u64;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.budgets.bytes.fetch_add(bytes, Ordering::Relaxed);
        let now = Instant::now();
        let own = lock(&self.bucket).take(bytes, now);
        let all = lock(&self.budgets.total).take(bytes, now);
        own.max(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::sleep_until;

    fn budgets(per_user: u64, total: u64) -> Arc<Budgets> {
        Budgets::new(&RelayLimits { per_user, total, ..RelayLimits::default() })
    }

    /// Reads as fast as it may until the time is up; the bytes.
    async fn read(account: Arc<Account>, until: Instant) -> u64 {
        let mut bytes = 0;
        while Instant::now() < until {
            bytes += 8192;
            match account.take(8192) {
                Some(at) => sleep_until(at).await,
                None => tokio::task::yield_now().await,
            }
        }
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn circuits_of_a_user_share_the_rate_evenly_and_others_have_their_own() {
        let budgets = budgets(1_000_000, 10_000_000);
        let until = Instant::now() + Duration::from_secs(10);
        let tasks: Vec<_> = [1, 1, 1, 1, 2]
            .map(|user| tokio::spawn(read(budgets.account([user; 16]), until)))
            .into_iter()
            .collect();
        let mut read = Vec::new();
        for task in tasks {
            read.push(task.await.unwrap());
        }
        let [first @ .., other] = read.as_slice() else { panic!() };
        for bytes in first {
            assert!((2_300_000..2_700_000).contains(bytes), "a quarter each: {read:?}");
        }
        assert!((9_900_000..10_300_000).contains(other), "{read:?}");
        assert_eq!(budgets.bytes(), read.iter().sum::<u64>());
    }

    #[tokio::test(start_paused = true)]
    async fn the_total_holds_for_all_together_and_idle_time_is_not_saved_up() {
        let budgets = budgets(1_000_000, 2_000_000);
        tokio::time::advance(Duration::from_secs(1000)).await;
        let until = Instant::now() + Duration::from_secs(10);
        let tasks = (1..=4).map(|user| tokio::spawn(read(budgets.account([user; 16]), until)));
        let mut sum = 0;
        for task in tasks.collect::<Vec<_>>() {
            sum += task.await.unwrap();
        }
        assert!((19_900_000..20_200_000).contains(&sum), "{sum}");
    }
}
