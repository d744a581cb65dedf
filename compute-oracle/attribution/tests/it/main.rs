//! Whole runs: equal everywhere, after a stop and after a kill; the replay against brute force.
#![allow(missing_docs, reason = "tests")]

mod crash;
mod replay;
mod run;
