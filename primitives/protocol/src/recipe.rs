//! The training recipe: encoding, bounds, number of steps.

use crate::{
    dec::Dec,
    graph::Target,
    hash::{h, tag, Hash},
    shape::ModelShape,
    split::mul_div_up,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

/// Schema number of this recipe.
pub const SCHEMA: u16 = 1;
/// Longest encoding in bytes.
pub const MAX_BYTES: u32 = 33 * 1024;
/// Most excluded records.
pub const MAX_EXCLUDED: usize = 1000;
/// Most epochs, also of an attributed job that gives steps.
pub const MAX_EPOCHS: u16 = 50;
/// Most steps of a run, however its length is given: checkpoints, segments and state counts stay small and exact.
pub const MAX_STEPS: u32 = 1_000_000;
/// Longest sequence a job trains, in tokens.
pub const MAX_SEQ_LEN: u32 = 16_384;

/// How the adapter is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Method {
    /// LoRA over the base as it is.
    #[codec(index = 0)]
    Lora,
    /// LoRA over an NF4 base.
    #[codec(index = 1)]
    Qlora,
}

/// How long the training is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Length {
    /// Passes over all records.
    #[codec(index = 0)]
    Epochs(u16),
    /// Steps.
    #[codec(index = 1)]
    MaxSteps(u32),
}

/// What the loss is divided by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum LossMean {
    /// Trained tokens of the step.
    #[codec(index = 0)]
    Token,
    /// Trained tokens of the record, then records.
    #[codec(index = 1)]
    Record,
}

/// Which messages are trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum TrainOn {
    /// Every assistant message.
    #[codec(index = 0)]
    Responses,
    /// The last assistant message.
    #[codec(index = 1)]
    LastResponse,
    /// Everything.
    #[codec(index = 2)]
    All,
}

/// What happens to records above `max_seq_len`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Overlong {
    /// Cut at the end.
    #[codec(index = 0)]
    Truncate,
    /// Kept with weight 0.
    #[codec(index = 1)]
    Drop,
    /// The run is refused; not in jobs.
    #[codec(index = 2)]
    Refuse,
}

/// Learning rate over the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Schedule {
    /// Falls linearly to 0.
    #[codec(index = 0)]
    Linear,
    /// Half a cosine to 0.
    #[codec(index = 1)]
    Cosine,
    /// Stays.
    #[codec(index = 2)]
    Constant,
}

/// Steps over which the learning rate rises from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub enum Warmup {
    /// Share of all steps in parts per million, rounded up.
    #[codec(index = 0)]
    Ppm(u32),
    /// Steps.
    #[codec(index = 1)]
    Steps(u32),
}

/// Recipe v1: what `submit_job` carries and `spec_hash` binds. Zero switches a [`Dec`] field off.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Recipe {
    /// [`SCHEMA`].
    pub schema: u16,
    /// Method.
    pub method: Method,
    /// Whether influence is computed and paid.
    pub attribution: bool,
    /// Rank of the adapter.
    pub r: u16,
    /// Scale of the adapter: s = alpha/r.
    pub alpha: u16,
    /// Scale by alpha/√r instead.
    pub rslora: bool,
    /// Dropout of the adapter's input.
    pub dropout: Dec,
    /// Bits 0–6: q, k, v, o, gate, up, down.
    pub targets: u8,
    /// Peak learning rate.
    pub learning_rate: Dec,
    /// Epochs or steps.
    pub length: Length,
    /// Records a step.
    pub batch_size: u16,
    /// Denominator of the loss.
    pub loss_mean: LossMean,
    /// Tokens of the longest record.
    pub max_seq_len: u32,
    /// Trained messages.
    pub train_on: TrainOn,
    /// Longer records.
    pub overlong: Overlong,
    /// Learning rate over the run.
    pub schedule: Schedule,
    /// Warm-up.
    pub warmup: Warmup,
    /// AdamW β1.
    pub beta1: Dec,
    /// AdamW β2.
    pub beta2: Dec,
    /// AdamW ε, outside the root.
    pub eps: Dec,
    /// ε inside the root.
    pub eps_root: Dec,
    /// Norm above which a record's gradient is scaled down.
    pub record_clip: Dec,
    /// Decoupled weight decay.
    pub weight_decay: Dec,
    /// Norm above which a step's gradient is scaled down.
    pub max_grad_norm: Dec,
    /// Share of the records held out for evaluation, in parts per million.
    pub eval_ppm: u32,
    /// Ids of records that train with weight 0, ascending, distinct.
    pub exclude: Vec<Hash>,
}

