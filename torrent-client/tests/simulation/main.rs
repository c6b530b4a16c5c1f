//! Swarms of the real engine in simulated time: a simulated network, disks in memory, a simulated tracker.
//!
//! Everything is decided by one seed, which is printed; `SIMULATION_SEED` sets another one.

mod disk;
mod hostile;
mod network;
mod swarms;
mod tracker;
mod world;
