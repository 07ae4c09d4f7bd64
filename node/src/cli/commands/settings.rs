//! Settings and backup.

use crate::cli::Failure;
use crate::cli::args::{BackupArgs, ConfigCommand};
use crate::cli::client::{Client, escape, plain};
use crate::cli::commands::stdin;
use crate::cli::out::Out;
use crate::lang::Msg;
use serde_json::{Value, json};
use std::time::Duration;

/// Time that a backup may take.
const BACKUP: Duration = Duration::from_secs(3600);

/// `config`.
pub(super) fn config(client: &Client, out: &Out, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Get { key } => {
            let setting = client.get(&format!("config/{}", escape(key)))?;
            if out.json {
                return out.document(&setting);
            }
            out.line(&plain(setting.get("value").unwrap_or(&Value::Null)))
        }
        ConfigCommand::Set { key, value } => {
            let setting = client.put(&format!("config/{}", escape(key)), &json!({ "value": value }))?;
            let now = plain(setting.get("value").unwrap_or(&Value::Null));
            out.either(&setting, Msg::SettingChanged, &[("key", key), ("value", &now)])
        }
        ConfigCommand::List => {
            let settings = client.get("config")?;
            if out.json {
                return out.document(&settings);
            }
            let pairs = settings.as_object().into_iter().flatten();
            let rows: Vec<_> = pairs.map(|(key, value)| vec![key.clone(), plain(value)]).collect();
            out.table(&[Msg::ColSetting, Msg::ColValue], &rows)
        }
    }
}

/// `backup`.
pub(super) fn backup(client: &Client, out: &Out, args: &BackupArgs) -> Result<(), Failure> {
    let lang = out.lang;
    let passphrase = if args.passphrase_stdin {
        stdin::lines(lang, 1)?.pop().unwrap_or_default()
    } else {
        stdin::new_secret(lang, Msg::AskPassphrase, "passphrase-stdin")?
    };
    // The node has another working directory.
    let file = std::path::absolute(&args.file).unwrap_or_else(|_| args.file.clone());
    let shown = file.display().to_string();
    let body = json!({ "file": file, "passphrase": *passphrase });
    let answer = client.post_within("backup", &body, BACKUP)?;
    out.either(&answer, Msg::BackedUp, &[("file", &shown)])
}
