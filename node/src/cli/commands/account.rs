//! Accounts, passwords, devices.

use crate::cli::Failure;
use crate::cli::args::{EnrolArgs, PasswdArgs};
use crate::cli::client::Client;
use crate::cli::commands::{field, items, stdin, word};
use crate::cli::out::Out;
use crate::lang::Msg;
use serde_json::{Value, json};

/// `register` and `login`.
pub(super) fn enrol(client: &Client, out: &Out, args: &EnrolArgs, register: bool) -> Result<(), Failure> {
    let lang = out.lang;
    let password = if args.password_stdin {
        stdin::lines(lang, 1)?.pop().unwrap_or_default()
    } else if register {
        stdin::new_secret(lang, Msg::AskNewPassword, "password-stdin")?
    } else {
        stdin::secret(lang, Msg::AskPassword, "password-stdin")?
    };
    let path = if register { "account/register" } else { "account/login" };
    let mut body = json!({
        "coordinator": args.coordinator,
        "user": args.user,
        "password": *password,
        "trust": args.trust,
        "trust_new_key": args.trust_new_key,
        "invite": args.invite,
        "display_name": args.display_name,
    });
    let mut answered = client.post(path, &body);
    if let Err(failure) = &answered
        && failure.code() == "trust_needed"
        && !args.password_stdin
    {
        let fingerprint = field(&failure.detail, "fingerprint").to_owned();
        let named = [("org", field(&failure.detail, "org")), ("fingerprint", fingerprint.as_str())];
        if stdin::confirm(&lang.say(Msg::AskTrust, &named)) == Some(true) {
            if let Value::Object(fields) = &mut body {
                fields.insert("trust".into(), fingerprint.into());
            }
            answered = client.post(path, &body);
        }
    }
    let done = if register { Msg::Registered } else { Msg::LoggedIn };
    let answered = answered?;
    out.either(&answered, done, &[("user", &args.user)])?;
    if answered.get("must_change_password") == Some(&Value::Bool(true)) {
        super::super::complain(&lang.say(Msg::MustChangePassword, &[]));
    }
    Ok(())
}

/// `logout`.
pub(super) fn logout(client: &Client, out: &Out) -> Result<(), Failure> {
    out.either(&client.post("account/logout", &json!({}))?, Msg::LoggedOut, &[])
}

/// `passwd`.
pub(super) fn passwd(client: &Client, out: &Out, args: &PasswdArgs) -> Result<(), Failure> {
    let lang = out.lang;
    let (old, new) = if args.password_stdin {
        let mut lines = stdin::lines(lang, 2)?;
        let new = lines.pop().unwrap_or_default();
        (lines.pop().unwrap_or_default(), new)
    } else {
        let old = stdin::secret(lang, Msg::AskOldPassword, "password-stdin")?;
        (old, stdin::new_secret(lang, Msg::AskNewPassword, "password-stdin")?)
    };
    let answer = client.post("account/password", &json!({ "old": *old, "new": *new }))?;
    out.either(&answer, Msg::PasswordChanged, &[])
}

/// `devices list`.
pub(super) fn devices(client: &Client, out: &Out) -> Result<(), Failure> {
    let devices = client.get("devices")?;
    if out.json {
        return out.document(&devices);
    }
    let yes = |value: &Value, name: &str| value.get(name).and_then(Value::as_bool) == Some(true);
    let row = |device: &Value| {
        let this = yes(device, "this");
        let route = if this {
            Msg::ThisDevice.text(out.lang).to_owned()
        } else {
            word(out.lang, field(device, "route"))
        };
        let endorsed = match device.get("endorsed").and_then(Value::as_bool) {
            Some(true) => Msg::Yes.text(out.lang),
            Some(false) => Msg::No.text(out.lang),
            None => "",
        };
        vec![
            field(device, "name").to_owned(),
            field(device, "peer_id").to_owned(),
            endorsed.to_owned(),
            route,
            field(device, "addr").to_owned(),
        ]
    };
    let rows: Vec<_> = items(&devices).map(row).collect();
    out.table(&[Msg::ColName, Msg::ColDevice, Msg::ColEndorsed, Msg::ColRoute, Msg::ColAddress], &rows)
}

/// `devices endorse`.
pub(super) fn endorse(client: &Client, out: &Out, device: &str) -> Result<(), Failure> {
    let answer = client.post("devices/endorse", &json!({ "peer_id": device }))?;
    out.either(&answer, Msg::Endorsed, &[("device", device)])
}

/// `devices accept`.
pub(super) fn accept(client: &Client, out: &Out, device: &str) -> Result<(), Failure> {
    let answer = client.post("devices/accept", &json!({ "peer_id": device }))?;
    out.either(&answer, Msg::Accepted, &[("device", device)])
}
