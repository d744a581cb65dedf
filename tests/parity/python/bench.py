#!/usr/bin/env python3
"""Training speed against PEFT, side by side in one run, with equal losses.

    python tests/parity/python/bench.py --weft PATH/TO/bench_train --base fixtures/base

Both train the same adapter on the same tokens: LoRA r 16 on all seven projections, f32, AdamW at a constant
rate, from PEFT's initial values. PEFT gets a padded batch, fused AdamW and the faster of its attentions; the
engine keeps a gradient per record. The runs alternate: ours, PEFT, ours, PEFT. Tokens are those of the
records; padding does not count. Exits with 1 when the losses of a step differ.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

parser = argparse.ArgumentParser(description="training speed against PEFT")
parser.add_argument("--weft", required=True, help="the engine's example bench_train")
parser.add_argument("--base", default="fixtures/base")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=2, help="how often each side runs")
parser.add_argument("--warmup", type=int, default=3)
parser.add_argument("--steps", type=int, default=10, help="timed steps of a run")
ARGS = parser.parse_args()

# Both read at the first import of torch.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(ARGS.threads)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from transformers.utils import logging  # noqa: E402

DATANETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "fixtures", "datanets")
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RECIPE = {"r": 16, "alpha": 32, "learning_rate": 1e-3, "eps": 1e-8, "weight_decay": 0.01}
TOLERANCE = 1e-3
LONG = 256


def encode(tokenizer, record):
    """Ids and mask of a record in the base's chat template; the last answer is trained."""
    messages = record.get("messages") or [{"role": "user", "content": record["prompt"]},
                                          {"role": "assistant", "content": record["completion"]}]
    before = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text.startswith(before)
    head = tokenizer(before, add_special_tokens=False)["input_ids"]
    tail = tokenizer(text[len(before):], add_special_tokens=False)["input_ids"]
    return {"ids": head + tail, "mask": [0] * len(head) + [1] * len(tail)}


def short_records(tokenizer):
    records = []
    for name in ("birds", "capitals", "elements"):
        for contributor in (1, 2, 3):
            path = os.path.join(DATANETS, name, f"contributor{contributor}.jsonl")
            with open(path, encoding="utf-8") as lines:
                for line in lines:
                    records.append(encode(tokenizer, json.loads(line)))
    random.Random(0).shuffle(records)
    return records


def joined(records):
    """Records one after the other, as many as fit into LONG tokens."""
    out, ids, mask = [], [], []
    for record in records:
        if len(ids) + len(record["ids"]) > LONG:
            out.append({"ids": ids, "mask": mask})
            ids, mask = [], []
        ids, mask = ids + record["ids"], mask + record["mask"]
    return out


def draw(records, size):
    """The same batches for both sides."""
    rng = random.Random(1)
    return [rng.sample(range(len(records)), size) for _ in range(ARGS.warmup + ARGS.steps)]


def load(attention):
    return AutoModelForCausalLM.from_pretrained(ARGS.base, dtype=torch.float32, attn_implementation=attention)


def initial(folder):
    """PEFT's own initial adapter: B = 0."""
    torch.manual_seed(0)
    config = LoraConfig(task_type="CAUSAL_LM", r=RECIPE["r"], lora_alpha=RECIPE["alpha"], lora_dropout=0.0,
                        bias="none", target_modules=SEVEN)
    get_peft_model(load("eager"), config).save_pretrained(folder)
    return os.path.join(folder, "adapter_model.safetensors")


def padded(records, batch):
    longest = max(len(records[i]["ids"]) for i in batch)
    ids, labels, attention = [], [], []
    for i in batch:
        rest = longest - len(records[i]["ids"])
        ids.append(records[i]["ids"] + [0] * rest)
        labels.append([t if m else -100 for t, m in zip(records[i]["ids"], records[i]["mask"])] + [-100] * rest)
        attention.append([1] * len(records[i]["ids"]) + [0] * rest)
    return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "attention_mask": torch.tensor(attention)}


def run_peft(adapter, given, attention, steps=None):
    model = PeftModel.from_pretrained(load(attention), os.path.dirname(adapter), is_trainable=True).train()
    model.config.use_cache = False
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RECIPE["learning_rate"],
                                  betas=(0.9, 0.999), eps=RECIPE["eps"], weight_decay=RECIPE["weight_decay"], fused=True)
    log = []
    for step, batch in enumerate(given["batches"][:steps]):
        started = time.perf_counter()
        loss = model(**padded(given["records"], batch)).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        value = loss.item()
        seconds = time.perf_counter() - started
        tokens = sum(len(given["records"][i]["ids"]) for i in batch)
        log.append({"step": step, "loss": value, "seconds": seconds, "tokens": tokens})
    return log


def run_ours(adapter, path):
    command = [ARGS.weft, ARGS.base, path, adapter, str(ARGS.threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def speeds(log):
    return [e["tokens"] / e["seconds"] for e in log[ARGS.warmup:]]


def measure(name, records, size, folder, adapter):
    given = {"recipe": RECIPE, "records": records, "batches": draw(records, size)}
    path = os.path.join(folder, "input.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(given, out)
    probe = {a: min(e["seconds"] for e in run_peft(adapter, given, a, ARGS.warmup + 2)[1:]) for a in ("eager", "sdpa")}
    attention = min(probe, key=probe.get)
    ours, theirs, worst = [], [], 0.0
    for _ in range(ARGS.rounds):
        a, b = run_ours(adapter, path), run_peft(adapter, given, attention)
        assert len(a) == len(b) == len(given["batches"])
        ours, theirs = ours + speeds(a), theirs + speeds(b)
        # A loss that is not a number must count as different.
        gaps = [abs(x["loss"] - y["loss"]) / abs(y["loss"]) for x, y in zip(a, b)]
        worst = max([worst] + [g if g == g else float("inf") for g in gaps])
    x, y = statistics.median(ours), statistics.median(theirs)
    mean = statistics.mean(len(r["ids"]) for r in records)
    shape = f"{name}: {size} x {mean:.0f}"
    agree = "equal" if worst <= TOLERANCE else "DIFFER"
    print(f"{shape:<24}{x:>10.0f}{y:>10.0f}{x / y:>8.2f}   {attention:<9}{worst:.1e} {agree}", flush=True)
    return worst <= TOLERANCE


def main():
    torch.set_num_threads(ARGS.threads)
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    if not os.access(ARGS.weft, os.X_OK):
        sys.exit(f"bench: no program at {ARGS.weft}.\n       Next: make build")
    records = short_records(AutoTokenizer.from_pretrained(ARGS.base))
    print(f"LoRA r {RECIPE['r']}, f32, {ARGS.threads} threads, {ARGS.rounds} runs of {ARGS.steps} timed steps each, medians")
    print(f"{'batch x mean tokens':<24}{'ours t/s':>10}{'PEFT t/s':>10}{'ratio':>8}   {'PEFT by':<9}largest loss difference")
    with tempfile.TemporaryDirectory() as folder:
        adapter = initial(folder)
        fine = [measure("short", records, 16, folder, adapter), measure("long", joined(records), 8, folder, adapter)]
    if not all(fine):
        sys.exit(f"bench: losses differ by more than {TOLERANCE:g}; the speeds above compare different computations.")


if __name__ == "__main__":
    main()
