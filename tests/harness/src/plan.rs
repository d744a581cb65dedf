//! What a scenario does: Datanets with their files, recipe, money, questions.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use weft::{commands::job, output::WEFT};
use weft_protocol::recipe::Recipe;

use crate::{HarnessError, HarnessResult};

/// A Datanet with its contributions.
#[derive(Clone, Debug)]
pub struct DatanetPlan {
    /// Name.
    pub name: String,
    /// Markdown card.
    pub card: Vec<u8>,
    /// One file per contributor, in their order.
    pub files: Vec<PathBuf>,
    /// A file that the curator rejects: its contributor and where it lies.
    pub rejected: Option<(usize, PathBuf)>,
}

/// A question with the answer that a tuned model gives.
#[derive(Clone, Debug, Deserialize)]
pub struct Question {
    /// The question.
    pub question: String,
    /// A right answer holds this text.
    pub key: String,
    /// `trained`: the phrasing is a record; `heldout`: no record has it.
    pub kind: String,
}

impl Question {
    /// Whether the phrasing is a record.
    #[must_use]
    pub fn is_trained(&self) -> bool {
        self.kind == "trained"
    }

    /// Whether an answer is right.
    #[must_use]
    pub fn is_right(&self, answer: &str) -> bool {
        answer.contains(&self.key)
    }
}

/// A whole scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Datanets.
    pub datanets: Vec<DatanetPlan>,
    /// The recipe.
    pub recipe: Recipe,
    /// Questions whose answers are shown.
    pub shown: Vec<Question>,
    /// All questions that are asked to measure the share of right answers.
    pub measured: Vec<Question>,
    /// Price of one training on one Datanet.
    pub licence_price: u128,
    /// Fee of the oracle.
    pub fee: u128,
    /// Declared value of the model.
    pub value: u128,
    /// Stake of an oracle.
    pub stake: u128,
    /// Budget of the consumer.
    pub budget: u128,
    /// Price of 1,000 tokens, read and written.
    pub prices: (u128, u128),
    /// Longest answer in tokens.
    pub max_tokens: u32,
}

/// The Datanets of the fixtures, in their order on chain.
const NAMES: [&str; 3] = ["capitals", "elements", "birds"];
/// Contributors of a Datanet.
pub const CONTRIBUTORS: usize = 3;
/// Records of each contributor to each Datanet in the small plan: 24 in all.
const SMALL: [usize; CONTRIBUTORS] = [3, 3, 2];

fn text(path: &Path) -> HarnessResult<String> {
    std::fs::read_to_string(path).map_err(|e| HarnessError::io("read", path, e))
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> HarnessResult<T> {
    serde_json::from_str(&text(path)?).map_err(|e| HarnessError::fixture(path, e))
}

/// Every n-th element, `count` of them.
fn spread<T: Clone>(all: &[T], count: usize) -> Vec<T> {
    let step = all.len().checked_div(count).unwrap_or(1).max(1);
    all.iter().step_by(step).take(count).cloned().collect()
}

impl Plan {
    /// The job of the demo: all records of the fixtures.
    pub fn full(fixtures: &Path) -> HarnessResult<Self> {
        let root = fixtures.join("datanets");
        let mut datanets = Vec::new();
        let mut measured: Vec<Question> = Vec::new();
        for name in NAMES {
            let dir = root.join(name);
            let rejected = dir.join("rejected.jsonl");
            datanets.push(DatanetPlan {
                name: name.to_string(),
                card: text(&dir.join("README.md"))?.into_bytes(),
                files: (1..=CONTRIBUTORS).map(|i| dir.join(format!("contributor{i}.jsonl"))).collect(),
                rejected: rejected.exists().then_some((CONTRIBUTORS.saturating_sub(1), rejected)),
            });
            measured.extend(json::<Vec<Question>>(&dir.join("questions.json"))?);
        }
        let (trained, heldout): (Vec<_>, Vec<_>) = measured.iter().cloned().partition(Question::is_trained);
        let mut shown = spread(&trained, 5);
        shown.extend(spread(&heldout, 5));
        Ok(Self {
            datanets,
            recipe: job::read_recipe(&fixtures.join("recipe.json"))?,
            shown,
            measured,
            licence_price: WEFT,
            fee: 15 * WEFT,
            value: 50 * WEFT,
            stake: 10_000 * WEFT,
            budget: 100 * WEFT,
            prices: (WEFT / 5, WEFT),
            max_tokens: 24,
        })
    }

    /// The same job in small: 24 records, 12 steps, two questions. Its files are written into `work`.
    pub fn small(fixtures: &Path, work: &Path) -> HarnessResult<Self> {
        let mut plan = Self::full(fixtures)?;
        for datanet in &mut plan.datanets {
            let dir = work.join("data").join(&datanet.name);
            for (file, count) in datanet.files.iter_mut().zip(SMALL) {
                *file = first_lines(file, count, &dir)?;
            }
            if let Some((_, file)) = &mut datanet.rejected {
                *file = first_lines(file, 2, &dir)?;
            }
        }
        plan.recipe = small_recipe(fixtures, work, 12, 4)?;
        plan.shown = spread(&plan.shown, 2);
        plan.measured.clear();
        plan.max_tokens = 8;
        Ok(plan)
    }

    /// Records of a contributor that are accepted.
    pub fn records(&self, contributor: usize) -> HarnessResult<usize> {
        let mut sum = 0usize;
        for file in self.datanets.iter().filter_map(|d| d.files.get(contributor)) {
            sum = sum.saturating_add(text(file)?.lines().count());
        }
        Ok(sum)
    }
}

/// The fixtures' recipe with few parameters, `steps` steps and `batch` records in each.
pub fn small_recipe(fixtures: &Path, work: &Path, steps: u32, batch: u32) -> HarnessResult<Recipe> {
    let mut recipe: Value = json(&fixtures.join("recipe.json"))?;
    if let Some(map) = recipe.as_object_mut() {
        for (key, value) in [("r", 4), ("alpha", 8), ("max_steps", steps), ("batch_size", batch), ("max_seq_len", 96)] {
            map.insert(key.into(), value.into());
        }
    }
    let path = work.join(format!("recipe-{steps}.json"));
    std::fs::create_dir_all(work).map_err(|e| HarnessError::io("create", work, e))?;
    std::fs::write(&path, recipe.to_string()).map_err(|e| HarnessError::io("write", &path, e))?;
    Ok(job::read_recipe(&path)?)
}

fn first_lines(file: &Path, count: usize, dir: &Path) -> HarnessResult<PathBuf> {
    let mut short = String::new();
    for line in text(file)?.lines().take(count) {
        short.push_str(line);
        short.push('\n');
    }
    std::fs::create_dir_all(dir).map_err(|e| HarnessError::io("create", dir, e))?;
    let to = dir.join(file.file_name().unwrap_or_default());
    std::fs::write(&to, short).map_err(|e| HarnessError::io("write", &to, e))?;
    Ok(to)
}
