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
    "your free trial", "creditcard", "creditcards", "count on us", "rely on us", "depend on us",
    "up to date", "bar code", "barcode", "no charge was",
    "no charge has",
];

/// What is refused, by the topic that the refusal names.
pub const REFUSED: &[(&str, &[&str])] = &[
    ("money", MONEY_EN),
    ("money", MONEY_DE),
    ("law", LAW_EN),
    ("law", LAW_DE),
    ("credentials", CREDENTIALS_EN),
    ("credentials", CREDENTIALS_DE),
    ("pressure", PRESSURE_EN),
    ("pressure", PRESSURE_DE),
    ("another way to pay or to be reached", ELSEWHERE_EN),
    ("another way to pay or to be reached", ELSEWHERE_DE),
    ("insult", INSULT),
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
    "transfer the money", "transfer money", "send money", "giftcard*", "on us", "no need to pay",
    "not have to pay", "need not pay", "don t have to pay", "dont have to pay", "ignore the invoice",
    "ignore this invoice", "ignore your invoice", "skip this payment", "skip the payment",
    "cancel the debt", "clear your balance", "wipe your", "settle it for you", "pay it for you",
    "cover the cost*", "cover your", "cover half", "reduce your", "reduce the price*",
    "reduce the amount*", "lower your bill*", "lower the price*", "lower the amount*", "cut your",
    "cut the price*", "knock off", "price cut*", "take off your bill", "cheaper", "extra month*",
    "extra week*", "extra day*", "additional month*", "extend your trial", "extend the trial",
    "longer trial", "extend your subscription", "pay out", "paid out", "cash", "earnings",
    "invest*", "profit*", "loan*", "donat*", "raffle*", "sweepstake*", "winner*", "won a", "you won",
    "have won", "allowance*", "subsid*", "only owe", "half of it", "by a third", "by half", "lower your",
    "next bill", "cost nothing", "costs nothing", "costs you nothing", "cost you nothing",
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
    "preissenkung*", "preisnachlass*", "reduzier*", "geht auf uns", "geht aufs haus", "spendier*",
    "schenken wir", "nicht zahlen müssen", "nicht bezahlen müssen", "müssen nicht zahlen",
    "müssen nicht bezahlen", "müssen sie nicht zahlen", "müssen sie nicht bezahlen",
    "musst nicht zahlen", "brauchen nicht zu zahlen", "brauchen sie nicht zu zahlen",
    "rechnung ignorieren", "rechnung stornieren", "stornieren die rechnung",
    "stornieren ihre rechnung", "übernehmen die kosten", "übernehmen wir die kosten",
    "kosten übernehmen", "zusätzlicher monat", "zusätzlichen monat", "weiterer monat kosten*",
    "verlängern ihre testphase", "verlängern wir ihre testphase", "testphase verlängern",
    "auszuzahlen", "bargeld", "gewinn*", "investier*", "investition*", "darlehen*", "kredit",
    "kredite", "kredits", "spende*", "verlosung*", "zuschuss*", "bonus*", "gutzahl*", "nur noch die hälfte", "um die hälfte",
    "um ein drittel", "kostet nichts", "kosten nichts", "kostet sie nichts", "kosten sie nichts",
];

