"""Checks a pruned checkpoint, and optionally an adapter and its recovery, against transformers and PEFT.

usage: check_pruned_opens.py ORIGINAL_DIR PRUNED_DIR [PRUNED_ADAPTER_DIR RECOVERED_ADAPTER_DIR]

Exits 0 and prints JSON if
- every weight of PRUNED_DIR is bit for bit the kept rows and columns that pruning_plan.json names,
- transformers opens PRUNED_DIR (trust_remote_code) and its logits are those of ORIGINAL_DIR with the removed heads' and channels' contributions set to zero,
- PEFT opens the pruned adapter on PRUNED_DIR and the recovered one on ORIGINAL_DIR, and uses every tensor of both,
- the recovered B A is the pruned B A scattered into zeros.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

transformers.utils.logging.disable_progress_bar()


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager", trust_remote_code=True).eval()


def fail(message):
    raise SystemExit(f"check failed: {message}")


def weights(folder):
    tensors = {}
    for file in sorted(Path(folder).glob("model*.safetensors")):
        tensors.update(load_file(file))
    return tensors


def kept_indices(plan):
    """{module path: (kept rows or None, kept columns or None)}"""
    source = plan["source"]
    dim = source["head_dim"]
    group = source["num_attention_heads"] // source["num_key_value_heads"]
    kept = {}
    for number, layer in enumerate(plan["layers"]):
        heads = layer["kept_key_value_heads"]
        keys = torch.tensor([head * dim + i for head in heads for i in range(dim)])
        queries = torch.tensor([head * group * dim + i for head in heads for i in range(group * dim)])
        channels = torch.tensor(layer["kept_channels"])
        path = f"model.layers.{number}"
        kept[f"{path}.self_attn.q_proj"] = (queries, None)
        kept[f"{path}.self_attn.k_proj"] = kept[f"{path}.self_attn.v_proj"] = (keys, None)
        kept[f"{path}.self_attn.o_proj"] = (None, queries)
        kept[f"{path}.mlp.gate_proj"] = kept[f"{path}.mlp.up_proj"] = (channels, None)
        kept[f"{path}.mlp.down_proj"] = (None, channels)
    return kept


def check_weights(original, pruned, kept):
    whole, part = weights(original), weights(pruned)
    if set(whole) != set(part):
        fail(f"tensor names differ: {sorted(set(whole) ^ set(part))[:3]}")
    for name, tensor in whole.items():
        rows, columns = kept.get(name.removesuffix(".weight"), (None, None))
        expected = tensor if rows is None else tensor[rows]
        expected = expected if columns is None else expected[:, columns]
        if expected.dtype != part[name].dtype or not torch.equal(expected, part[name]):
            fail(f"weight {name} differs")
    return len(whole)


def check_logits(original, pruned, kept, ids):
    reference = load(original)
    with torch.no_grad():
        for path, (_, columns) in kept.items():
            if columns is not None:
                weight = reference.get_submodule(path).weight
                mask = torch.zeros(weight.shape[1], dtype=torch.bool)
                mask[columns] = True
                weight[:, ~mask] = 0
        expected = reference(input_ids=ids).logits
        found = load(pruned)(input_ids=ids).logits
    difference = ((expected - found).abs().max() / expected.abs().max()).item()
    # float64 throughout, but transformers keeps the rotary tables in float32.
    if not difference < 1e-6:
        fail(f"logits differ by {difference}")
    return difference


def check_adapter_opens(model, folder):
    stored = load_file(Path(folder) / "adapter_model.safetensors")
    adapted = PeftModel.from_pretrained(load(model), folder, autocast_adapter_dtype=False)
    loaded = {name.replace(".default.", "."): value for name, value in adapted.named_parameters() if "lora_" in name}
    if set(stored) != set(loaded):
        fail(f"{folder}: PEFT does not use all tensors: {sorted(set(stored) ^ set(loaded))[:3]}")
    for name, value in stored.items():
        if value.dtype != torch.float32 or not torch.equal(value, loaded[name].float()):
            fail(f"{folder}: {name} differs after loading")
    return stored


def check_recovery(part, whole, kept):
    if set(part) != set(whole):
        fail("the recovered adapter has other tensors")
    largest = 0.0
    for name in part:
        if ".lora_A." not in name:
            continue
        other = name.replace(".lora_A.", ".lora_B.")
        small = part[other].double() @ part[name].double()
        large = whole[other].double() @ whole[name].double()
        rows, columns = kept.get(name.removeprefix("base_model.model.").removesuffix(".lora_A.weight"), (None, None))
        rows = torch.arange(large.shape[0]) if rows is None else rows
        columns = torch.arange(large.shape[1]) if columns is None else columns
        expected = torch.zeros_like(large)
        expected[rows.unsqueeze(1), columns.unsqueeze(0)] = small
        largest = max(largest, (expected - large).abs().max().item())
        if not torch.allclose(expected, large, rtol=0, atol=1e-14 * max(1.0, small.abs().max().item())):
            fail(f"recovered delta of {name} differs")
    return largest


def main():
    if len(sys.argv) not in (3, 5):
        raise SystemExit(__doc__)
    original, pruned = sys.argv[1:3]
    plan = json.loads((Path(pruned) / "pruning_plan.json").read_text())
    kept = kept_indices(plan)
    result = {"weights": check_weights(original, pruned, kept)}
    vocabulary = json.loads((Path(original) / "config.json").read_text())["vocab_size"]
    ids = torch.randint(vocabulary, (2, 12), generator=torch.Generator().manual_seed(1))
    result["relative_logit_difference"] = check_logits(original, pruned, kept, ids)
    if len(sys.argv) == 5:
        part = check_adapter_opens(pruned, sys.argv[3])
        whole = check_adapter_opens(original, sys.argv[4])
        result["adapter_tensors"] = len(part)
        result["largest_delta_difference"] = check_recovery(part, whole, kept)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
