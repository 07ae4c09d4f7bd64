//! The handler of one connection: its control stream, and nothing else.
//!
//! Keeps true: a dialled connection asks for one stream of its channel and offers none; an accepted one offers the channels
//! that the owner accepts until the first stream is taken, and none after that. The stream's bytes go to a task of their
//! own; this handler hands it over and passes on what it reports.

use super::Seed;
use crate::api::{Channel, CloseReason, NetEvent};
use crate::limits::STREAM_TIMEOUT;
use crate::link::Shared;
use crate::link::pace::Rates;
use crate::link::task;
use futures::future::{Ready, ready};
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamUpgradeError, SubstreamProtocol,
};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc::Sender;

/// What a handler reports, at most each once.
#[derive(Debug)]
pub(crate) enum Report {
    /// The control stream is open.
    Opened,
    /// The control stream cannot be opened.
    Failed(String),
    /// The owner admitted the link.
    Admitted,
    /// The link ended; the connection has no purpose any more.
    Ended,
}

/// Channels to ask for or to offer.
#[derive(Debug, Clone)]
pub(crate) struct Offer(Vec<Channel>);

impl UpgradeInfo for Offer {
    type Info = &'static str;
    type InfoIter = std::vec::IntoIter<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.iter().map(|channel| channel.protocol()).collect::<Vec<_>>().into_iter()
    }
}

fn agreed(stream: Stream, name: &str) -> Ready<Result<(Stream, Channel), Infallible>> {
    let channel = if name == Channel::Coordinator.protocol() { Channel::Coordinator } else { Channel::Link };
    ready(Ok((stream, channel)))
}

impl InboundUpgrade<Stream> for Offer {
    type Output = (Stream, Channel);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: &'static str) -> Self::Future {
        agreed(stream, name)
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = (Stream, Channel);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, name: &'static str) -> Self::Future {
        agreed(stream, name)
    }
}

/// The handler.
pub(crate) struct Handler {
    seed: Seed,
    shared: Arc<Shared>,
    events: Sender<NetEvent>,
    accept: Vec<Channel>,
    rates: Rates,
    /// The connection runs. Before that nothing is offered, so that the first list of names that identify is given holds
    /// none of ours (see `quiet`).
    running: bool,
    asked: bool,
    taken: bool,
    admitted: bool,
    ended: bool,
    reports: VecDeque<Report>,
}

impl Handler {
    /// For one connection; `accept` is empty on a dialled one.
    pub(crate) fn new(
        seed: Seed,
        shared: Arc<Shared>,
        events: Sender<NetEvent>,
        accept: Vec<Channel>,
        rates: Rates,
    ) -> Self {
        let asked = seed.dial.is_none();
        Self {
            seed,
            shared,
            events,
            accept,
            rates,
            running: false,
            asked,
            taken: false,
            admitted: false,
            ended: false,
            reports: VecDeque::new(),
        }
    }

    /// Gives the stream to its own task. A second one is dropped, and before a hello it is a reason to close.
    fn take(&mut self, stream: Stream, channel: Channel) {
        if self.taken {
            if !self.shared.admitted() {
                self.shared.stop(CloseReason::ExtraStream);
            }
            return;
        }
        self.taken = true;
        self.reports.push_back(Report::Opened);
        let opened = task::opened(&self.shared, &self.seed, channel);
        tokio::spawn(task::run(stream, self.shared.clone(), self.events.clone(), self.rates, opened));
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Report;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        let offered = if self.running && !self.taken { self.accept.clone() } else { Vec::new() };
        SubstreamProtocol::new(Offer(offered), ()).with_timeout(STREAM_TIMEOUT)
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Offer, (), Report>> {
        self.running = true;
        self.shared.handler.register(cx.waker());
        if let Some(report) = self.reports.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(report));
        }
        if !self.asked
            && let Some((_, channel)) = self.seed.dial
        {
            self.asked = true;
            let protocol = SubstreamProtocol::new(Offer(vec![channel]), ()).with_timeout(STREAM_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if !self.admitted && self.shared.admitted() {
            self.admitted = true;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Report::Admitted));
        }
        if !self.ended && self.shared.ended().is_some() {
            self.ended = true;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Report::Ended));
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Offer, Offer>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.take(protocol.0, protocol.1);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                self.take(protocol.0, protocol.1);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.reports.push_back(Report::Failed(match error {
                    StreamUpgradeError::Timeout => "no answer to the opening of a stream".to_owned(),
                    StreamUpgradeError::NegotiationFailed => {
                        "the other side does not offer this service (wrong program or version?)".to_owned()
                    }
                    StreamUpgradeError::Io(error) => format!("closed while opening a stream: {error}"),
                    StreamUpgradeError::Apply(never) => match never {},
                }));
            }
            _ => {}
        }
    }
}
