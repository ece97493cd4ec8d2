"""Writes Tests/LoRAMEngineTests/Fixtures/nf4: NF4 tensors of bitsandbytes, and a 4-bit checkpoint that transformers saved.

blocks.safetensors: for each CASE of each TYPE (f32, bf16, f16)
    CASE.TYPE.values            the input, as it is
    CASE.TYPE.double.*          quantize_4bit with compress_statistics, the names after `double` being bitsandbytes' own
    CASE.TYPE.nearest.absmax    double quantization again, every scale taken to the exact nearest entry of the map
    CASE.TYPE.single.*          without
    CASE.TYPE.decoded           dequantized, in TYPE; .decoded_single without double quantization
double/, single/: a tiny bf16 Llama, quantized and saved by transformers on a CPU; source/ is the model itself;
decoded.safetensors: DIR.NAME, the dequantized linear layers of both.
"""
import json
import shutil
from pathlib import Path

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

OUT = Path(__file__).resolve().parent.parent / "LoRAMEngineTests" / "Fixtures" / "nf4"
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def cases():
    """Shapes whose rows end in mid-block and mid-byte, and blocks that are zero, constant, tiny, huge or end early."""
    generator = torch.Generator().manual_seed(11)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    special = torch.zeros(7, 100)
    flat = special.view(-1)
    flat[64:128] = 0.37
    flat[128:192] = -1.5
    flat[192:256] = normal(64) * 1e-41
    flat[256:320] = normal(64) * 1e4
    flat[320:384] = torch.linspace(-1, 1, 64)
    flat[384:448] = torch.tensor([-0.0, 0.0] * 32)
    flat[448] = 1.0
    flat[512:640] = normal(128) * torch.logspace(-6, 3, 128)
    flat[640:] = normal(60)
    return {
        "rows": normal(5, 43),
        "odd": normal(3, 33),
        "few": normal(1, 7),
        "scales": normal(60, 300) * torch.logspace(-3, 1, 60).unsqueeze(1),
        "constant": torch.full((4, 64), 0.25),
        "special": special,
        "zero": torch.zeros(3, 50),
    }


def nearest_scales(scales, offset, table):
    """What quantize_blockwise computes, with an exact search in place of its table of bins."""
    shifted = scales - offset
    codes = []
    for part in shifted.split(256):
        largest = part.abs().max()
        if largest == 0:
            codes.append(torch.zeros(len(part), dtype=torch.uint8))
            continue
        scaled = part * (1 / largest)
        distance = (scaled.double().unsqueeze(1) - table.double().unsqueeze(0)).abs()
        codes.append(distance.argmin(1).to(torch.uint8))
    return torch.cat(codes)


def blocks():
    tensors = {}
    for case, values in cases().items():
        for type_name, dtype in TYPES.items():
            # More than 256 blocks: one type of it is enough of a file.
            if case == "scales" and type_name != "bf16":
                continue
            value = values.to(dtype)
            if not value.float().isfinite().all():
                raise SystemExit(f"{case} does not fit {type_name}")
            prefix = f"{case}.{type_name}"
            tensors[f"{prefix}.values"] = value
            codes, state = bnb.quantize_4bit(value, quant_type="nf4", compress_statistics=False)
            add(tensors, f"{prefix}.single", codes, state)
            tensors[f"{prefix}.decoded_single"] = bnb.dequantize_4bit(codes, state)
            scales = state.absmax.clone()
            codes, state = bnb.quantize_4bit(value, quant_type="nf4", compress_statistics=True)
            add(tensors, f"{prefix}.double", codes, state)
            tensors[f"{prefix}.decoded"] = bnb.dequantize_4bit(codes, state)
            tensors[f"{prefix}.nearest.absmax"] = nearest_scales(scales, state.offset, state.state2.code)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, OUT / "blocks.safetensors")


def add(tensors, prefix, codes, state):
    tensors[f"{prefix}.weight"] = codes
    for name, tensor in state.as_dict(packed=True).items():
        if not name.endswith("quant_map"):
            tensors[f"{prefix}.weight.{name}"] = tensor


def checkpoints():
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=20, hidden_size=20, intermediate_size=37, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=6,
        max_position_embeddings=64, tie_word_embeddings=False, dtype=torch.bfloat16,
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
        model.model.layers[1].mlp.up_proj.weight.view(-1)[100:260] = 0
    model.save_pretrained(OUT / "source")
    decoded = {}
    for name, double in [("double", True), ("single", False)]:
        settings = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double, bnb_4bit_compute_dtype=torch.bfloat16
        )
        quantized = AutoModelForCausalLM.from_pretrained(OUT / "source", dtype=torch.bfloat16, quantization_config=settings)
        quantized.save_pretrained(OUT / name)
        for path, module in quantized.named_modules():
            if hasattr(module, "weight") and hasattr(module.weight, "quant_state"):
                decoded[f"{name}.{path}.weight"] = bnb.dequantize_4bit(module.weight.data, module.weight.quant_state)
    save_file(decoded, OUT / "decoded.safetensors")
    for name in ["source", "double", "single"]:
        (OUT / name / "generation_config.json").unlink(missing_ok=True)
        assert json.loads((OUT / name / "config.json").read_text())["model_type"] == "llama"
        # Private to the user otherwise.
        (OUT / name / "model.safetensors").chmod(0o644)
    assert load_file(OUT / "double" / "model.safetensors")["model.layers.0.mlp.up_proj.weight"].dtype == torch.uint8


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    blocks()
    checkpoints()
