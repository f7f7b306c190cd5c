//! The doorbell: rung after a commit by whoever made work due, heard by the loops that look for it.
//!
//! Ringing never waits and never fails. A ring says only "look"; how often it rang is forgotten, and polling finds what
//! no ring announced.

use std::sync::Arc;

use tokio::sync::watch;

/// What may be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bell {
    /// Events to apply, or follow-ups to decide.
    Inbox,
    /// Messages to send.
    Outbox,
}

/// Which bells are to be rung elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bells {
    inbox: bool,
    outbox: bool,
}

impl Bells {
    /// Every bell: for whoever may have missed some.
    pub(super) const ALL: Self = Self {
        inbox: true,
        outbox: true,
    };

    fn add(&mut self, other: Self) {
        self.inbox |= other.inbox;
        self.outbox |= other.outbox;
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn each(self) -> impl Iterator<Item = Bell> {
        let inbox = self.inbox.then_some(Bell::Inbox);
        inbox.into_iter().chain(self.outbox.then_some(Bell::Outbox))
    }

    /// As it travels: who rang, and what.
    pub(super) fn write(self, ringer: &str) -> String {
        let words = self.each().map(|bell| match bell {
            Bell::Inbox => " inbox",
            Bell::Outbox => " outbox",
        });
        words.fold(ringer.to_owned(), |text, word| text + word)
    }

    /// What another process rang; what this one rang itself was heard here already.
    pub(super) fn read(text: &str, own_ringer: &str) -> Self {
        let mut words = text.split(' ');
        let mut bells = Self::default();
        if words.next() == Some(own_ringer) {
            return bells;
        }
        for word in words {
            match word {
                "inbox" => bells.inbox = true,
                "outbox" => bells.outbox = true,
                // A later billhook may know more bells.
                _ => {}
            }
        }
        bells
    }
}

impl From<Bell> for Bells {
    fn from(bell: Bell) -> Self {
        Self {
            inbox: bell == Bell::Inbox,
            outbox: bell == Bell::Outbox,
        }
    }
}

/// Rings bells here and in other processes; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Doorbell(Arc<Ropes>);

#[derive(Debug, Default)]
struct Ropes {
    inbox: watch::Sender<()>,
    outbox: watch::Sender<()>,
    /// What was rung here and not yet carried to other processes.
    outward: watch::Sender<Bells>,
}

impl Doorbell {
    /// Wakes whoever listens, here and in other processes. Ring after the commit: who hears it looks at once.
    pub fn ring(&self, bell: Bell) {
        self.ring_here(bell);
        self.ring_away(bell.into());
    }

    /// Wakes whoever listens in this process.
    pub fn ring_here(&self, bell: Bell) {
        self.rope(bell).send_replace(());
    }

    /// Hears a bell from now on.
    pub fn listen(&self, bell: Bell) -> Listener {
        Listener(self.rope(bell).subscribe())
    }

    pub(super) fn ring_away(&self, bells: Bells) {
        self.0.outward.send_modify(|waiting| waiting.add(bells));
    }

    /// Waits until something is to be carried to other processes, and takes it.
    pub(super) async fn take_outward(&self) -> Bells {
        let mut outward = self.0.outward.subscribe();
        // The sender is ours, so it cannot be gone; the borrow must end before the value is taken.
        drop(outward.wait_for(|bells| !bells.is_empty()).await);
        self.0.outward.send_replace(Bells::default())
    }

    fn rope(&self, bell: Bell) -> &watch::Sender<()> {
        match bell {
            Bell::Inbox => &self.0.inbox,
            Bell::Outbox => &self.0.outbox,
        }
    }
}

/// Hears one bell. Every listener hears every ring, and one that is busy hears it when it listens again.
#[derive(Debug)]
pub struct Listener(watch::Receiver<()>);

impl Listener {
    /// Forgets what rang so far. Do it before looking for work: what is stored after the look still wakes.
    pub fn forget(&mut self) {
        self.0.mark_unchanged();
    }

    /// Waits until the bell has rung since it was last forgotten or heard.
    pub async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            // Whoever could ring is gone; the poll goes on.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn every_listener_hears_a_ring_also_one_that_was_busy() {
        let doorbell = Doorbell::default();
        let (mut one, mut two) = (doorbell.listen(Bell::Inbox), doorbell.listen(Bell::Inbox));
        let mut other = doorbell.listen(Bell::Outbox);
        doorbell.ring(Bell::Inbox);
        doorbell.ring(Bell::Inbox);
        assert_eq!(one.rung().now_or_never(), Some(()));
        assert_eq!(one.rung().now_or_never(), None, "two rings are one");
        assert_eq!(two.rung().now_or_never(), Some(()));
        assert_eq!(other.rung().now_or_never(), None);
        doorbell.ring(Bell::Inbox);
        one.forget();
        assert_eq!(one.rung().now_or_never(), None);
    }

    #[test]
    fn what_is_rung_here_goes_out_once_and_what_was_heard_does_not() {
        let doorbell = Doorbell::default();
        doorbell.ring_here(Bell::Inbox);
        assert_eq!(doorbell.take_outward().now_or_never(), None);
        doorbell.ring(Bell::Outbox);
        doorbell.ring(Bell::Inbox);
        doorbell.ring(Bell::Outbox);
        assert_eq!(doorbell.take_outward().now_or_never(), Some(Bells::ALL));
        assert_eq!(doorbell.take_outward().now_or_never(), None);
    }

    #[test]
    fn a_ring_travels_as_text_and_does_not_come_home() {
        for bells in [Bells::ALL, Bell::Inbox.into(), Bell::Outbox.into()] {
            let text = bells.write("process_1");
            assert_eq!(Bells::read(&text, "process_2"), bells, "{text}");
            assert!(Bells::read(&text, "process_1").is_empty(), "{text}");
        }
        let later = Bells::read("process_9 outbox console", "process_1");
        assert_eq!(later, Bell::Outbox.into());
        assert!(Bells::read("", "process_1").is_empty());
    }
}
