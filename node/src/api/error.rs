//! Errors as the API tells them: a status, a stable code, one line, and the exit code of the command line.
//!
//! Keeps true: every way in which the node can say no has its own code; the maps have no wildcard, so that a new
//! refusal does not compile until it has one. The codes: `docs/api.md#errors`.

use crate::config::ConfigError;
use crate::handle::{EnrolError, HandleError};
use crate::store::StoreError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lanchat_node_core::output::CommandError;
use lanchat_proto::wire::coordinator::Refusal;
use serde_json::{Map, Value, json};

/// A request failed.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable name of the error.
    pub code: &'static str,
    /// One line in English.
    pub message: String,
    /// Exit code of the command line.
    pub exit: u8,
    /// What the line is made of, for other languages and for programs.
    pub args: Map<String, Value>,
}

/// Exit code: failed.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: bad usage.
pub const EXIT_USAGE: u8 = 2;
/// Exit code: no node runs.
pub const EXIT_NO_NODE: u8 = 3;
/// Exit code: refused.
pub const EXIT_REFUSED: u8 = 4;
/// Exit code: timed out.
pub const EXIT_TIMED_OUT: u8 = 5;

impl ApiError {
    /// An error without arguments.
    pub fn new(status: StatusCode, code: &'static str, exit: u8, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), exit, args: Map::new() }
    }

    /// With an argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.args.insert(name.to_owned(), value.into());
        self
    }

    /// With the reason as an argument.
    fn because(self) -> Self {
        let reason = self.message.clone();
        self.with("reason", reason)
    }

    /// The request cannot be understood.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", EXIT_USAGE, reason).because()
    }

    /// No such user.
    pub fn no_such_user(name: &str) -> Self {
        let message = format!("there is no user '{name}'; `lanchat users` names them all");
        Self::new(StatusCode::NOT_FOUND, "no_such_user", EXIT_FAILED, message).with("name", name)
    }

    /// Something that a person typed cannot be used.
    pub fn invalid(code: &'static str, reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, EXIT_FAILED, reason).because()
    }

    /// The wait ended.
    pub fn timed_out(message: &str) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", EXIT_TIMED_OUT, message)
    }

    /// The node is between two memberships.
    pub fn switching() -> Self {
        let message = "lanchat is moving to another organisation; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "switching", EXIT_FAILED, message)
    }

    /// The API is ending.
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", EXIT_FAILED, "lanchat is shutting down")
    }

    /// The error as JSON.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut error = self.args.clone();
        error.insert("code".into(), self.code.into());
        error.insert("message".into(), self.message.clone().into());
        error.insert("exit".into(), self.exit.into());
        json!({ "error": error })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}

