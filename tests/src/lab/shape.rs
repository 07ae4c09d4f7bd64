//! How fast a host's cable is, and what crossed it.

use super::host::AtHost;
use super::network::Lab;
use super::tools::{ip_in, tc_in};
use crate::fail::{fail, must};
use serde_json::Value;

/// Bytes that crossed an adapter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
}

impl Traffic {
    /// Both directions.
    #[must_use]
    pub fn total(self) -> u64 {
        self.received + self.sent
    }
}

impl Lab {
    /// Limits every cable of a host to this many Mbit/s, each way; 0 ends it.
    ///
    /// # Panics
    /// When it cannot be set.
    #[track_caller]
    pub fn rate(&self, who: &impl AtHost, mbit: u32) {
        let (place, switch) = (self.place(who), self.switch());
        for adapter in place.adapters().iter() {
            for (namespace, device) in [(&place.namespace, &adapter.name), (&switch, &adapter.port)] {
                // A burst of what passes in a few milliseconds, and never less than a few full packets.
                let burst = (u64::from(mbit) * 1000).max(20_000);
                let shape = format!(
                    "qdisc replace dev {device} root tbf rate {mbit}mbit burst {burst} latency 100ms"
                );
                let words = if mbit > 0 { shape } else { format!("qdisc replace dev {device} root pfifo") };
                tc_in(namespace, &words);
            }
        }
    }

    /// What crossed a host's adapters since they were made, all together.
    ///
    /// # Panics
    /// When the counters cannot be read.
    #[must_use]
    #[track_caller]
    pub fn traffic(&self, who: &impl AtHost) -> Traffic {
        let names: Vec<String> =
            self.place(who).adapters().iter().map(|adapter| adapter.name.clone()).collect();
        names.iter().map(|name| self.traffic_of(who, name)).fold(Traffic::default(), |all, one| Traffic {
            received: all.received + one.received,
            sent: all.sent + one.sent,
        })
    }

    /// What crossed one adapter of a host since it was made.
    ///
    /// # Panics
    /// When the counters cannot be read.
    #[must_use]
    #[track_caller]
    pub fn traffic_of(&self, who: &impl AtHost, adapter: &str) -> Traffic {
        let shown = ip_in(&self.place(who).namespace, &format!("-j -s link show dev {adapter}"));
        let shown: Value = must(serde_json::from_str(&shown), "ip prints no JSON");
        let bytes = |way: &str| shown.pointer(&format!("/0/stats64/{way}/bytes")).and_then(Value::as_u64);
        match (bytes("rx"), bytes("tx")) {
            (Some(received), Some(sent)) => Traffic { received, sent },
            _ => fail(format_args!("no counters in {shown}")),
        }
    }
}
