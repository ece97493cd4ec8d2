"""What the fixtures expect: logits, losses, gradients and the losses of twenty AdamW updates."""

from dataclasses import asdict

import torch
from transformers import get_cosine_schedule_with_warmup

from parity_cases import Training

IGNORED = -100


def document_nll(model, document):
    """(summed negative log likelihood, target count, logits [T, V]) of one document, which is a sequence of its own."""
    logits = model(input_ids=torch.tensor([document["input_ids"]]), use_cache=False).logits[0]
    labels = torch.tensor(document["labels"][1:], dtype=torch.long)
    nll = torch.nn.functional.cross_entropy(logits[:-1], labels, ignore_index=IGNORED, reduction="sum")
    return nll, int((labels != IGNORED).sum()), logits


def documents_of(micro_batches):
    return [document for batch in micro_batches for document in batch]


def sum_loss(model, micro_batches):
    """Summed NLL (with its graph) and target count of all documents, and their logits one after the other."""
    results = [document_nll(model, document) for document in documents_of(micro_batches)]
    return sum(r[0] for r in results), sum(r[1] for r in results), torch.cat([r[2] for r in results]), [r[0] for r in results]


def trained_parameters(model, lora: bool):
    """(name in the checkpoint or in PEFT's adapter file, parameter) of what is trained; everything else is frozen."""
    chosen = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not lora or "lora_" in name)
        if parameter.requires_grad:
            chosen.append((name.replace(".default.", "."), parameter))
    return chosen


def gradients(model, micro_batches, lora: bool):
    """Gradient of the summed (not averaged) loss with respect to every trained tensor, and the loss's parts."""
    parameters = trained_parameters(model, lora)
    model.zero_grad(set_to_none=True)
    total, count, logits, parts = sum_loss(model, micro_batches)
    total.backward()
    return {name: parameter.grad for name, parameter in parameters}, total.item(), count, logits, [part.item() for part in parts]


def train(model, micro_batches, lora: bool, settings: Training):
    """Losses, gradient norms before clipping, and learning rates of the updates; the loss is that before each update."""
    parameters = [parameter for _, parameter in trained_parameters(model, lora)]
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, betas=settings.betas, eps=settings.eps, weight_decay=settings.weight_decay
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, settings.warmup_steps, settings.steps)
    losses, norms, rates = [], [], []
    for _ in range(settings.steps):
        optimizer.zero_grad(set_to_none=True)
        total, count, _, _ = sum_loss(model, micro_batches)
        loss = total / count
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm).item())
        losses.append(loss.item())
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        total, count, _, _ = sum_loss(model, micro_batches)
    return losses, norms, rates, (total / count).item()


def training_record(load, micro_batches, lora: bool, settings: Training):
    """The same run in float64 and in float32; `load(dtype)` gives a fresh model."""
    record = {"schedule": "cosine", "optimizer": "AdamW, decay on every trained tensor", **asdict(settings)}
    for dtype, suffix in [(torch.float64, "f64"), (torch.float32, "f32")]:
        losses, norms, rates, final = train(load(dtype), micro_batches, lora, settings)
        record["learning_rates"] = rates
        record[f"losses_{suffix}"] = losses
        record[f"grad_norms_{suffix}"] = norms
        record[f"final_mean_loss_{suffix}"] = final
    return record
