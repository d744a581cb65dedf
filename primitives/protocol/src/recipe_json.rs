//! Recipes as people write them: JSON with the names and units of the documentation.
//!
//! Missing fields take their defaults, which depend on `attribution`; unknown fields are errors.

use crate::{
    dec::Dec,
    graph::Target,
    hash::Hash,
    recipe::{Length, LossMean, Method, Overlong, Recipe, Schedule, TrainOn, Warmup},
};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Write;
use serde::{de::Error as _, ser::Error as _, Deserialize, Deserializer, Serialize, Serializer};

/// A field that is a percentage of something, or a number of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Share {
    Count(u32),
    Percent(String),
}

/// `"12.5%"` in parts per million.
fn parse_percent(text: &str) -> Option<u32> {
    let percent = Dec::parse(text.strip_suffix('%')?.trim_end())?;
    let ppm = percent.scaled().checked_mul(10_000)?;
    let unit = Dec::ONE.scaled();
    (ppm.checked_rem(unit)? == 0).then_some(())?;
    u32::try_from(ppm.checked_div(unit)?).ok()
}

fn percent(ppm: u32) -> Option<String> {
    Some(format!("{}%", Dec::new(ppm, -4)?.to_plain()))
}

fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::with_capacity(64), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap_or_default();
        out
    })
}

fn unhex(text: &str) -> Option<Hash> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let bytes: Option<Vec<u8>> = (0..text.len())
        .step_by(2)
        .map(|at| {
            let digits = text.get(at..at.checked_add(2)?)?;
            digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
        })
        .collect();
    bytes?.try_into().ok()
}

macro_rules! names {
    ($module:ident, $type:ident, $($variant:ident = $name:literal),*) => {
        mod $module {
            use super::*;

            pub(super) fn name(value: $type) -> &'static str {
                match value {
                    $($type::$variant => $name,)*
                }
            }

            pub(super) fn parse<E: serde::de::Error>(text: &str) -> Result<$type, E> {
                match text {
                    $($name => Ok($type::$variant),)*
                    other => Err(E::unknown_variant(other, &[$($name),*])),
                }
            }
        }
    };
}

names!(method, Method, Lora = "lora", Qlora = "qlora");
names!(loss_mean, LossMean, Token = "token", Record = "record");
names!(train_on, TrainOn, Responses = "responses", LastResponse = "last_response", All = "all");
names!(overlong, Overlong, Truncate = "truncate", Drop = "drop", Refuse = "refuse");
names!(schedule, Schedule, Linear = "linear", Cosine = "cosine", Constant = "constant");

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Json {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<u16>,
    method: Option<String>,
    attribution: Option<bool>,
    r: Option<u16>,
    alpha: Option<u16>,
    rslora: Option<bool>,
    dropout: Option<Dec>,
    targets: Option<Vec<String>>,
    learning_rate: Option<Dec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_steps: Option<u32>,
    batch_size: Option<u16>,
    loss_mean: Option<String>,
    max_seq_len: Option<u32>,
    train_on: Option<String>,
    overlong: Option<String>,
    schedule: Option<String>,
    warmup: Option<Share>,
    beta1: Option<Dec>,
    beta2: Option<Dec>,
    eps: Option<Dec>,
    eps_root: Option<Dec>,
    record_clip: Option<Dec>,
    weight_decay: Option<Dec>,
    max_grad_norm: Option<Dec>,
    eval: Option<String>,
    exclude: Option<Vec<String>>,
}

