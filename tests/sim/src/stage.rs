//! Words for stories.

use crate::net::At;
use crate::world::World;
use lanchat_node_core::Command;
use lanchat_node_core::view::Route;

impl World {
    /// Somebody writes to somebody.
    pub fn says(&mut self, from: At, to: At, text: &str) {
        if let Some(to) = self.pc(to).map(|pc| pc.person.user) {
            self.command(from, Command::SendText { to, text: text.to_owned(), reply_to: None });
        }
    }

    /// What is shown on somebody's screen, in order.
    #[must_use]
    pub fn screen(&self, at: At) -> Vec<String> {
        self.pc(at)
            .map(|pc| pc.disk.shown().into_iter().map(|shown| shown.text).collect())
            .unwrap_or_default()
    }

    /// Whether somebody sees somebody as on and directly linked.
    #[must_use]
    pub fn sees(&self, at: At, other: At) -> bool {
        let user = self.pc(other).map(|pc| pc.person.user);
        self.pc(at).and_then(|pc| pc.core.as_ref()).is_some_and(|core| {
            let mut users = core.users().into_iter();
            users
                .any(|view| Some(view.user) == user && view.presence.is_some() && view.route == Route::Direct)
        })
    }

    /// Whether somebody is shown to somebody as off.
    #[must_use]
    pub fn misses(&self, at: At, other: At) -> bool {
        let user = self.pc(other).map(|pc| pc.person.user);
        self.pc(at).and_then(|pc| pc.core.as_ref()).is_some_and(|core| {
            let mut users = core.users().into_iter();
            !users.any(|view| Some(view.user) == user && view.presence.is_some())
        })
    }
}
