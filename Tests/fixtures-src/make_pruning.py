"""Writes the pruning fixtures: what SparseGPT, Wanda, magnitude and LLM-Pruner's importances make of a small model.

usage: make_pruning.py [--output DIR]        (versions: requirements.txt; layout: README.md)
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from transformers import LlamaForCausalLM

from parity_models import use_double_precision_inside
from pruning_reference import importances, prune, prune_model

FIXTURES = Path(__file__).resolve().parent.parent / "LoRAMEngineTests" / "Fixtures"
MODEL = FIXTURES / "parity" / "llama31" / "model"
SHARES = {"half": {"ratio": 0.5}, "4:8": {"pattern": (4, 8)}, "3:5": {"pattern": (3, 5)}}
SCORES = ["sparsegpt", "wanda", "magnitude"]


def read_model():
    return LlamaForCausalLM.from_pretrained(MODEL, dtype="float64", attn_implementation="eager").eval()


def packed(kept):
    return np.packbits(kept, axis=1, bitorder="little")


def make_matrix(output):
    """One matrix of 140 columns, which is more than a block and no multiple of 8; input 17 is always zero."""
    generator = np.random.default_rng(5)
    weight = generator.normal(0, 0.1, (12, 140)).astype(np.float32)
    mixing = generator.normal(0, 1, (140, 140)) * (generator.random((140, 140)) < 0.05) + np.eye(140)
    inputs = np.clip(np.round(generator.normal(0, 12, (190, 140)) @ mixing), -127, 127).astype(np.int8)
    inputs[:, 17] = 0
    tensors = {"weight": weight, "inputs": inputs}
    for score in SCORES:
        for name, share in SHARES.items():
            pruned, kept = prune(weight, inputs / 32, score, **share)
            tensors[f"{score}.{name}.mask"] = packed(kept)
            if score == "sparsegpt":
                tensors[f"{score}.{name}.weight"] = pruned.astype(np.float32)
    save_file(tensors, output / "matrix.safetensors")


def make_model(output, sequences):
    tensors = {}
    for score in SCORES:
        for name, share in SHARES.items():
            if name == "3:5":
                continue
            for weight, (pruned, kept) in prune_model(read_model(), sequences, score, **share).items():
                tensors[f"{score}.{name}.mask.{weight}"] = packed(kept)
                if score == "sparsegpt" and weight.endswith("1.mlp.down_proj.weight"):
                    tensors[f"{score}.{name}.{weight}"] = pruned.astype(np.float32)
    save_file(tensors, output / "model.safetensors")


def make_importances(output, sequences):
    model, tensors = read_model(), {}
    cases = [(kind, "sum", "correct") for kind in ["vectorize", "param_first", "param_second", "param_mix"]]
    cases += [("param_first", aggregation, "correct") for aggregation in ["mean", "max", "prod"]] + [("param_first", "sum", "llm_pruner")]
    for kind, aggregation, grouping in cases:
        for layer, (heads, channels) in enumerate(importances(model, sequences, kind, aggregation, grouping)):
            tensors[f"{kind}.{aggregation}.{grouping}.layers.{layer}.heads"] = heads
            tensors[f"{kind}.{aggregation}.{grouping}.layers.{layer}.channels"] = channels
    save_file(tensors, output / "importances.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FIXTURES / "pruning")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    use_double_precision_inside()
    generator = np.random.default_rng(9)
    sequences = [[1] + generator.integers(3, 131, 23).tolist() for _ in range(6)]
    (output / "calibration.jsonl").write_text("".join(json.dumps({"input_ids": sequence}) + "\n" for sequence in sequences))
    make_matrix(output)
    make_model(output, sequences)
    make_importances(output, sequences)


if __name__ == "__main__":
    main()
