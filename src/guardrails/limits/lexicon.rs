//! Words that no mail of ours may hold, as data.
//!
//! Why lists: what they keep out (money promised, law threatened, secrets asked for) does harm in a single sentence,
//! and a list can be read, argued about and tested, which a classifier cannot. They refuse whole word families, even
//! in harmless sentences, because a refusal only costs another try or the template. Both languages are applied to
//! every text: an English promise in a German mail is a promise.
//!
//! An entry is one word or several in a row; `start*`, `*end` and `*part*` match openly. Case, accents, `ß`/`ss` and
//! `ü`/`ue` do not matter. A phrase ends with its clause.

/// Phrases that hold a refused word and are harmless; they are taken out before anything is looked for.
#[rustfmt::skip]
pub const HARMLESS: &[&str] = &[
    "credit card", "credit cards", "debit or credit", "credit or debit", "feel free",
    "your free trial", "creditcard", "creditcards",
];

/// What is refused, by the topic that the refusal names.
pub const REFUSED: &[(&str, &[&str])] = &[
    ("money", MONEY_EN),
    ("money", MONEY_DE),
    ("law", LAW_EN),
    ("law", LAW_DE),
    ("credentials", CREDENTIALS_EN),
    ("credentials", CREDENTIALS_DE),
];

#[rustfmt::skip]
const MONEY_EN: &[&str] = &[
    "refund*", "repay*", "reimburs*", "compensat*", "credit*", "discount*", "rebate*", "voucher*",
    "coupon*", "cashback", "cash back", "money back", "pay you", "pay back", "owe you", "waive*",
    "waiver*", "free", "for nothing", "complimentary", "gift", "gifts", "giveaway*", "reward*",
    "bonus*", "prize*", "lottery", "jackpot", "inherit*", "guarantee*", "half price", "half off",
    "half the price", "percent off", "price reduction*", "reduced price*", "lower price*",
    "special offer*", "special price*", "promo", "promos", "promotion*", "promotional",
    "on the house", "at no cost", "no cost to you", "no charge", "without charge",
    "not charge you", "never charge you", "write off", "wrote off", "written off", "forgive*",
    "debt*", "cancel your invoice", "cancel the invoice", "you owe nothing", "nothing to pay",
    "save money", "goodwill", "wire", "wires", "wired", "western union", "crypto*", "bitcoin*",
    "transfer the money", "transfer money", "send money",
];

#[rustfmt::skip]
const MONEY_DE: &[&str] = &[
    "*rabatt*", "*erstatt*", "zurückzahl*", "zurückgezahlt", "zurück zahlen", "*rückzahlung*",
    "*gutschrift*", "gutschreib*", "gutgeschrieben", "gutzuschreiben", "schreiben ihnen gut",
    "schreiben dir gut", "*gutschein*", "*nachlass*", "nachlässe*", "ermäßig*", "*vergünstig*",
    "kostenlos*", "kostenfrei*", "gratis", "umsonst", "geschenk*", "schenken", "schenkt",
    "prämie*", "gewinnspiel*", "gewonnen", "lotterie", "entschädig*", "erlassen", "erlässt",
    "verzichten wir", "wir verzichten", "geld zurück", "aufs haus", "auf kosten des hauses",
    "halber preis", "halben preis", "zur hälfte", "ohne berechnung", "nicht berechnen",
    "nichts berechnen", "guthaben*", "*kulanz*", "skonto", "auszahl*", "ausgezahlt",
    "überweisen wir", "überweisen ihnen", "überweisen dir", "überweisen sie", "überweise uns",
    "garantier*", "garantie*", "sonderangebot*", "sonderpreis*", "aktionscode*",
    "nichts zu zahlen", "nichts zahlen", "schulden", "schuld", "billiger", "günstiger",
    "preissenkung*",
];

#[rustfmt::skip]
const LAW_EN: &[&str] = &[
    "legal", "legally", "lawyer*", "attorney*", "solicitor*", "lawsuit*", "sue", "suing", "sued",
    "court", "courts", "courtroom", "litigat*", "prosecut*", "police", "criminal*", "crime*",
    "collection agency", "collections", "debt collect*", "bailiff*", "arrest*", "jail*",
    "prison*", "fraud*", "warrant*", "enforcement", "seize*", "seizure*", "penalty", "penalties",
    "late fee*", "liable", "liability", "contractually", "breach*", "sanction*", "unlawful*",
    "illegal*", "immigration", "tribunal*", "summons", "subpoena*", "report you", "blacklist*",
];

#[rustfmt::skip]
const LAW_DE: &[&str] = &[
    "anwalt*", "anwält*", "*rechtsanwalt*", "*rechtsanwält*", "rechtlich*", "juristisch*",
    "gericht", "gerichte", "gerichts*", "gerichtlich*", "klage", "klagen", "verklag*",
    "*mahnverfahren*", "*mahnbescheid*", "*mahngebühr*", "*inkasso*", "strafanzeige*", "polizei*",
    "strafbar*", "strafrecht*", "straftat*", "strafe", "strafen", "strafverfolg*", "*pfänd*",
    "vollstreck*", "*zwangsvollstreck*", "schufa*", "haftbar", "haftung", "betrug*", "betrüg*",
    "verzugszins*", "gefängnis*", "haftbefehl*", "vertragsbruch*", "vertragsverletz*",
    "schadenersatz*", "schadensersatz*", "staatsanwalt*", "illegal*", "gesetzlich*",
    "gesetzwidrig*",
];

