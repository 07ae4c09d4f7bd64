//! Light devices for load tests: many in one process, without files, passwords or an API, but real members of a real
//! coordinator over real connections.
//!
//! - [`office`]: the coordinator that they belong to, and how a device becomes a member of it ([`Office::enrol`])
//! - [`session`]: a device that only is signed in: it hears who comes and goes, and checks nothing else, so that a
//!   thousand of them cost less than the coordinator under measurement
//! - [`node`]: a whole node: the real rules (`NodeState`) over real links, with a store in memory
//!
//! Keeps true: a device uses the wire as the real node does. What differs: the password's proof is random (a coordinator
//! cannot tell, and Argon2 would cost 64 MiB a device), and nothing survives the process.

pub mod node;
pub mod office;
pub mod session;

pub use node::LightNode;
pub use office::{Identity, Office};
pub use session::Session;

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], crate::error::BenchError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(crate::error::BenchError::failed("random numbers"))?;
    Ok(bytes)
}
