//! What can be done instead of an act that makes no sense now.
//!
//! Keeps true: what a hint names can be done at that point, by the one who reads it or by whom it names.

use crate::api::error::ApiError;
use lanchat_node_core::boot::TransferState;
use lanchat_node_core::input::TransferAct;
use lanchat_node_core::output::CommandError;

/// Every hint by its code, in English.
const HINTS: &[(&str, &str)] = &[
    ("cancelled", "it was cancelled; its sender can offer it again"),
    ("cancelled_own", "it was cancelled; send-file offers it again"),
    ("complete", "it is complete already"),
    ("failed", "it failed; resume tries again, cancel gives it up"),
    ("failed_own", "it failed; whoever fetches it can resume it, cancel withdraws it"),
    ("not_accepted", "it was not accepted yet; accept fetches it, reject refuses it"),
    ("not_accepted_own", "its receiver has not accepted it yet; cancel withdraws it"),
    ("other_device", "another of your devices offers it; cancel it there"),
    ("own_offer", "it is your own offer; cancel withdraws it"),
    ("paused", "it is paused; resume goes on with it, cancel gives it up"),
    ("rejected", "it was rejected; accept fetches it all the same"),
    ("rejected_own", "its receiver rejected it, and can still accept it"),
    ("under_way", "it is under way already; pause stops it for now, cancel gives it up"),
];

/// The hint after an act that was refused, by its code.
fn hint(outgoing: bool, state: TransferState, act: TransferAct) -> &'static str {
    use TransferAct as A;
    use TransferState as S;
    match (state, outgoing) {
        (S::Complete, _) => "complete",
        (S::Cancelled, false) => "cancelled",
        (S::Cancelled, true) => "cancelled_own",
        (S::Rejected, false) => "rejected",
        (S::Rejected, true) => "rejected_own",
        (_, true) if act == A::Cancel => "other_device",
        (_, true) if matches!(act, A::Accept | A::Reject) => "own_offer",
        (S::Failed, false) => "failed",
        (S::Failed, true) => "failed_own",
        (S::Offered, false) => "not_accepted",
        (S::Offered, true) => "not_accepted_own",
        (S::Paused, _) => "paused",
        (S::Waiting | S::Running, _) => "under_way",
    }
}

/// The error for an act that was refused in a state.
pub(super) fn impossible(outgoing: bool, state: TransferState, act: TransferAct) -> ApiError {
    let code = hint(outgoing, state, act);
    let error = ApiError::from(CommandError::TransferState(state));
    match HINTS.iter().find(|(known, _)| *known == code) {
        Some((_, line)) => {
            ApiError { message: format!("that cannot be done: {line}"), ..error }.with("hint", code)
        }
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::chinese_transfer_hint;
    use TransferAct as A;
    use TransferState as S;
    use std::collections::BTreeSet;

    #[test]
    fn a_refused_act_says_what_can_be_done_instead() {
        for (outgoing, state, act, says) in [
            (true, S::Offered, A::Accept, "it is your own offer; cancel withdraws it"),
            (true, S::Offered, A::Reject, "it is your own offer; cancel withdraws it"),
            (true, S::Offered, A::Pause, "its receiver has not accepted it yet; cancel withdraws it"),
            (false, S::Offered, A::Pause, "it was not accepted yet; accept fetches it, reject refuses it"),
            (false, S::Paused, A::Accept, "it is paused; resume goes on with it, cancel gives it up"),
            (
                false,
                S::Running,
                A::Reject,
                "it is under way already; pause stops it for now, cancel gives it up",
            ),
            (true, S::Failed, A::Resume, "it failed; whoever fetches it can resume it, cancel withdraws it"),
            (false, S::Failed, A::Pause, "it failed; resume tries again, cancel gives it up"),
            (true, S::Complete, A::Accept, "it is complete already"),
            (true, S::Cancelled, A::Resume, "it was cancelled; send-file offers it again"),
            (true, S::Running, A::Cancel, "another of your devices offers it; cancel it there"),
        ] {
            let error = impossible(outgoing, state, act);
            assert_eq!(error.message, format!("that cannot be done: {says}"), "{outgoing} {state:?} {act:?}");
            assert_eq!((error.code, &error.args["state"]), ("transfer_state", &state.name().into()));
        }
    }

    #[test]
    fn every_hint_is_given_and_has_a_line_in_both_languages() {
        let mut given = BTreeSet::new();
        for outgoing in [false, true] {
            for &(state, _) in S::ALL {
                for act in [A::Accept, A::Reject, A::Pause, A::Resume, A::Cancel] {
                    given.insert(hint(outgoing, state, act));
                }
            }
        }
        assert_eq!(given, HINTS.iter().map(|(code, _)| *code).collect());
        for code in given {
            assert!(chinese_transfer_hint(code).is_some_and(|line| !line.is_ascii()), "{code}");
        }
    }
}
