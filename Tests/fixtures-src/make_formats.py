"""Writes Tests/LoRAMEngineTests/Fixtures/formats: files of safetensors, transformers and PEFT that our readers must understand."""
import json
import shutil
import struct
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = Path(__file__).resolve().parent.parent / "LoRAMEngineTests" / "Fixtures" / "formats"
FLOATS = {"f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64, "f32": torch.float32}


def types():
    """Every element type, a scalar, empty tensors and metadata, as the reference implementation lays them out."""
    values = torch.tensor([0.0, -0.0, 1.0, -1.5, 3.14159265, 1e-7, 6e-8, 65504.0, -1e-3, 2.0**-24])
    tensors = {f"float.{name}": values.to(dtype).reshape(2, 5) for name, dtype in FLOATS.items()}
    for name in ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool"]:
        tensors[name] = torch.tensor([0, 1, 1], dtype=getattr(torch, name))
    tensors["float8_e4m3fn"] = torch.tensor([0.5, 2.0, -3.0]).to(torch.float8_e4m3fn)
    tensors["float8_e5m2"] = torch.tensor([0.5, 2.0, -3.0]).to(torch.float8_e5m2)
    tensors["scalar"] = torch.tensor(7.5)
    tensors["empty"] = torch.zeros(0, 3)
    save_file(tensors, OUT / "types.safetensors", metadata={"format": "pt", "note": 'ü "quoted"\n'})
    expected = {name: tensors[f"float.{name}"].to(torch.float32).flatten().tolist() for name in FLOATS}
    (OUT / "types.json").write_text(json.dumps(expected))


def odd_offsets():
    """Floats that start in mid-word, as other writers leave them; accepted by the reference reader."""
    floats = torch.arange(40, dtype=torch.float32) / 7 - 2
    parts = [("byte", torch.tensor([9], dtype=torch.uint8), "U8")]
    parts += [(name, floats.to(FLOATS[name]), name.upper()) for name in FLOATS]
    header, data = {}, b""
    for name, tensor, dtype in parts:
        raw = bytes(tensor.contiguous().view(torch.uint8).tolist())
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = OUT / "odd-offsets.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    assert torch.equal(load_file(path)["bf16"], floats.to(torch.bfloat16))
    (OUT / "odd-offsets.json").write_text(json.dumps({name: floats.to(FLOATS[name]).float().tolist() for name in FLOATS}))


def rounding():
    """Bit patterns of floats and of what PyTorch makes of them in bf16 and f16."""
    generator = torch.Generator().manual_seed(1)
    bits = torch.randint(-(2**31), 2**31 - 1, (400,), generator=generator, dtype=torch.int64).to(torch.int32)
    edges = [0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x7F7FFFFF, 0x7F800000, 0x00000001, 0x477FF000, 0x477FEFFF]
    edges += [0x477FE000, 0x38800000, 0x387FFFFF, 0x33000000, 0x33000001, 0x33C00000, 0x33400000, 0x387FE000]
    bits = torch.cat([bits, torch.tensor(edges, dtype=torch.int64).to(torch.int32)])
    floats = bits.view(torch.float32)
    keep = ~floats.isnan()
    rows = {"f32": bits[keep].tolist()}
    for name in ["bf16", "f16"]:
        rows[name] = floats[keep].to(FLOATS[name]).view(torch.int16).tolist()
    (OUT / "rounding.json").write_text(json.dumps({k: [v & (0xFFFFFFFF if k == "f32" else 0xFFFF) for v in r] for k, r in rows.items()}))


def models():
    torch.manual_seed(2)
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    rope["original_max_position_embeddings"] = 32
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=64, rms_norm_eps=1e-5, rope_parameters=rope, eos_token_id=[2, 3], tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(OUT / "sharded", max_shard_size="3KB")
    config.tie_word_embeddings = True
    tied = LlamaForCausalLM(config)
    tied.save_pretrained(OUT / "tied")
    for name in ["sharded", "tied"]:
        (OUT / name / "generation_config.json").unlink()
    expected = {"sharded": {}, "tied": {}}
    for name, each in [("sharded", model), ("tied", tied)]:
        for key, tensor in each.state_dict().items():
            expected[name][key] = {"shape": list(tensor.shape), "sum": tensor.double().sum().item(), "last": tensor.flatten()[-1].item()}
    (OUT / "models.json").write_text(json.dumps(expected))
    return config


def adapters(config):
    cases = {
        "adapter": dict(r=2, lora_alpha=4, lora_dropout=0.05, target_modules=["q_proj", "down_proj", "lm_head"]),
        "adapter-pattern": dict(r=3, lora_alpha=5, use_rslora=True, target_modules=r".*layers\.1\.(self_attn\.v_proj|mlp\.up_proj)"),
        "adapter-all-linear": dict(r=1, lora_alpha=1, target_modules="all-linear"),
        "adapter-dora": dict(r=2, lora_alpha=4, use_dora=True, target_modules=["q_proj"]),
        "adapter-ranks": dict(r=2, lora_alpha=4, rank_pattern={"q_proj": 3}, target_modules=["q_proj", "k_proj"]),
    }
    config.tie_word_embeddings = False
    for name, settings in cases.items():
        torch.manual_seed(3)
        model = get_peft_model(LlamaForCausalLM(config), LoraConfig(task_type="CAUSAL_LM", **settings))
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(parameter)
        model.save_pretrained(OUT / name)
        (OUT / name / "README.md").unlink(missing_ok=True)


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    types()
    odd_offsets()
    rounding()
    adapters(models())
    print("wrote", OUT)
