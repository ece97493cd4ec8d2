"""Loads an adapter onto a model with transformers and PEFT, scores a file, and prints JSON to compare with `evaluate --adapter`.

usage: check_adapter_in_peft.py MODEL_DIR ADAPTER_DIR INPUT.jsonl [--length N] [--dtype float32|float64] [--limit DOCUMENTS]
                                [--logits-out FILE.safetensors]
ADAPTER_DIR `none` scores the model alone. INPUT.jsonl holds `input_ids` (with `labels`, or every token but the first is scored; used as they are) or
`text` (tokenized by MODEL_DIR/tokenizer.model and cut into disjoint windows of N tokens, each with BOS; every token is scored once).
"""

import argparse
import json
import math
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

IGNORED = -100


def read_documents(path: Path, model_folder: Path, length: int):
    """Sequences as `(input_ids, labels)`, labels standing as in Hugging Face: labels[t] is predicted at t-1."""
    tokenizer = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        row = json.loads(line)
        if "input_ids" in row:
            yield row["input_ids"], row.get("labels", row["input_ids"])
            continue
        if tokenizer is None:
            import sentencepiece

            tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(model_folder / "tokenizer.model"))
        ids = tokenizer.encode(row["text"])
        for start in range(0, len(ids), length - 1):
            window = [tokenizer.bos_id()] + ids[start : start + length - 1]
            yield window, window


def check_every_tensor_is_used(model, adapter_folder: Path):
    """PEFT only warns about tensors that fit nowhere; here that is an error."""
    loaded = {name.replace(".default.", ".") for name, _ in model.named_parameters() if "lora_" in name}
    stored = {name for name in load_file(adapter_folder / "adapter_model.safetensors")}
    if loaded != stored:
        raise SystemExit(f"adapter and model differ: only stored {sorted(stored - loaded)[:3]}, only in the model {sorted(loaded - stored)[:3]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("adapter")
    parser.add_argument("input", type=Path)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64", "bfloat16"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--logits-out", type=Path)
    arguments = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()

    dtype = getattr(torch, arguments.dtype)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=dtype, attn_implementation="eager", trust_remote_code=True)
    if arguments.adapter != "none":
        model = PeftModel.from_pretrained(model, arguments.adapter, autocast_adapter_dtype=False).to(dtype)
        check_every_tensor_is_used(model, Path(arguments.adapter))
    model.eval()

    total, count, documents, kept = 0.0, 0, 0, []
    minimum, maximum, squares, elements = math.inf, -math.inf, 0.0, 0
    with torch.no_grad():
        for ids, labels in read_documents(arguments.input, arguments.model, arguments.length):
            if documents == arguments.limit:
                break
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
            targets = torch.tensor(labels[1:], dtype=torch.long)
            total += torch.nn.functional.cross_entropy(logits[:-1], targets, ignore_index=IGNORED, reduction="sum").item()
            count += int((targets != IGNORED).sum())
            documents += 1
            minimum, maximum = min(minimum, logits.min().item()), max(maximum, logits.max().item())
            squares, elements = squares + logits.square().sum().item(), elements + logits.numel()
            if arguments.logits_out:
                kept.append(logits.float())
    if arguments.logits_out:
        save_file({"logits": torch.cat(kept)}, arguments.logits_out)
    print(json.dumps({
        "sum_nll": total, "tokens": count, "nll": total / max(count, 1), "perplexity": math.exp(total / max(count, 1)), "sequences": documents,
        "logits": {"minimum": minimum, "maximum": maximum, "root_mean_square": math.sqrt(squares / max(elements, 1)), "count": elements},
    }))


if __name__ == "__main__":
    main()
