//! What changes around a running node: adapters, a sleep of the machine, the own network as mDNS shows it, the settings.
//!
//! Keeps true: the rules hear of every change within [`LOOK`]; listing adapters, which may take long under Windows, is done
//! off the loop, one look at a time.

use super::{Back, MembershipLoop};
use crate::adapters::{self, Adapter};
use crate::app::nearby::News;
use lanchat_net::DiscoveryEvent;
use lanchat_node_core::Input;
use std::time::{Duration, Instant};

/// Time between two looks at the adapters: a new address is to be known to everybody within seconds.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Lists the adapters where blocking is allowed; `None` when the system does not tell.
pub(super) async fn list_adapters() -> Option<Vec<Adapter>> {
    match tokio::task::spawn_blocking(adapters::list).await.ok()? {
        Ok(adapters) => Some(adapters),
        Err(error) => {
            tracing::warn!(%error, "The network adapters cannot be listed");
            None
        }
    }
}

impl MembershipLoop<'_> {
    /// Looks at the adapters, off the loop.
    pub(super) fn look_around(&mut self) {
        self.next_look = Instant::now() + LOOK;
        if !std::mem::replace(&mut self.looking, true) {
            let back = self.back_sender.clone();
            tokio::spawn(async move {
                // A loop that has ended needs none.
                drop(back.send(Back::Adapters(list_adapters().await)).await);
            });
        }
    }

    /// The adapters as they are now.
    pub(super) fn looked_around(&mut self, found: Option<Vec<Adapter>>) {
        self.looking = false;
        let Some(found) = found.filter(|found| *found != self.adapters) else { return };
        let before = adapters::subnets(&std::mem::replace(&mut self.adapters, found));
        let now = adapters::subnets(&self.adapters);
        self.listeners.expand(&self.adapters);
        self.tell(self.listening());
        if now == before {
            return;
        }
        tracing::info!(adapters = now.len(), "The network changed");
        if before.is_empty() {
            // The rules cannot tell a cable that is back from the first look.
            self.tell(Input::NetworkChanged);
        }
        self.nearby.refresh();
        self.look_up();
    }

    /// An address came or went: the adapters are looked at again, and the address is told at once.
    pub(super) fn listening_elsewhere(&mut self) -> Input {
        self.look_around();
        self.listening()
    }

    /// The machine slept: nothing that was known of the network need be so any more.
    pub(super) fn woke_up(&mut self) {
        tracing::info!("Awake again");
        self.tell(Input::NetworkChanged);
        self.nearby.refresh();
        self.look_around();
        self.look_up();
    }

    /// mDNS has news.
    pub(super) fn heard(&mut self, event: DiscoveryEvent) {
        if let Some(news) = self.nearby.take(event) {
            self.nearby_news(news);
        }
    }

    fn nearby_news(&mut self, news: News) {
        match news {
            News::Announced(device, endpoints) => {
                tracing::debug!(device = %device.short(), addresses = endpoints.len(), "Announced on the own network");
                self.tell(Input::Announced { device, endpoints });
            }
            News::NotAnnounced(device) => self.tell(Input::NotAnnounced { device }),
            News::Coordinator => self.look_up(),
        }
    }

    /// Whether the settings and the command line want mDNS.
    pub(super) fn mdns_wanted(&self) -> bool {
        self.settings.borrow().mdns && self.shared.mdns
    }

    /// Obeys the settings: what is fetched unasked, and mDNS as they and the command line want it.
    pub(super) fn follow_settings(&mut self) {
        self.settings.borrow_and_update();
        self.follow_auto_accept();
        if self.mdns_wanted() {
            self.nearby.start(self.listeners.all_bound(), self.listeners.is_loopback_only());
            return;
        }
        let (news, discovery) = self.nearby.stop();
        for news in news {
            self.nearby_news(news);
        }
        if let Some(discovery) = discovery {
            tokio::spawn(discovery.stop());
        }
    }

    fn tell(&mut self, input: Input) {
        let now = self.shared.clock.now();
        self.core.handle_input(input, now);
    }
}
