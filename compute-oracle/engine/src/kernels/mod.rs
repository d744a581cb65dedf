//! Kernels of `cpu-f32/1`. One body per kernel, generic over [`lane::Lane`];
//! [`dispatch`] runs it with the instruction set chosen at run time.
//!
//! All instruction sets give the bits of `weft-numerics`: an output element has
//! one order of operations, lanes run over outputs, and nothing is contracted.
#![allow(unsafe_code, reason = "vector instructions and raw loads; bounds are asserted at every entry")]

pub(crate) mod gemm;
pub(crate) mod lane;
pub(crate) mod ops;
pub(crate) mod reduce;
#[cfg(test)]
mod tests;

use lane::Lane;

/// The instruction set a backend computes with. All give equal bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Every operation is a function of `weft-numerics`; works on any machine.
    Reference,
    /// One lane with hardware fused multiply-add.
    Scalar,
    /// AVX2 and FMA, eight lanes.
    Avx2,
    /// AVX-512F, sixteen lanes.
    Avx512,
}

impl Isa {
    /// The widest instruction set of this machine.
    #[must_use]
    pub fn detect() -> Self {
        [Self::Avx512, Self::Avx2, Self::Scalar].into_iter().find(|i| i.available()).unwrap_or(Self::Reference)
    }

    /// Whether this machine can run it.
    #[must_use]
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let fma = std::arch::is_x86_feature_detected!("fma") && std::arch::is_x86_feature_detected!("avx");
            let avx2 = fma && std::arch::is_x86_feature_detected!("avx2");
            // Each asks for all that the functions of `enter` and the tiles of its lane enable.
            match self {
                Self::Reference => true,
                Self::Scalar => fma,
                Self::Avx2 => avx2,
                Self::Avx512 => avx2 && std::arch::is_x86_feature_detected!("avx512f"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            matches!(self, Self::Reference)
        }
    }

    /// This one if the machine has it, else the widest that it has.
    #[must_use]
    pub fn or_best(self) -> Self {
        if self.available() {
            self
        } else {
            Self::detect()
        }
    }

    /// The name on the command line: `reference`, `scalar`, `avx2`, `avx512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl core::str::FromStr for Isa {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        [Self::Reference, Self::Scalar, Self::Avx2, Self::Avx512]
            .into_iter()
            .find(|i| i.name() == s)
            .ok_or_else(|| format!("unknown instruction set `{s}`: use scalar, avx2 or avx512"))
    }
}

/// Asserts the floating-point mode that all bits rely on: rounding to nearest,
/// subnormals kept, exceptions masked.
pub(crate) fn assert_float_mode() {
    #[cfg(target_arch = "x86_64")]
    {
        let mut mode = 0u32;
        // SAFETY: stores the four bytes of MXCSR into `mode` and changes nothing else.
        unsafe { core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mode, options(nostack, preserves_flags)) };
        assert_eq!(mode & 0xffc0, 0x1f80, "another library changed the floating-point mode of this thread");
    }
}

/// A kernel's body, written once for all instruction sets.
pub(crate) trait Kernel {
    /// What it returns.
    type Out;
    /// Runs with the vectors of `L`.
    ///
    /// # Safety
    ///
    /// The processor has the instructions of `L`.
    unsafe fn run<L: Lane>(self) -> Self::Out;
}

#[cfg(target_arch = "x86_64")]
mod enter {
    use super::{lane, Kernel};

    /// # Safety
    /// The processor has FMA and AVX.
    #[target_feature(enable = "avx,fma")]
    pub(super) unsafe fn scalar<K: Kernel>(k: K) -> K::Out {
        // SAFETY: this function's features are those of the lane.
        unsafe { k.run::<lane::Scalar>() }
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2<K: Kernel>(k: K) -> K::Out {
        // SAFETY: this function's features are those of the lane.
        unsafe { k.run::<lane::Avx2>() }
    }

    /// # Safety
    /// The processor has AVX-512F, AVX2 and FMA.
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) unsafe fn avx512<K: Kernel>(k: K) -> K::Out {
        // SAFETY: this function's features are those of the lane.
        unsafe { k.run::<lane::Avx512>() }
    }
}

/// Runs a kernel with `isa`, or with the reference where the machine lacks it.
#[inline]
pub(crate) fn dispatch<K: Kernel>(isa: Isa, k: K) -> K::Out {
    #[cfg(target_arch = "x86_64")]
    if isa.available() {
        // SAFETY: `available` has just asked the processor for the features.
        return unsafe {
            match isa {
                Isa::Reference => k.run::<lane::Reference>(),
                Isa::Scalar => enter::scalar(k),
                Isa::Avx2 => enter::avx2(k),
                Isa::Avx512 => enter::avx512(k),
            }
        };
    }
    // SAFETY: the reference needs no special instructions.
    unsafe { k.run::<lane::Reference>() }
}
