//! Fair samples: windows over lists of peers in random order.

use rand::{Rng, RngExt};

use crate::work;

/// The place of a peer: among the seeders or the leechers, in which list, and at which position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seeder: bool,
    pub(crate) list: usize,
    pub(crate) at: usize,
}

/// A list, and a position in it.
pub(crate) type At = (usize, usize);

/// How many of `wanted` peers must be seeders: the seeders' share of the peers that may be returned. A remainder is
/// decided at random, so that each peer is equally likely.
pub(crate) fn seeders_share(wanted: usize, seeders: usize, leechers: usize, rng: &mut impl Rng) -> usize {
    let all = seeders + leechers;
    if seeders == 0 || leechers == 0 || wanted >= all {
        return wanted.min(seeders);
    }
    let share = wanted * seeders;
    share / all + usize::from(rng.random_range(0..all) < share % all)
}

/// A random position in one list, except that of `skip`. There must be one.
pub(crate) fn start(len: usize, skip: Option<At>, rng: &mut impl Rng) -> usize {
    match skip {
        None => rng.random_range(0..len),
        Some((_, skip)) => {
            let at = rng.random_range(0..len - 1);
            at + usize::from(at >= skip)
        }
    }
}

/// How many lists without peers a window may pass.
const EMPTY_LISTS: usize = 32;

/// Fills `out` with the peers from a place on: to the end of its list, through the next lists, and from the last list
/// to the first, back to where it began, without the peer at `skip`. There must be enough peers.
///
/// Returns how many were written: all, unless many lists were empty.
pub(crate) fn window<'a, const N: usize>(
    lists: usize,
    list: impl Fn(usize) -> &'a [[u8; N]],
    (mut number, mut at): At,
    skip: Option<At>,
    out: &mut [[u8; N]],
) -> usize {
    let mut written = 0;
    // On average a list has at least about a dozen peers. This many empty ones occur only with hashes that are not
    // random.
    let mut looks = out.len() + EMPTY_LISTS;
    loop {
        work::count(1);
        let peers = list(number);
        let skipped = skip.filter(|skip| skip.0 == number && skip.1 >= at).map(|skip| skip.1);
        let mut run = || {
            let to = skipped.unwrap_or(peers.len()).min(at + out.len() - written);
            out[written..written + to - at].copy_from_slice(&peers[at..to]);
            written += to - at;
            written == out.len()
        };
        if run() {
            work::count(written);
            return written;
        }
        match skipped {
            Some(skipped) => at = skipped + 1,
            None if looks == 0 => return written,
            None => {
                looks -= 1;
                number = if number + 1 < lists { number + 1 } else { 0 };
                at = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn windows_go_round_and_skip_one() {
        let lists: [&[[u8; 1]]; 4] = [&[[0], [1], [2]], &[], &[[3]], &[[4], [5]]];
        let drawn = |from, skip, len: usize| {
            let mut out = vec![[9]; len];
            assert_eq!(window(4, |list| lists[list], from, skip, &mut out), len);
            out.concat()
        };
        assert_eq!(drawn((0, 1), None, 3), [1, 2, 3]);
        assert_eq!(drawn((3, 0), None, 6), [4, 5, 0, 1, 2, 3]);
        assert_eq!(drawn((0, 0), Some((0, 2)), 4), [0, 1, 3, 4]);
        assert_eq!(drawn((0, 0), Some((2, 0)), 5), [0, 1, 2, 4, 5]);
        assert_eq!(drawn((0, 2), Some((0, 0)), 5), [2, 3, 4, 5, 1]);
        assert_eq!(drawn((2, 0), Some((0, 1)), 5), [3, 4, 5, 0, 2]);
        assert_eq!(drawn((3, 1), Some((3, 0)), 5), [5, 0, 1, 2, 3]);
        assert_eq!(drawn((0, 1), None, 0), []);
    }

    #[test]
    fn windows_end_early_among_very_many_empty_lists() {
        let drawn = |lists: usize| {
            let of = |list: usize| if list == 0 { [[1], [2], [3]].as_slice() } else { &[] };
            window(lists, of, (0, 1), None, &mut [[9]; 3])
        };
        assert_eq!((drawn(1), drawn(2), drawn(30), drawn(1000)), (3, 3, 3, 2));
    }

    #[test]
    fn shares_add_up_over_many_draws() {
        let mut rng = SmallRng::seed_from_u64(7);
        let drawn: usize = (0..30_000).map(|_| seeders_share(5, 4, 26, &mut rng)).sum();
        assert!((19_500..20_500).contains(&drawn), "{drawn}");
        assert_eq!(seeders_share(5, 0, 26, &mut rng), 0);
        assert_eq!(seeders_share(30, 4, 26, &mut rng), 4);
        assert_eq!(seeders_share(3, 4, 0, &mut rng), 3);
    }

    #[test]
    fn starts_anywhere_except_at_the_skipped_place() {
        let mut rng = SmallRng::seed_from_u64(7);
        let starts: std::collections::BTreeSet<usize> =
            (0..1000).map(|_| start(5, Some((0, 3)), &mut rng)).collect();
        assert_eq!(starts.into_iter().collect::<Vec<_>>(), [0, 1, 2, 4]);
    }
}
