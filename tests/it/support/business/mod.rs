//! A business whose payments fail and succeed, the Stripe that tells of them, and the books that must agree in the end,
//! whatever was killed or stopped meanwhile.

mod books;
mod report;
mod stories;
mod stripe;

pub(crate) use books::Books;
pub(crate) use stories::Stories;
pub(crate) use stripe::Stripe;
