use super::*;

#[test]
fn what_customers_wrote_cannot_steer_the_terminal() {
    assert_eq!(plain(&Value::from("\u{1b}]0;x\u{7}\nAda")), "]0;x Ada");
    assert_eq!(short("not a time\u{1b}"), "not a time");
}
