//! How a reader's locale writes money: separators, grouping, where the symbol and the minus stand, and which symbols it
//! knows.
//!
//! Separators, groups and shapes are those of the common locale data (CLDR 48, cldr.unicode.org) for the languages that
//! Stripe's pages speak (`docs.stripe.com/js/appendix/supported_locales`), always with the digits 0 to 9. Symbols are fewer
//! than CLDR's: one is used only where it can mean one currency to that reader, and elsewhere the code stands. No crate
//! is used for this: ICU4X has the numbers in a stable crate, but symbols and shapes of currencies only in one that calls
//! itself unstable, with the data of everything else it tries out.

pub(super) const NO_BREAK_SPACE: char = '\u{a0}';
const NARROW_NO_BREAK_SPACE: char = '\u{202f}';
const RIGHT_QUOTE: char = '\u{2019}';
const MINUS_SIGN: char = '\u{2212}';

/// Where the symbol stands, and with it the minus of a credit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `-$5`, and a space only after letters: `-KWD 5`.
    Before,
    /// `-€ 5`.
    BeforeWithSpace,
    /// `€ -5`.
    BeforeMinus,
    /// `CHF 5`, and a minus instead of the space: `CHF-5`.
    BeforeMinusJoined,
    /// `-5 €`.
    After,
}

/// How digits are parted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    /// `1,234` and `1,234,567`.
    Threes,
    /// `1234` and `12.345`: no group for one digit alone.
    ThreesFromFive,
    /// `12,34,567`.
    Indian,
}

/// How one locale writes money.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) group: char,
    pub(super) decimal: char,
    pub(super) groups: Groups,
    pub(super) shape: Shape,
    pub(super) minus: char,
    /// The currency whose symbol is a bare `$` here.
    dollar: &'static str,
    language: Language,
}

/// Languages that name a currency in their own way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    French,
    Japanese,
    Chinese,
    /// A language with one more symbol: currency and symbol.
    Own(&'static str, &'static str),
    Other,
}

const fn style(shape: Shape, group: char, decimal: char) -> Style {
    Style {
        group,
        decimal,
        groups: Groups::Threes,
        shape,
        minus: '-',
        dollar: "",
        language: Language::Other,
    }
}

impl Style {
    const fn grouped_from_five(self) -> Self {
        Self {
            groups: Groups::ThreesFromFive,
            ..self
        }
    }

    const fn with_minus_sign(self) -> Self {
        Self {
            minus: MINUS_SIGN,
            ..self
        }
    }

    const fn of(self, language: Language) -> Self {
        Self { language, ..self }
    }

    /// With a symbol that only this language has for its own currency.
    const fn own(self, code: &'static str, symbol: &'static str) -> Self {
        self.of(Language::Own(code, symbol))
    }

    /// Where a plain dollar is taken for the American one.
    const fn us_dollar(self) -> Self {
        Self {
            dollar: "usd",
            ..self
        }
    }

    /// The style of a locale such as `de-AT`, `en_us` or `zh-Hans-CN`; English where the language is not known.
    pub(super) fn of_locale(locale: &str) -> Self {
        let locale = locale.trim().replace('_', "-").to_ascii_lowercase();
        let mut parts = locale.split('-');
        let language = parts.next().unwrap_or_default();
        // A script such as `Latn` may stand between language and region, and Latin America's region is a number.
        let region = parts
            .find(|part| part.len() == 2 || *part == "419")
            .unwrap_or_default();
        let Some(style) = Self::of_language(language, region) else {
            // An unknown language is read as plain English, whatever its region.
            return english("");
        };
        match home_dollar(region) {
            Some(dollar) => Self { dollar, ..style },
            None => style,
        }
    }

