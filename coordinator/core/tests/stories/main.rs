//! What nodes and the admin notice of a coordinator's rules.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod introductions;
#[cfg(test)]
mod office;
#[cfg(test)]
mod presence;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod sessions;
