//! Purposes and terms of licences: what a model inherits from its data.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Purpose bits of licences and grants.
pub mod purpose {
    /// Training a model.
    pub const TRAIN: u16 = 1;
    /// Evaluating a model.
    pub const EVALUATE: u16 = 1 << 1;
    /// Serving the model to anyone.
    pub const SERVE_PUBLIC: u16 = 1 << 2;
    /// Serving the model to its owner.
    pub const SERVE_PRIVATE: u16 = 1 << 3;
    /// Earning money with the model.
    pub const COMMERCIAL: u16 = 1 << 4;
    /// Training further models from the model.
    pub const DERIVE: u16 = 1 << 5;
    /// Taking the adapter away as files.
    pub const EXPORT: u16 = 1 << 6;
    /// Building an index of spans over the records.
    pub const SPAN_INDEX: u16 = 1 << 7;
    /// Reading records on one's own machine.
    pub const LOCAL_READ: u16 = 1 << 8;
    /// All purposes.
    pub const ALL: u16 = (1 << 9) - 1;

    /// Bit and name of every purpose.
    pub const NAMES: [(u16, &str); 9] = [
        (TRAIN, "train"),
        (EVALUATE, "evaluate"),
        (SERVE_PUBLIC, "serve_public"),
        (SERVE_PRIVATE, "serve_private"),
        (COMMERCIAL, "commercial"),
        (DERIVE, "derive"),
        (EXPORT, "export"),
        (SPAN_INDEX, "span_index"),
        (LOCAL_READ, "local_read"),
    ];

    /// Bit of a name.
    pub fn from_name(name: &str) -> Option<u16> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(bit, _)| *bit)
    }

    /// Whether only known bits are set, and at least one.
    pub const fn is_valid(bits: u16) -> bool {
        bits != 0 && bits & !ALL == 0
    }
}

/// Most of the points that trained tokens may share out, in parts per million.
pub const MAX_BASE_PPM: u32 = 500_000;

/// The terms a model inherits: those of one Datanet, or the strictest of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct Terms {
    /// Purpose bits.
    pub purposes: u16,
    /// Clock value after which the terms end.
    pub expiry: Option<u32>,
    /// Least data share of the model, in parts per million.
    pub min_ppm: u32,
    /// Most data share of the model, in parts per million.
    pub max_ppm: u32,
    /// Points that trained tokens share out, in parts per million.
    pub base_ppm: u32,
    /// Whether attribution must be on.
    pub attribution: bool,
}

impl Terms {
    /// Terms that restrict nothing: the start of an intersection.
    pub const FREE: Self =
        Self { purposes: purpose::ALL, expiry: None, min_ppm: 0, max_ppm: 0, base_ppm: 0, attribution: false };

    /// The strictest of both: purposes intersected, earliest expiry, largest pool range and base part, attribution if
    /// either asks.
    #[must_use]
    pub fn strictest(&self, other: &Self) -> Self {
        let expiry = match (self.expiry, other.expiry) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            purposes: self.purposes & other.purposes,
            expiry,
            min_ppm: self.min_ppm.max(other.min_ppm),
            max_ppm: self.max_ppm.max(other.max_ppm),
            base_ppm: self.base_ppm.max(other.base_ppm),
            attribution: self.attribution || other.attribution,
        }
    }

    /// Whether a job may run under them: at least training is left.
    pub const fn permit_training(&self) -> bool {
        self.purposes & purpose::TRAIN != 0
    }
}
