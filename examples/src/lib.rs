//! Short programs, one idea each: `cargo run -p examples --example NAME`.
