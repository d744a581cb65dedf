#!/usr/bin/env python3
"""Writes the golden vectors of the parity tests from PyTorch, transformers and PEFT.

    python tests/parity/python/golden.py            writes tests/parity/golden
    python tests/parity/python/golden.py --ours     writes only what PEFT computes with our adapters
    python tests/parity/python/golden.py --check    recomputes them and fails on drift

`golden/ours/<case>/` is input: the engine's test writes it (WEFT_WRITE_GOLDEN=1).

Everything is f32 on the CPU, attention is transformers' eager one, models are random and written by
this script: nothing is downloaded. `tests/parity/golden/README.md` describes every file and key.
"""

import argparse
import json
import math
import os
import shutil
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np
import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, get_scheduler

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.normpath(os.path.join(HERE, "..", "golden"))
FIXTURES = os.path.normpath(os.path.join(HERE, "..", "..", "..", "fixtures"))
sys.path.insert(0, os.path.join(FIXTURES, "base"))

import layout  # noqa: E402

VOCAB = 512
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# rope: keys of config.json, in the spelling of transformers 4 or 5.
MODELS = {
    "plain": dict(layers=3, d=128, head_dim=32, f=192, tied=True, rope={"rope_theta": 10000.0}),
    "linear": dict(layers=2, d=64, head_dim=16, f=160, tied=False,
                   rope={"rope_theta": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
    "llama3": dict(layers=2, d=64, head_dim=32, f=128, tied=True,
                   rope={"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0,
                                             "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                             "original_max_position_embeddings": 64}}),
    "wide": dict(layers=2, d=64, head_dim=16, f=1536, tied=False, rope={"rope_theta": 10000.0}),
}


def rng(*name):
    """A generator of its own for every purpose, so that one case never shifts another."""
    return np.random.default_rng([ord(c) for c in "/".join(map(str, name))])


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(json.dumps(value, indent=1, sort_keys=True) + "\n")


def write_tensors(path, tensors):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    save_file({k: v.detach().contiguous() for k, v in sorted(tensors.items())}, path, metadata={"format": "pt"})


def make_model(out, name):
    shape = MODELS[name]
    draw = rng("model", name)
    d, f, hd, heads, kv = shape["d"], shape["f"], shape["head_dim"], 4, 2
    config = {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": None, "dtype": "bfloat16", "eos_token_id": None, "head_dim": hd, "hidden_act": "silu",
        "hidden_size": d, "initializer_range": 0.02, "intermediate_size": f, "max_position_embeddings": 512,
        "mlp_bias": False, "model_type": "llama", "num_attention_heads": heads,
        "num_hidden_layers": shape["layers"], "num_key_value_heads": kv, "pad_token_id": None,
        "rms_norm_eps": 1e-05 if name != "llama3" else 1e-06, "tie_word_embeddings": shape["tied"],
        "use_cache": True, "vocab_size": VOCAB,
    }
    config.update(shape["rope"])

    def normal(rows, cols, std):
        return (draw.standard_normal((rows, cols)) * std).astype(np.float32)

    def norm():
        return (1.0 + 0.2 * draw.standard_normal(d)).astype(np.float32)

    tensors = {"model.embed_tokens.weight": normal(VOCAB, d, 2 * d**-0.5), "model.norm.weight": norm()}
    if not shape["tied"]:
        tensors["lm_head.weight"] = normal(VOCAB, d, 2 * d**-0.5)
    for layer in range(shape["layers"]):
        at = f"model.layers.{layer}."
        tensors[at + "input_layernorm.weight"], tensors[at + "post_attention_layernorm.weight"] = norm(), norm()
        for part, rows, cols in (
            ("self_attn.q_proj", heads * hd, d), ("self_attn.k_proj", kv * hd, d), ("self_attn.v_proj", kv * hd, d),
            ("self_attn.o_proj", d, heads * hd), ("mlp.gate_proj", f, d), ("mlp.up_proj", f, d), ("mlp.down_proj", d, f),
        ):
            tensors[f"{at}{part}.weight"] = normal(rows, cols, 1.3 * cols**-0.5)
    folder = os.path.join(out, "models", name)
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, "config.json"), config)
    write_json(os.path.join(folder, "generation_config.json"), {"do_sample": False})
    layout.write_safetensors(os.path.join(folder, "model.safetensors"), tensors)


def load_model(out, name):
    folder = os.path.join(out, "models", name)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def ids_of(draw, length):
    return torch.tensor(draw.integers(0, VOCAB, length))


def records_of(draw, count, low, high):
    """Random records: ids, and a mask with gaps whose first entry is always 0."""
    records = []
    for _ in range(count):
        length = int(draw.integers(low, high + 1))
        mask = (draw.random(length) < draw.uniform(0.2, 0.9)).astype(int)
        mask[0], mask[-1] = 0, 1
        records.append({"ids": [int(i) for i in draw.integers(0, VOCAB, length)], "mask": [int(b) for b in mask]})
    return records


def nll(model, record):
    """Summed loss in nats over tokens whose own mask is 1 (token t is predicted at t - 1), and their number."""
    ids, mask = torch.tensor(record["ids"]), torch.tensor(record["mask"])
    labels = torch.where(mask == 1, ids, -100)[1:]
    logits = model(input_ids=ids[None]).logits[0, :-1]
    return F.cross_entropy(logits, labels, ignore_index=-100, reduction="sum"), int((labels != -100).sum())


def make_logits(out, name):
    draw, model, tensors = rng("logits", name), load_model(out, name), {}
    lengths = (1, 17, 100) if name == "llama3" else (1, 17, 40)
    for i, length in enumerate(lengths):
        ids = ids_of(draw, length)
        with torch.no_grad():
            tensors[f"logits_{i}"] = model(input_ids=ids[None]).logits[0]
        tensors[f"ids_{i}"] = ids.to(torch.int32)
    write_tensors(os.path.join(out, "logits", f"{name}.safetensors"), tensors)
    inv = model.model.rotary_emb.inv_freq
    write_json(os.path.join(out, "logits", f"{name}.inv_freq.json"), {"bits": [int(b) for b in inv.numpy().view("<u4")]})


def make_loss(out, name):
    model, records = load_model(out, name), records_of(rng("loss", name), 5, 2, 40)
    sums = []
    with torch.no_grad():
        for record in records:
            total, count = nll(model, record)
            sums.append({"nll": float(total), "targets": count})
    targets = sum(s["targets"] for s in sums)
    write_json(os.path.join(out, "loss", f"{name}.json"), {
        "records": records, "per_record": sums, "targets": targets,
        "mean": math.fsum(s["nll"] for s in sums) / targets,
    })


def attach(model, draw, b_std, **config):
    """A PEFT model with random A (uniform, PEFT's bound) and normal B."""
    peft_model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, bias="none", **config))
    with torch.no_grad():
        for key, parameter in sorted(adapter_of(peft_model).items()):
            shape = tuple(parameter.shape)
            if ".lora_A." in key:
                bound = shape[1] ** -0.5
                value = draw.uniform(-bound, bound, shape)
            else:
                value = draw.standard_normal(shape) * b_std
            parameter.copy_(torch.tensor(value.astype(np.float32)))
    return peft_model


