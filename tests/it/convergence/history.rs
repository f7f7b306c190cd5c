//! Histories of a small business, drawn from a seed: plausible stories over few objects, so that they meet, objects that
//! live through their tables, and events that no story explains.

mod cast;
mod stories;

use std::collections::BTreeSet;

use billhook::guardrails::mandatory::{RULES, Rule};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use crate::support::bench::START;
use crate::support::fixture::{Object, Shape, Told};

/// One delivery: which event, and in which shape.
pub(super) type Telling = (usize, Shape);

/// Events in the order in which they happened, and how each is told.
pub(super) struct History {
    pub(super) events: Vec<Told>,
    pub(super) tellings: Vec<Telling>,
}

impl History {
    /// The history of a seed: the same one each time.
    pub(super) fn draw(seed: u64) -> Self {
        let mut draw = Draw {
            rng: StdRng::seed_from_u64(seed),
            now: START - 86_400,
            account: None,
            livemode: true,
            events: Vec::new(),
            ids: BTreeSet::new(),
        };
        let wanted = draw.rng.random_range(4..=12);
        while draw.events.len() < wanted {
            draw.account = draw.chance(0.1).then_some("_second");
            draw.livemode = !draw.chance(0.1);
            draw.story();
        }
        let tellings = draw.tellings();
        Self {
            events: draw.events,
            tellings,
        }
    }

    /// Tellings as a person can read them.
    pub(super) fn shown(&self, tellings: &[Telling]) -> String {
        let line = |(event, shape): &Telling| format!("  {shape:?} {:?}", self.events[*event]);
        let lines: Vec<String> = tellings.iter().map(line).collect();
        lines.join("\n") + "\n"
    }
}

/// What is drawn from, and what was drawn.
struct Draw {
    rng: StdRng,
    now: i64,
    /// Whose events they are: the business's own account, or one that is connected to it.
    account: Option<&'static str>,
    livemode: bool,
    events: Vec<Told>,
    ids: BTreeSet<String>,
}

impl Draw {
    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        *items.choose(&mut self.rng).unwrap()
    }

    fn id(&mut self, prefix: &str, of: u32) -> String {
        format!("{prefix}_{}", self.rng.random_range(0..of))
    }

    /// Most events of a story fall into one second.
    fn pass(&mut self) {
        self.now += match self.rng.random_range(0..20) {
            0..12 => 0,
            12..17 => 1,
            17..19 => 4,
            _ => 90_000,
        };
    }

    fn tell(&mut self, kind: &'static str, object: impl Into<Object>) {
        self.tell_change(kind, object, None);
    }

    fn tell_change(
        &mut self,
        kind: &'static str,
        object: impl Into<Object>,
        before: Option<Object>,
    ) {
        self.pass();
        // Ids say nothing about the order: they only break ties.
        let mut id = format!("{:05}", self.rng.random_range(0..100_000));
        while !self.ids.insert(id.clone()) {
            id.push('x');
        }
        let mut told = Told::new(id, kind, self.now, object);
        if let Some(before) = before {
            told = told.changed_from(before);
        }
        told.account = self.account.map(str::to_owned);
        told.livemode = self.livemode;
        self.events.push(told);
    }

    fn story(&mut self) {
        match self.rng.random_range(0..16) {
            0 => self.somebody(),
            1 | 2 => self.purchase(),
            3 => self.subscribing(),
            4 | 5 => self.renewal(),
            6 => self.leaving(),
            7 | 8 => self.reversal(),
            9 => self.connecting(),
            10..13 => self.life(),
            _ => self.anything(),
        }
    }

    /// An event that no story explains: a redelivery of an older time, a state out of the blue.
    fn anything(&mut self) {
        if self.chance(0.2) {
            self.now -= self.one_of(&[1, 5, 90_000]);
        }
        let rule = self.rule(|_| true);
        let object = self.object(rule);
        let before = self.chance(0.5).then(|| {
            let mut before = object.clone();
            self.stir(&mut before);
            before
        });
        self.tell_change(rule.event_type, object, before);
    }

    fn rule(&mut self, of: impl Fn(&Rule) -> bool) -> &'static Rule {
        let rules: Vec<&'static Rule> = RULES.iter().filter(|rule| of(rule)).collect();
        self.one_of(&rules)
    }

    /// Every event once, in one shape or in those of two endpoints.
    fn tellings(&mut self) -> Vec<Telling> {
        let both = self.chance(0.3);
        let only = self.chance(0.5).then(|| self.one_of(&Shape::ALL));
        let mut shapes = Shape::ALL;
        let mut tellings = Vec::new();
        for event in 0..self.events.len() {
            shapes.shuffle(&mut self.rng);
            let [one, other, ..] = shapes;
            tellings.push((event, only.unwrap_or(one)));
            if both && self.chance(0.4) && only != Some(other) {
                tellings.push((event, other));
            }
        }
        tellings
    }
}

/// What is drawn covers every event type that has mandatory updates, in every shape, and both accounts and modes:
/// otherwise the property says less than it seems to.
#[test]
fn histories_tell_of_everything() {
    let (mut kinds, mut shapes, mut places) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for history in (0..600).map(History::draw) {
        shapes.extend(history.tellings.iter().map(|(_, shape)| *shape));
        for told in history.events {
            kinds.insert(told.kind);
            places.insert((told.account, told.livemode));
        }
    }
    for rule in RULES {
        assert!(kinds.contains(rule.event_type), "{}", rule.event_type);
    }
    assert_eq!(shapes.len(), Shape::ALL.len());
    assert_eq!(places.len(), 4);
}
