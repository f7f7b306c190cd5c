use super::*;
use crate::agent::model::Call as Made;

fn judged(key: &str, delay_days: u32) -> Judged {
    Judged {
        call: Made {
            id: "1".to_owned(),
            name: "schedule_winback".to_owned(),
            arguments: "no JSON".to_owned(),
        },
        by_rules: false,
        refused: None,
        result: Value::Null,
        proposal: Some((
            key.to_owned(),
            billhook_tools::Proposal::ScheduleWinback {
                subscription: "sub_1".to_owned(),
                delay_days,
                campaign: billhook_tools::Campaign::AskWhy,
            },
        )),
    }
}

#[test]
fn what_is_of_one_kind_stands_side_by_side() {
    let (then, now) = (["mail", "sales", "mail"], ["sales", "mail", "finance"]);
    let pairs = pairs(&then, &now, |kind| (*kind).to_owned());
    let sides: Vec<(bool, &str, bool)> = pairs
        .iter()
        .map(|(kind, then, now)| (then.is_some(), kind.as_str(), now.is_some()))
        .collect();
    assert_eq!(
        sides,
        [
            (true, "mail", true),
            (true, "sales", true),
            (true, "mail", false),
            (false, "finance", true),
        ]
    );
}

#[test]
fn a_schedule_is_one_effect_however_often_it_is_proposed() {
    let effects = effects(&[judged("b", 7), judged("b", 9), judged("a", 7)]);
    let words: Vec<String> = effects.iter().map(in_words).collect();
    let one = "schedule_winback subscription=sub_1 delay_days=7 campaign=ask_why";
    assert_eq!(words, [one, one]);
    let call = Call::from(judged("a", 7));
    assert_eq!(call.arguments, json!("no JSON"));
    assert_eq!(call.in_words(), "allowed, by the model");
}
