//! Vectors of one instruction set behind one trait. Lanes run over outputs
//! only, so the width changes no bit.

use super::gemm::{self, Operands};
use weft_numerics::{arith, func};

/// 1.5·2^23: adding and subtracting it rounds to an integer.
const MAGIC: f32 = 12_582_912.0;
const LOG2E: f32 = f32::from_bits(0x3fb8_aa3b);
const L1: f32 = f32::from_bits(0x3f31_8000);
const L2: f32 = f32::from_bits(0xb95e_8083);
const EXP_HI: f32 = f32::from_bits(0x42b1_7218);
const EXP_LO: f32 = f32::from_bits(0xc2ae_ac4f);
/// Coefficients of `weft_numerics::exp`, highest power first; a test compares.
const EXP: [f32; 6] = [
    f32::from_bits(0x3ab5_7392),
    f32::from_bits(0x3c09_33c6),
    f32::from_bits(0x3d2a_ac11),
    f32::from_bits(0x3e2a_aa0d),
    f32::from_bits(0x3eff_fffe),
    f32::from_bits(0x3f80_0000),
];

/// A vector type of f32 and its operations. Every operation rounds as IEEE-754
/// binary32; [`Lane::fma`] rounds once.
///
/// # Safety
///
/// The functions are unsafe because they need instructions that the caller has
/// checked for, and because loads and stores go through raw pointers to
/// [`Lane::W`] valid elements.
#[allow(clippy::missing_safety_doc, reason = "one contract for all functions, stated on the trait")]
pub(crate) trait Lane: Copy {
    /// Elements of a vector: 1, 8 or 16.
    const W: usize;
    /// Rows of the largest matrix tile that stays in registers.
    const MR: usize;
    /// The vector.
    type V: Copy;

    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sqrt(a: Self::V) -> Self::V;
    /// a·b + c rounded once.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The sign bit flipped.
    unsafe fn neg(a: Self::V) -> Self::V;
    /// The value that is stored: no −0, one NaN.
    unsafe fn canon(a: Self::V) -> Self::V;
    /// `x > m ? x : m`.
    unsafe fn max_step(m: Self::V, x: Self::V) -> Self::V;
    /// `weft_numerics::exp` of every lane; NaN bits unspecified.
    unsafe fn exp(x: Self::V) -> Self::V;
    /// [`gemm::tile`] as a function of its own: inlined all together they would
    /// be one function that takes minutes to compile.
    unsafe fn tile<const MR: usize, const NV: usize>(out: *mut f32, o: &Operands);
    /// [`gemm::direct`], likewise.
    unsafe fn direct<const MR: usize, const NV: usize>(out: *mut f32, out_row: usize, o: &Operands);
    /// [`gemm::row`], likewise.
    unsafe fn row<const NV: usize>(acc: *mut f32, o: &Operands, i: usize, k0: usize, k1: usize);
}

/// Gives a lane its own compiled tiles.
macro_rules! tiles {
    ($lane:ident, $feature:literal) => {
        #[inline(always)]
        unsafe fn tile<const MR: usize, const NV: usize>(out: *mut f32, o: &Operands) {
            #[target_feature(enable = $feature)]
            unsafe fn compiled<const MR: usize, const NV: usize>(out: *mut f32, o: &Operands) {
                // SAFETY: passed on to the caller; the features are those of the lane.
                unsafe { gemm::tile::<$lane, MR, NV>(out, o) }
            }
            // SAFETY: the caller has checked for the lane's instructions.
            unsafe { compiled::<MR, NV>(out, o) }
        }
        #[inline(always)]
        unsafe fn direct<const MR: usize, const NV: usize>(out: *mut f32, out_row: usize, o: &Operands) {
            #[target_feature(enable = $feature)]
            unsafe fn compiled<const MR: usize, const NV: usize>(out: *mut f32, out_row: usize, o: &Operands) {
                // SAFETY: passed on to the caller; the features are those of the lane.
                unsafe { gemm::direct::<$lane, MR, NV>(out, out_row, o) }
            }
            // SAFETY: the caller has checked for the lane's instructions.
            unsafe { compiled::<MR, NV>(out, out_row, o) }
        }
        #[inline(always)]
        unsafe fn row<const NV: usize>(acc: *mut f32, o: &Operands, i: usize, k0: usize, k1: usize) {
            #[target_feature(enable = $feature)]
            unsafe fn compiled<const NV: usize>(acc: *mut f32, o: &Operands, i: usize, k0: usize, k1: usize) {
                // SAFETY: passed on to the caller; the features are those of the lane.
                unsafe { gemm::row::<$lane, NV>(acc, o, i, k0, k1) }
            }
            // SAFETY: the caller has checked for the lane's instructions.
            unsafe { compiled::<NV>(acc, o, i, k0, k1) }
        }
    };
}

/// The reference: every operation is a call of `weft-numerics`.
#[derive(Clone, Copy)]
pub(crate) struct Reference;