impl Serialize for Recipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (epochs, max_steps) = match self.length {
            Length::Epochs(epochs) => (Some(epochs), None),
            Length::MaxSteps(steps) => (None, Some(steps)),
        };
        let warmup = match self.warmup {
            Warmup::Ppm(ppm) => Share::Percent(percent(ppm).ok_or_else(|| S::Error::custom("warmup"))?),
            Warmup::Steps(steps) => Share::Count(steps),
        };
        Json {
            schema: Some(self.schema),
            method: Some(method::name(self.method).to_string()),
            attribution: Some(self.attribution),
            r: Some(self.r),
            alpha: Some(self.alpha),
            rslora: Some(self.rslora),
            dropout: Some(self.dropout),
            targets: Some(self.targets().map(|target| target.name().to_string()).collect()),
            learning_rate: Some(self.learning_rate),
            epochs,
            max_steps,
            batch_size: Some(self.batch_size),
            loss_mean: Some(loss_mean::name(self.loss_mean).to_string()),
            max_seq_len: Some(self.max_seq_len),
            train_on: Some(train_on::name(self.train_on).to_string()),
            overlong: Some(overlong::name(self.overlong).to_string()),
            schedule: Some(schedule::name(self.schedule).to_string()),
            warmup: Some(warmup),
            beta1: Some(self.beta1),
            beta2: Some(self.beta2),
            eps: Some(self.eps),
            eps_root: Some(self.eps_root),
            record_clip: Some(self.record_clip),
            weight_decay: Some(self.weight_decay),
            max_grad_norm: Some(self.max_grad_norm),
            eval: Some(percent(self.eval_ppm).ok_or_else(|| S::Error::custom("eval"))?),
            exclude: Some(self.exclude.iter().map(hex).collect()),
        }
        .serialize(serializer)
    }
}

/// Puts a given value in place of the default.
fn set<T>(field: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *field = value;
    }
}

impl<'de> Deserialize<'de> for Recipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let mut recipe = if json.attribution.unwrap_or(true) { Self::attributed() } else { Self::plain() };
        set(&mut recipe.schema, json.schema);
        set(&mut recipe.method, json.method.as_deref().map(method::parse).transpose()?);
        set(&mut recipe.r, json.r);
        set(&mut recipe.alpha, json.alpha);
        set(&mut recipe.rslora, json.rslora);
        set(&mut recipe.dropout, json.dropout);
        if let Some(names) = json.targets {
            recipe.targets = names.iter().try_fold(0u8, |bits, name| {
                let target = Target::ALL.into_iter().find(|target| target.name() == name || target.module() == name);
                target
                    .map(|target| bits | target.bit())
                    .ok_or_else(|| D::Error::unknown_variant(name, &["q", "k", "v", "o", "gate", "up", "down"]))
            })?;
        }
        set(&mut recipe.learning_rate, json.learning_rate);
        recipe.length = match (json.epochs, json.max_steps) {
            (Some(_), Some(_)) => return Err(D::Error::custom("give `epochs` or `max_steps`, not both")),
            (Some(epochs), None) => Length::Epochs(epochs),
            (None, Some(steps)) => Length::MaxSteps(steps),
            (None, None) => recipe.length,
        };
        set(&mut recipe.batch_size, json.batch_size);
        set(&mut recipe.loss_mean, json.loss_mean.as_deref().map(loss_mean::parse).transpose()?);
        set(&mut recipe.max_seq_len, json.max_seq_len);
        set(&mut recipe.train_on, json.train_on.as_deref().map(train_on::parse).transpose()?);
        set(&mut recipe.overlong, json.overlong.as_deref().map(overlong::parse).transpose()?);
        set(&mut recipe.schedule, json.schedule.as_deref().map(schedule::parse).transpose()?);
        let share = |field: &str, text: &str| {
            parse_percent(text).ok_or_else(|| {
                D::Error::custom(format!("`{field}`: write a percentage such as \"10%\", at most four decimals"))
            })
        };
        match json.warmup {
            Some(Share::Count(steps)) => recipe.warmup = Warmup::Steps(steps),
            Some(Share::Percent(text)) => recipe.warmup = Warmup::Ppm(share("warmup", &text)?),
            None => {}
        }
        set(&mut recipe.beta1, json.beta1);
        set(&mut recipe.beta2, json.beta2);
        set(&mut recipe.eps, json.eps);
        set(&mut recipe.eps_root, json.eps_root);
        set(&mut recipe.record_clip, json.record_clip);
        set(&mut recipe.weight_decay, json.weight_decay);
        set(&mut recipe.max_grad_norm, json.max_grad_norm);
        if let Some(text) = json.eval {
            recipe.eval_ppm = share("eval", &text)?;
        }
        if let Some(ids) = json.exclude {
            let ids: Option<Vec<Hash>> = ids.iter().map(|id| unhex(id)).collect();
            let mut ids = ids.ok_or_else(|| D::Error::custom("`exclude`: each record id is 64 hexadecimal digits"))?;
            ids.sort_unstable();
            ids.dedup();
            recipe.exclude = ids;
        }
        Ok(recipe)
    }
}
