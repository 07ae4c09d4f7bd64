//! Messages to search in: made up, the same for every run. Half of them English-like, half Chinese, with words as
//! frequent as in a language (the word of rank n is said about 1/n as often as the first).

use std::iter;

/// Words of each language.
const WORDS: usize = 8000;
/// Characters of a message.
const LENGTH: usize = 80;
/// Chinese words, of two characters each, are made of this many characters.
const CHARACTERS: u32 = 2500;
/// The first of them.
const FIRST_CHARACTER: u32 = 0x4E00;
/// How often the rare word is said, in English messages.
pub const RARE: usize = 10;
/// A word that is said [`RARE`] times.
pub const RARE_WORD: &str = "xyzzyqux";

/// Random numbers that are the same in every run (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall the same for a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below this, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }
}

/// The messages.
#[derive(Clone, Debug)]
pub struct Corpus {
    dice: Dice,
    english: Vec<String>,
    chinese: Vec<String>,
    /// Sums of the words' weights, for drawing one.
    weights: Vec<u64>,
    every: usize,
    number: usize,
}

impl Corpus {
    /// A corpus for this many messages.
    #[must_use]
    pub fn new(messages: usize) -> Self {
        let mut sum = 0;
        let weights = (1..).map(|rank: u64| {
            sum += 1_000_000 / (rank + 2);
            sum
        });
        let mut dice = Dice::new(7);
        let english = (0..WORDS).map(english_word).collect();
        let chinese =
            (0..WORDS).map(|_| iter::repeat_with(|| character(&mut dice)).take(2).collect()).collect();
        let every = (messages / 2 / RARE).max(1);
        Self { dice, english, chinese, weights: weights.take(WORDS).collect(), every, number: 0 }
    }

    /// The next message.
    pub fn message(&mut self) -> String {
        let number = self.number;
        self.number += 1;
        let mut text = String::new();
        let mut length = 0;
        if number % 2 == 1 {
            while length < LENGTH {
                let word = self.draw();
                text += self.chinese.get(word).map_or("", String::as_str);
                length += 2;
            }
            return text;
        }
        if number / 2 % self.every == self.every / 2 {
            text += RARE_WORD;
            text.push(' ');
        }
        while length < LENGTH {
            let word = self.draw();
            let word = self.english.get(word).map_or("", String::as_str);
            text += word;
            text.push(' ');
            length += word.len() + 1;
        }
        text
    }

    fn draw(&mut self) -> usize {
        let sum = self.weights.last().copied().unwrap_or(1);
        let at = self.dice.below(sum);
        self.weights.partition_point(|weight| *weight <= at)
    }

    /// The English word of this rank, 0 for the most frequent.
    #[must_use]
    pub fn english(&self, rank: usize) -> String {
        self.english.get(rank).cloned().unwrap_or_default()
    }

    /// The Chinese word of this rank, 0 for the most frequent.
    #[must_use]
    pub fn chinese(&self, rank: usize) -> String {
        self.chinese.get(rank).cloned().unwrap_or_default()
    }
}

/// Syllables by the digits of the rank, shorter for frequent words.
fn english_word(rank: usize) -> String {
    const FIRST: [&str; 20] = [
        "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su", "ta",
        "ve", "wi", "yo", "zu",
    ];
    let mut word = String::new();
    let mut rest = rank;
    loop {
        word += FIRST.get(rest % FIRST.len()).copied().unwrap_or_default();
        rest /= FIRST.len();
        if rest == 0 {
            return word + "n";
        }
    }
}

fn character(dice: &mut Dice) -> char {
    let at = u32::try_from(dice.below(u64::from(CHARACTERS))).unwrap_or(0);
    char::from_u32(FIRST_CHARACTER + at).unwrap_or('一')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_in_every_run_and_frequent_words_are_frequent() {
        let texts: Vec<String> = iter::repeat_with({
            let mut corpus = Corpus::new(2000);
            move || corpus.message()
        })
        .take(2000)
        .collect();
        let mut again = Corpus::new(2000);
        assert!(texts.iter().all(|text| *text == again.message()));
        let holding =
            |word: &str| texts.iter().filter(|text| text.split(' ').any(|other| other == word)).count();
        assert_eq!(holding(RARE_WORD), RARE);
        assert!(holding(&again.english(0)) > 5 * holding(&again.english(300)));
        let chinese = again.chinese(0);
        assert!(texts.iter().filter(|text| text.contains(&chinese)).count() > 300);
    }
}
