//! The view of a subscription schedule: what a subscription is to become, and when.

use super::{Reading, id, int, text};

pub(in crate::stripe) fn read(reading: &mut Reading<'_>) {
    reading.fields(id, &["customer", "subscription", "released_subscription"]);
    reading.fields(text, &["status", "end_behavior"]);
    reading.field_of("phase_start", int, "current_phase", "start_date");
    reading.field_of("phase_end", int, "current_phase", "end_date");
    reading.fields(
        int,
        &["canceled_at", "completed_at", "released_at", "created"],
    );
}