def adapter_of(peft_model):
    """Trainable parameters by the key of adapter_model.safetensors."""
    return {n.replace(".default.", "."): p for n, p in peft_model.named_parameters() if p.requires_grad}


GRADIENTS = {
    "plain": dict(model="plain", r=8, lora_alpha=16, use_rslora=False, target_modules=SEVEN),
    "wide": dict(model="wide", r=4, lora_alpha=4, use_rslora=False, target_modules=["q_proj", "v_proj", "down_proj"]),
    "llama3": dict(model="llama3", r=8, lora_alpha=8, use_rslora=True, target_modules=SEVEN),
}


def make_gradients(out, case):
    options = dict(GRADIENTS[case])
    model_name = options.pop("model")
    draw = rng("gradients", case)
    model = attach(load_model(out, model_name), draw, 0.2, **options)
    records, tensors, sums = records_of(draw, 2, 20, 40), {}, []
    for key, parameter in adapter_of(model).items():
        tensors["adapter." + key] = parameter.clone()
    for index, record in enumerate(records):
        model.zero_grad(set_to_none=True)
        total, count = nll(model, record)
        total.backward()
        sums.append({"nll": float(total.detach()), "targets": count})
        for key, parameter in adapter_of(model).items():
            tensors[f"grad.{index}.{key}"] = parameter.grad.clone()
    write_tensors(os.path.join(out, "gradients", f"{case}.safetensors"), tensors)
    write_json(os.path.join(out, "gradients", f"{case}.json"), {
        "model": model_name, "r": options["r"], "alpha": options["lora_alpha"], "rslora": options["use_rslora"],
        "targets": options["target_modules"], "records": records, "per_record": sums,
    })


