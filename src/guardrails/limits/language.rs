//! Which language a text is written in, as far as a filter has to know: that it is the one whose lexicon was applied.
//!
//! A promise in a language that no lexicon knows would pass them all, although every letter of it is Latin. So each
//! sentence has to hold some of the words that any sentence of its language has. In doubt it is refused.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::characters;
use super::prose::{Part, Refusal};
use super::wording::{self, PAUSE};

/// Sentences with fewer words are not looked at by themselves.
const SHORTEST_SENTENCE: usize = 6;

/// Of so many words in a sentence, one must be known.
const SENTENCE_WORDS_EACH: usize = 8;

/// Texts with fewer words are not looked at as a whole.
const SHORTEST_TEXT: usize = 12;

/// Of so many words in the whole text, one must be known.
const TEXT_WORDS_EACH: usize = 5;

/// Words of English that its neighbours do not have.
const ENGLISH: &str = "\
    about above access account after again all already always am amount and another answer any anything are around \
    ask asked asks at away back balance be because been before being below best better between both business but by \
    can cannot card cards change changed charged check close come could couldn customer customers day days declined \
    details did didn does doesn doing don done earlier easily either email end ended ends enough even ever every \
    everyone everything evidence expired failed few find first for from get give glad go goes going good great had \
    happen happened happens happy hasn have haven having hear hello help here high how however if into invoice isn \
    it its itself just keep kind know last later latest let like link little ll long look loss lost love mail make \
    makes many may maybe means message method might money month months more most much must my near need needs never \
    new next nothing now often once only open opened order other others our ourselves out over paid past pay payment \
    payments people person please purchase quick re reach ready really reason receive regards renewal reply right \
    same save second see sent set short should simply since small some something soon sorry standing stay still \
    subscription such sure take tell than thank thanks that the their them then there these they thing things think \
    this those though time to today together too touch trial tried try under until up update us use used usual \
    usually value ve very want wasn way week weeks welcome well went were what when where whether which while who \
    why will wish with within without won words work worth would wouldn wrong year years yes yet you your yours \
    yourself";

/// The same of German.
const GERMAN: &str = "\
    ab aber abgelaufen abgelehnt abonnement alle allem allen aller alles als also andere anderen anderer antworten \
    auch auf aus bald bei beim bereits besten bestimmt betrag bezahlen bezahlt bis bitte bleiben bleibt brauchen da \
    dabei dafür daher damit danach dank danke dann daran darauf darf das dass davon dazu dein deine deinem deinen \
    deiner dem den denn der deren des deshalb dies diese diesem diesen dieser dieses dir direkt doch dort du durch \
    dürfen ein eine einem einen einer eines einfach einige einmal einzige endet entschuldigen entschuldigung er \
    erneut erst erste es etwa etwas euch euer fehlgeschlagen fehlt finden fragen freuen freundlich freundlichen für \
    gab ganz geben geht geklappt gern gerne gestern gibt gilt große gut gute guten habe haben hallo hat hatte hatten \
    helfen herzlich hier hilft hoffen ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres im immer ins ist ja jede \
    jeder jederzeit jedes jetzt kann karte karten kein keine keinen klappt konnte konnten konto kunde kunden kundin \
    kurz kurzem können lassen leider letzte letzten lieber liegt machen manchmal mehr mein meine melden mensch mit \
    monat möchten möglich müssen nach nachricht nicht nichts noch nun nur nächste nächsten ob oben oder offen oft \
    ohne rechnung schade schon sehen sehr sein seine seit seite sich sicher sie sind sobald sollte sollten sondern \
    später statt stunden tage tagen testphase tun um und uns unser unsere unserem unseren unserer unten unter \
    verwenden viel viele vielen vielleicht vom von vor wann waren warum weg wegen weil weiter wenn wer werden wie \
    wieder willkommen wir wird wissen wo woche wochen worden wurde wurden zahlung zahlungen zeit zu zugang zum zur \
    zurück zweite zwischen über";

/// Words of both kinds of neighbours; two of them say as much as one of the others.
const ENGLISH_TOO: &str = "a an as bank do due fine has he in is large me no of on one or personal possible so was we word";

/// The same of German.
const GERMAN_TOO: &str = "am an bank die in mail man so team war was";

struct Language {
    name: &'static str,
    own: HashSet<String>,
    shared: HashSet<String>,
}

impl Language {
    fn new(name: &'static str, own: &str, shared: &str) -> Self {
        let folded = |words: &str| words.split_whitespace().map(wording::fold).collect();
        Self {
            name,
            own: folded(own),
            shared: folded(shared),
        }
    }

    /// How much of a text is its own, in halves of a word.
    fn weight(&self, words: &[&str]) -> usize {
        let of =
            |known: &HashSet<String>| words.iter().filter(|word| known.contains(**word)).count();
        of(&self.own) * 2 + of(&self.shared)
    }
}

static LANGUAGES: LazyLock<[Language; 2]> = LazyLock::new(|| {
    [
        Language::new("en", ENGLISH, ENGLISH_TOO),
        Language::new("de", GERMAN, GERMAN_TOO),
    ]
});

/// Refuses prose in another language than that of `locale`; words for colleagues may be in any that is known.
pub(super) fn check_language(text: &str, part: Part, locale: &str) -> Result<(), Refusal> {
    let expected = characters::language(locale);
    let words = wording::words(text);
    let sentences: Vec<Vec<&str>> = words
        .split(|word| word == ".")
        .map(|sentence| {
            let words = sentence.iter().map(String::as_str);
            words.filter(|word| is_word(word)).collect()
        })
        .collect();
    let all: Vec<&str> = sentences.iter().flatten().copied().collect();
    let foreign = |words: &[&str], shortest: usize, each: usize| {
        let weights = LANGUAGES.iter().map(|language| {
            let is_meant = part == Part::Summary || language.name == expected;
            (is_meant, language.weight(words))
        });
        let (own, others): (Vec<_>, Vec<_>) = weights.partition(|(is_meant, _)| *is_meant);
        let most =
            |of: Vec<(bool, usize)>| of.into_iter().map(|(_, weight)| weight).max().unwrap_or(0);
        let own = most(own);
        words.len() >= shortest && (own * each < words.len() * 2 || own < most(others))
    };
    let odd = |sentence: &Vec<&str>| foreign(sentence, SHORTEST_SENTENCE, SENTENCE_WORDS_EACH);
    if sentences.iter().any(odd) || foreign(&all, SHORTEST_TEXT, TEXT_WORDS_EACH) {
        let written = match part {
            Part::Summary => "English or German".to_owned(),
            Part::Subject | Part::Body => format!("`{expected}`"),
        };
        let reason = format!("not all of it reads as {written}, write every sentence in it");
        return Err(Refusal::new("language", reason));
    }
    Ok(())
}

fn is_word(word: &str) -> bool {
    word != PAUSE && word.chars().all(char::is_alphabetic)
}
