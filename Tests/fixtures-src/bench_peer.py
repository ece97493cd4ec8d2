"""The work of `loram-mpi bench step` in PyTorch + PEFT (+ bitsandbytes): one training step on random weights and tokens, on the CPU.

usage: bench_peer.py [--full] [--dtype bf16|f32] [--quant nf4|none] [--recompute none|full] [--hidden 1024 --inter 2816 --layers 8 --heads 16 --kv 16 --vocab 32000 --batch 4 --seq 512 --rank 8 --steps 5 --threads 2]
LoRA, or with --full all weights (transformers alone; moments, and under bf16 the weights that AdamW updates, are of the dtype).
Prints one JSON object with `bench step`'s keys tokens_per_second, step_seconds and peak_rss_mib.
"""

import argparse
import json
import resource
import statistics
import time

import bitsandbytes
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

SHAPE = {"hidden": 1024, "inter": 2816, "layers": 8, "heads": 16, "kv": 16, "vocab": 32000, "batch": 4, "seq": 512, "rank": 8, "steps": 5, "threads": 2}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def quantize(model, dtype):
    """Puts every linear layer but the head into NF4 with double quantization."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear) and name != "lm_head":
                layer = bitsandbytes.nn.Linear4bit(child.in_features, child.out_features, bias=False, compute_dtype=dtype, compress_statistics=True, quant_type="nf4")
                layer.weight = bitsandbytes.nn.Params4bit(child.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True)
                setattr(module, name, layer.to("cpu"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--quant", choices=["nf4", "none"], default="nf4")
    parser.add_argument("--recompute", choices=["none", "full"], default="none")
    for name, default in SHAPE.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    shape = parser.parse_args()
    torch.set_num_threads(shape.threads)
    torch.manual_seed(1)
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[shape.dtype]
    base = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=shape.hidden, intermediate_size=shape.inter, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv, vocab_size=shape.vocab, max_position_embeddings=4096, tie_word_embeddings=False, use_cache=False,
        )
    ).to(dtype)
    if shape.full:
        model = base
    else:
        if shape.quant == "nf4":
            quantize(base, dtype)
        model = get_peft_model(base, LoraConfig(r=shape.rank, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM"))
    model.train()
    if shape.recompute == "full":
        if not shape.full:
            model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    tokens = torch.randint(0, shape.vocab, (shape.batch, shape.seq))
    seconds = []
    for _ in range(shape.steps + 1):
        start = time.perf_counter()
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    step = statistics.median(seconds[1:])
    print(
        json.dumps(
            {
                "tokens_per_second": shape.batch * shape.seq / step,
                "step_seconds": step,
                "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