impl From<HandleError> for ApiError {
    fn from(error: HandleError) -> Self {
        match error {
            HandleError::Command(error) => error.into(),
            HandleError::Enrol(error) => error.into(),
            HandleError::Failed(reason) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", EXIT_FAILED, reason).because()
            }
            HandleError::Stopped => Self::stopping(),
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        use StatusCode as S;
        let message = error.to_string();
        let simple = |status, code, exit| Self::new(status, code, exit, message.clone());
        match error {
            CommandError::NoSuchUser => Self::no_such_user(""),
            CommandError::Yourself => simple(S::UNPROCESSABLE_ENTITY, "yourself", EXIT_FAILED),
            CommandError::EmptyText => simple(S::UNPROCESSABLE_ENTITY, "text_empty", EXIT_FAILED),
            CommandError::TextTooLong { len, max } => {
                simple(S::UNPROCESSABLE_ENTITY, "text_too_long", EXIT_FAILED)
                    .with("len", len)
                    .with("max", max)
            }
            CommandError::TextCharacter(character) => {
                simple(S::UNPROCESSABLE_ENTITY, "text_character", EXIT_FAILED)
                    .with("character", format!("U+{character:04X}"))
            }
            CommandError::Store(reason) => {
                simple(S::INSUFFICIENT_STORAGE, "storage", EXIT_FAILED).with("reason", reason)
            }
            CommandError::NudgeTooSoon(seconds) => {
                simple(S::TOO_MANY_REQUESTS, "nudge_too_soon", EXIT_FAILED).with("seconds", seconds)
            }
            CommandError::Busy => simple(S::SERVICE_UNAVAILABLE, "busy", EXIT_FAILED),
            CommandError::NoCoordinator => simple(S::SERVICE_UNAVAILABLE, "no_coordinator", EXIT_FAILED),
            CommandError::NobodyToAsk => simple(S::SERVICE_UNAVAILABLE, "nobody_to_ask", EXIT_FAILED),
            CommandError::NoOrganisation => simple(S::CONFLICT, "no_organisation", EXIT_FAILED),
            CommandError::Refused(refusal) => refusal_error(refusal, 0),
            CommandError::TimedOut => simple(S::GATEWAY_TIMEOUT, "coordinator_timeout", EXIT_TIMED_OUT),
            CommandError::NoSuchDevice => simple(S::NOT_FOUND, "no_such_device", EXIT_FAILED),
            CommandError::NoSuchTransfer => simple(S::NOT_FOUND, "no_such_transfer", EXIT_FAILED),
            CommandError::TransferState(state) => {
                simple(S::CONFLICT, "transfer_state", EXIT_FAILED).with("state", state.name())
            }
            CommandError::NotEndorsed => simple(S::FORBIDDEN, "not_endorsed", EXIT_REFUSED),
            CommandError::NoSafetyCode => simple(S::NOT_FOUND, "no_safety_code", EXIT_FAILED),
            CommandError::CodeChanged => simple(S::CONFLICT, "code_changed", EXIT_FAILED),
            CommandError::NeedsUpdate => simple(S::CONFLICT, "needs_update", EXIT_FAILED),
            CommandError::Stopping => Self::stopping(),
        }
    }
}

impl From<EnrolError> for ApiError {
    fn from(error: EnrolError) -> Self {
        use StatusCode as S;
        let message = error.to_string();
        let simple = |status, code, exit| Self::new(status, code, exit, message.clone());
        match error {
            EnrolError::Address(address) => {
                simple(S::UNPROCESSABLE_ENTITY, "bad_address", EXIT_FAILED).with("address", address)
            }
            EnrolError::NotFound(reason) => {
                simple(S::NOT_FOUND, "no_coordinator_found", EXIT_FAILED).with("reason", reason)
            }
            EnrolError::SeveralFound(found) => {
                simple(S::CONFLICT, "several_organisations", EXIT_FAILED).with("candidates", json!(found))
            }
            EnrolError::Name(reason) => Self::invalid("bad_name", reason),
            EnrolError::Password(reason) => Self::invalid("bad_new_password", reason),
            EnrolError::Unreachable { address, reason } => simple(S::BAD_GATEWAY, "unreachable", EXIT_FAILED)
                .with("address", address)
                .with("reason", reason),
            EnrolError::TrustNeeded { org, fingerprint } => {
                simple(S::FORBIDDEN, "trust_needed", EXIT_REFUSED)
                    .with("org", org)
                    .with("fingerprint", fingerprint)
            }
            EnrolError::KeyChanged(reason) => {
                simple(S::FORBIDDEN, "key_changed", EXIT_REFUSED).with("reason", reason)
            }
            EnrolError::Refused { refusal, retry_after_s } => refusal_error(refusal, retry_after_s),
            EnrolError::State(reason) => Self::new(S::CONFLICT, "state", EXIT_FAILED, reason).because(),
            EnrolError::Storage(reason) => {
                Self::new(S::INSUFFICIENT_STORAGE, "storage", EXIT_FAILED, reason).because()
            }
        }
    }
}

