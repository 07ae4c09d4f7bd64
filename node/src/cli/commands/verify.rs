//! Safety codes: shown in groups that two people read to each other, and marked as compared.

use crate::cli::Failure;
use crate::cli::args::VerifyArgs;
use crate::cli::client::{Client, escape};
use crate::cli::commands::field;
use crate::cli::out::Out;
use crate::lang::Msg;
use serde_json::{Value, json};

/// Groups of a code in one line.
const GROUPS_IN_LINE: usize = 4;

/// `verify`.
pub(super) fn verify(client: &Client, out: &Out, args: &VerifyArgs) -> Result<(), Failure> {
    let path = format!("users/{}/safety", escape(&args.user));
    let answer = if args.revoke {
        client.delete(&path)?
    } else {
        let shown = client.get(&path)?;
        // The code that is marked is the one that is printed.
        if args.confirm { client.put(&path, &json!({ "code": field(&shown, "code") }))? } else { shown }
    };
    if out.json {
        return out.document(&answer);
    }
    // As it was typed: a name alone may be several people's.
    let user = args.user.as_str();
    let groups: Vec<&str> = field(&answer, "code").split_whitespace().collect();
    for line in groups.chunks(GROUPS_IN_LINE) {
        out.line(&format!("    {}", out.bold(&line.join("  "))))?;
    }
    let verified = answer.get("verified").and_then(Value::as_bool) == Some(true);
    let say = match (verified, args.confirm, args.revoke) {
        (true, _, _) => Msg::SafetyVerified,
        // Compared, but one of the devices is nobody's.
        (false, true, _) => Msg::SafetyDoubted,
        (false, false, true) => Msg::SafetyRevoked,
        (false, false, false) => Msg::SafetyCompare,
    };
    out.say(say, &[("user", user)])
}
