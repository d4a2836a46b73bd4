//! Situations in which a cluster could lose a message, deliver it twice or in another order: each is
//! driven into exactly, and what clients see is asserted. A transcript is printed on failure.

mod clocks;
mod cut_off_leader;
mod dying_leader;
mod exchanges;
mod lost_broker;
mod new_leader;
mod order;
mod repeats;
