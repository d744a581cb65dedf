//! The step's graph: which tensors are trained, in which order they stand in a state.
//!
//! Version 0 fixes states and no intermediate tensor.

use crate::{recipe::Recipe, shape::ModelShape};
use alloc::{format, string::String, vec::Vec};

/// Version of the graph that new runs use.
pub const VERSION: u16 = 0;

/// A linear of a block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// Query projection.
    Q,
    /// Key projection.
    K,
    /// Value projection.
    V,
    /// Output projection.
    O,
    /// Gate of the MLP.
    Gate,
    /// Up projection of the MLP.
    Up,
    /// Down projection of the MLP.
    Down,
}

impl Target {
    /// Every target in the order of the recipe's bits.
    pub const ALL: [Self; 7] = [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// The target's bit in the recipe.
    pub const fn bit(self) -> u8 {
        match self {
            Self::Q => 1,
            Self::K => 2,
            Self::V => 4,
            Self::O => 8,
            Self::Gate => 16,
            Self::Up => 32,
            Self::Down => 64,
        }
    }

    /// Short name, as recipes write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::O => "o",
            Self::Gate => "gate",
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// Name of the module, as transformers and PEFT write it.
    pub const fn module(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The part of the block that holds it.
    pub const fn parent(self) -> &'static str {
        match self {
            Self::Q | Self::K | Self::V | Self::O => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        }
    }

    /// Input and output width.
    pub fn dims(self, shape: &ModelShape) -> (u32, u32) {
        match self {
            Self::Q => (shape.d, shape.q_dim()),
            Self::K | Self::V => (shape.d, shape.kv_dim()),
            Self::O => (shape.q_dim(), shape.d),
            Self::Gate | Self::Up => (shape.d, shape.f),
            Self::Down => (shape.f, shape.d),
        }
    }

    /// Name of the base weight in layer `layer`.
    pub fn weight_name(self, layer: u16) -> String {
        format!("model.layers.{layer}.{}.{}.weight", self.parent(), self.module())
    }
}

/// The two factors of an adapter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// `[r, in]`.
    A,
    /// `[out, r]`.
    B,
}

/// One trained tensor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Name in a PEFT file.
    pub name: String,
    /// `[r, in]` for A, `[out, r]` for B.
    pub dims: [u32; 2],
    /// Block.
    pub layer: u16,
    /// Linear.
    pub target: Target,
    /// Factor.
    pub part: Part,
}

impl Slot {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        let [rows, columns] = self.dims;
        u64::from(rows).saturating_mul(u64::from(columns))
    }
}

/// The trained tensors of a recipe on a shape, sorted bytewise by name: the order of every state.
pub fn lora_slots(shape: &ModelShape, recipe: &Recipe) -> Vec<Slot> {
    let rank = u32::from(recipe.r);
    let mut slots = Vec::new();
    for layer in 0..shape.layers {
        for target in recipe.targets() {
            let (input, output) = target.dims(shape);
            for (part, letter, dims) in [(Part::A, 'A', [rank, input]), (Part::B, 'B', [output, rank])] {
                let name = format!(
                    "base_model.model.model.layers.{layer}.{}.{}.lora_{letter}.weight",
                    target.parent(),
                    target.module()
                );
                slots.push(Slot { name, dims, layer, target, part });
            }
        }
    }
    slots.sort_unstable_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    slots
}
