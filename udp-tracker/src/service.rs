//! The state that the threads of a tracker share: without a socket, a clock or a thread.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};
use swarm_store::Memory;

use crate::access::{AccessRules, AccessView, SharedAccess};
use crate::connection_ids::ConnectionIds;
use crate::connection_keys::ConnectionKeys;
use crate::count::Count;
use crate::counters::{Counters, Registry, Snapshot};
use crate::in_force::InForce;
use crate::policy::Policy;
use crate::rate_limit::{RateLimits, Verdict};
use crate::settings::{InvalidValue, Settings};
use crate::stores::Stores;
use crate::takeover::Changes;

/// The state that the [`Handler`](crate::Handler)s of a tracker share: settings, swarms, the secret key of connection
/// ids, the access rules, a policy, and counters.
///
/// ```
/// use std::sync::Arc;
/// use udp_tracker::{AccessRules, Family, InfoHash, Service, Settings};
///
/// let service = Service::new(Settings::default())?.with_access(AccessRules::listed([InfoHash([7; 20])]));
/// let service = Arc::new(service);
/// // Handlers, or a tracker, are made from it. The embedder can use it at the same time:
/// service.set_access(AccessRules::all());
/// assert_eq!(service.stores().totals(Family::V4).peers, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Service {
    settings: Arc<ArcSwap<Settings>>,
    stores: Stores,
    connection_ids: Arc<ArcSwap<ConnectionIds>>,
    access: SharedAccess,
    policy: Option<Box<dyn Policy>>,
    /// Where handlers put announces while a successor takes over.
    changes: Arc<ArcSwapOption<Changes>>,
    counters: Registry<Count>,
    /// Made when a limit is set.
    rate_limits: OnceLock<RateLimits>,
    /// Asked when something is made, never for a datagram.
    random: Mutex<StdRng>,
}