#[rustfmt::skip]
const LAW_EN: &[&str] = &[
    "legal", "legally", "lawyer*", "attorney*", "solicitor*", "lawsuit*", "sue", "suing", "sued",
    "court", "courts", "courtroom", "litigat*", "prosecut*", "police", "criminal*", "crime*",
    "collection agency", "collections", "debt collect*", "bailiff*", "arrest*", "jail*",
    "prison*", "fraud*", "warrant*", "enforcement", "seize*", "seizure*", "penalty", "penalties",
    "late fee*", "liable", "liability", "contractually", "breach*", "sanction*", "unlawful*",
    "illegal*", "immigration", "tribunal*", "summons", "subpoena*", "report you", "blacklist*",
    "law", "laws", "lawful*", "authorities", "interpol", "fbi", "irs", "tax office", "felony",
    "felonies", "indict*", "custody", "bankrupt*", "foreclos*", "garnish*", "repossess*", "evict*",
    "deport*", "judge", "judgment", "judgement", "damages", "default notice", "notary", "credit agency",
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
    "gesetzwidrig*", "gesetz", "gesetze", "rechtsweg*", "rechtsabteilung*", "rechtsstreit*",
    "*behörde*", "finanzamt*", "interpol", "gerichtsvollzieher*", "abmahn*", "*mahnstufe*",
    "*mahnung*", "*mahnschreiben*", "strafgebühr*", "bußgeld*", "ordnungswidrig*", "zwangsgeld*",
    "bonität*", "kreditwürdig*", "insolven*", "richter*", "urteil*", "notar*", "zwangsmaßnahme*",
    "abschieb*", "eintreib*", "beitreib*", "anzeige erstatt*", "erstatten anzeige", "zur anzeige",
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
    "back of your card", "back of the card", "code", "codes", "security question*", "otps",
    "two factor*", "authenticator*", "recovery phrase*", "wallet address*", "tax id*",
    "driver s license", "drivers license", "driving licence", "log in data", "sign in details",
    "log in details", "log in with your", "front of your card", "front of the card", "long number",
    "your plastic", "printed on your", "on its back",
];

#[rustfmt::skip]
const CREDENTIALS_DE: &[&str] = &[
    "*passwort*", "*passwört*", "*kennwort*", "*kennwört*", "tan", "tans", "*prüfziffer*",
    "*prüfnummer*", "*sicherheitscode*", "*bestätigungscode*", "*zugangscode*", "*kartennummer*",
    "*zugangsdaten*", "*anmeldedaten*", "*logindaten*", "*login daten", "*bankdaten*",
    "*kontonummer*", "*bankleitzahl*", "bic", "*personalausweis*", "*reisepass*", "geburtsdatum",
    "geburtsdaten", "*geheimzahl*", "*geheimnummer*", "sicherheitsfrage*", "benutzername*",
    "fernzugriff", "fernwartung",
    "rückseite ihrer karte", "rückseite deiner karte", "rückseite der karte", "*code", "*codes",
    "*einmalpasswort*", "führerschein*", "steuernummer*", "steuer id", "*sozialversicherung*",
    "mädchenname*", "*zugangsschlüssel*", "*signaturschlüssel*", "pin nummer*", "anmeldedaten*",
    "vorderseite ihrer karte", "vorderseite deiner karte", "vorderseite der karte", "lange nummer",
];

/// Threats and pressure short of the law.
#[rustfmt::skip]
const PRESSURE_EN: &[&str] = &[
    "urgent*", "immediately", "immediate action", "immediate payment", "act now", "act fast",
    "last chance", "final chance", "final notice", "last notice", "final warning", "last warning",
    "final reminder", "last reminder", "final demand", "deadline*", "or else", "consequence*",
    "without delay", "hurry up", "suspend*", "terminat*", "shut down your", "shut your account",
    "delete your account", "delete your data", "close your account", "block your", "lock your",
    "threat*", "punish*", "warn you", "must pay", "have to pay now", "pay at once", "ultimatum*", "regret it", "we know where",
    "employer*", "your family", "your neighbo*", "your boss", "to your home", "to your house",
    "lose your account", "lose access", "account is deleted", "account will be deleted", "pay within",
];

#[rustfmt::skip]
const PRESSURE_DE: &[&str] = &[
    "dringend*", "unverzüglich*", "sofort zahlen", "sofort bezahlen", "sofort überweisen",
    "zahlen sie sofort", "bezahlen sie sofort", "umgehend zahlen", "umgehend bezahlen",
    "zahlen sie umgehend", "letzte warnung", "letzte chance", "letzte erinnerung",
    "letzte gelegenheit", "letztmalig*", "frist", "fristen", "fristlos*", "konsequenz*", "droht",
    "drohen", "drohung*", "androh*", "sperren wir", "wir sperren", "konto sperren",
    "zugang sperren", "konto gesperrt", "zugang gesperrt", "löschen ihr konto", "konto löschen",
    "daten löschen", "kündigen wir ihnen", "wir kündigen", "warnen sie", "zwingen", "gezwungen",
    "müssen sofort", "ultimatum*", "bereuen",
    "arbeitgeber*", "ihre familie", "ihrer familie", "ihre nachbarn", "zu ihnen nach hause",
    "verlieren ihr konto", "verlieren den zugang", "zahlen sie innerhalb", "bezahlen sie innerhalb",
];