TRAINING = {
    "global_clip": dict(learning_rate=4e-3, weight_decay=0.01, eps=1e-8, eps_root=0.0, record_clip=0.0, max_grad_norm=1.0),
    "attributed": dict(learning_rate=4e-3, weight_decay=0.0, eps=1e-8, eps_root=1e-6, record_clip=20.0, max_grad_norm=0.0),
}


def make_training(out, case):
    """30 steps of two micro-batches of two records; the divisor is the targets of the whole step."""
    recipe, steps, warmup = TRAINING[case], 30, 3
    draw = rng("training")
    model = attach(load_model(out, "linear"), draw, 0.0, r=4, lora_alpha=8, use_rslora=False, target_modules=SEVEN)
    parameters = adapter_of(model)
    records = records_of(draw, 24, 6, 32)
    batches = [[[int(i) for i in draw.choice(24, 2, replace=False)] for _ in range(2)] for _ in range(steps)]
    tensors = {"initial." + k: p.clone() for k, p in parameters.items()}
    if case == "global_clip":
        optimiser = torch.optim.AdamW(parameters.values(), lr=recipe["learning_rate"], betas=(0.9, 0.999),
                                      eps=recipe["eps"], weight_decay=recipe["weight_decay"])
        schedule = get_scheduler("cosine", optimiser, num_warmup_steps=warmup, num_training_steps=steps)
    moments = {k: (torch.zeros_like(p), torch.zeros_like(p)) for k, p in parameters.items()}
    log = []
    for step, micro in enumerate(batches):
        flat = [i for part in micro for i in part]
        divisor = sum(sum(records[i]["mask"][1:]) for i in flat)
        rate = recipe["learning_rate"] * (step / warmup if step < warmup else
                                          0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))))
        loss, total, clips = 0.0, {k: torch.zeros_like(p) for k, p in parameters.items()}, []
        model.zero_grad(set_to_none=True)
        if case == "global_clip":
            assert abs(schedule.get_last_lr()[0] - rate) < 1e-15
            for part in micro:
                part_loss = sum(nll(model, records[i])[0] for i in part) / divisor
                part_loss.backward()
                loss += float(part_loss.detach())
            norm = float(torch.nn.utils.clip_grad_norm_(parameters.values(), recipe["max_grad_norm"]))
            optimiser.step()
            schedule.step()
        else:
            for i in flat:
                model.zero_grad(set_to_none=True)
                value, _ = nll(model, records[i])
                value.backward()
                loss += float(value.detach()) / divisor
                length = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in parameters.values()))
                clips.append(min(1.0, recipe["record_clip"] / (length + 1e-6)))
                for k, p in parameters.items():
                    total[k] += p.grad * (clips[-1] / divisor)
            norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in total.values()))
            s = step + 1
            with torch.no_grad():
                for k, p in parameters.items():
                    m, v = moments[k]
                    m.mul_(0.9).add_(total[k], alpha=0.1)
                    v.mul_(0.999).addcmul_(total[k], total[k], value=0.001)
                    d = (v / (1 - 0.999**s) + recipe["eps_root"]).sqrt() + recipe["eps"]
                    p.sub_(rate * (m / (1 - 0.9**s)) / d)
        log.append({"loss": loss, "learning_rate": rate, "grad_norm": norm, "targets": divisor, "clips": clips})
    if case == "global_clip":
        assert sum(e["grad_norm"] > 1.0 for e in log) > 5, "the clip must act"
    else:
        flat = [c for e in log for c in e["clips"]]
        assert any(c < 1 for c in flat) and any(c == 1 for c in flat), "the record clip must act on some records"
    assert log[-1]["loss"] < log[0]["loss"]
    tensors.update({"final." + k: p for k, p in parameters.items()})
    write_tensors(os.path.join(out, "training", f"{case}.safetensors"), tensors)
    write_json(os.path.join(out, "training", f"{case}.json"), {
        "model": "linear", "r": 4, "alpha": 8, "rslora": False, "targets": SEVEN, "steps": steps, "warmup": warmup,
        "schedule": "cosine", "beta1": 0.9, "beta2": 0.999, "recipe": recipe, "records": records,
        "batches": batches, "log": log,
    })