/// Why a service can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A setting is invalid.
    #[error("invalid value: {0}")]
    InvalidValue(#[from] InvalidValue),
    /// The system's random source failed.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// The system's random source failed.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes from the system: {0}")]
pub struct NoRandomness(String);

impl Service {
    /// A tracker without peers. It serves all torrents, and has a random connection key.
    ///
    /// # Errors
    /// A setting is invalid, or the system's random source failed.
    pub fn new(settings: Settings) -> Result<Self, ServiceError> {
        let random = StdRng::try_from_rng(&mut SysRng).map_err(|error| NoRandomness(error.to_string()))?;
        Ok(Self::with_random(settings, random)?)
    }

    /// The same, with all keys and everything else that is random drawn from `seed`, so that a simulation can be repeated.
    /// Never for a tracker that others can reach: whoever knows the seed knows the keys.
    ///
    /// # Errors
    /// An invalid setting.
    pub fn from_seed(settings: Settings, seed: u64) -> Result<Self, InvalidValue> {
        Self::with_random(settings, StdRng::seed_from_u64(seed))
    }

    fn with_random(settings: Settings, mut random: StdRng) -> Result<Self, InvalidValue> {
        settings.check()?;
        let memory = match settings.max_store_bytes {
            0 => Memory::unlimited(),
            bytes => Memory::up_to(bytes),
        };
        let keys = [bytes(&mut random), bytes(&mut random)];
        let service = Self {
            stores: Stores::new(keys, settings.peer_lifetime, settings.limits(), memory),
            connection_ids: Arc::new(ArcSwap::from_pointee(connection_ids(
                &bytes(&mut random).into(),
                &settings,
            ))),
            access: SharedAccess::new(AccessRules::all()),
            policy: None,
            changes: Arc::default(),
            counters: Registry::default(),
            rate_limits: OnceLock::new(),
            random: Mutex::new(random),
            settings: Arc::new(ArcSwap::from_pointee(settings)),
        };
        service.make_rate_limits();
        Ok(service)
    }

    /// The same service with these connection keys. Machines with the same keys accept each other's connection ids.
    #[must_use]
    pub fn with_connection_keys(self, keys: &ConnectionKeys) -> Self {
        self.set_connection_keys(keys);
        self
    }

    /// Puts connection keys in force. Ids that were made with a key that is not among them are not accepted any more.
    pub fn set_connection_keys(&self, keys: &ConnectionKeys) {
        self.connection_ids.store(Arc::new(connection_ids(keys, &self.settings.load())));
    }

    /// The same service with these access rules.
    #[must_use]
    pub fn with_access(self, rules: AccessRules) -> Self {
        self.set_access(rules);
        self
    }

    /// The same service with a policy that decides about announces.
    #[must_use]
    pub fn with_policy(self, policy: impl Policy + 'static) -> Self {
        Self { policy: Some(Box::new(policy)), ..self }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Puts those of `settings` in force that can change while requests are handled: `announce_interval`,
    /// `default_peers`, `max_peers`, `dialect_2004`, `trusted_ip_sources`, `proxy_protocol_sources`, `min_peer_port`
    /// and `requests_per_second_per_network`. The others keep their values. Requests that are handled after this call follow them; a batch that is being
    /// handled is finished first.
    ///
    /// # Errors
    /// An invalid setting, or one that is invalid together with those that keep their values. Then nothing changes.
    pub fn set_settings(&self, settings: &Settings) -> Result<(), InvalidValue> {
        self.settings.store(Arc::new(self.changed_settings(settings)?));
        self.make_rate_limits();
        Ok(())
    }

    /// Whether [`set_settings`](Self::set_settings) would accept these settings.
    ///
    /// # Errors
    /// As for that.
    pub fn check_settings(&self, settings: &Settings) -> Result<(), InvalidValue> {
        self.changed_settings(settings).map(|_| ())
    }

    fn changed_settings(&self, settings: &Settings) -> Result<Settings, InvalidValue> {
        let mut changed = Settings::clone(&self.settings.load());
        changed.announce_interval = settings.announce_interval;
        changed.default_peers = settings.default_peers;
        changed.max_peers = settings.max_peers;
        changed.dialect_2004 = settings.dialect_2004;
        changed.trusted_ip_sources.clone_from(&settings.trusted_ip_sources);
        changed.proxy_protocol_sources.clone_from(&settings.proxy_protocol_sources);
        changed.min_peer_port = settings.min_peer_port;
        changed.requests_per_second_per_network = settings.requests_per_second_per_network;
        changed.check()?;
        Ok(changed)
    }

    /// The swarms.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Issues and accepts connection ids, with the keys in force.
    #[must_use]
    pub fn connection_ids(&self) -> Arc<ConnectionIds> {
        self.connection_ids.load_full()
    }

    /// The access rules in force.
    #[must_use]
    pub fn access(&self) -> Arc<AccessRules> {
        self.access.get()
    }

    /// Puts access rules in force. Requests that are handled after this call follow them; peers that are stored already
    /// stay until they expire, but those of torrents that are not served are not returned any more.
    pub fn set_access(&self, rules: AccessRules) {
        self.access.replace(rules);
    }

    /// The counters of all handlers of this service, added up.
    #[must_use]
    pub fn counters(&self) -> Snapshot<Count> {
        self.counters.snapshot()
    }

    /// Bytes that cannot be predicted, unless the service was made from a seed.
    pub(crate) fn random_bytes<const N: usize>(&self) -> [u8; N] {
        bytes(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a request of a client whose address is proven.
    pub(crate) fn take_request(&self, now: u64, source: IpAddr, settings: &Settings) -> Verdict {
        let limit = settings.requests_per_second_per_network;
        match self.rate_limits.get() {
            // Gateways send the requests of many.
            Some(limits) if limit > 0 && !settings.is_trusted(source) => limits.take(now, source, limit),
            _ => Verdict::Answer,
        }
    }

    fn make_rate_limits(&self) {
        if self.settings.load().requests_per_second_per_network > 0 {
            self.rate_limits.get_or_init(|| RateLimits::new(self.random_bytes()));
        }
    }

    pub(crate) fn settings_in_force(&self) -> InForce<Arc<Settings>> {
        InForce::new(&self.settings)
    }

    pub(crate) fn connection_ids_in_force(&self) -> InForce<Arc<ConnectionIds>> {
        InForce::new(&self.connection_ids)
    }

    pub(crate) fn collect_changes(&self, changes: Option<Arc<Changes>>) {
        self.changes.store(changes);
    }

    pub(crate) fn changes_in_force(&self) -> InForce<Option<Arc<Changes>>> {
        InForce::new(&self.changes)
    }

    pub(crate) fn access_view(&self) -> AccessView {
        self.access.view()
    }

    pub(crate) fn policy(&self) -> Option<&dyn Policy> {
        self.policy.as_deref()
    }

    pub(crate) fn register_counters(&self) -> Arc<Counters<Count>> {
        self.counters.register()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings.load()).finish_non_exhaustive()
    }
}

fn connection_ids(keys: &ConnectionKeys, settings: &Settings) -> ConnectionIds {
    ConnectionIds::new(keys, settings.connection_id_lifetime, settings.connection_id_ipv6_prefix)
}

fn bytes<const N: usize>(random: &mut StdRng) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill_bytes(&mut bytes);
    bytes
}
