//! The access rules in force, which any thread may replace while others answer requests.
//!
//! Those detect new rules by comparing a pointer, and touch a reference count only when there are some.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::AccessRules;

/// The access rules in force. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct SharedAccess(Arc<ArcSwap<AccessRules>>);

/// One thread's view of the access rules in force.
pub(crate) type AccessView = Cache<Arc<ArcSwap<AccessRules>>, Arc<AccessRules>>;

impl SharedAccess {
    pub(crate) fn new(rules: AccessRules) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(rules)))
    }

    pub(crate) fn replace(&self, rules: AccessRules) {
        self.0.store(Arc::new(rules));
    }

    pub(crate) fn get(&self) -> Arc<AccessRules> {
        self.0.load_full()
    }

    pub(crate) fn view(&self) -> AccessView {
        Cache::new(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udp_tracker_proto::InfoHash;

    #[test]
    fn a_view_sees_the_rules_that_replaced_its_own() {
        let torrent = InfoHash([1; 20]);
        let shared = SharedAccess::new(AccessRules::all());
        let mut view = shared.view();
        assert!(view.load().serves(&torrent, 0));
        shared.replace(AccessRules::unlisted([torrent]));
        assert!(!view.load().serves(&torrent, 0));
        assert!(!shared.get().serves(&torrent, 0));
    }
}
