//! The handler of one connection: its control stream, then streams of content beside it.
//!
//! Keeps true: a dialled connection asks for one control stream of its channel and offers none; an accepted one offers the
//! channels that the owner accepts until the first stream is taken, and none after that. Streams of content are offered
//! once the link is admitted, to nodes only, while there are places. No byte of a stream passes here: the control stream goes to
//! a task of its own, the others to whoever asked for them or, through that task, to the owner.

use super::{Accept, Seed};
use crate::api::{Channel, CloseReason, NetEvent};
use crate::limits::{MAX_CONTENT_STREAMS, STREAM_TIMEOUT};
use crate::link::pace::Rates;
use crate::link::task;
use crate::link::{Shared, Wanted};
use crate::stream::{BlobStream, StreamError};
use futures::future::{Ready, ready};
use lanchat_proto::version::BLOB_PROTOCOL;
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
use tokio::sync::mpsc::{self, Sender};

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

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The control stream of a link.
    Control(Channel),
    /// Content.
    Content,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Control(channel) => channel.protocol(),
            Self::Content => BLOB_PROTOCOL,
        }
    }
}

/// What to ask for or to offer.
#[derive(Debug, Clone)]
pub(crate) struct Offer(Vec<Purpose>);

impl UpgradeInfo for Offer {
    type Info = Named;
    type InfoIter = std::iter::Map<std::vec::IntoIter<Purpose>, fn(Purpose) -> Named>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter().map(Named)
    }
}

/// A purpose by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named(Purpose);

impl AsRef<str> for Named {
    fn as_ref(&self) -> &str {
        self.0.name()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = (Stream, Purpose);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, Named(purpose): Named) -> Self::Future {
        ready(Ok((stream, purpose)))
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = (Stream, Purpose);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, Named(purpose): Named) -> Self::Future {
        ready(Ok((stream, purpose)))
    }
}

/// Whom a stream that was asked for is for.
pub(crate) enum Asker {
    /// The link itself.
    Link,
    /// Whoever wants a stream of content.
    Content(Wanted),
}

/// The handler.
pub(crate) struct Handler {
    seed: Seed,
    shared: Arc<Shared>,
    events: Sender<NetEvent>,
    accept: Accept,
    rates: Rates,
    /// The connection runs. Before that nothing is offered, so that the first list of names that identify is given holds
    /// none of ours (see `quiet`).
    running: bool,
    asked: bool,
    /// The channel of the link, once its control stream is open.
    taken: Option<Channel>,
    /// Where streams of content go that the other side opens; has room for as many as there are places.
    streams: Option<Sender<BlobStream>>,
    admitted: bool,
    ended: bool,
    reports: VecDeque<Report>,
}

impl Handler {
    /// For one connection; `accept` names no channel on a dialled one.
    pub(crate) fn new(
        seed: Seed,
        shared: Arc<Shared>,
        events: Sender<NetEvent>,
        accept: Accept,
        rates: Rates,
    ) -> Self {
        let asked = seed.dial.is_none();
        if !asked {
            shared.take_up();
        }
        Self {
            seed,
            shared,
            events,
            accept,
            rates,
            running: false,
            asked,
            taken: None,
            streams: None,
            admitted: false,
            ended: false,
            reports: VecDeque::new(),
        }
    }

    fn take(&mut self, stream: Stream, purpose: Purpose) {
        match purpose {
            Purpose::Control(channel) => self.take_control(stream, channel),
            Purpose::Content => self.take_content(stream),
        }
    }

    /// Gives the stream to its own task. A second one is dropped, and before a hello it is a reason to close.
    fn take_control(&mut self, stream: Stream, channel: Channel) {
        if self.taken.is_some() {
            if !self.shared.admitted() {
                self.shared.stop(CloseReason::ExtraStream);
            }
            return;
        }
        self.taken = Some(channel);
        self.reports.push_back(Report::Opened);
        let (streams, opened_streams) = mpsc::channel(MAX_CONTENT_STREAMS);
        self.streams = Some(streams);
        let opened = task::opened(&self.shared, &self.seed, channel);
        let (shared, events) = (self.shared.clone(), self.events.clone());
        tokio::spawn(task::run(stream, shared, events, opened_streams, self.rates, opened));
    }

    /// Passes a stream on that the other side opened. What has no place is dropped, and so reset: several may have been
    /// agreed on at a time.
    fn take_content(&mut self, stream: Stream) {
        if let Some(streams) = &self.streams
            && let Some(stream) = self.shared.take_stream(stream)
        {
            // Those that wait have a place each, so this is only ever closed, with the link.
            drop(streams.try_send(stream));
        }
    }

    fn offered(&self) -> Vec<Purpose> {
        match self.taken {
            _ if !self.running => Vec::new(),
            None => self.accept.channels.iter().copied().map(Purpose::Control).collect(),
            Some(Channel::Link) if self.accept.streams && self.shared.takes_stream() => {
                vec![Purpose::Content]
            }
            Some(_) => Vec::new(),
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Report;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Asker;

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        SubstreamProtocol::new(Offer(self.offered()), ()).with_timeout(STREAM_TIMEOUT)
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Offer, Asker, Report>> {
        self.running = true;
        self.shared.handler.register(cx.waker());
        if let Some(report) = self.reports.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(report));
        }
        if !self.asked
            && let Some((_, channel)) = self.seed.dial
        {
            self.asked = true;
            return ask(Purpose::Control(channel), Asker::Link);
        }
        if !self.admitted && self.shared.admitted() {
            self.admitted = true;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Report::Admitted));
        }
        if !self.ended && self.shared.ended().is_some() {
            self.ended = true;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Report::Ended));
        }
        if let Some(wanted) = self.shared.wanted() {
            return ask(Purpose::Content, Asker::Content(wanted));
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Offer, Offer, (), Asker>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.take(protocol.0, protocol.1);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                match info {
                    Asker::Link => self.take(protocol.0, protocol.1),
                    Asker::Content(wanted) => {
                        self.shared.take_up();
                        wanted.give(self.shared.id, Ok(protocol.0));
                    }
                }
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info }) => match info {
                Asker::Link => self.reports.push_back(Report::Failed(no_link(error))),
                Asker::Content(wanted) => wanted.give(self.shared.id, Err(no_content(error))),
            },
            _ => {}
        }
    }
}

fn ask(purpose: Purpose, asker: Asker) -> Poll<ConnectionHandlerEvent<Offer, Asker, Report>> {
    let protocol = SubstreamProtocol::new(Offer(vec![purpose]), asker).with_timeout(STREAM_TIMEOUT);
    Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
}

fn no_link(error: StreamUpgradeError<Infallible>) -> String {
    match error {
        StreamUpgradeError::Timeout => "no answer to the opening of a stream".to_owned(),
        StreamUpgradeError::NegotiationFailed => {
            "the other side does not offer this service (wrong program or version?)".to_owned()
        }
        StreamUpgradeError::Io(error) => format!("closed while opening a stream: {error}"),
        StreamUpgradeError::Apply(never) => match never {},
    }
}

fn no_content(error: StreamUpgradeError<Infallible>) -> StreamError {
    match error {
        StreamUpgradeError::Timeout => StreamError::Timeout,
        StreamUpgradeError::NegotiationFailed => StreamError::Refused,
        StreamUpgradeError::Io(error) => error.into(),
        StreamUpgradeError::Apply(never) => match never {},
    }
}