/// A field out of bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecipeError {
    /// The field as people write it.
    pub field: &'static str,
    /// The bounds it breaks.
    pub bounds: &'static str,
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recipe field `{}` is out of range: {}", self.field, self.bounds)
    }
}

impl core::error::Error for RecipeError {}

/// `mantissa · 10^exp10` for the bounds below.
const fn dec(mantissa: u32, exp10: i8) -> Dec {
    match Dec::new(mantissa, exp10) {
        Some(dec) => dec,
        None => Dec::ZERO,
    }
}

fn require(holds: bool, field: &'static str, bounds: &'static str) -> Result<(), RecipeError> {
    if holds {
        Ok(())
    } else {
        Err(RecipeError { field, bounds })
    }
}

impl Recipe {
    /// The defaults of an attributed job: exact class, influence on.
    pub fn attributed() -> Self {
        Self {
            schema: SCHEMA,
            method: Method::Lora,
            attribution: true,
            r: 16,
            alpha: 32,
            rslora: false,
            dropout: Dec::ZERO,
            targets: 0x7f,
            learning_rate: dec(2, -4),
            length: Length::Epochs(3),
            batch_size: 16,
            loss_mean: LossMean::Token,
            max_seq_len: 1024,
            train_on: TrainOn::Responses,
            overlong: Overlong::Truncate,
            schedule: Schedule::Cosine,
            warmup: Warmup::Ppm(100_000),
            beta1: dec(9, -1),
            beta2: dec(999, -3),
            eps: dec(1, -8),
            eps_root: dec(1, -8),
            record_clip: Dec::ONE,
            weight_decay: Dec::ZERO,
            max_grad_norm: Dec::ZERO,
            eval_ppm: 100_000,
            exclude: Vec::new(),
        }
    }

    /// The defaults of a job without attribution.
    pub fn plain() -> Self {
        Self {
            attribution: false,
            eps_root: Dec::ZERO,
            record_clip: Dec::ZERO,
            max_grad_norm: Dec::ONE,
            ..Self::attributed()
        }
    }

