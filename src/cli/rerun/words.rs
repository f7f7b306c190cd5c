//! The difference of two texts, word by word.

use similar::{ChangeTag, TextDiff};

/// How what is gone and what is new are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    gone: [&'static str; 2],
    new: [&'static str; 2],
}

impl Marks {
    /// Red and green where there are colours, else as `git diff --word-diff` writes it.
    pub(super) fn new(has_colours: bool) -> Self {
        if has_colours {
            Self {
                gone: ["\u{1b}[31m[-", "-]\u{1b}[0m"],
                new: ["\u{1b}[32m{+", "+}\u{1b}[0m"],
            }
        } else {
            Self {
                gone: ["[-", "-]"],
                new: ["{+", "+}"],
            }
        }
    }

    /// One text in which the difference of two is marked. Both must have been cleaned.
    pub(super) fn difference(self, then: &str, now: &str) -> String {
        let (mut marked, mut gone, mut new) = (String::new(), String::new(), String::new());
        // The space that changed words share is marked with them, or each word would stand alone.
        let mut space = String::new();
        for change in TextDiff::from_words(then, now).iter_all_changes() {
            let text = change.value();
            let is_space = !text.contains('\n') && text.trim().is_empty();
            let has_begun = !(gone.is_empty() && new.is_empty());
            match change.tag() {
                ChangeTag::Equal if is_space && has_begun => space.push_str(text),
                ChangeTag::Equal => {
                    self.mark(&mut gone, &mut new, &mut marked);
                    marked.push_str(&std::mem::take(&mut space));
                    marked.push_str(text);
                }
                tag => {
                    let shared = std::mem::take(&mut space);
                    gone.push_str(&shared);
                    new.push_str(&shared);
                    if tag == ChangeTag::Delete {
                        gone.push_str(text);
                    } else {
                        new.push_str(text);
                    }
                }
            }
        }
        self.mark(&mut gone, &mut new, &mut marked);
        marked + &space
    }

    /// Writes down what is gone and what is new, and begins anew.
    fn mark(self, gone: &mut String, new: &mut String, marked: &mut String) {
        for (text, [begin, end]) in [(gone, self.gone), (new, self.new)] {
            if !text.is_empty() {
                marked.push_str(begin);
                marked.push_str(text);
                marked.push_str(end);
                text.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_changed_are_marked_and_nothing_else() {
        let plain = Marks::new(false);
        for (then, now, marked) in [
            ("The same.", "The same.", "The same."),
            (
                "Your payment failed, sadly.",
                "Your payment did not go through, sadly.",
                "Your payment [-failed,-]{+did not go through,+} sadly.",
            ),
            (
                "usually quick to fix: now",
                "usually fixed in a moment: now",
                "usually [-quick to fix:-]{+fixed in a moment:+} now",
            ),
            ("one two\nthree", "1 2\nthree", "[-one two-]{+1 2+}\nthree"),
            ("", "New", "{+New+}"),
            ("Old", "", "[-Old-]"),
            ("", "", ""),
        ] {
            assert_eq!(plain.difference(then, now), marked);
        }
        let red = Marks::new(true).difference("a b", "a c");
        assert_eq!(red, "a \u{1b}[31m[-b-]\u{1b}[0m\u{1b}[32m{+c+}\u{1b}[0m");
    }
}
