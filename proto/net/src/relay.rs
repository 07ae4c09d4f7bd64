//! Circuit relay v2 (libp2p's), fenced: the relay's side and its clients' side.
//!
//! Keeps true: a relay is one for admitted members only, and strangers are not even told that it is one; what a member's
//! devices send through it is slowed down to the member's budget and never cut; a failure inside libp2p's relay ends
//! neither the swarm nor a link; a client's reservation is made again whatever ended it. The relay forwards the bytes
//! of an encrypted connection between the two ends and knows no more of them than their number.

#[cfg(panic = "abort")]
compile_error!("a failure inside libp2p's relay is caught, which takes panics that unwind");

pub(crate) mod budget;
pub(crate) mod client;
mod fence;
pub(crate) mod keeper;
pub(crate) mod meter;
pub(crate) mod server;
#[cfg(test)]
mod tests;
mod waiting;