#[rustfmt::skip]
const CREDENTIALS_EN: &[&str] = &[
    "*password*", "passwords", "passcode*", "passphrase*", "pass code*", "pass word*", "passwd*",
    "pin", "pins", "pin code*", "cvv", "cvc", "security code*", "verification code*",
    "access code*", "one time code*", "confirmation code*", "authentication code*", "otp",
    "card number*", "account number*", "routing number*", "sort code*", "iban", "bank account*",
    "bank details", "login details", "login data", "login credentials", "credential*",
    "username*", "user name*", "social security", "ssn", "passport*", "date of birth",
    "mother s maiden", "maiden name", "secret question*", "seed phrase*", "private key*",
    "api key*", "remote access", "anydesk", "teamviewer",
    "back of your card", "back of the card",
];

#[rustfmt::skip]
const CREDENTIALS_DE: &[&str] = &[
    "*passwort*", "*passwört*", "*kennwort*", "*kennwört*", "tan", "tans", "*prüfziffer*",
    "*prüfnummer*", "*sicherheitscode*", "*bestätigungscode*", "*zugangscode*", "*kartennummer*",
    "*zugangsdaten*", "*anmeldedaten*", "*logindaten*", "*login daten", "*bankdaten*",
    "*kontonummer*", "*bankleitzahl*", "bic", "*personalausweis*", "*reisepass*", "geburtsdatum",
    "geburtsdaten", "*geheimzahl*", "*geheimnummer*", "sicherheitsfrage*", "benutzername*",
    "fernzugriff", "fernwartung",
    "rückseite ihrer karte", "rückseite deiner karte", "rückseite der karte",
];

/// How a mail asks a reader to hand something over; refused together with one of [`SECRETS`] in one sentence.
#[rustfmt::skip]
pub const REQUESTS: &[&str] = &[
    "reply with", "respond with", "answer with", "send us", "send your", "send me",
    "tell us your", "tell me your", "give us", "give me", "email us your", "text us",
    "share your", "provide us", "provide your", "confirm your", "verify your", "forward your",
    "read us", "let us have", "let us know your", "antworten sie mit", "antworte mit",
    "senden sie", "sende uns", "schicken sie", "schick uns", "schicke uns", "nennen sie",
    "nenne uns", "geben sie uns", "gib uns", "mailen sie", "bestätigen sie ihre",
    "bestätige deine", "verifizieren sie", "teilen sie uns ihre", "teilen sie ihre",
    "teile uns deine", "übermitteln sie",
];

/// What nobody should send by mail, though a mail may speak of it.
#[rustfmt::skip]
pub const SECRETS: &[&str] = &[
    "card details", "card data", "card information", "credit card", "debit card",
    "account details", "account information", "payment details", "payment information",
    "billing details", "billing information", "personal details", "personal information",
    "personal data", "identity", "login", "id card", "identification", "*kartendaten*",
    "*kreditkarte*", "*kartenangaben*", "*bankverbindung*", "*zahlungsdaten*", "*kontodaten*",
    "*identität*", "*ausweis*", "persönlichen daten", "persönliche daten", "ihre daten",
    "deine daten",
];

/// Stems of number words; longer ones are glued from these.
#[rustfmt::skip]
pub const NUMBERS: &[&str] = &[
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty", "thirty", "forty", "fourty", "fifty", "sixty", "seventy", "eighty",
    "ninety", "hundred", "hundreds", "thousand", "thousands", "million", "millions", "billion",
    "billions", "dozen", "dozens", "half", "quarter", "double", "triple", "null", "ein", "eins",
    "eine", "einen", "einem", "einer", "zwei", "zwo", "drei", "vier", "fünf", "sechs", "sieben",
    "acht", "neun", "zehn", "elf", "zwölf", "sechzehn", "siebzehn", "zwanzig", "dreißig",
    "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig", "hundert", "hunderte",
    "tausend", "tausende", "millionen", "milliarde", "milliarden", "dutzend", "halb", "halbe",
    "halben", "halber", "doppelt", "doppelte", "doppelten",
];

/// Numbers that are articles too: they make an amount only right beside a unit.
#[rustfmt::skip]
pub const ARTICLES: &[&str] = &[
    "one", "ein", "eine", "einen", "einem", "einer",
];

/// What turns a number beside it into an amount.
#[rustfmt::skip]
pub const UNITS: &[&str] = &[
    "dollar*", "euro", "euros", "eur", "usd", "gbp", "chf", "jpy", "cad", "aud", "pound",
    "pounds", "sterling", "quid", "pence", "penny", "pennies", "cent", "cents", "buck", "bucks",
    "franc", "francs", "yen", "yuan", "rupee*", "peso*", "krona", "kronor", "krone", "kroner",
    "zloty*", "shekel*", "ruble*", "rouble*", "percent*", "per cent", "off", "discount*",
    "rebate*", "cheaper", "pfund", "franken", "rappen", "kronen", "rubel", "prozent*", "rabatt*",
    "nachlass*", "ermäßigung*", "günstiger", "billiger",
];
