//! Requests without an answer: a fixed number of slots, in the order of sending.

use crate::population::Peer;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Connect.
    Connect,
    /// Announce of a peer that stays in the swarm.
    Announce,
    /// Scrape.
    Scrape,
    /// Announce with the event `stopped`.
    Stop,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Announce, Self::Scrape, Self::Stop];

    /// In lower case, such as `announce`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Announce => "announce",
            Self::Scrape => "scrape",
            Self::Stop => "stop",
        }
    }
}

/// A request without an answer, with what is needed to check the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) kind: Kind,
    /// The socket that it was sent from.
    pub(crate) socket: u16,
    /// How often it was sent before without an answer in time.
    pub(crate) tries: u8,
    /// The peer that announces; for a scrape, the first of consecutive torrents.
    pub(crate) peer: Peer,
    /// When it was due, in nanoseconds since the start.
    pub(crate) at: u64,
}

/// An answer that belongs to no waiting request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    /// Its request counted as lost before.
    Late,
    /// There was no such request, or it was answered before.
    Unknown,
}

const NONE: u32 = u32::MAX;

struct Slot {
    transaction_id: u32,
    /// The latest lost transaction of this slot.
    lost: Option<u32>,
    /// Links of the list of waiting requests, the oldest first; free slots use only `after`.
    before: u32,
    after: u32,
    request: Option<Waiting>,
}

/// The slots. A transaction_id contains the slot and how often it was used.
pub(crate) struct Pending {
    slots: Vec<Slot>,
    index_mask: u32,
    waiting: Ends,
    free: Ends,
    len: usize,
}

/// First and last of a list of slots.
#[derive(Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
}

impl Pending {
    /// Room for a number of requests, at most 2^20; `salt` makes transaction_ids look random.
    pub(crate) fn new(room: usize, salt: u32) -> Self {
        let room = u32::try_from(room).unwrap_or(u32::MAX).clamp(1, 1 << 20);
        let index_mask = room.next_power_of_two() - 1;
        let slot = |index: u32| Slot {
            transaction_id: index | salt & !index_mask,
            lost: None,
            before: NONE,
            after: if index + 1 < room { index + 1 } else { NONE },
            request: None,
        };
        Self {
            slots: (0..room).map(slot).collect(),
            index_mask,
            waiting: Ends { first: NONE, last: NONE },
            free: Ends { first: 0, last: room - 1 },
            len: 0,
        }
    }

    /// The number of waiting requests.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The number of requests that may be added.
    pub(crate) fn room(&self) -> usize {
        self.slots.len() - self.len
    }

    /// Adds a request and returns its transaction_id; `None` if there is no room.
    pub(crate) fn add(&mut self, request: Waiting) -> Option<u32> {
        let index = self.free.first;
        let mask = self.index_mask;
        let slot = self.slots.get_mut(index as usize)?;
        self.free.first = slot.after;
        if self.free.first == NONE {
            self.free.last = NONE;
        }
        slot.transaction_id = slot.transaction_id.wrapping_add(mask + 1);
        slot.request = Some(request);
        slot.before = self.waiting.last;
        slot.after = NONE;
        let transaction_id = slot.transaction_id;
        match self.slots.get_mut(self.waiting.last as usize) {
            Some(last) => last.after = index,
            None => self.waiting.first = index,
        }
        self.waiting.last = index;
        self.len += 1;
        Some(transaction_id)
    }

    /// Removes the request with the transaction_id of an answer.
    pub(crate) fn answered(&mut self, transaction_id: u32) -> Result<Waiting, Stray> {
        let index = transaction_id & self.index_mask;
        let slot = self.slots.get(index as usize).ok_or(Stray::Unknown)?;
        match slot.request {
            Some(request) if slot.transaction_id == transaction_id => {
                self.release(index);
                Ok(request)
            }
            _ if slot.lost == Some(transaction_id) => Err(Stray::Late),
            _ => Err(Stray::Unknown),
        }
    }

    /// Removes the oldest request as lost, if it was due before a time.
    pub(crate) fn lose(&mut self, before: u64) -> Option<Waiting> {
        let index = self.waiting.first;
        let slot = self.slots.get_mut(index as usize)?;
        let request = slot.request.filter(|request| request.at < before)?;
        slot.lost = Some(slot.transaction_id);
        self.release(index);
        Some(request)
    }

    /// Moves a slot from the waiting list to the end of the free list, so that it is reused as late as possible.
    fn release(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let (before, after) = (slot.before, slot.after);
        slot.request = None;
        slot.after = NONE;
        match self.slots.get_mut(before as usize) {
            Some(before) => before.after = after,
            None => self.waiting.first = after,
        }
        match self.slots.get_mut(after as usize) {
            Some(after) => after.before = before,
            None => self.waiting.last = before,
        }
        match self.slots.get_mut(self.free.last as usize) {
            Some(last) => last.after = index,
            None => self.free.first = index,
        }
        self.free.last = index;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    fn request(at: u64) -> Waiting {
        Waiting { kind: Kind::Announce, socket: 0, tries: 0, peer: Peer::default(), at }
    }

    #[test]
    fn a_request_is_answered_once() {
        let mut pending = Pending::new(3, 0xdead_beef);
        let ids = [1, 2, 3].map(|at| pending.add(request(at)).unwrap());
        assert_eq!(pending.add(request(4)), None);
        assert_eq!(pending.answered(ids[1]), Ok(request(2)));
        assert_eq!(pending.answered(ids[1]), Err(Stray::Unknown));
        assert_eq!((pending.len(), pending.room()), (2, 1));
        let fourth = pending.add(request(4)).unwrap();
        assert!(!ids.contains(&fourth));
        assert_eq!(pending.answered(ids[1]), Err(Stray::Unknown));
        assert_eq!(pending.answered(fourth), Ok(request(4)));
        assert_eq!(pending.answered(3), Err(Stray::Unknown));
    }

    #[test]
    fn the_oldest_are_lost_first_and_their_answers_are_late() {
        let mut pending = Pending::new(4, 7);
        let ids = [10, 20, 30].map(|at| pending.add(request(at)).unwrap());
        assert_eq!(pending.lose(10), None);
        assert_eq!(pending.lose(25), Some(request(10)));
        assert_eq!(pending.lose(25), Some(request(20)));
        assert_eq!(pending.lose(25), None);
        assert_eq!(pending.answered(ids[0]), Err(Stray::Late));
        assert_eq!(pending.answered(ids[2]), Ok(request(30)));
        assert_eq!(pending.len(), 0);
    }

    /// Compares with a plain list: any order of adding, answering and losing.
    #[test]
    fn behaves_like_a_list() {
        let mut rng = crate::population::rng(1);
        let mut pending = Pending::new(20, 0);
        let mut model: Vec<(u32, u64)> = Vec::new();
        for at in 0..20_000 {
            match rng.random_range(0..5) {
                0..=2 => match pending.add(request(at)) {
                    Some(id) => model.push((id, at)),
                    None => assert_eq!(model.len(), 20),
                },
                3 if !model.is_empty() => {
                    let (id, at) = model.remove(rng.random_range(0..model.len()));
                    assert_eq!(pending.answered(id), Ok(request(at)));
                }
                _ => {
                    let before = at.saturating_sub(15);
                    let expected = model.first().copied().filter(|(_, at)| *at < before);
                    assert_eq!(pending.lose(before), expected.map(|(_, at)| request(at)));
                    if expected.is_some() {
                        model.remove(0);
                    }
                }
            }
            assert_eq!(pending.len(), model.len());
        }
    }
}
