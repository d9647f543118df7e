//! The negacyclic Fourier transform: polynomials modulo X^N + 1 to N/2 complex numbers and back.
//!
//! A real polynomial a is folded to aⱼ + i·a₍ⱼ₊N/2₎, twisted by e^(iπj/N) and transformed by `tfhe-fft`
//! (Klemsa, ePrint 2021/480); pointwise products then are products modulo X^N + 1. Numbers on the torus are scaled
//! to [−½, ½), so that only fractional parts matter on the way back.

use dyn_stack::{PodBuffer, PodStack};
use pulp::Arch;
use tfhe_fft::c64;
use tfhe_fft::ordered::FftAlgo;
use tfhe_fft::unordered::{Method, Plan};

use super::kernels::{Block, LANES};

/// 1.5 · 2⁵²: adding it to |x| < 2⁵¹ rounds x to an integer and leaves that in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
const TWO_52: f64 = 4_503_599_627_370_496.0;
const TWO_MINUS_64: f64 = 1.0 / 18_446_744_073_709_551_616.0;

/// Tables for one ring dimension; shared by all threads.
#[derive(Debug)]
pub(crate) struct Fourier {
    dimension: usize,
    plan: Plan,
    twist: Vec<c64>,
    /// The inverse twist, divided by N/2 as the transform back needs.
    untwist: Vec<c64>,
    pub(super) arch: Arch,
}

/// One thread's scratch.
pub(crate) struct Workspace {
    values: Vec<c64>,
    stack: PodBuffer,
    pub(super) digits: Vec<Block>,
    pub(super) sums: Vec<Block>,
    /// Scratch for whoever expands seeds.
    pub(crate) bytes: Vec<u8>,
    /// Scratch of GGSW or GLWE size.
    pub(crate) coefficients: Vec<u64>,
}

impl Fourier {
    /// Tables for dimension N, a power of two from 64 to 4,096. The transform's plan is fixed, not measured: the
    /// first use is as fast as any later one.
    pub(crate) fn new(dimension: usize) -> Self {
        let half = dimension / 2;
        let method = Method::UserProvided { base_algo: FftAlgo::Dif4, base_n: half.clamp(32, 256) };
        #[allow(clippy::cast_precision_loss)] // a few thousand
        let angle = |j: usize| std::f64::consts::PI * j as f64 / dimension as f64;
        #[allow(clippy::cast_precision_loss)]
        let scale = 1.0 / half as f64;
        Self {
            dimension,
            plan: Plan::new(half, method),
            twist: (0..half).map(|j| c64::new(angle(j).cos(), angle(j).sin())).collect(),
            untwist: (0..half).map(|j| c64::new(scale * angle(j).cos(), -scale * angle(j).sin())).collect(),
            arch: Arch::new(),
        }
    }

    /// Complex blocks of one polynomial.
    pub(crate) fn blocks(&self) -> usize {
        self.dimension / 2 / LANES
    }

    pub(crate) fn workspace(&self) -> Workspace {
        Workspace {
            values: vec![c64::new(0.0, 0.0); self.dimension / 2],
            stack: PodBuffer::new(self.plan.fft_scratch()),
            digits: vec![],
            sums: vec![],
            bytes: vec![],
            coefficients: vec![],
        }
    }

    /// Transforms the small integers digit(left − right); writes block v to `out[v * stride]`.
    #[inline(always)]
    pub(super) fn forward_differences(
        &self,
        (left, right): (&[u64], &[u64]),
        digit: impl Fn(u64) -> i32,
        (out, stride): (&mut [Block], usize),
        values: &mut [c64],
        stack: &mut PodBuffer,
    ) {
        let half = self.dimension / 2;
        let ((left_low, left_high), (right_low, right_high)) = (left.split_at(half), right.split_at(half));
        self.arch.dispatch(
            #[inline(always)]
            || {
                let low = left_low.iter().zip(right_low);
                let high = left_high.iter().zip(right_high);
                for (((value, twist), low), high) in values.iter_mut().zip(&self.twist).zip(low).zip(high) {
                    let re = f64::from(digit(low.0.wrapping_sub(*low.1)));
                    let im = f64::from(digit(high.0.wrapping_sub(*high.1)));
                    *value = c64::new(re * twist.re - im * twist.im, re * twist.im + im * twist.re);
                }
            },
        );
        self.plan.fwd(values, PodStack::new(stack));
        scatter(self.arch, values, out, stride);
    }

    /// Transforms torus elements, scaled to [−½, ½); writes block v to `out[v * stride]`.
    pub(super) fn forward_torus(
        &self,
        torus: &[u64],
        out: &mut [Block],
        stride: usize,
        work: &mut Workspace,
    ) {
        self.forward_scaled(torus, TWO_MINUS_64, out, stride, work);
    }

    /// Transforms signed 64-bit integers; those above 2⁵³ lose their last bits.
    pub(super) fn forward_words(
        &self,
        words: &[u64],
        out: &mut [Block],
        stride: usize,
        work: &mut Workspace,
    ) {
        self.forward_scaled(words, 1.0, out, stride, work);
    }