    /// Trained linears in the order of their bits.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        let bits = self.targets;
        Target::ALL.into_iter().filter(move |target| bits & target.bit() != 0)
    }

    /// `H("weft.cfg", recipe)`.
    pub fn hash(&self) -> Hash {
        h(&tag::RECIPE, self)
    }

    /// Number of steps N over `n` records: ⌈E·n/B⌉, or the given steps; `None` without records or batch, or beyond u32.
    pub fn steps(&self, n: u32) -> Option<u32> {
        if n == 0 {
            return None;
        }
        match self.length {
            Length::Epochs(epochs) => {
                let steps = mul_div_up(u128::from(epochs), u128::from(n), u128::from(self.batch_size))?;
                u32::try_from(steps).ok()
            }
            Length::MaxSteps(steps) => Some(steps),
        }
    }

    /// Passes over the data E: as given, or ⌈max_steps·B/n⌉.
    pub fn epochs(&self, n: u32) -> Option<u32> {
        match self.length {
            Length::Epochs(epochs) => Some(u32::from(epochs)),
            Length::MaxSteps(steps) => {
                u32::try_from(mul_div_up(u128::from(steps), u128::from(self.batch_size), u128::from(n))?).ok()
            }
        }
    }

    /// Warm-up steps W of a run of `steps` steps.
    pub fn warmup_steps(&self, steps: u32) -> Option<u32> {
        match self.warmup {
            Warmup::Ppm(share) => u32::try_from(mul_div_up(u128::from(share), u128::from(steps), 1_000_000)?).ok(),
            Warmup::Steps(warmup) => Some(warmup),
        }
    }

    /// Parameters of the adapter.
    pub fn lora_parameters(&self, shape: &ModelShape) -> Option<u128> {
        let widths = self.targets().try_fold(0u128, |acc, target| {
            let (input, output) = target.dims(shape);
            acc.checked_add(u128::from(input))?.checked_add(u128::from(output))
        })?;
        widths.checked_mul(u128::from(self.r))?.checked_mul(u128::from(shape.layers))
    }

    /// Checks every bound for a run over `n` records. `job`: the result is committed on chain, which forbids dropout and
    /// the refusal of long records.
    pub fn validate(&self, shape: &ModelShape, n: u32, job: bool) -> Result<(), RecipeError> {
        require(self.schema == SCHEMA, "schema", "1")?;
        self.validate_adapter(shape, job)?;
        self.validate_length(shape, n)?;
        self.validate_optimiser()?;
        require(self.eval_ppm <= 500_000, "eval", "0 to 50 % of the records")?;
        // An oracle learns how long the records are after it has taken the job.
        require(!job || self.overlong != Overlong::Refuse, "overlong", "truncate or drop in jobs")?;
        require(
            self.exclude.len() <= MAX_EXCLUDED && self.exclude.is_sorted_by(|a, b| a < b),
            "exclude",
            "at most 1,000 record ids, ascending, distinct",
        )?;
        require(u32::try_from(self.encoded_size()).is_ok_and(|size| size <= MAX_BYTES), "exclude", "33 KB in all")
    }

    fn validate_adapter(&self, shape: &ModelShape, job: bool) -> Result<(), RecipeError> {
        require((1..=256).contains(&self.r), "r", "1 to 256")?;
        require((1..=512).contains(&self.alpha), "alpha", "1 to 512")?;
        require(self.dropout <= dec(5, -1), "dropout", "0 to 0.5")?;
        require(!(job || self.attribution) || self.dropout.is_zero(), "dropout", "0 in jobs and with attribution")?;
        require((1..0x80).contains(&self.targets), "targets", "a non-empty subset of q, k, v, o, gate, up, down")?;
        for target in self.targets() {
            let (input, output) = target.dims(shape);
            require(u32::from(self.r) <= input.min(output), "r", "at most both widths of every target")?;
            require(
                self.method == Method::Lora || input.is_multiple_of(64),
                "method",
                "qlora needs input widths that divide by 64",
            )?;
        }
        Ok(())
    }

    fn validate_length(&self, shape: &ModelShape, n: u32) -> Result<(), RecipeError> {
        require((1..=256).contains(&self.batch_size), "batch_size", "1 to 256 records a step")?;
        match self.length {
            Length::Epochs(epochs) => require((1..=MAX_EPOCHS).contains(&epochs), "epochs", "1 to 50")?,
            Length::MaxSteps(steps) => require((1..=MAX_STEPS).contains(&steps), "max_steps", "1 to 1,000,000")?,
        }
        let most = shape.context.min(MAX_SEQ_LEN);
        require((8..=most).contains(&self.max_seq_len), "max_seq_len", "8 to the model's context, at most 16,384")?;
        require(n > 0, "epochs", "at least one record")?;
        let steps = self.steps(n).unwrap_or(u32::MAX);
        require(steps <= MAX_STEPS, "epochs", "at most 1,000,000 steps in all: fewer epochs, or a larger batch_size")?;
        let at_most_half = match self.warmup {
            Warmup::Ppm(share) => share <= 500_000,
            Warmup::Steps(warmup) => u64::from(warmup).saturating_mul(2) <= u64::from(steps),
        };
        require(at_most_half, "warmup", "0 to 50 % of the steps")?;
        if self.attribution {
            let epochs = self.epochs(n).unwrap_or(u32::MAX);
            require(epochs <= u32::from(MAX_EPOCHS), "max_steps", "at most 50 epochs with attribution")?;
            let enough = match self.warmup {
                Warmup::Ppm(share) => share >= 100_000,
                Warmup::Steps(warmup) => u64::from(warmup).saturating_mul(10) >= u64::from(steps),
            };
            require(enough, "warmup", "at least 10 % of the steps with attribution")?;
        }
        Ok(())
    }

    fn validate_optimiser(&self) -> Result<(), RecipeError> {
        let within = |x: Dec, low: Dec, high: Dec| low <= x && x <= high;
        require(within(self.learning_rate, dec(1, -7), dec(1, -2)), "learning_rate", "1e-7 to 1e-2")?;
        require(self.beta1 < Dec::ONE, "beta1", "0 to below 1")?;
        require(self.beta2 < Dec::ONE, "beta2", "0 to below 1")?;
        require(!self.eps.is_zero() && self.eps <= Dec::ONE, "eps", "above 0, at most 1")?;
        require(self.eps_root <= Dec::ONE, "eps_root", "0 to 1")?;
        let clip = self.record_clip.is_zero() || within(self.record_clip, dec(1, -3), dec(1, 6));
        require(clip, "record_clip", "0 (off), or 1e-3 to 1e6")?;
        require(self.weight_decay <= Dec::ONE, "weight_decay", "0 to 1")?;
        let norm = self.max_grad_norm.is_zero() || within(self.max_grad_norm, dec(1, -2), dec(100, 0));
        require(norm, "max_grad_norm", "0 (off), or 0.01 to 100")?;
        if self.attribution {
            require(!self.eps_root.is_zero(), "eps_root", "above 0 with attribution")?;
            require(!self.record_clip.is_zero(), "record_clip", "on with attribution")?;
            require(self.max_grad_norm.is_zero(), "max_grad_norm", "0 with attribution")?;
        }
        Ok(())
    }
}
