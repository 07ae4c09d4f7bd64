//! What the doctor wants to know of a running membership.

use super::MembershipLoop;
use crate::doctor::{Coordinator, Dialled, Facts, Mdns, MdnsState, MdnsTrouble, MdnsWish, Person};
use crate::platform;
use lanchat_net::{DiscoveryError, DiscoveryState, DiscoveryStatus};

impl MembershipLoop<'_> {
    /// The facts as they are now; whether it can be dialled is asked for by the handle.
    pub(super) fn facts(&self) -> Facts {
        let core = self.core.status();
        let users = self.core.users();
        let person = |user: &lanchat_node_core::view::UserView| Person {
            name: user.name.clone(),
            online: user.presence.is_some(),
        };
        Facts {
            adapters: self.adapters.clone(),
            listening: core.listening.clone(),
            loopback_only: self.listeners.is_loopback_only(),
            dialled: Dialled::NobodyToAsk,
            firewall: platform::firewall(),
            mdns: self.mdns(),
            coordinator: Coordinator {
                state: core.coordinator,
                addr: self.coordinator_addr(&core),
                since: self.coordinator.1.elapsed(),
                relay: core.relay_state,
            },
            clock_offset: core.clock_offset,
            people: users.iter().map(|user| (user.user, person(user))).collect(),
            ways: self.core.ways(),
        }
    }

    fn mdns(&self) -> Mdns {
        let wish = match (self.shared.mdns, self.settings.borrow().mdns) {
            (false, _) => MdnsWish::OffByOption,
            (true, false) => MdnsWish::OffBySetting,
            (true, true) => MdnsWish::On,
        };
        let Some(status) = self.nearby.status() else {
            return Mdns {
                wish,
                state: MdnsState::Off,
                interfaces: Default::default(),
                announcements: 0,
                devices: 0,
                heard: None,
            };
        };
        let DiscoveryStatus { state, interfaces, announcements, devices, heard } = status;
        let state = match state {
            DiscoveryState::Starting => MdnsState::Starting,
            DiscoveryState::Running => MdnsState::Running,
            DiscoveryState::Waiting(error) => MdnsState::Failed(trouble(&error), error.to_string()),
            DiscoveryState::Stopped => MdnsState::Off,
        };
        Mdns { wish, state, interfaces, announcements, devices, heard }
    }
}

fn trouble(error: &DiscoveryError) -> MdnsTrouble {
    match error {
        DiscoveryError::NoInterface => MdnsTrouble::NoAdapter,
        DiscoveryError::NoMulticast(_) => MdnsTrouble::NoMulticast,
        DiscoveryError::Port { .. } => MdnsTrouble::Port,
        DiscoveryError::Flooded => MdnsTrouble::Flooded,
        DiscoveryError::Ended(_) => MdnsTrouble::Other,
    }
}
