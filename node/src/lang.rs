//! Languages: English and Chinese for everything that the program says to people.
//!
//! Keeps true: a message that exists in one language exists in the other, for the table does not compile otherwise.
//! Goes in: what is to be said and its arguments. Goes out: one line. JSON and logs are never translated.

mod advice;
mod errors;
mod table;

pub use advice::advice_text;
pub use errors::{chinese_error, chinese_own_file_error, chinese_transfer_error, chinese_transfer_hint};
pub use table::Msg;

use std::str::FromStr;

/// A language.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese, simplified.
    ZhCn,
}

/// Not a language that lanchat speaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no language of lanchat; en and zh-CN are")]
pub struct UnknownLang(
    /// What was given.
    pub String,
);

impl FromStr for Lang {
    type Err = UnknownLang;

    fn from_str(text: &str) -> Result<Self, UnknownLang> {
        Self::of_locale(text).ok_or_else(|| UnknownLang(text.to_owned()))
    }
}

impl Lang {
    /// The language's code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// The language of a locale such as `zh_CN.UTF-8`, when it is one that lanchat speaks.
    #[must_use]
    pub fn of_locale(locale: &str) -> Option<Self> {
        let language = locale.split(['-', '_', '.', '@']).next().unwrap_or_default().to_ascii_lowercase();
        match language.as_str() {
            "en" => Some(Self::En),
            "zh" => Some(Self::ZhCn),
            _ => None,
        }
    }

    /// What was asked for, else what is configured, else the locale's, else English.
    #[must_use]
    pub fn choose(asked: Option<Self>, configured: Option<Self>) -> Self {
        asked
            .or(configured)
            .or_else(|| sys_locale::get_locale().and_then(|locale| Self::of_locale(&locale)))
            .unwrap_or_default()
    }

    /// A message with its `{name}` places filled.
    #[must_use]
    pub fn say(self, message: Msg, args: &[(&str, &str)]) -> String {
        fill(message.text(self), args)
    }
}

/// Fills the `{name}` places of a template in one pass, so that what is filled in is never read as a template.
#[must_use]
pub fn fill(template: &str, args: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        let value = args.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        filled.push_str(value);
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    pub(super) fn places(template: &str) -> BTreeSet<String> {
        template
            .split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}'))
            .map(|(name, _)| name.into())
            .collect()
    }

    #[test]
    fn every_message_is_in_both_languages_with_the_same_places() {
        for message in Msg::ALL {
            let (en, zh) = (message.text(Lang::En), message.text(Lang::ZhCn));
            assert!(!en.is_empty() && !zh.is_empty(), "{message:?}");
            assert_eq!(places(en), places(zh), "{message:?}");
            assert!(!zh.is_ascii(), "{message:?} is not translated");
        }
    }

    #[test]
    fn every_error_of_the_api_has_a_chinese_line() {
        for code in crate::api::error::CODES {
            assert!(chinese_error(code).is_some_and(|line| !line.is_ascii()), "{code}");
        }
    }

    #[test]
    fn every_failure_of_a_transfer_has_a_chinese_line() {
        for code in crate::api::types::TRANSFER_CODES.iter().filter(|code| **code != "other") {
            assert!(chinese_transfer_error(code).is_some_and(|line| !line.is_ascii()), "{code}");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_a_template() {
        assert_eq!(fill("{a}+{b}{", &[("a", "{b}"), ("b", "x")]), "{b}+x{");
    }

    #[test]
    fn locales_are_understood() {
        for (locale, lang) in [
            ("zh_CN.UTF-8", Some(Lang::ZhCn)),
            ("zh", Some(Lang::ZhCn)),
            ("en-GB", Some(Lang::En)),
            ("de", None),
        ] {
            assert_eq!(Lang::of_locale(locale), lang);
        }
        assert!("tlh".parse::<Lang>().is_err());
        assert_eq!(Lang::choose(Some(Lang::ZhCn), Some(Lang::En)), Lang::ZhCn);
        assert_eq!(Lang::choose(None, Some(Lang::ZhCn)), Lang::ZhCn);
    }
}
