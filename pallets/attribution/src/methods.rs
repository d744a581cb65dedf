//! The attribution methods this chain starts with.

use crate::{pallet::*, types::Method};
use alloc::{vec, vec::Vec};
use weft_protocol::hash::content_id;

/// Specification of method 0: attribution off, points by trained tokens.
pub const METHOD_0: &[u8] = include_bytes!("../methods/0.md");
/// Specification of method 1: influence by exact replay with one cotangent.
pub const METHOD_1: &[u8] = include_bytes!("../methods/1.md");
/// Class whose operators compute both methods.
pub const CLASS: &str = "cpu-f32/1";

/// Methods 0 and 1, as [`GenesisConfig`] has them by default: (id, content id of the specification, `sem_id`).
pub fn built_in() -> Vec<(u16, [u8; 32], [u8; 32])> {
    let sem_id = weft_protocol::run::sem_id(CLASS, weft_protocol::graph::VERSION);
    vec![(0, content_id(METHOD_0), sem_id), (1, content_id(METHOD_1), sem_id)]
}

impl<T: Config> Pallet<T> {
    /// Writes the methods of the genesis configuration, all active.
    pub(crate) fn register_methods(methods: &[(u16, [u8; 32], [u8; 32])]) {
        for (id, spec, sem_id) in methods {
            Methods::<T>::insert(id, Method { spec: *spec, sem_id: *sem_id, active: true });
        }
    }

    /// Whether a model may be attributed by the method.
    pub(crate) fn is_active(method: u16) -> bool {
        Methods::<T>::get(method).is_some_and(|method| method.active)
    }
}