/// Stable code and exit code of a coordinator's refusal.
#[must_use]
pub fn refusal_code(refusal: Refusal) -> (&'static str, u8) {
    match refusal {
        Refusal::Other => ("refused", EXIT_REFUSED),
        Refusal::WrongPassword => ("wrong_password", EXIT_REFUSED),
        Refusal::TooManyTries => ("too_many_tries", EXIT_REFUSED),
        Refusal::NameTaken => ("name_taken", EXIT_REFUSED),
        Refusal::NameReserved => ("name_reserved", EXIT_REFUSED),
        Refusal::InviteNeeded => ("invite_needed", EXIT_REFUSED),
        Refusal::RegistrationClosed => ("registration_closed", EXIT_REFUSED),
        Refusal::Banned => ("banned", EXIT_REFUSED),
        Refusal::Revoked => ("signed_out", EXIT_REFUSED),
        Refusal::BadCertificate => ("bad_certificate", EXIT_REFUSED),
        Refusal::DeviceTaken => ("device_taken", EXIT_REFUSED),
        Refusal::Cloned => ("cloned", EXIT_REFUSED),
        Refusal::TooManyDevices => ("too_many_devices", EXIT_REFUSED),
        Refusal::Version => ("version", EXIT_FAILED),
        Refusal::NotSignedIn => ("not_signed_in", EXIT_REFUSED),
        Refusal::NoSuchUser => ("no_such_account", EXIT_FAILED),
        Refusal::Unavailable => ("coordinator_unavailable", EXIT_FAILED),
        Refusal::Full => ("org_full", EXIT_REFUSED),
        Refusal::BadPassword => ("bad_password", EXIT_REFUSED),
    }
}

fn refusal_error(refusal: Refusal, retry_after_s: u64) -> ApiError {
    let (code, exit) = refusal_code(refusal);
    let message = if retry_after_s > 0 {
        format!("{refusal}; try again in {retry_after_s} s")
    } else {
        refusal.to_string()
    };
    let status = if retry_after_s > 0 { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::FORBIDDEN };
    ApiError::new(status, code, exit, message).with("retry_after_s", retry_after_s)
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", EXIT_FAILED, error.to_string()).because()
    }
}

impl From<ConfigError> for ApiError {
    fn from(error: ConfigError) -> Self {
        Self::invalid("bad_setting", error.to_string())
    }
}

/// Every code that an error can have, for the languages' completeness.
pub const CODES: &[&str] = &[
    "ambiguous",
    "ambiguous_transfer",
    "bad_address",
    "bad_certificate",
    "bad_code",
    "bad_directory",
    "bad_file_name",
    "bad_image",
    "bad_name",
    "bad_new_password",
    "bad_password",
    "bad_profile",
    "bad_request",
    "bad_setting",
    "banned",
    "busy",
    "cloned",
    "code_changed",
    "coordinator_timeout",
    "coordinator_unavailable",
    "device_taken",
    "failed",
    "file_changed",
    "file_unreadable",
    "forbidden",
    "invite_needed",
    "is_directory",
    "key_changed",
    "media_type",
    "method",
    "name_reserved",
    "name_taken",
    "needs_update",
    "no_coordinator",
    "no_coordinator_found",
    "nobody_to_ask",
    "no_groups",
    "no_organisation",
    "no_safety_code",
    "no_such_account",
    "no_such_device",
    "no_such_file",
    "no_such_message",
    "no_such_page",
    "no_such_transfer",
    "no_such_user",
    "not_endorsed",
    "not_signed_in",
    "nudge_too_soon",
    "org_full",
    "refused",
    "registration_closed",
    "several_organisations",
    "signed_out",
    "special_file",
    "state",
    "stopping",
    "storage",
    "switching",
    "text_character",
    "text_empty",
    "text_too_long",
    "timed_out",
    "too_large",
    "too_many_contacts",
    "too_many_devices",
    "too_many_tries",
    "transfer_state",
    "transfer_timed_out",
    "trust_needed",
    "unauthorized",
    "unreachable",
    "version",
    "wrong_password",
    "yourself",
];
