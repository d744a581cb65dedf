//! What a run tells: `events.jsonl`, one event a line with a gap-free number.

use crate::error::{EngineError, Result};
use crate::train::StepReport;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the stream, from 0 without gaps.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. Fields named `*_per_s` and `eta_s` are measured; all others
/// are deterministic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A phase begins: validating, training, attributing, saving.
    Phase {
        /// Its name.
        phase: String,
        /// Steps of the whole run.
        steps: u32,
    },
    /// A training step is done.
    Step {
        /// Steps done.
        step: u32,
        /// Steps of the run.
        steps: u32,
        /// Epochs done.
        epoch: f64,
        /// Mean loss per trained token, nats.
        #[serde(deserialize_with = "real")]
        loss: f32,
        /// Learning rate.
        learning_rate: f64,
        /// ‖G‖.
        #[serde(deserialize_with = "real")]
        grad_norm: f32,
        /// Tokens evaluated.
        tokens: u64,
        /// Trained targets evaluated.
        trained_tokens: u64,
        /// Tokens a second.
        tokens_per_s: f64,
        /// Seconds left of the whole run.
        eta_s: f64,
    },
    /// The held-out records were evaluated.
    Eval {
        /// Steps done.
        step: u32,
        /// Mean loss per trained token, nats.
        #[serde(deserialize_with = "real")]
        loss: f32,
    },
    /// A step of the reverse part is done; `step` counts down to 0.
    Replay {
        /// State whose cotangent is now known.
        step: u32,
        /// Steps of the run.
        steps: u32,
        /// Seconds left.
        eta_s: f64,
    },
    /// A checkpoint is on disk.
    Checkpoint {
        /// Its place in the chain of states.
        u: u32,
        /// Content id of its file, hexadecimal.
        content: String,
    },
    /// Something worth reading.
    Notice {
        /// The text.
        text: String,
    },
    /// The run is over.
    Done {
        /// `done` or `diverged`.
        outcome: String,
        /// Steps done.
        steps: u32,
    },
}

impl EventKind {
    /// A step's event.
    #[must_use]
    pub fn step(r: &StepReport, steps: u32, epoch: f64, tokens_per_s: f64, eta_s: f64) -> Self {
        Self::Step {
            step: r.step,
            steps,
            epoch,
            loss: r.loss,
            learning_rate: r.learning_rate,
            grad_norm: r.grad_norm,
            tokens: r.tokens,
            trained_tokens: r.trained_tokens,
            tokens_per_s,
            eta_s,
        }
    }

    /// Order among the events that a resumed run repeats.
    fn place(&self) -> Option<(u8, u32)> {
        match self {
            Self::Step { step, .. } => Some((0, *step)),
            Self::Eval { step, .. } => Some((1, *step)),
            Self::Replay { step, steps, .. } => Some((2, steps.saturating_sub(*step))),
            Self::Checkpoint { u, .. } => Some((3, *u)),
            Self::Phase { phase, .. } => phase_place(phase).map(|at| (4, at)),
            Self::Done { .. } => Some((5, 0)),
            Self::Notice { .. } => None,
        }
    }

    /// The event without what is measured.
    fn deterministic(&self) -> Value {
        without_measures(serde_json::to_value(self).unwrap_or_default())
    }
}

/// Order of the phases of a run; each begins once.
fn phase_place(name: &str) -> Option<u32> {
    let place = ["validating", "training", "attributing", "saving"].iter().position(|p| *p == name)?;
    u32::try_from(place).ok()
}

fn without_measures(mut v: Value) -> Value {
    if let Some(map) = v.as_object_mut() {
        map.remove("tokens_per_s");
        map.remove("eta_s");
    }
    v
}

/// [`EventKind::place`] of a recorded line. Lines are read as values: when a crate of the same build asks `serde_json` to
/// keep the digits of numbers, a tagged enum can no longer be read from a line that holds a real number.
fn place_of(v: &Value) -> Option<(u8, u32)> {
    let number = |key: &str| v.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    match v.get("event")?.as_str()? {
        "step" => Some((0, number("step")?)),
        "eval" => Some((1, number("step")?)),
        "replay" => Some((2, number("steps")?.saturating_sub(number("step")?))),
        "checkpoint" => Some((3, number("u")?)),
        "phase" => phase_place(v.get("phase")?.as_str()?).map(|at| (4, at)),
        "done" => Some((5, 0)),
        _ => None,
    }
}

