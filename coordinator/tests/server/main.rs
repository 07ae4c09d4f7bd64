//! A real coordinator over loopback, with the project's own plumbing as clients and the real command line as admin.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod files;
#[cfg(test)]
mod program;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod stage;