impl Lane for Reference {
    const W: usize = 1;
    const MR: usize = 4;
    type V = f32;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> f32 {
        // SAFETY: the caller passes a pointer to one valid element.
        unsafe { *p }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: f32) {
        // SAFETY: the caller passes a pointer to one valid element.
        unsafe { *p = v }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn add(a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    unsafe fn sub(a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    unsafe fn mul(a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    unsafe fn div(a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    unsafe fn sqrt(a: f32) -> f32 {
        arith::sqrt(a)
    }
    #[inline(always)]
    unsafe fn fma(a: f32, b: f32, c: f32) -> f32 {
        arith::fma(a, b, c)
    }
    #[inline(always)]
    unsafe fn neg(a: f32) -> f32 {
        -a
    }
    #[inline(always)]
    unsafe fn canon(a: f32) -> f32 {
        arith::c(a)
    }
    #[inline(always)]
    unsafe fn max_step(m: f32, x: f32) -> f32 {
        if x > m {
            x
        } else {
            m
        }
    }
    #[inline(always)]
    unsafe fn exp(x: f32) -> f32 {
        func::exp(x)
    }
    #[inline(always)]
    unsafe fn tile<const MR: usize, const NV: usize>(out: *mut f32, o: &Operands) {
        // SAFETY: passed on to the caller.
        unsafe { gemm::tile::<Self, MR, NV>(out, o) }
    }
    #[inline(always)]
    unsafe fn direct<const MR: usize, const NV: usize>(out: *mut f32, out_row: usize, o: &Operands) {
        // SAFETY: passed on to the caller.
        unsafe { gemm::direct::<Self, MR, NV>(out, out_row, o) }
    }
    #[inline(always)]
    unsafe fn row<const NV: usize>(acc: *mut f32, o: &Operands, i: usize, k0: usize, k1: usize) {
        // SAFETY: passed on to the caller.
        unsafe { gemm::row::<Self, NV>(acc, o, i, k0, k1) }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512, Scalar};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use core::arch::x86_64::*;

    /// One lane, with the hardware's fused multiply-add.
    #[derive(Clone, Copy)]
    pub(crate) struct Scalar;

    impl Lane for Scalar {
        const W: usize = 1;
        const MR: usize = 6;
        type V = f32;

        #[inline(always)]
        unsafe fn load(p: *const f32) -> f32 {
            // SAFETY: the caller passes a pointer to one valid element.
            unsafe { *p }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: f32) {
            // SAFETY: the caller passes a pointer to one valid element.
            unsafe { *p = v }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> f32 {
            x
        }
        #[inline(always)]
        unsafe fn add(a: f32, b: f32) -> f32 {
            a + b
        }
        #[inline(always)]
        unsafe fn sub(a: f32, b: f32) -> f32 {
            a - b
        }
        #[inline(always)]
        unsafe fn mul(a: f32, b: f32) -> f32 {
            a * b
        }
        #[inline(always)]
        unsafe fn div(a: f32, b: f32) -> f32 {
            a / b
        }
        #[inline(always)]
        unsafe fn sqrt(a: f32) -> f32 {
            arith::sqrt(a)
        }
        #[inline(always)]
        #[allow(clippy::disallowed_methods, reason = "runs only where the processor has fma: one rounding")]
        unsafe fn fma(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }
        #[inline(always)]
        unsafe fn neg(a: f32) -> f32 {
            -a
        }
        #[inline(always)]
        unsafe fn canon(a: f32) -> f32 {
            arith::c(a)
        }
        #[inline(always)]
        unsafe fn max_step(m: f32, x: f32) -> f32 {
            if x > m {
                x
            } else {
                m
            }
        }
        #[inline(always)]
        unsafe fn exp(x: f32) -> f32 {
            if x.is_nan() {
                return x;
            }
            if x >= EXP_HI {
                return f32::INFINITY;
            }
            if x < EXP_LO {
                return 0.0;
            }
            // SAFETY: plain arithmetic on values.
            unsafe {
                let n = Self::fma(x, LOG2E, MAGIC) - MAGIC;
                let r = Self::fma(n, -L1, x);
                let r = Self::fma(n, -L2, r);
                let mut q = EXP[0];
                for k in &EXP[1..] {
                    q = Self::fma(q, r, *k);
                }
                let p = Self::fma(q, r, 1.0);
                f32::from_bits(p.to_bits().wrapping_add(((n as i32) << 23) as u32))
            }
        }
        tiles!(Scalar, "avx,fma");
    }

    /// Eight lanes: AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    impl Lane for Avx2 {
        const W: usize = 8;
        const MR: usize = 6;
        type V = __m256;

        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m256 {
            // SAFETY: the caller passes a pointer to eight valid elements.
            unsafe { _mm256_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m256) {
            // SAFETY: the caller passes a pointer to eight valid elements.
            unsafe { _mm256_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m256 {
            // SAFETY: the caller has checked for AVX2.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            // SAFETY: the caller has checked for AVX2.
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m256, b: __m256) -> __m256 {
            // SAFETY: the caller has checked for AVX2.
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m256, b: __m256) -> __m256 {
            // SAFETY: the caller has checked for AVX2.
            unsafe { _mm256_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn div(a: __m256, b: __m256) -> __m256 {
            // SAFETY: the caller has checked for AVX2.
            unsafe { _mm256_div_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sqrt(a: __m256) -> __m256 {
            // SAFETY: the caller has checked for AVX2.
            unsafe { _mm256_sqrt_ps(a) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
            // SAFETY: the caller has checked for FMA.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn neg(a: __m256) -> __m256 {
            // SAFETY: the caller has checked for AVX2.
            unsafe { _mm256_xor_ps(a, _mm256_set1_ps(-0.0)) }
        }
        #[inline(always)]
        unsafe fn canon(a: __m256) -> __m256 {
            // SAFETY: the caller has checked for AVX2.
            unsafe {
                let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a);
                let sum = _mm256_add_ps(a, _mm256_setzero_ps());
                _mm256_blendv_ps(sum, _mm256_set1_ps(f32::from_bits(arith::CANONICAL_NAN)), nan)
            }
        }
        #[inline(always)]
        unsafe fn max_step(m: __m256, x: __m256) -> __m256 {
            // SAFETY: the caller has checked for AVX2. vmaxps returns its second
            // operand when the operands are equal or one is NaN: x > m ? x : m.
            unsafe { _mm256_max_ps(x, m) }
        }
        #[inline(always)]
        unsafe fn exp(x: __m256) -> __m256 {
            // SAFETY: the caller has checked for AVX2 and FMA.
            unsafe {
                let magic = _mm256_set1_ps(MAGIC);
                let n = _mm256_sub_ps(_mm256_fmadd_ps(x, _mm256_set1_ps(LOG2E), magic), magic);
                let r = _mm256_fmadd_ps(n, _mm256_set1_ps(-L1), x);
                let r = _mm256_fmadd_ps(n, _mm256_set1_ps(-L2), r);
                let mut q = _mm256_set1_ps(EXP[0]);
                q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(EXP[1]));
                q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(EXP[2]));
                q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(EXP[3]));
                q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(EXP[4]));
                q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(EXP[5]));
                let p = _mm256_fmadd_ps(q, r, _mm256_set1_ps(1.0));
                let e = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(n));
                let y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), e));
                let hi = _mm256_cmp_ps::<_CMP_GE_OQ>(x, _mm256_set1_ps(EXP_HI));
                let lo = _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_set1_ps(EXP_LO));
                let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x);
                let y = _mm256_blendv_ps(y, _mm256_set1_ps(f32::INFINITY), hi);
                let y = _mm256_blendv_ps(y, _mm256_setzero_ps(), lo);
                _mm256_blendv_ps(y, x, nan)
            }
        }
        tiles!(Avx2, "avx2,fma");
    }

    /// Sixteen lanes: AVX-512F.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    impl Lane for Avx512 {
        const W: usize = 16;
        const MR: usize = 12;
        type V = __m512;

        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m512 {
            // SAFETY: the caller passes a pointer to sixteen valid elements.
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m512) {
            // SAFETY: the caller passes a pointer to sixteen valid elements.
            unsafe { _mm512_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn div(a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_div_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sqrt(a: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_sqrt_ps(a) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn neg(a: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe {
                let sign = _mm512_set1_epi32(i32::MIN);
                _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a), sign))
            }
        }
        #[inline(always)]
        unsafe fn canon(a: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe {
                let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a);
                let sum = _mm512_add_ps(a, _mm512_setzero_ps());
                _mm512_mask_blend_ps(nan, sum, _mm512_set1_ps(f32::from_bits(arith::CANONICAL_NAN)))
            }
        }
        #[inline(always)]
        unsafe fn max_step(m: __m512, x: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F; operand order as for AVX2.
            unsafe { _mm512_max_ps(x, m) }
        }
        #[inline(always)]
        unsafe fn exp(x: __m512) -> __m512 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe {
                let magic = _mm512_set1_ps(MAGIC);
                let n = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(LOG2E), magic), magic);
                let r = _mm512_fmadd_ps(n, _mm512_set1_ps(-L1), x);
                let r = _mm512_fmadd_ps(n, _mm512_set1_ps(-L2), r);
                let mut q = _mm512_set1_ps(EXP[0]);
                q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(EXP[1]));
                q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(EXP[2]));
                q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(EXP[3]));
                q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(EXP[4]));
                q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(EXP[5]));
                let p = _mm512_fmadd_ps(q, r, _mm512_set1_ps(1.0));
                let e = _mm512_slli_epi32::<23>(_mm512_cvtps_epi32(n));
                let y = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), e));
                let hi = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, _mm512_set1_ps(EXP_HI));
                let lo = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_set1_ps(EXP_LO));
                let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
                let y = _mm512_mask_blend_ps(hi, y, _mm512_set1_ps(f32::INFINITY));
                let y = _mm512_mask_blend_ps(lo, y, _mm512_setzero_ps());
                _mm512_mask_blend_ps(nan, y, x)
            }
        }
        tiles!(Avx512, "avx512f,avx2,fma");
    }
}
