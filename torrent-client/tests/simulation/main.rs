//! Swarms of the real engine in simulated time: a simulated network, disks in memory, a simulated tracker.
//!
//! One seed decides everything. It is printed; `SIMULATION_SEED` sets another one.

mod disk;
mod hostile;
mod network;
mod swarms;
mod tracker;
mod world;
