//! Transfers as the API shows them: what the core knows, with bytes and paths from the shell.

use crate::api::Shared;
use crate::api::error::ApiError;
use crate::api::types::{MessageJson, TransferJson};
use crate::blobs::Files;
use lanchat_node_core::view::TransferView;
use lanchat_proto::ids::{MessageId, UserId};
use std::collections::{BTreeMap, BTreeSet};

impl Shared {
    /// All transfers, those that were offered first in front.
    pub(crate) async fn transfers(&self) -> Result<Vec<TransferJson>, ApiError> {
        let views = self.handle.transfers().await?;
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let offers: Vec<MessageId> = views.iter().map(|view| view.stored.offer).collect();
        // Between two memberships there is nothing stored to ask.
        let times = match self.handle.reader() {
            Some(_) => self.read(move |reader| reader.sent_at(&offers)).await?,
            None => BTreeMap::new(),
        };
        let mut views: Vec<_> =
            views.into_iter().map(|view| (times.get(&view.stored.offer).copied(), view)).collect();
        views.sort_by_key(|(at, view)| (*at, view.stored.offer));
        let names = self.names().await?;
        self.transfers_json(views.into_iter().map(|(_, view)| view).collect(), names).await
    }

    /// One transfer.
    pub(crate) async fn transfer(&self, offer: MessageId) -> Result<Option<TransferJson>, ApiError> {
        match self.handle.transfer(offer).await? {
            Some(view) => {
                let names = self.names().await?;
                Ok(self.transfers_json(vec![view], names).await?.pop())
            }
            None => Ok(None),
        }
    }

    /// Adds to messages that offer files what became of these.
    pub(crate) async fn add_transfers(&self, messages: &mut [MessageJson]) -> Result<(), ApiError> {
        if messages.iter().all(|message| message.file.is_none()) {
            return Ok(());
        }
        let offers: BTreeSet<MessageId> = messages
            .iter()
            .filter(|message| message.file.is_some())
            .filter_map(|message| message.id.parse().ok())
            .collect();
        let mut views = self.handle.transfers().await?;
        views.retain(|view| offers.contains(&view.stored.offer));
        let made = self.transfers_json(views, self.names().await?).await?;
        let mut made: BTreeMap<String, TransferJson> =
            made.into_iter().map(|transfer| (transfer.id.clone(), transfer)).collect();
        for message in messages {
            if let Some(file) = &mut message.file {
                file.transfer = made.remove(&message.id);
            }
        }
        Ok(())
    }

    /// As JSON; paths are read from the disk, where blocking is allowed.
    pub(crate) async fn transfers_json(
        &self,
        views: Vec<TransferView>,
        names: BTreeMap<UserId, String>,
    ) -> Result<Vec<TransferJson>, ApiError> {
        let files = self.handle.files();
        let made = tokio::task::spawn_blocking(move || {
            views.iter().map(|view| one(view, files.as_ref(), names.get(&view.peer))).collect()
        });
        made.await.map_err(|_| ApiError::stopping())
    }
}

fn one(view: &TransferView, files: Option<&Files>, name: Option<&String>) -> TransferJson {
    let offer = &view.stored.offer;
    let progress = files.and_then(|files| files.progress(offer)).unwrap_or_default();
    let path = files.and_then(|files| match view.outgoing {
        true => files.source(&view.stored.file.hash),
        false => files.saved(offer),
    });
    TransferJson::new(view, progress, path, name.cloned().unwrap_or_default())
}
