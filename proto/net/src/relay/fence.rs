//! A fence around one of libp2p's relay handlers: closed until it is told to open, and panics end inside.
//!
//! Keeps true: while it is closed the other side is offered, and by identify told, none of the handler's protocols; a panic
//! in the handler ends its connection and nothing else.

use futures::future::{Either, Pending, pending};
use libp2p::Stream;
use libp2p::core::upgrade::{InboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, FullyNegotiatedInbound, InboundUpgradeSend, ListenUpgradeError, UpgradeInfoSend,
};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

/// What the handler is told.
#[derive(Debug)]
pub(crate) enum Order<T> {
    /// Offer the protocols from now on.
    Open,
    /// An order of the fenced handler's behaviour.
    Inner(T),
}

/// What the handler reports.
#[derive(Debug)]
pub(crate) enum Report<T> {
    /// A report of the fenced handler.
    Inner(T),
    /// The fenced handler has failed; the connection is to be closed.
    Failed,
}

/// The fence.
pub(crate) struct Fence<H> {
    inner: H,
    open: bool,
    failed: bool,
    told: bool,
}

impl<H> Fence<H> {
    /// Around this handler.
    pub(crate) fn new(inner: H, open: bool) -> Self {
        Self { inner, open, failed: false, told: false }
    }

    fn guarded<T>(&mut self, run: impl FnOnce(&mut H) -> T) -> Option<T> {
        if self.failed {
            return None;
        }
        // What is half changed is not looked at again.
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut self.inner))).ok();
        self.failed = result.is_none();
        result
    }
}

/// The protocols behind the fence, or none.
pub(crate) struct Door<U>(Option<U>);

impl<U: InboundUpgradeSend> UpgradeInfo for Door<U> {
    type Info = U::Info;
    type InfoIter = std::iter::Flatten<std::option::IntoIter<U::InfoIter>>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.as_ref().map(UpgradeInfoSend::protocol_info).into_iter().flatten()
    }
}

impl<U: InboundUpgradeSend> InboundUpgrade<Stream> for Door<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = Either<U::Future, Pending<Result<U::Output, U::Error>>>;

    fn upgrade_inbound(self, stream: Stream, name: U::Info) -> Self::Future {
        match self.0 {
            Some(upgrade) => Either::Left(upgrade.upgrade_inbound(stream, name)),
            // Nothing was offered, so nothing can have been chosen.
            None => Either::Right(pending()),
        }
    }
}

impl<H: ConnectionHandler> ConnectionHandler for Fence<H> {
    type FromBehaviour = Order<H::FromBehaviour>;
    type ToBehaviour = Report<H::ToBehaviour>;
    type InboundProtocol = Door<H::InboundProtocol>;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        let open = self.open && !self.failed;
        self.inner.listen_protocol().map_upgrade(|upgrade| Door(open.then_some(upgrade)))
    }

    fn connection_keep_alive(&self) -> bool {
        !self.failed && self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        match self.guarded(|inner| inner.poll(cx)) {
            Some(polled) => polled.map(|event| event.map_custom(Report::Inner)),
            None if self.told => Poll::Pending,
            None => {
                self.told = true;
                Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Report::Failed))
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        let polled = self.guarded(|inner| inner.poll_close(cx)).unwrap_or(Poll::Ready(None));
        polled.map(|report| report.map(Report::Inner))
    }

    fn on_behaviour_event(&mut self, order: Self::FromBehaviour) {
        match order {
            Order::Open => self.open = true,
            Order::Inner(order) => {
                self.guarded(|inner| inner.on_behaviour_event(order));
            }
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        let event = match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info }) => {
                ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info })
            }
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }) => {
                ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error })
            }
            ConnectionEvent::FullyNegotiatedOutbound(event) => {
                ConnectionEvent::FullyNegotiatedOutbound(event)
            }
            ConnectionEvent::DialUpgradeError(event) => ConnectionEvent::DialUpgradeError(event),
            ConnectionEvent::AddressChange(event) => ConnectionEvent::AddressChange(event),
            ConnectionEvent::LocalProtocolsChange(event) => ConnectionEvent::LocalProtocolsChange(event),
            ConnectionEvent::RemoteProtocolsChange(event) => ConnectionEvent::RemoteProtocolsChange(event),
            _ => return,
        };
        self.guarded(|inner| inner.on_connection_event(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::core::upgrade::ReadyUpgrade;
    use std::task::Waker;

    /// Offers one protocol, and panics when it is told to.
    #[derive(Default)]
    struct Fragile {
        polls: usize,
    }

    impl ConnectionHandler for Fragile {
        type FromBehaviour = ();
        type ToBehaviour = ();
        type InboundProtocol = ReadyUpgrade<&'static str>;
        type OutboundProtocol = ReadyUpgrade<&'static str>;
        type InboundOpenInfo = ();
        type OutboundOpenInfo = ();

        fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
            SubstreamProtocol::new(ReadyUpgrade::new("/secret"), ())
        }

        fn connection_keep_alive(&self) -> bool {
            true
        }

        fn poll(
            &mut self,
            _: &mut Context<'_>,
        ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), ()>> {
            self.polls += 1;
            Poll::Pending
        }

        fn on_behaviour_event(&mut self, (): ()) {
            panic!("told to");
        }

        fn on_connection_event(
            &mut self,
            _: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
        ) {
        }
    }

    fn offered(fence: &Fence<Fragile>) -> Vec<&'static str> {
        UpgradeInfo::protocol_info(fence.listen_protocol().upgrade()).collect()
    }

    #[test]
    fn nothing_is_offered_before_it_opens() {
        let mut fence = Fence::new(Fragile::default(), false);
        assert_eq!(offered(&fence), Vec::<&str>::new());
        fence.on_behaviour_event(Order::Open);
        assert_eq!(offered(&fence), ["/secret"]);
    }

    #[test]
    fn a_panic_stays_inside_and_is_told_once() {
        let mut fence = Fence::new(Fragile::default(), true);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(fence.poll(&mut cx).is_pending() && fence.connection_keep_alive());
        fence.on_behaviour_event(Order::Inner(()));
        assert!(offered(&fence).is_empty() && !fence.connection_keep_alive());
        let told = fence.poll(&mut cx);
        assert!(matches!(told, Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Report::Failed))));
        assert!(fence.poll(&mut cx).is_pending());
        assert_eq!(fence.inner.polls, 1, "what is broken is not touched again");
    }
}