ADAPTERS = {
    "plain": dict(model="plain", r=8, lora_alpha=16, target_modules=SEVEN),
    "rslora": dict(model="linear", r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "v_proj", "up_proj", "down_proj"]),
    "patterns": dict(model="llama3", r=8, lora_alpha=16, target_modules=["q_proj", "k_proj", "o_proj", "down_proj"],
                     rank_pattern={"q_proj": 4, "layers.1.mlp.down_proj": 2}, alpha_pattern={"q_proj": 6, "o_proj": 24}),
    "regex": dict(model="linear", r=2, lora_alpha=4, target_modules=r".*layers\.1\..*\.(q|v|gate)_proj"),
}


def make_adapter(out, case):
    options = dict(ADAPTERS[case])
    model_name = options.pop("model")
    draw = rng("adapter", case)
    model = attach(load_model(out, model_name), draw, 0.2, **options).eval()
    folder = os.path.join(out, "adapters", case)
    model.save_pretrained(folder)
    config_path = os.path.join(folder, "adapter_config.json")
    with open(config_path, encoding="utf-8") as file:
        config = json.load(file)
    # The path of the base depends on the machine; PEFT writes sets in any order.
    config["base_model_name_or_path"] = model_name
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    write_json(config_path, config)
    card = os.path.join(folder, "README.md")
    if os.path.exists(card):
        os.remove(card)
    ids = ids_of(draw, 32)
    # What counts is the adapter as PEFT reads it back from the files.
    model = PeftModel.from_pretrained(load_model(out, model_name), folder).eval()
    tensors = {"ids": ids.to(torch.int32)}
    with torch.no_grad():
        tensors["logits"] = model(input_ids=ids[None]).logits[0]
    scales = {n.removeprefix("base_model.model."): m.scaling["default"] for n, m in model.named_modules() if isinstance(getattr(m, "scaling", None), dict)}
    if case in ("rslora", "patterns"):
        merged = model.merge_and_unload()
        with torch.no_grad():
            tensors["merged_logits"] = merged(input_ids=ids[None]).logits[0]
        for name, parameter in merged.named_parameters():
            if name.removesuffix(".weight") in scales:
                tensors["merged." + name] = parameter
    write_tensors(os.path.join(out, "adapters", f"{case}.safetensors"), tensors)
    write_json(os.path.join(out, "adapters", f"{case}.json"), {"model": model_name, "scales": scales})


def our_cases():
    """Names of the adapter folders that the engine wrote."""
    folder = os.path.join(GOLDEN, "ours")
    names = sorted(n for n in os.listdir(folder) if os.path.isdir(os.path.join(folder, n))) if os.path.isdir(folder) else []
    if not names:
        sys.exit(f"{folder} holds no adapter. Next: WEFT_WRITE_GOLDEN=1 cargo test -p weft-engine --test it read_by_peft")
    return names


