//! Starts programs for the command line: the node, the demo, a restore.
//!
//! Keeps true: what goes wrong is one line on stderr and exit code 1; on stdout stands the ready line and nothing else.

use crate::app::saving;
use crate::app::{AppError, Node};
use crate::cli::{Launcher, RestoreOptions, RunOptions};
use crate::lang::{Lang, Msg};
use crate::paths::DataDir;
use crate::telemetry;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The real thing.
#[derive(Debug)]
pub struct Programs;

fn complain(what: impl Display) -> ExitCode {
    // Without a stderr there is nobody to tell.
    drop(writeln!(std::io::stderr(), "lanchat: {what}"));
    ExitCode::FAILURE
}

fn note(what: impl Display) {
    drop(writeln!(std::io::stderr(), "{what}"));
}

fn exit(outcome: Result<(), impl Display>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(error),
    }
}

/// Runs a future on a runtime of its own, which does not wait for work that is left over.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, std::io::Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(outcome)
}

async fn run(options: RunOptions) -> Result<(), AppError> {
    let open_browser = options.open_browser;
    let lang = Lang::choose(options.lang, None);
    let node = Node::start(options).await?;
    if let Ok(line) = serde_json::to_string(&node.ready) {
        let mut out = std::io::stdout();
        // Whoever reads the line may have gone; the node runs all the same.
        drop(writeln!(out, "{line}").and_then(|()| out.flush()));
    }
    if open_browser && webbrowser::open(&node.ready.ui).is_err() {
        note(lang.say(Msg::BrowserFailed, &[("url", &node.ready.ui)]));
    }
    node.run().await
}

impl Launcher for Programs {
    fn run(&self, options: RunOptions) -> ExitCode {
        let dir = DataDir::at(&options.data_dir);
        if let Err(error) = dir.create() {
            return complain(error);
        }
        let _telemetry = telemetry::start(&dir.logs(), "lanchat");
        match block_on(run(options)) {
            Ok(outcome) => exit(outcome),
            Err(error) => complain(error),
        }
    }

    #[cfg(feature = "demo")]
    fn demo(&self, lang: Lang) -> ExitCode {
        match block_on(demo(lang)) {
            Ok(outcome) => exit(outcome),
            Err(error) => complain(error),
        }
    }

    #[cfg(not(feature = "demo"))]
    fn demo(&self, lang: Lang) -> ExitCode {
        complain(lang.say(Msg::NoDemo, &[]))
    }

    fn restore(&self, options: RestoreOptions) -> ExitCode {
        let RestoreOptions { data_dir, file, passphrase, lang } = options;
        match restore(&data_dir, &file, &passphrase, lang) {
            Ok(line) => {
                note(line);
                ExitCode::SUCCESS
            }
            Err(error) => complain(error),
        }
    }
}

fn restore(dir: &Path, file: &Path, passphrase: &str, lang: Lang) -> Result<String, saving::SavingError> {
    let restored = saving::restore(dir, file, passphrase, lanchat_net::clock::wall())?;
    Ok(if restored.needs_login {
        lang.say(Msg::RestoredMember, &[("user", &restored.name), ("org", &restored.org)])
    } else {
        lang.say(Msg::Restored, &[("user", &restored.name)])
    })
}

#[cfg(feature = "demo")]
async fn demo(lang: Lang) -> Result<(), crate::demo::DemoError> {
    let demo = crate::demo::Demo::start().await?;
    note(lang.say(Msg::DemoReady, &[]));
    for page in demo.pages() {
        let mut out = std::io::stdout();
        // Whoever reads may have gone.
        drop(writeln!(out, "{:<6} {}", page.name, page.url).and_then(|()| out.flush()));
    }
    if let Some(arrived) = demo.arrived() {
        let path = arrived.path.display().to_string();
        note(lang.say(Msg::DemoFile, &[("from", arrived.from), ("to", arrived.to), ("path", &path)]));
    }
    note(lang.say(Msg::DemoStop, &[]));
    demo.wait().await;
    demo.stop().await;
    Ok(())
}
