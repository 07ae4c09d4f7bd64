//! Stories of the store: what a person or the core would notice.

mod faults;
mod history;
mod keeping;
mod search;
mod support;