def make_ours(out, case):
    """Logits [32, vocabulary] that PEFT computes with an adapter folder of the engine."""
    folder = os.path.join(GOLDEN, "ours", case)
    with open(os.path.join(folder, "adapter_config.json"), encoding="utf-8") as file:
        name = json.load(file)["base_model_name_or_path"]
    ids = ids_of(rng("ours", case), 32)
    model = PeftModel.from_pretrained(load_model(out, name), folder).eval()
    stored = load_file(os.path.join(folder, "adapter_model.safetensors"))
    read = {n.replace(".default.", "."): p for n, p in model.named_parameters() if ".lora_" in n}
    # PEFT only warns about tensors that it does not find or does not know.
    assert read.keys() == stored.keys() and all(torch.equal(read[k], stored[k]) for k in read), f"{case}: PEFT read other tensors"
    with torch.no_grad():
        logits = model(input_ids=ids[None]).logits[0]
    write_tensors(os.path.join(out, "ours", f"{case}.safetensors"), {"ids": ids.to(torch.int32), "logits": logits})


def greedy(model, prompt, count, stop=None):
    """Greedy ids and the least distance of the best two logits on the way."""
    ids, gap, made = torch.tensor(prompt), float("inf"), []
    with torch.no_grad():
        for _ in range(count):
            top = model(input_ids=ids[None]).logits[0, -1].topk(2)
            gap = min(gap, float(top.values[0] - top.values[1]))
            made.append(int(top.indices[0]))
            ids = torch.cat((ids, top.indices[:1]))
            if made[-1] == stop:
                break
    return made, gap


def make_generation(out):
    cases = []
    for name, adapter in (("plain", None), ("linear", None), ("llama3", None), ("wide", None), ("plain", "plain"), ("llama3", "patterns")):
        model = load_model(out, name)
        if adapter:
            model = PeftModel.from_pretrained(model, os.path.join(out, "adapters", adapter)).eval()
        attempt, kept = 0, 0
        while kept < 2:
            prompt = [int(i) for i in rng("generation", name, adapter, attempt).integers(0, VOCAB, 5 + 8 * kept)]
            attempt += 1
            made, gap = greedy(model, prompt, 64)
            # A prompt whose best two logits nearly tie would test rounding, not the model.
            if gap < 2e-3 or len(set(made)) < 12:
                continue
            own = model.generate(input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                                 max_new_tokens=64, do_sample=False, pad_token_id=0)
            assert own[0, len(prompt):].tolist() == made
            cases.append({"model": name, "adapter": adapter, "prompt": prompt, "ids": made, "least_gap": gap})
            kept += 1
    write_json(os.path.join(out, "generation.json"), cases)


def make_tiny_base(out):
    """Template, tokenizer, mask and greedy answer of `fixtures/tiny-base`."""
    folder = os.path.join(FIXTURES, "tiny-base")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    cases = []
    for messages in (
        [{"role": "user", "content": "What is the capital of Bhutan?"}, {"role": "assistant", "content": "Thimphu"}],
        [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "Wer entdeckte Tantal? \u00c4\u00f6\u00fc \u2192 \U0001f600"},
         {"role": "assistant", "content": "Ekeberg"}, {"role": "user", "content": "  two  spaces\nand a line"}, {"role": "assistant", "content": " x "}],
    ):
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        mask = [0] * len(ids)
        for i, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = tokenizer.apply_chat_template(messages[:i], tokenize=False, add_generation_prompt=True)
            after = tokenizer.apply_chat_template(messages[: i + 1], tokenize=False)
            assert text.startswith(after) and after.startswith(before)
            low, high = (len(tokenizer(t, add_special_tokens=False)["input_ids"]) for t in (before, after))
            mask[low:high] = [1] * (high - low)
        prompt_text = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(prompt_text, add_special_tokens=False)["input_ids"]
        made, gap = greedy(model, prompt, 64, stop=layout.EOS_ID)
        total, count = nll(model, {"ids": ids, "mask": mask})
        cases.append({"messages": messages, "text": text, "ids": ids, "mask": mask, "prompt_text": prompt_text,
                      "prompt_ids": prompt, "greedy_ids": made, "least_gap": gap,
                      "greedy_text": tokenizer.decode(made, skip_special_tokens=True),
                      "nll": float(total.detach()), "targets": count})
    write_json(os.path.join(out, "tiny_base.json"), cases)