/// Equal but for the last digits of reals, which a reader of JSON may round.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, x)| b.get(k).is_some_and(|y| same(x, y)))
        }
        (Value::Number(x), Value::Number(y)) => match (x.as_f64(), y.as_f64()) {
            (Some(x), Some(y)) => x == y || (x - y).abs() <= 1e-6 * x.abs().max(y.abs()),
            _ => false,
        },
        _ => a == b,
    }
}

/// JSON has no NaN: it is written as null.
fn real<'de, D: Deserializer<'de>>(d: D) -> std::result::Result<f32, D::Error> {
    Ok(Option::<f32>::deserialize(d)?.unwrap_or(f32::NAN))
}

/// The stream of a run, on disk when it has a folder.
#[derive(Debug)]
pub struct EventLog {
    path: Option<PathBuf>,
    file: Option<File>,
    seq: u64,
    recorded: Vec<(u8, u32, Value)>,
}

impl EventLog {
    /// Opens `events.jsonl` of `dir`, or a stream in memory. A torn last line
    /// is cut off.
    ///
    /// # Errors
    /// Reading or writing failed, or a line is not an event.
    pub fn open(dir: Option<&Path>) -> Result<Self> {
        let Some(dir) = dir else { return Ok(Self { path: None, file: None, seq: 0, recorded: Vec::new() }) };
        let path = dir.join("events.jsonl");
        let io = || EngineError::io(&path);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io())?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io())?;
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        file.set_len(whole as u64).map_err(io())?;
        file.seek(SeekFrom::End(0)).map_err(io())?;
        let mut log = Self { path: Some(path.clone()), file: Some(file), seq: 0, recorded: Vec::new() };
        for line in text[..whole].split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let malformed = |detail: String| EngineError::Malformed {
                path: path.clone(),
                detail: format!("not an event: {detail}"),
            };
            let mut event: Value = serde_json::from_slice(line).map_err(|e| malformed(e.to_string()))?;
            let seq = event.as_object_mut().and_then(|map| map.remove("seq")).and_then(|seq| seq.as_u64());
            log.seq = seq.ok_or_else(|| malformed("it has no `seq`".to_owned()))? + 1;
            if let Some((class, at)) = place_of(&event) {
                log.recorded.push((class, at, without_measures(event)));
            }
        }
        log.recorded.sort_by_key(|r| (r.0, r.1));
        Ok(log)
    }

    /// Records an event and shows it. An event that was recorded before, by this process or an earlier one, must be
    /// equal; it is not repeated.
    ///
    /// # Errors
    /// Writing failed, or `resume_mismatch`.
    pub fn emit(&mut self, kind: EventKind, sink: &mut dyn FnMut(&Event)) -> Result<()> {
        let mut place = None;
        if let Some((class, at)) = kind.place() {
            match self.recorded.binary_search_by(|r| (r.0, r.1).cmp(&(class, at))) {
                Ok(i) if same(&self.recorded[i].2, &kind.deterministic()) => return Ok(()),
                Ok(_) => {
                    return Err(EngineError::ResumeMismatch {
                        path: self.path.clone().unwrap_or_default(),
                        what: "a recorded step",
                    })
                }
                // A resumed run tells of a checkpoint whose event may be lost, and then reaches its state again.
                Err(i) => place = Some((i, (class, at, kind.deterministic()))),
            }
        }
        let event = Event { seq: self.seq, kind };
        if let (Some(file), Some(path)) = (&mut self.file, &self.path) {
            let mut line = serde_json::to_string(&event).unwrap_or_default();
            line.push('\n');
            file.write_all(line.as_bytes()).and_then(|()| file.flush()).map_err(EngineError::io(path))?;
        }
        if let Some((i, entry)) = place {
            self.recorded.insert(i, entry);
        }
        self.seq += 1;
        sink(&event);
        Ok(())
    }

    /// Makes what was recorded durable: before a checkpoint that stands behind it is.
    ///
    /// # Errors
    /// Writing failed.
    pub fn sync(&self) -> Result<()> {
        match (&self.file, &self.path) {
            (Some(file), Some(path)) => file.sync_data().map_err(EngineError::io(path)),
            _ => Ok(()),
        }
    }
}
