"""Compares a merged model with the base and its adapter in PEFT: logits within the rounding of bf16, other tensors identical in their bytes.

usage: check_merged_in_peft.py BASE_DIR ADAPTER_DIR MERGED_DIR
"""

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM


def tensors(folder: Path):
    result = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():
                result[name] = opened.get_tensor(name)
    return result


def main():
    base_folder, adapter_folder, merged_folder = map(Path, sys.argv[1:])
    adapter = tensors(adapter_folder)
    settings = json.loads((adapter_folder / "adapter_config.json").read_text())
    scale = settings["lora_alpha"] / (settings["r"] ** 0.5 if settings.get("use_rslora") else settings["r"])
    base, merged, touched = tensors(base_folder), tensors(merged_folder), 0
    largest = 0.0
    for name, value in merged.items():
        key = "base_model.model." + name.removesuffix(".weight")
        if key + ".lora_A.weight" not in adapter:
            if value.dtype != base[name].dtype or not torch.equal(value.view(torch.uint8), base[name].view(torch.uint8)):
                raise SystemExit(f"{name} is not adapted, yet differs")
            continue
        touched += 1
        source = base.get(name, base["model.embed_tokens.weight"])
        expected = source.double() + scale * adapter[key + ".lora_B.weight"].double() @ adapter[key + ".lora_A.weight"].double()
        # Half a unit in the last place of bf16, and the error of the f32 sum.
        excess = ((value.double() - expected).abs() - expected.abs() * 2.0**-8 - 1e-6).max().item()
        if value.dtype != torch.bfloat16 or excess > 0:
            raise SystemExit(f"{name}: {value.dtype}, off by {excess} more than the rounding of bf16")
    if touched * 2 != len([name for name in adapter if "lora_" in name]):
        raise SystemExit("an adapted layer was not merged")

    def logits(model):
        ids = torch.arange(3, 67).reshape(2, 32)
        with torch.no_grad():
            return model.float().eval()(input_ids=ids).logits

    load = lambda folder: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=True)
    plain = logits(load(base_folder))
    adapted = logits(PeftModel.from_pretrained(load(base_folder), adapter_folder))
    whole = logits(load(merged_folder))
    change, error = (adapted - plain).abs().max().item(), (whole - adapted).abs().max().item()
    spread = adapted.abs().max().item()
    print(json.dumps({"merged": touched, "largest_logit": spread, "adapter_changes": change, "merge_differs": error}))
    if error > 0.02 * spread or error > 0.25 * change:
        raise SystemExit("the logits differ by more than the rounding of bf16 explains")


if __name__ == "__main__":
    main()
