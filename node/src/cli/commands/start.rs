//! Commands that start something: the plain `lanchat`, and `restore`.

use crate::api::error::EXIT_NO_NODE;
use crate::cli::args::BackupArgs;
use crate::cli::commands::{field, stdin};
use crate::cli::{Failure, Launcher, RestoreOptions, RunOptions, Session};
use crate::lang::{Lang, Msg};
use serde_json::json;
use std::process::ExitCode;

/// The window of the node that runs, or a node with its window.
pub(in crate::cli) fn open_or_run(
    session: &Session,
    lang: Option<Lang>,
    launcher: &dyn Launcher,
) -> Result<ExitCode, Failure> {
    let client = session.client();
    let code = client.as_ref().map_err(Failure::clone).and_then(|client| client.post("code", &json!({})));
    match (client, code) {
        (Ok(client), Ok(code)) => {
            let url = format!("http://{}/#{}", client.authority(), field(&code, "code"));
            session.out.either(&json!({ "ui": url }), Msg::UiAt, &[("url", &url)])?;
            // Without a browser the address on the terminal has to do.
            drop(webbrowser::open(&url));
            Ok(ExitCode::SUCCESS)
        }
        (_, Err(failure)) if failure.exit == EXIT_NO_NODE => Ok(launcher.run(RunOptions {
            data_dir: session.data_dir.clone(),
            name: None,
            coordinators: Vec::new(),
            mdns: true,
            listen: Vec::new(),
            ui: None,
            headless: false,
            open_browser: true,
            lang,
        })),
        (_, Err(failure)) | (Err(failure), Ok(_)) => Err(failure),
    }
}

/// Brings a backup back.
pub(in crate::cli) fn restore(
    session: &Session,
    args: &BackupArgs,
    launcher: &dyn Launcher,
) -> Result<ExitCode, Failure> {
    let lang = session.lang();
    let runs = match session.client().and_then(|client| client.get("status")) {
        Ok(_) => true,
        Err(failure) => failure.exit != EXIT_NO_NODE,
    };
    if runs {
        let dir = session.data_dir.display().to_string();
        return Err(Failure::failed(lang.say(Msg::NodeRuns, &[("dir", &dir)])));
    }
    let passphrase = if args.passphrase_stdin {
        stdin::lines(lang, 1)?.pop().unwrap_or_default()
    } else {
        stdin::secret(lang, Msg::AskPassphrase, "passphrase-stdin")?
    };
    let (data_dir, file) = (session.data_dir.clone(), args.file.clone());
    Ok(launcher.restore(RestoreOptions { data_dir, file, passphrase, lang }))
}