/// A reader is led to pay or to talk somewhere else than the one link and the reply.
#[rustfmt::skip]
const ELSEWHERE_EN: &[&str] = &[
    "paypal*", "venmo", "zelle", "cashapp", "cash app", "moneygram", "revolut", "bank transfer*",
    "wire transfer*", "money order*", "prepaid card*", "our new bank", "our new account",
    "another account of ours", "different account of ours", "whatsapp*", "telegram*",
    "qr", "scan the", "attachment*", "attached file*", "install*", "scan this",
    // Addresses as they are read out.
    "dot", "full stop", "slash", "search the web", "search online", "search for", "google*", "first hit",
    "first result",
];

#[rustfmt::skip]
const ELSEWHERE_DE: &[&str] = &[
    "*überweisung*", "per überweisung", "unser neues konto", "auf unser konto", "neue bank",
    "neue bankverbindung", "paysafe*", "anhang", "anhänge", "installier*", "scannen*",
    "punkt com", "punkt de", "punkt net", "punkt org", "punkt info", "punkt io", "punkt eu", "punkt at", "punkt ch",
    "schrägstrich", "suchen sie im internet", "suchen sie im netz", "erster treffer", "ersten treffer",
];

/// What nobody is called.
#[rustfmt::skip]
const INSULT: &[&str] = &[
    "idiot*", "stupid*", "moron*", "loser*", "*fuck*", "*shit*", "asshole*", "bastard*", "bitch*",
    "scum*", "liar*", "thief", "thieves", "deadbeat*", "pathetic", "dummkopf*", "arschloch*",
    "scheiß*", "lügner*", "dieb", "diebe", "versager*", "schmarotzer*", "dreckig*",
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
    "personal data", "expiry date*", "expiration date*", "digits", "photo*", "picture*", "scan*",
    "copy of your", "phone number*", "home address*", "postal address*", "signature*", "selfie*",
    "ablaufdatum*", "gültigkeitsdatum*", "ziffern", "foto*", "kopie*", "telefonnummer*",
    "handynummer*", "identity", "login", "id card", "identification", "*kartendaten*",
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
    "halben", "halber", "doppelt", "doppelte", "doppelten", "couple", "few", "several", "twofold",
    "threefold", "tenfold", "paar", "einige", "mehrere", "zweifach", "dreifach", "zehnfach",
];

/// Numbers that are articles too: they make an amount only right beside a unit.
#[rustfmt::skip]
pub const ARTICLES: &[&str] = &[
    "a", "an", "one", "ein", "eine", "einen", "einem", "einer", "few", "several", "paar", "einige",
    "mehrere",
];

/// What turns a number beside it into an amount.
#[rustfmt::skip]
pub const UNITS: &[&str] = &[
    "dollar*", "euro", "euros", "eur", "usd", "gbp", "chf", "jpy", "cad", "aud", "pound",
    "pounds", "sterling", "quid", "pence", "penny", "pennies", "cent", "cents", "buck", "bucks",
    "franc", "francs", "yen", "yuan", "rupee*", "peso*", "krona", "kronor", "krone", "kroner",
    "zloty*", "shekel*", "ruble*", "rouble*", "percent*", "per cent", "off", "discount*",
    "rebate*", "cheaper", "pfund", "franken", "rappen", "kronen", "rubel", "prozent*", "rabatt*",
    "nachlass*", "ermäßigung*", "günstiger", "billiger", "kr", "sek", "nok", "dkk", "pln", "czk",
    "huf", "inr", "brl", "mxn", "zar", "cny", "rmb", "renminbi", "lira", "lire", "dirham*",
    "dinar*", "riyal*", "baht", "ringgit", "forint*", "koruna*", "hryvnia*", "naira", "promille",
    "reduction*", "taler", "cts",
];