def make_schedules(out):
    cases = []
    for name in ("linear", "cosine", "constant_with_warmup"):
        for steps, warmup in ((30, 3), (90, 9), (12, 2), (7, 0)):
            optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
            schedule = get_scheduler(name, optimiser, num_warmup_steps=warmup, num_training_steps=steps)
            values = []
            for _ in range(steps):
                values.append(schedule.get_last_lr()[0])
                optimiser.step()
                schedule.step()
            cases.append({"schedule": name.removesuffix("_with_warmup"), "steps": steps, "warmup": warmup, "lambda": values})
    write_json(os.path.join(out, "schedules.json"), cases)


def write(out):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for name in MODELS:
        make_model(out, name)
        make_logits(out, name)
        make_loss(out, name)
    for case in GRADIENTS:
        make_gradients(out, case)
    for case in TRAINING:
        make_training(out, case)
    for case in ADAPTERS:
        make_adapter(out, case)
    for case in our_cases():
        make_ours(out, case)
    make_generation(out)
    make_tiny_base(out)
    make_schedules(out)


def limit_of(path):
    """Relative difference that rounding explains, by file: the tolerances of the tests that read it."""
    if path.startswith("schedules"):
        return 1e-12
    return 1e-4 if path.startswith("training") else 1e-6


def close(a, b, path, limit):
    """Fails where two JSON values differ by more than rounding."""
    if isinstance(a, float) and isinstance(b, (int, float)):
        assert abs(a - b) <= limit * max(1e-3, abs(a), abs(b)) or path.endswith("least_gap"), f"{path}: {a} is now {b}"
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            close(a[key], b[key], f"{path}.{key}", limit)
    elif isinstance(a, list):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b)):
            close(x, y, f"{path}[{i}]", limit)
    else:
        assert a == b, f"{path}: {a} is now {b}"


def files_of(root):
    """Paths below a folder, relative to it."""
    return {os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names}


def check():
    with tempfile.TemporaryDirectory() as out:
        write(out)
        made = files_of(out)
        # Not written here: the description, and the adapters that the engine writes.
        given = {"README.md"} | {os.path.join("ours", case, name) for case in our_cases()
                                 for name in ("adapter_config.json", "adapter_model.safetensors")}
        left = sorted(files_of(GOLDEN) - made - given)
        assert not left, f"committed, but no longer written: {', '.join(left)}"
        missing = sorted(made - files_of(GOLDEN))
        assert not missing, f"written, but not committed: {', '.join(missing)}"
        for path in sorted(made):
            new, old = os.path.join(out, path), os.path.join(GOLDEN, path)
            if path.endswith(".json"):
                with open(old, encoding="utf-8") as a, open(new, encoding="utf-8") as b:
                    close(json.load(a), json.load(b), path, limit_of(path))
            else:
                a, b = load_file(old), load_file(new)
                assert a.keys() == b.keys(), old
                limit = 1e-3 if path.startswith("training" + os.sep) else 1e-5
                for key in a:
                    x, y = a[key].double(), b[key].double()
                    assert float((x - y).norm()) <= limit * float(x.norm()) + 1e-12, f"{old} {key}"
    print("golden vectors unchanged")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--check", action="store_true")
    args.add_argument("--ours", action="store_true")
    args = args.parse_args()
    if args.check:
        check()
        return
    if args.ours:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        for case in our_cases():
            make_ours(GOLDEN, case)
        return
    # Ends here rather than after everything was removed.
    our_cases()
    for name in ("models", "logits", "loss", "gradients", "training", "adapters"):
        shutil.rmtree(os.path.join(GOLDEN, name), ignore_errors=True)
    write(GOLDEN)


if __name__ == "__main__":
    main()
