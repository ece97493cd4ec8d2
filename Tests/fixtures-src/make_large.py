"""Writes a bf16 checkpoint of random numbers in a large model's shape, to measure memory and bytes with.

usage: make_large.py OUTPUT_DIR [--layers 40 --hidden 5120 --heads 40 --inter 13824 --vocab 32000 --shard-layers 8]

The defaults are LLaMA-2-13B's: 26.0 GB. One block of normally distributed numbers (standard deviation 0.02) is repeated, each tensor starting
somewhere else in it; norms are one. Beside the weights lies calibration.jsonl, 10 sequences of 64 random token ids.
"""

import argparse
import json
from pathlib import Path

import numpy as np


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("output")
    for name, value in [("layers", 40), ("hidden", 5120), ("heads", 40), ("inter", 13824), ("vocab", 32000), ("shard-layers", 8)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    folder = Path(args.output)
    folder.mkdir(parents=True)
    generator = np.random.default_rng(1)
    # bf16 by cutting off.
    block = (generator.standard_normal(1 << 24, dtype=np.float32) * 0.02).view(np.uint32) >> 16
    block = block.astype("<u2").tobytes()
    one = np.array([0x3F80], "<u2").tobytes()

    d, i, v = args.hidden, args.inter, args.vocab
    shards = [[("model.embed_tokens.weight", [v, d])]]
    for layer in range(args.layers):
        if layer % args.shard_layers == 0:
            shards.append([])
        path = f"model.layers.{layer}."
        shards[-1] += [(path + "input_layernorm.weight", [d]), (path + "post_attention_layernorm.weight", [d])]
        shards[-1] += [(f"{path}self_attn.{name}_proj.weight", [d, d]) for name in "qkvo"]
        shards[-1] += [(f"{path}mlp.{name}_proj.weight", [i, d]) for name in ("gate", "up")] + [(path + "mlp.down_proj.weight", [d, i])]
    shards.append([("model.norm.weight", [d]), ("lm_head.weight", [v, d])])

    weight_map, total = {}, 0
    for number, tensors in enumerate(shards):
        name = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        header, offset = {}, 0
        for tensor, shape in tensors:
            size = 2 * int(np.prod(shape))
            header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
            weight_map[tensor] = name
            offset += size
        total += offset
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / name, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for tensor, shape in tensors:
                size = 2 * int(np.prod(shape))
                if len(shape) == 1:
                    file.write(one * shape[0])
                    continue
                start = 2 * int(generator.integers(len(block) // 2))
                while size > 0:
                    piece = block[start : start + size]
                    file.write(piece)
                    size -= len(piece)
                    start = 0
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": d, "intermediate_size": i, "num_hidden_layers": args.layers,
        "num_attention_heads": args.heads, "num_key_value_heads": args.heads, "vocab_size": v, "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    with open(folder / "calibration.jsonl", "w") as file:
        for _ in range(10):
            file.write(json.dumps({"input_ids": generator.integers(3, v, 64).tolist()}) + "\n")
    print(f"{folder}: {total} bytes of weights")


if __name__ == "__main__":
    main()
