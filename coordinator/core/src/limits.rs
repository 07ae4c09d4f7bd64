//! Every bound of the coordinator's rules, with what happens when it is reached.

use std::time::Duration;

/// Time over which changes of presence and directory are gathered into one frame for all.
pub const TICK: Duration = Duration::from_millis(50);
/// Time that a stranger who asked for a salt has to enrol and sign in, from the link's opening. Later closes it.
pub const ENROL_DEADLINE: Duration = Duration::from_secs(60);
/// How often slow work is done: last-seen times, renewals, forgetting.
pub const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Links that are not signed in, over all addresses. A further one is closed at once. More than the network lets strangers
/// have, so that whoever comes from an address that members came from is heard also during a flood.
pub const MAX_STRANGERS: usize = 4096;
/// Links in total. A further one is closed at once.
pub const MAX_LINKS: usize = 20_000;
/// Requests that wait for the store, over all links. A link that adds one more is closed.
pub const MAX_JOBS: usize = 8192;
/// Requests of one link that wait for the store. A link that adds one more is closed.
pub const MAX_JOBS_OF_LINK: usize = 32;
/// Requests carried out in one transaction; the next ones go into the following one.
pub const MAX_JOBS_IN_BATCH: usize = 256;

/// Wrong passwords for one account from one address before each further try has to wait.
pub const FREE_TRIES: u32 = 5;
/// The first wait; it doubles with each wrong password.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
pub const MAX_WAIT: Duration = Duration::from_secs(15 * 60);
/// Time without a wrong password after which they are forgotten.
pub const GUESS_MEMORY: Duration = Duration::from_secs(3600);
/// Wrong passwords or invites from one address, for any account, in a burst. Then one for each [`ADDRESS_REFILL`].
pub const ADDRESS_TRIES: u32 = 40;
/// See [`ADDRESS_TRIES`].
pub const ADDRESS_REFILL: Duration = Duration::from_secs(3);
/// Wrong passwords for one account, from any address, in a burst. Then one for each [`ACCOUNT_REFILL`]. Addresses from
/// which the account was let in before are not held up by it.
pub const ACCOUNT_TRIES: u32 = 60;
/// See [`ACCOUNT_TRIES`]: 100 an hour.
pub const ACCOUNT_REFILL: Duration = Duration::from_secs(36);
/// Accounts that one address may open in a burst where registration is open. Then one for each [`REGISTER_REFILL`].
pub const REGISTER_TRIES: u32 = 256;
/// See [`REGISTER_TRIES`].
pub const REGISTER_REFILL: Duration = Duration::from_secs(1);
/// Accounts and addresses whose wrong passwords are remembered, each. The one longest quiet is forgotten for a new one.
pub const MAX_GUESS_KEYS: usize = 16_384;
/// Addresses remembered for which an account was let in; the oldest are forgotten.
pub const MAX_KNOWN_ADDRESSES: usize = 16_384;

/// Directory pages for one link in one tick; the rest waits for the next tick.
pub const PAGES_IN_TICK: usize = 8;
/// Bytes of profiles in one directory page, beyond the first profile.
pub const MAX_PAGE_BYTES: usize = 96 * 1024;
/// Ports of a device that are combined with its observed address.
pub const MAX_OBSERVED_PORTS: usize = 4;

/// Announcements kept; the oldest are removed.
pub const MAX_ANNOUNCEMENTS: usize = 100;
/// Age up to which an announcement is sent to a device that signs in.
pub const ANNOUNCEMENT_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Invites that are valid at a time. A further one is refused to the admin.
pub const MAX_INVITES: usize = 1000;
/// Validity of an invite unless the admin says otherwise.
pub const INVITE_LIFETIME: Duration = Duration::from_secs(72 * 3600);
/// Validity of an issuing key's certificate.
pub const ISSUING_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Devices remembered that claim a longer revocation list than ours; further claims change nothing.
pub const MAX_CLAIMS: usize = 64;

/// Introductions that one device may ask for in a burst: an office that met again has one for each colleague. Then one for
/// each [`INTRODUCTION_REFILL`]; further ones are answered with `No`.
pub const INTRODUCTIONS: u32 = 1024;
/// See [`INTRODUCTIONS`].
pub const INTRODUCTION_REFILL: Duration = Duration::from_millis(25);
/// Devices whose introductions, or questions to be dialled, are counted, each. The one longest quiet is forgotten.
pub const MAX_ASKERS: usize = 20_000;
/// Circuits to one device that may be dialled within [`CIRCUIT_WINDOW`]. Further ones are told to wait.
pub const CIRCUITS_IN_WINDOW: usize = 8;
/// See [`CIRCUITS_IN_WINDOW`].
pub const CIRCUIT_WINDOW: Duration = Duration::from_millis(500);
/// Longest wait that is given to a circuit. Whoever would have to wait longer is answered with `No`, and asks again.
pub const MAX_CIRCUIT_WAIT: Duration = Duration::from_secs(10);
/// Time within which the same device gets no second turn at the same other one: it is told the one that it has.
pub const CIRCUIT_AGAIN: Duration = Duration::from_secs(1);
/// Devices for which turns are kept. A circuit to one more is answered with `No` until some are over.
pub const MAX_PACED: usize = MAX_LINKS;

/// Devices being dialled because they asked whether they can be. Further ones are told that nothing was tried.
pub const MAX_PROBES: usize = 32;
/// Questions to be dialled that one device may ask in a burst. Then one for each [`PROBE_REFILL`]; to further ones the
/// answer is that nothing was tried.
pub const PROBES: u32 = 8;
/// See [`PROBES`].
pub const PROBE_REFILL: Duration = Duration::from_secs(5);
/// Time for the dials of one question. What has not answered then counts as failed.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(6);
