//! When a node starts its command again, so that others of its cluster do not at the same time.
//!
//! Nodes do not talk to each other about it: each has a slot of its own in a cycle that begins at a time
//! which all of them know, and starts again in its slot only. So it does not matter who notices a change
//! first. Nothing here looks at a clock.

use jiff::{SignedDuration, Timestamp};

/// A node's place in the cycle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Turn {
    /// When the cycle began.
    pub from: Timestamp,
    /// The node's slot, from 0.
    pub slot: usize,
    /// How many slots there are: at least one.
    pub slots: usize,
}

impl Turn {
    /// Of the node at `rank` of `nodes`, when nothing sets a time.
    #[must_use]
    pub fn of_any_change(rank: usize, nodes: usize) -> Self {
        Self { from: Timestamp::UNIX_EPOCH, slot: rank % nodes.max(1), slots: nodes.max(1) }
    }

    /// Of the node at `rank` of `nodes`, when the key of the one at `whose` begins to count.
    ///
    /// That one is in the middle. A node that was started again knows the new key and not the old one, so
    /// the ones before it can reach each other and those that come after, and so can the ones behind it and
    /// the node itself: of three nodes two always can. Were it the first or the last, the one whose turn it
    /// is would be missing from either half.
    #[must_use]
    pub fn of_a_cut_over(from: Timestamp, rank: usize, whose: usize, nodes: usize) -> Self {
        let slots = nodes.max(1);
        Self { from, slot: (rank + slots - whose % slots + slots / 2) % slots, slots }
    }

    /// The next time at which the node starts its command again: now, if its slot has just begun.
    #[must_use]
    pub fn next(self, now: Timestamp, stagger: SignedDuration) -> Timestamp {
        let (length, since) = (stagger.as_millis(), now.duration_since(self.from).as_millis());
        if length <= 0 {
            return now;
        }
        let (slot, slots) = (self.slot as i128, self.slots as i128);
        let current = since.div_euclid(length);
        // It takes a while: what begins in the second half would reach into the next one's slot.
        let has_just_begun = since.rem_euclid(length) * 2 < length;
        if current.rem_euclid(slots) == slot && has_just_begun && since >= 0 {
            return now;
        }
        let first = current.max(-1) + 1;
        let next = first + (slot - first).rem_euclid(slots);
        let wait = i64::try_from(next * length - since).unwrap_or(i64::MAX);
        now.saturating_add(SignedDuration::from_millis(wait)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const STAGGER: SignedDuration = SignedDuration::from_secs(60);

    #[test]
    fn each_node_has_a_slot_of_its_own_whenever_it_notices() {
        for noticed in [0, 1, 59, 60, 61, 179, 180, 1_000_003] {
            let slots: Vec<i64> = (0..3)
                .map(|rank| {
                    Turn::of_any_change(rank, 3).next(at(noticed + i64::try_from(rank).unwrap()), STAGGER)
                })
                .map(|next| next.as_second() / 60 % 3)
                .collect();
            assert_eq!(slots, [0, 1, 2], "{noticed}");
        }
    }

    #[test]
    fn a_slot_that_has_just_begun_is_taken_and_one_that_is_half_over_is_not() {
        let turn = Turn::of_any_change(1, 3);
        assert_eq!(turn.next(at(60), STAGGER), at(60));
        assert_eq!(turn.next(at(89), STAGGER), at(89));
        assert_eq!(turn.next(at(91), STAGGER), at(240));
        assert_eq!(turn.next(at(0), STAGGER), at(60));
        assert_eq!(Turn::of_any_change(0, 1).next(at(91), STAGGER), at(120));
        assert_eq!(turn.next(at(91), SignedDuration::ZERO), at(91));
    }

    #[test]
    fn at_a_cut_over_nobody_begins_before_it_and_whose_key_it_is_comes_in_the_middle() {
        let from = at(1000);
        for whose in 0..3 {
            let order: Vec<usize> = {
                let mut turns: Vec<(Timestamp, usize)> = (0..3)
                    .map(|rank| (Turn::of_a_cut_over(from, rank, whose, 3).next(at(900), STAGGER), rank))
                    .collect();
                turns.sort_unstable();
                assert_eq!(turns[0].0, from);
                assert_eq!(turns[2].0, at(1120));
                turns.into_iter().map(|(_, rank)| rank).collect()
            };
            assert_eq!(order[1], whose);
            // Whoever is down, two of the others know the same key of the one in the middle.
            for down in 0..3 {
                let knows_new = |at: usize| at < down;
                let up: Vec<usize> = (0..3).filter(|at| *at != down).collect();
                let reach = |a: usize, b: usize| {
                    let runs_new = down > 1;
                    let other = if a == 1 { b } else { a };
                    if a != 1 && b != 1 { true } else { knows_new(other) == runs_new }
                };
                assert!(reach(up[0], up[1]), "while {down} is down");
            }
        }
    }

    #[test]
    fn many_nodes_have_many_slots() {
        let mut slots: Vec<usize> = (0..7).map(|rank| Turn::of_a_cut_over(at(0), rank, 5, 7).slot).collect();
        assert_eq!(slots[5], 3);
        slots.sort_unstable();
        assert_eq!(slots, [0, 1, 2, 3, 4, 5, 6]);
    }
}
