"""Compares what loram-mpi and transformers compute from the same checkpoints, opened as they are.

usage: compare_opened.py LORAM_MPI CHECKPOINT_DIR...

Each directory may hold a whole, a structurally pruned (through its auto_map), a non-structurally pruned or an NF4 checkpoint. Both programs compute
in float32. Compared are -log p of single tokens behind random prefixes, a loram-mpi run each, and the mean over four whole documents. Prints a JSON
object for each checkpoint and exits 0 if no value differs by more than 1e-4.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

transformers.utils.logging.disable_progress_bar()
LIMIT = 1e-4


def open_in_transformers(folder):
    config = json.loads((Path(folder) / "config.json").read_text())
    if "quantization_config" not in config:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", trust_remote_code=True).eval(), config
    import bitsandbytes as bnb

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", trust_remote_code=True).eval()
    linear = {name: module for name, module in model.named_modules() if isinstance(module, bnb.nn.Linear4bit)}
    assert len(linear) == 7 * config["num_hidden_layers"], f"{len(linear)} modules in 4 bit"
    for name, module in linear.items():
        weight = dequantized(module.weight)
        plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        plain.weight = torch.nn.Parameter(weight)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, plain)
    # Which transformers refuses of a model that it still takes for a quantized one.
    return torch.nn.Module.float(model), config


def dequantized(weight):
    """As bitsandbytes stores it, blocks of 64 across rows, rounded to the type that the weight had. Its own kernel for CPUs (0.50.2) reads widths that are no multiple of 64 wrongly."""
    state, codes = weight.quant_state, weight.data.flatten()
    indices = torch.stack([codes >> 4, codes & 15], 1).flatten().long()
    absmax = state.absmax
    if state.nested:
        count = absmax.numel()
        absmax = state.state2.code[absmax.long()] * state.state2.absmax.repeat_interleave(state.state2.blocksize)[:count] + state.offset
    return (state.code[indices] * absmax.repeat_interleave(64)[: indices.numel()]).view(state.shape).to(state.dtype).float()


def ours(program, folder, records):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ids.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        command = [program, "evaluate", "--model", folder, "--perplexity", path, "--length", "48", "--set", "compute.type=f32", "--json"]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return (result["perplexity"] if isinstance(result.get("perplexity"), dict) else result)["nll"]


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    failed = False
    for folder in sys.argv[2:]:
        model, config = open_in_transformers(folder)
        ids = torch.randint(3, config["vocab_size"], (4, 48), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            log_p = model(input_ids=ids).logits.log_softmax(-1)
        expected = -log_p[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
        records = [{"input_ids": row.tolist()} for row in ids]
        differences = {"mean": abs(ours(sys.argv[1], folder, records) - expected.mean().item())}
        single = []
        for row, place in [(0, 1), (1, 5), (2, 23), (3, 47)]:
            labels = [-100] * 48
            labels[place] = records[row]["input_ids"][place]
            single.append(abs(ours(sys.argv[1], folder, [dict(records[row], labels=labels)]) - expected[row, place - 1].item()))
        differences["single_tokens"] = max(single)
        failed |= max(differences.values()) > LIMIT
        print(json.dumps({"checkpoint": folder, "model_type": config["model_type"], "nll": expected.mean().item(), "difference": differences}))
    if failed:
        raise SystemExit(f"check failed: differences above {LIMIT}")


if __name__ == "__main__":
    main()
