"""Checks an NF4 checkpoint of ours against transformers and bitsandbytes.

usage: check_quantized_opens.py SOURCE_DIR QUANTIZED_DIR

SOURCE_DIR is the bf16 checkpoint that `quantize --set quantization.absmax_rounding=bitsandbytes_cpu` made QUANTIZED_DIR from. Exits 0
and prints JSON if transformers opens QUANTIZED_DIR without being told anything, as the very model that it makes by quantizing SOURCE_DIR
itself: the same modules in 4 bit, every weight equal in every bit, the same logits.
"""

import json
import sys
from pathlib import Path

import bitsandbytes as bnb
import torch
import transformers
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

transformers.utils.logging.disable_progress_bar()


def fail(message):
    raise SystemExit(f"check failed: {message}")


def weights(model):
    found = {}
    for name, value in model.named_parameters():
        if isinstance(value, bnb.nn.Params4bit):
            found[name] = bnb.functional.dequantize_4bit(value.data, value.quant_state)
        else:
            found[name] = value.data
    return found


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    source, quantized = sys.argv[1:]
    config = json.loads((Path(quantized) / "config.json").read_text())
    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=config["quantization_config"]["bnb_4bit_use_double_quant"],
    )
    expected = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16, quantization_config=settings, trust_remote_code=True).eval()
    found = AutoModelForCausalLM.from_pretrained(quantized, trust_remote_code=True).eval()
    linear = [name for name, module in found.named_modules() if isinstance(module, bnb.nn.Linear4bit)]
    if linear != [name for name, module in expected.named_modules() if isinstance(module, bnb.nn.Linear4bit)]:
        fail("other modules are in 4 bit")
    if len(linear) != 7 * config["num_hidden_layers"]:
        fail(f"{len(linear)} modules are in 4 bit")
    left, right = weights(expected), weights(found)
    if set(left) != set(right):
        fail(f"parameters differ: {sorted(set(left) ^ set(right))[:3]}")
    for name, value in left.items():
        other = right[name]
        if value.dtype != other.dtype or value.shape != other.shape or not torch.equal(value.view(torch.int16), other.view(torch.int16)):
            fail(f"{name} differs")
    for model in (expected, found):
        for module in model.modules():
            if isinstance(module, bnb.nn.Linear4bit):
                # bitsandbytes' repacked format for CPUs with AVX-512-BF16 takes only widths of whole blocks.
                module.support_avx512bf16_for_cpu = False
    ids = torch.randint(config["vocab_size"], (2, 12), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        if not torch.equal(expected(input_ids=ids).logits, found(input_ids=ids).logits):
            fail("logits differ")
    print(json.dumps({"weights": len(left), "quantized": len(linear)}))


if __name__ == "__main__":
    main()
