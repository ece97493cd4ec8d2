"""Writes the parity fixtures: small Llama checkpoints, PEFT adapters and what transformers + PEFT compute with them.

usage: make_parity.py [--output DIR] [CASE ...]        (versions: requirements.txt; layout: README.md)
"""

import argparse
import json
import random
import shutil
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import save_file

from parity_cases import CASES, Case
from parity_models import read_adapted_model, read_model, use_double_precision_inside, write_adapter, write_model
from parity_reference import IGNORED, gradients, training_record

DEFAULT_OUTPUT = Path(__file__).resolve().parent.parent / "LoRAMEngineTests" / "Fixtures" / "parity"


def make_documents(case: Case):
    """Random documents; about a quarter of each one's labels, from its start, is ignored, and one label here and there."""
    generator = random.Random(case.seed)
    micro_batches = []
    for lengths in case.documents:
        batch = []
        for length in lengths:
            ids = [1] + [generator.randrange(3, case.vocab) for _ in range(length - 1)]
            prompt = max(1, length // 4)
            labels = [IGNORED if t < prompt or generator.random() < 0.1 else token for t, token in enumerate(ids)]
            batch.append({"input_ids": ids, "labels": labels})
        micro_batches.append(batch)
    return micro_batches


def make_case(case: Case, output: Path):
    folder = output / case.name
    shutil.rmtree(folder, ignore_errors=True)
    model_folder, adapter_folder = folder / "model", folder / "adapter"
    generator = torch.Generator().manual_seed(case.seed)
    torch.manual_seed(case.seed)
    write_model(case, model_folder, generator)
    write_adapter(case, model_folder, adapter_folder, generator)
    micro_batches = make_documents(case)
    (folder / "input.json").write_text(json.dumps(micro_batches) + "\n")

    base = lambda dtype: read_model(case, model_folder, dtype)
    adapted = lambda dtype: read_adapted_model(case, model_folder, adapter_folder, dtype)
    dense, dense_total, count, dense_logits, dense_parts = gradients(base(torch.float64), micro_batches, lora=False)
    lora, total, _, logits, parts = gradients(adapted(torch.float64), micro_batches, lora=True)
    tensors = {"logits": logits, "dense_logits": dense_logits}
    tensors |= {f"dense.{name}": gradient for name, gradient in dense.items()}
    tensors |= {f"lora.{name}": gradient for name, gradient in lora.items()}
    tensors = {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, folder / "tensors.safetensors")

    expected = {
        "case": case.name,
        "what": case.what,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__},
        "token_count": count,
        "sum_nll": total,
        "mean_loss": total / count,
        "document_nll": parts,
        "dense_sum_nll": dense_total,
        "dense_mean_loss": dense_total / count,
        "dense_document_nll": dense_parts,
        "lora_training": training_record(adapted, micro_batches, True, case.lora),
        "dense_training": training_record(base, micro_batches, False, case.dense),
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    report(case, expected, tensors, folder)


def report(case: Case, expected: dict, tensors: dict, folder: Path):
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{case.name}: {size / 1e3:.0f} kB, {expected['token_count']} targets, mean loss {expected['mean_loss']:.4f}")
    for kind in ("lora", "dense"):
        run = expected[f"{kind}_training"]
        difference = max(abs(a - b) / abs(b) for a, b in zip(run["losses_f32"], run["losses_f64"]))
        norms = run["grad_norms_f64"]
        smallest = min(float(t.norm()) for name, t in tensors.items() if name.startswith(kind + "."))
        print(
            f"  {kind}: loss {run['losses_f64'][0]:.4f} -> {run['final_mean_loss_f64']:.4f}, float32 differs by {difference:.1e}, "
            f"gradient norm {min(norms):.3f}..{max(norms):.3f}, smallest gradient tensor {smallest:.3f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    use_double_precision_inside()
    for case in CASES:
        if not arguments.cases or case.name in arguments.cases:
            make_case(case, arguments.output)


if __name__ == "__main__":
    main()
