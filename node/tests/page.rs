//! The page's files as the browser will meet them: every word in both languages, nothing that the content security
//! policy would refuse, and no file that asks for another that is not served.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use lanchat::api::assets::FILES;
use lanchat::api::error::CODES;
use lanchat::api::types::TRANSFER_CODES;
use std::collections::{BTreeMap, BTreeSet};

fn file(name: &str) -> &'static str {
    FILES.iter().find(|(known, _, _)| *known == name).unwrap().2
}

fn files(ending: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let ending = ending.to_owned();
    FILES.iter().filter(move |(name, _, _)| name.ends_with(&ending)).map(|(name, _, text)| (*name, *text))
}

/// What stands between `start` and `end`, everywhere in a text.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0)).collect()
}

/// The lines of a language by key.
fn words(name: &str) -> BTreeMap<&'static str, &'static str> {
    let mut words = BTreeMap::new();
    for line in file(name).lines().filter_map(|line| line.strip_prefix("  ")) {
        let (key, said) = line.split_once(": \"").unwrap();
        let before = words.insert(key, said.strip_suffix("\",").unwrap());
        assert_eq!(before, None, "{name} says {key} twice");
    }
    words
}

/// The places of a line that are filled in.
fn places(line: &str) -> BTreeSet<&str> {
    between(line, "{", "}").into_iter().collect()
}

#[test]
fn every_line_exists_in_both_languages_with_the_same_places() {
    let (english, chinese) = (words("english.js"), words("chinese.js"));
    assert_eq!(english.keys().collect::<Vec<_>>(), chinese.keys().collect::<Vec<_>>());
    for (key, line) in &english {
        assert!(!line.is_empty() && !chinese[key].is_empty(), "{key}");
        assert_eq!(places(line), places(chinese[key]), "{key}");
    }
}

#[test]
fn chinese_has_its_own_punctuation() {
    for (key, line) in words("chinese.js") {
        let letters: Vec<char> = line.chars().collect();
        for pair in letters.windows(2) {
            let han = ('\u{4e00}'..='\u{9fff}').contains(&pair[0]);
            // `主机:端口` is typed with an ASCII colon, as the address is.
            let allowed = pair[1] == ':' && line.contains("主机:端口");
            assert!(!han || allowed || !",.:;?!()\"".contains(pair[1]), "{key}: {line}");
        }
    }
}

#[test]
fn every_error_of_the_api_has_a_line() {
    let english = words("english.js");
    for code in CODES {
        assert!(english.contains_key(format!("error_{code}").as_str()), "{code}");
    }
}

#[test]
fn every_state_and_failure_of_a_transfer_has_a_line() {
    let english = words("english.js");
    for (_, state) in lanchat_node_core::boot::TransferState::ALL {
        assert!(english.contains_key(format!("transfer_{state}").as_str()), "{state}");
    }
    for code in TRANSFER_CODES.iter().filter(|code| **code != "other") {
        assert!(english.contains_key(format!("reason_{code}").as_str()), "{code}");
    }
}

#[test]
fn every_key_that_is_said_exists() {
    let english = words("english.js");
    let html = file("index.html");
    let mut said = Vec::new();
    for attribute in ["data-say=\"", "data-hint=\"", "data-label=\""] {
        said.extend(between(html, attribute, "\""));
    }
    for (_, script) in files(".js") {
        said.extend(between(script, "say(\"", "\""));
    }
    assert!(said.len() > 40);
    for key in said {
        assert!(english.contains_key(key), "{key}");
    }
}

#[test]
fn every_file_that_is_asked_for_is_served() {
    let served = |name: &str| FILES.iter().any(|(known, _, _)| *known == name);
    for (name, script) in files(".js") {
        for import in between(script, "from \"", "\"") {
            assert!(import.strip_prefix("./").is_some_and(served), "{name} imports {import}");
        }
        assert!(!script.contains("import("), "{name}");
    }
    let html = file("index.html");
    for attribute in ["src=\"", "href=\""] {
        for asked in between(html, attribute, "\"") {
            assert!(asked.strip_prefix('/').is_some_and(served), "index.html asks for {asked}");
        }
    }
}

#[test]
fn every_file_of_the_page_is_embedded_and_small() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page");
    let there: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, FILES.iter().map(|(name, _, _)| (*name).to_owned()).collect());
    for (name, _, text) in FILES {
        assert!(text.lines().count() < 300, "{name}");
    }
}

#[test]
fn every_element_that_a_script_names_exists() {
    let html = file("index.html");
    let ids: BTreeSet<_> = between(html, " id=\"", "\"").into_iter().collect();
    for (name, script) in files(".js") {
        for id in between(script, "$(\"", "\"") {
            assert!(ids.contains(id), "{name} names {id}");
        }
    }
}

#[test]
fn nothing_is_inline_and_text_never_becomes_markup() {
    let html = file("index.html");
    assert!(!html.contains("<style") && !html.contains(" style=") && !html.contains("javascript:"));
    for tag in between(html, "<script", ">") {
        assert!(tag.contains(" src=\"/"), "<script{tag}>");
    }
    assert_eq!(between(html, "<script", "</script>").into_iter().filter(|it| !it.ends_with('>')).count(), 0);
    for word in html.split_ascii_whitespace() {
        let handler = word.starts_with("on") && word.contains('=');
        assert!(!handler, "{word}");
    }
    for (name, script) in files(".js") {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
        ] {
            assert!(!script.contains(sink), "{name} uses {sink}");
        }
    }
}