    fn of_language(language: &str, region: &str) -> Option<Self> {
        const COMMA_FIRST: Style = style(Shape::Before, ',', '.');
        const POINT_FIRST: Style = style(Shape::Before, '.', ',');
        const POINT_LAST: Style = style(Shape::After, '.', ',');
        const SPACE_LAST: Style = style(Shape::After, NO_BREAK_SPACE, ',');
        Some(match language {
            "en" => english(region),
            "de" => match region {
                "at" => style(Shape::BeforeWithSpace, '.', ','),
                "ch" => style(Shape::BeforeMinusJoined, RIGHT_QUOTE, '.'),
                "li" => style(Shape::BeforeWithSpace, RIGHT_QUOTE, '.'),
                _ => POINT_LAST,
            }
            .us_dollar(),
            "fr" => match region {
                "ca" => SPACE_LAST,
                "ch" => style(Shape::After, NARROW_NO_BREAK_SPACE, '.'),
                _ => style(Shape::After, NARROW_NO_BREAK_SPACE, ','),
            }
            .of(Language::French),
            "es" => match region {
                "419" | "mx" | "us" | "pr" | "pe" | "do" | "gt" | "hn" | "ni" | "pa" | "sv" => {
                    COMMA_FIRST
                }
                "ar" | "co" | "uy" | "py" => style(Shape::BeforeWithSpace, '.', ','),
                "cl" | "ec" => style(Shape::BeforeMinusJoined, '.', ','),
                _ => POINT_LAST.grouped_from_five(),
            },
            "it" if region == "ch" => {
                style(Shape::BeforeMinusJoined, RIGHT_QUOTE, '.').grouped_from_five()
            }
            "it" => POINT_LAST.grouped_from_five(),
            "nl" => style(Shape::BeforeMinus, '.', ','),
            "pt" if matches!(region, "" | "br") => style(Shape::BeforeWithSpace, '.', ','),
            "pt" => SPACE_LAST.grouped_from_five(),
            "sv" => SPACE_LAST.with_minus_sign().own("sek", "kr"),
            "nb" | "nn" | "no" => SPACE_LAST.with_minus_sign().own("nok", "kr"),
            "da" => POINT_LAST.own("dkk", "kr."),
            "is" => POINT_LAST.own("isk", "kr."),
            "fi" => SPACE_LAST.with_minus_sign().us_dollar(),
            "pl" => SPACE_LAST.grouped_from_five().own("pln", "zł"),
            "cs" => SPACE_LAST.own("czk", "Kč"),
            "hu" => SPACE_LAST.grouped_from_five().own("huf", "Ft"),
            "uk" => SPACE_LAST.own("uah", "₴"),
            "ru" => SPACE_LAST.us_dollar().own("rub", "₽"),
            "bg" => SPACE_LAST.grouped_from_five().own("bgn", "лв."),
            "sk" => SPACE_LAST,
            "lt" => SPACE_LAST.with_minus_sign(),
            "lv" => SPACE_LAST.grouped_from_five().us_dollar(),
            "et" => SPACE_LAST.grouped_from_five().with_minus_sign().us_dollar(),
            "sl" => POINT_LAST.grouped_from_five().with_minus_sign().us_dollar(),
            "hr" => POINT_LAST.with_minus_sign(),
            "ro" | "vi" => POINT_LAST,
            "el" => POINT_LAST.us_dollar(),
            "tr" => POINT_FIRST.us_dollar().own("try", "₺"),
            "id" => POINT_FIRST.own("idr", "Rp"),
            "ms" => COMMA_FIRST.own("myr", "RM"),
            "th" => COMMA_FIRST.own("thb", "฿"),
            "fil" => COMMA_FIRST.us_dollar().own("php", "₱"),
            "ja" => COMMA_FIRST.us_dollar().of(Language::Japanese),
            "zh" => COMMA_FIRST.of(Language::Chinese),
            "ko" | "mt" => COMMA_FIRST,
            "hi" => Self {
                groups: Groups::Indian,
                ..COMMA_FIRST
            }
            .us_dollar(),
            _ => return None,
        })
    }

    /// The symbol of a currency for this reader; nothing where its code says it better.
    pub(super) fn symbol(&self, code: &str) -> Option<&'static str> {
        if self.dollar == code && !code.is_empty() {
            return Some("$");
        }
        // `kr`, too, belongs to four countries, and each takes it for its own: everybody else reads the code. So 500 of `isk`
        // are `5 kr.` to an Icelander and `ISK 5` in English: five either way, which is what Stripe's hundredths come to, and
        // nobody takes them for Swedish.
        if let Language::Own(own, symbol) = self.language
            && own == code
        {
            return Some(symbol);
        }
        let foreign_dollar = |plain, french| {
            if self.language == Language::French {
                french
            } else {
                plain
            }
        };
        Some(match code {
            "eur" => "€",
            "gbp" => "£",
            "jpy" if self.language == Language::Chinese => "JP¥",
            "jpy" => "¥",
            "cny" => match self.language {
                Language::Japanese => "元",
                Language::Chinese => "¥",
                _ => "CN¥",
            },
            "inr" => "₹",
            "krw" => "₩",
            "ils" => "₪",
            "vnd" => "₫",
            "brl" => "R$",
            "usd" => foreign_dollar("US$", "$US"),
            "cad" => foreign_dollar("CA$", "$CA"),
            "aud" => foreign_dollar("A$", "$AU"),
            "nzd" => foreign_dollar("NZ$", "$NZ"),
            "hkd" => foreign_dollar("HK$", "$HK"),
            "mxn" => foreign_dollar("MX$", "$MX"),
            _ => return None,
        })
    }
}

fn english(region: &str) -> Style {
    let style = match region {
        "za" => style(Shape::Before, NO_BREAK_SPACE, ',').own("zar", "R"),
        "in" => Style {
            groups: Groups::Indian,
            ..style(Shape::Before, ',', '.')
        },
        _ => style(Shape::Before, ',', '.'),
    };
    // Where a country has no dollar of its own, a reader may take `$` for another's.
    if region.is_empty() {
        style.us_dollar()
    } else {
        style
    }
}

/// The currency that a bare `$` means in a country, where it means one of its own.
fn home_dollar(region: &str) -> Option<&'static str> {
    Some(match region {
        "us" | "pr" | "ec" | "sv" => "usd",
        "ca" => "cad",
        "au" => "aud",
        "nz" => "nzd",
        "sg" => "sgd",
        "hk" => "hkd",
        "tw" => "twd",
        "mx" => "mxn",
        "ar" => "ars",
        "cl" => "clp",
        "co" => "cop",
        _ => return None,
    })
}
