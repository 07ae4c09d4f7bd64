use super::*;

fn with_file(source: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(CONFIG_FILE);
    std::fs::write(&path, source).unwrap();
    (dir, path)
}

#[test]
fn every_listed_key_can_be_read_and_every_default_set() {
    let settings = Settings::default();
    for key in KEYS {
        settings.get(key).unwrap();
        assert!(Settings::typed(key, "").unwrap().is_none());
    }
    assert!(matches!(settings.get("colour"), Err(ConfigError::UnknownKey(_))));
}

#[test]
fn a_bad_value_is_refused_and_the_file_stays() {
    let source = "# mine\nmdns = false # no multicast here\n";
    let (dir, path) = with_file(source);
    let config = Config::open(dir.path()).unwrap();
    for (key, bad) in [
        ("mdns", "perhaps"),
        ("auto_accept", "friends"),
        ("auto_accept_max", "-1"),
        ("auto_accept_max", "25 parsecs"),
        ("rate_limit_up", "99999999999999999999"),
        ("rate_limit_up", "5"),
        ("rate_limit_down", "1023B"),
        ("listen", "0.0.0.0:7420"),
        ("listen", "/ip4/::1/tcp/1"),
        ("listen", "/ip4/1.2.3.4/udp/1"),
        ("lang", "tlh"),
        ("mesh_size", "1"),
        ("name", "Bad Name"),
        ("download_dir", "relative/dir"),
        ("coordinator", "lanchat://join/x"),
        ("coordinator", "two words"),
        ("colour", "red"),
    ] {
        assert!(config.set(key, bad).is_err(), "{key} = {bad}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), source, "{key}");
    }
    assert!(!config.current().mdns);
}

#[test]
fn a_good_value_is_written_and_the_rest_is_kept() {
    let (dir, path) = with_file("# mine\nmdns = false # no multicast here\nlang = \"en\"\n");
    let config = Config::open(dir.path()).unwrap();
    let changes = config.subscribe();
    config.set("mdns", "true").unwrap();
    config.set("auto_accept_max", "1GiB").unwrap();
    config.set("listen", "/ip4/127.0.0.1/tcp/0,/ip6/::1/tcp/0").unwrap();
    config.set("lang", "").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("# mine\nmdns = true # no multicast here\n"), "{text}");
    assert!(!text.contains("lang"), "{text}");
    assert!(changes.has_changed().unwrap());
    let again = Config::open(dir.path()).unwrap().current();
    assert_eq!(again, config.current());
    assert_eq!((again.auto_accept_max, again.listen.len(), again.lang), (1 << 30, 2, None));
}

#[test]
fn a_broken_file_is_named_with_its_line_and_left() {
    for (source, line) in [
        ("mdns = true\nlang = \n", 2),
        ("mdns = true\n\ncolour = 3\n", 3),
        ("mdns = 1\n", 1),
        ("[listen]\na=1\n", 1),
        ("mdns = true\nrate_limit_down = 5\n", 2),
    ] {
        let (dir, path) = with_file(source);
        let Err(ConfigError::Syntax { line: found, .. }) = Config::open(dir.path()) else {
            panic!("{source} was accepted");
        };
        assert_eq!(found, line, "{source}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), source);
    }
}

#[test]
fn a_key_set_beside_a_broken_file_does_not_repair_it_by_force() {
    let (dir, path) = with_file("mdns = true\n");
    let config = Config::open(dir.path()).unwrap();
    std::fs::write(&path, "mdns = = true\n").unwrap();
    assert!(config.set("lang", "en").is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mdns = = true\n");
}

#[test]
fn sizes_are_bytes_or_units() {
    for (text, bytes) in [("0", 0), ("25MiB", 25 << 20), ("25 mib", 25 << 20), ("1kB", 1000), ("7B", 7)] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for bad in ["", "MiB", "1.5MiB", "-1", "9999999TiB", "1XB"] {
        assert!(parse_size(bad).is_err(), "{bad}");
    }
}

#[test]
fn files_are_not_to_be_saved_in_a_file() {
    let (dir, path) = with_file("");
    let config = Config::open(dir.path()).unwrap();
    for bad in [path.clone(), path.join("below")] {
        let refused = config.set("download_dir", &bad.display().to_string());
        assert!(matches!(refused, Err(ConfigError::BadValue { .. })), "{refused:?}");
    }
    for good in [dir.path().to_path_buf(), dir.path().join("is/made/later")] {
        config.set("download_dir", &good.display().to_string()).unwrap();
        assert_eq!(config.current().download_dir, Some(good));
    }
    // What comes there later is told when a file is to be saved.
    std::fs::write(dir.path().join("is"), b"").unwrap();
    config.set("mdns", "false").unwrap();
    Config::open(dir.path()).unwrap();
}

#[test]
fn a_limit_is_none_or_enough_to_move_something() {
    let (dir, _) = with_file("");
    let config = Config::open(dir.path()).unwrap();
    for (given, bytes) in [("1KiB", 1024), ("5MiB", 5 << 20), ("0", 0)] {
        config.set("rate_limit_down", given).unwrap();
        assert_eq!(config.current().rate_limit_down, bytes);
    }
    let error = config.set("rate_limit_down", "5").unwrap_err().to_string();
    let line = "rate_limit_down: 5 bytes a second is too little: 1KiB or more is needed, or 0 for no limit";
    assert_eq!(error, line);
}

#[cfg(unix)]
#[test]
fn what_is_written_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    write_private(&path, b"x").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
