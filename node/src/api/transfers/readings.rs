//! Files that are read before they are offered: how far each is.
//!
//! Keeps true: a file is listed for as long as the request that reads it lasts, so there are no more of them than
//! connections.

use crate::api::Api;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use utoipa::ToSchema;

/// A file that is being read.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct ReadingJson {
    /// Its path, as it was given.
    path: String,
    /// Bytes that are read.
    done: u64,
    /// Bytes that it has; 0 when that is not known yet.
    size: u64,
}

#[derive(Default)]
struct All {
    next: u64,
    files: BTreeMap<u64, ReadingJson>,
}

/// All of them.
#[derive(Clone, Default)]
pub(crate) struct Readings(Arc<Mutex<All>>);

impl Readings {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file is going to be read.
    pub(super) fn begin(&self, path: &Path, size: u64) -> Reading {
        let mut all = self.all();
        all.next += 1;
        let number = all.next;
        all.files.insert(number, ReadingJson { path: path.display().to_string(), done: 0, size });
        Reading { readings: self.clone(), number }
    }
}

/// One of them, until it is dropped.
pub(super) struct Reading {
    readings: Readings,
    number: u64,
}

impl Reading {
    /// So many bytes are read.
    pub(super) fn reached(&self, done: u64) {
        if let Some(file) = self.readings.all().files.get_mut(&self.number) {
            file.done = done;
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.readings.all().files.remove(&self.number);
    }
}

/// The files that are read before they are offered.
#[utoipa::path(get, path = "/api/v1/readings", responses((status = 200, body = Vec<ReadingJson>)))]
pub(crate) async fn readings(State(api): State<Api>) -> Json<Vec<ReadingJson>> {
    Json(api.readings.all().files.values().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_listed_while_it_is_read() {
        let readings = Readings::default();
        let told = || -> Vec<(String, u64, u64)> {
            let all = readings.all();
            all.files.values().map(|file| (file.path.clone(), file.done, file.size)).collect()
        };
        let one = readings.begin(Path::new("a"), 10);
        let other = readings.begin(Path::new("a"), 10);
        other.reached(7);
        assert_eq!(told(), [("a".to_owned(), 0, 10), ("a".to_owned(), 7, 10)]);
        drop(one);
        assert_eq!(told(), [("a".to_owned(), 7, 10)]);
        drop(other);
        assert_eq!(told(), []);
    }
}