    fn forward_scaled(
        &self,
        words: &[u64],
        scale: f64,
        out: &mut [Block],
        stride: usize,
        work: &mut Workspace,
    ) {
        let (low, high) = words.split_at(self.dimension / 2);
        let values = &mut work.values;
        self.arch.dispatch(
            #[inline(always)]
            || {
                for (((value, twist), low), high) in values.iter_mut().zip(&self.twist).zip(low).zip(high) {
                    #[allow(clippy::cast_precision_loss)] // the transform has 53 bits anyway
                    let (re, im) = (low.cast_signed() as f64 * scale, high.cast_signed() as f64 * scale);
                    *value = c64::new(re * twist.re - im * twist.im, re * twist.im + im * twist.re);
                }
            },
        );
        self.plan.fwd(&mut work.values, PodStack::new(&mut work.stack));
        scatter(self.arch, &work.values, out, stride);
    }

    /// out += the polynomial on the torus whose transform is `blocks[v * stride]`, to within 2^−52 of the torus and
    /// the transform's own error.
    pub(super) fn add_backward_torus(
        &self,
        blocks: &[Block],
        stride: usize,
        out: &mut [u64],
        values: &mut [c64],
        stack: &mut PodBuffer,
    ) {
        self.backward(blocks, stride, values, stack);
        let (low, high) = out.split_at_mut(self.dimension / 2);
        self.arch.dispatch(
            #[inline(always)]
            || {
                for (((value, twist), low), high) in values.iter().zip(&self.untwist).zip(low).zip(high) {
                    *low = low.wrapping_add(to_torus(value.re * twist.re - value.im * twist.im));
                    *high = high.wrapping_add(to_torus(value.re * twist.im + value.im * twist.re));
                }
            },
        );
    }

    /// out += 2^shift times the integer polynomial whose transform is `blocks`; its coefficients are below 2⁵⁰.
    pub(super) fn add_backward_integers(
        &self,
        blocks: &[Block],
        shift: u32,
        out: &mut [u64],
        work: &mut Workspace,
    ) {
        self.backward(blocks, 1, &mut work.values, &mut work.stack);
        let (low, high) = out.split_at_mut(self.dimension / 2);
        let integer = |value: f64| ((value + ROUND).to_bits().wrapping_sub(ROUND.to_bits())) << shift;
        for (((value, twist), low), high) in work.values.iter().zip(&self.untwist).zip(low).zip(high) {
            *low = low.wrapping_add(integer(value.re * twist.re - value.im * twist.im));
            *high = high.wrapping_add(integer(value.re * twist.im + value.im * twist.re));
        }
    }

    fn backward(&self, blocks: &[Block], stride: usize, values: &mut [c64], stack: &mut PodBuffer) {
        gather(self.arch, blocks, stride, values);
        self.plan.inv(values, PodStack::new(stack));
    }
}

impl Workspace {
    /// Forgets what the scratch holds, after it has held a key.
    pub(crate) fn wipe(&mut self) {
        use zeroize::Zeroize;
        for value in &mut self.values {
            value.re.zeroize();
            value.im.zeroize();
        }
        for block in self.digits.iter_mut().chain(&mut self.sums) {
            block.re.0.zeroize();
            block.im.0.zeroize();
        }
        self.coefficients.zeroize();
    }

    /// Scratch values, the transform's stack, digits and sums, each by itself.
    pub(super) fn split(&mut self) -> (&mut [c64], &mut PodBuffer, &mut Vec<Block>, &mut Vec<Block>) {
        (&mut self.values, &mut self.stack, &mut self.digits, &mut self.sums)
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}

/// The torus element nearest to x modulo 1, on a grid of 2^−52; |x| < 2⁵⁰.
#[inline(always)]
fn to_torus(x: f64) -> u64 {
    let fraction = x - ((x + ROUND) - ROUND);
    // The low 52 bits hold 2⁵¹ + the integer: shifted to the top, only the sign bit is wrong.
    ((fraction * TWO_52 + ROUND).to_bits() << 12) ^ (1 << 63)
}

/// Interleaved complex numbers to blocks.
fn scatter(arch: Arch, values: &[c64], out: &mut [Block], stride: usize) {
    arch.dispatch(
        #[inline(always)]
        || {
            for (chunk, block) in values.as_chunks::<LANES>().0.iter().zip(out.iter_mut().step_by(stride)) {
                for (lane, value) in chunk.iter().enumerate() {
                    block.re.0[lane] = value.re;
                    block.im.0[lane] = value.im;
                }
            }
        },
    );
}

/// Blocks to interleaved complex numbers.
fn gather(arch: Arch, blocks: &[Block], stride: usize, values: &mut [c64]) {
    arch.dispatch(
        #[inline(always)]
        || {
            for (chunk, block) in
                values.as_chunks_mut::<LANES>().0.iter_mut().zip(blocks.iter().step_by(stride))
            {
                for (lane, value) in chunk.iter_mut().enumerate() {
                    *value = c64::new(block.re.0[lane], block.im.0[lane]);
                }
            }
        },
    );
}
