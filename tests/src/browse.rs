//! What a standard DNS-SD browser lists on a host's network: python3-zeroconf, which shares no code with us.

use crate::command::finish;
use crate::fail::fail;
use crate::lab::AtHost;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Lists the instances of service types after some seconds, as JSON.
const BROWSER: &str = r#"
import json, sys, time
try:
    from zeroconf import ServiceBrowser, Zeroconf
except ImportError:
    sys.exit("python3-zeroconf is missing; install it with: apt-get install -y python3-zeroconf")
kinds, found = sys.argv[2:], {}
class Listener:
    def add_service(self, zc, kind, name):
        info = zc.get_service_info(kind, name)
        if info is not None:
            text = {key.decode(): (value or b"").decode() for key, value in info.properties.items()}
            found[name] = {"service": kind, "name": name, "txt": text, "port": info.port,
                           "addresses": info.parsed_addresses()}
    update_service = add_service
    def remove_service(self, zc, kind, name):
        found.pop(name, None)
zc = Zeroconf()
ServiceBrowser(zc, kinds, Listener())
time.sleep(float(sys.argv[1]))
zc.close()
print(json.dumps(list(found.values())))
"#;

/// Debian's own Python, for which python3-zeroconf is packaged.
const PYTHON: &str = "/usr/bin/python3";

/// Browses for this long on a host: `[{service, name, txt, port, addresses}]`.
///
/// # Panics
/// When the browser is missing; says how to install it.
#[must_use]
#[track_caller]
pub fn browse(on: &impl AtHost, time: Duration, services: &[&str]) -> Vec<Value> {
    let mut command = on.host().command(Path::new(PYTHON));
    command.args(["-c", BROWSER, &time.as_secs_f64().to_string()]).args(services);
    let done = finish(command, b"", time + Duration::from_secs(15));
    if done.code != 0 {
        fail(format_args!("{PYTHON}: {}", done.stderr.trim()));
    }
    done.json().as_array().cloned().unwrap_or_default()
}
