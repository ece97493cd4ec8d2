"""Pruning by the book: SparseGPT, Wanda and magnitude in float64 NumPy, LLM-Pruner's importances by PyTorch autograd.

Written from the papers' descriptions (arXiv 2301.00774, 2306.11695, 2305.11627).
"""

import numpy as np
import torch

SITES = {
    "self_attn.q_proj": "attention", "self_attn.k_proj": "attention", "self_attn.v_proj": "attention", "self_attn.o_proj": "output",
    "mlp.gate_proj": "mlp", "mlp.up_proj": "mlp", "mlp.down_proj": "down",
}


def group_zeros(n, m, width):
    """Zeros in a group of `width` columns; only a row's last group may be narrower than m."""
    return n * width // m


def sparsegpt(weight, inputs, ratio=None, pattern=None):
    """(pruned weight, kept mask) of weight [O, I] with inputs [tokens, I]."""
    w, x = weight.astype(np.float64).copy(), inputs.astype(np.float64)
    outputs, columns = w.shape
    hessian = x.T @ x
    dead = np.diag(hessian) == 0
    hessian[dead, dead] = 1
    w[:, dead] = 0
    hessian[np.diag_indices(columns)] += 0.01 * np.mean(np.diag(hessian))
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    kept = np.ones(w.shape, bool)
    block = 128 if pattern is None else 128 // pattern[1] * pattern[1]
    for start in range(0, columns, block):
        end = min(start + block, columns)
        diagonal = np.diag(upper)[start:end]
        if pattern is None and ratio > 0:
            scores = (w[:, start:end] / diagonal) ** 2
            kept[:, start:end] = scores > np.sort(scores, axis=None)[int(scores.size * ratio)]
        errors = np.zeros((outputs, end - start))
        for column in range(start, end):
            if pattern is not None and (column - start) % pattern[1] == 0:
                stop = min(column + pattern[1], end)
                scores = (w[:, column:stop] / np.diag(upper)[column:stop]) ** 2
                order = np.argsort(scores, axis=1, kind="stable")[:, : group_zeros(*pattern, stop - column)]
                kept[np.arange(outputs)[:, None], column + order] = False
            quantized = np.where(kept[:, column], w[:, column], 0)
            error = (w[:, column] - quantized) / upper[column, column]
            w[:, column] = quantized
            w[:, column + 1 : end] -= np.outer(error, upper[column, column + 1 : end])
            errors[:, column - start] = error
        w[:, end:] -= errors @ upper[start:end, end:]
    return w, kept


def scored(weight, inputs=None, ratio=None, pattern=None):
    """Wanda with inputs, magnitude without."""
    w = weight.astype(np.float64).copy()
    scores = np.abs(w) * (1 if inputs is None else np.sqrt((inputs.astype(np.float64) ** 2).sum(0)))
    kept = np.ones(w.shape, bool)
    if pattern is not None:
        for start in range(0, w.shape[1], pattern[1]):
            stop = min(start + pattern[1], w.shape[1])
            order = np.argsort(scores[:, start:stop], axis=1, kind="stable")[:, : group_zeros(*pattern, stop - start)]
            kept[np.arange(w.shape[0])[:, None], start + order] = False
    elif inputs is None:
        kept = scores > np.sort(scores, axis=None)[int(scores.size * ratio)]
    else:
        order = np.argsort(scores, axis=1, kind="stable")[:, : int(w.shape[1] * ratio)]
        kept[np.arange(w.shape[0])[:, None], order] = False
    return np.where(kept, w, 0), kept


def prune(weight, inputs, score, **share):
    if score == "sparsegpt":
        return sparsegpt(weight, inputs, **share)
    return scored(weight, inputs if score == "wanda" else None, **share)


def prune_model(model, sequences, score, **share):
    """Layer by layer, the next layer's inputs coming from the pruned ones. {weight name: (pruned weight, kept)}"""
    result = {}
    for index, layer in enumerate(model.model.layers):
        captured = {}

        def keep(group):
            return lambda module, inputs, output: captured.setdefault(group, []).append(inputs[0].detach().reshape(-1, inputs[0].shape[-1]).numpy())

        seen, hooks = set(), []
        for site, group in SITES.items():
            if group not in seen:
                hooks.append(layer.get_submodule(site).register_forward_hook(keep(group)))
                seen.add(group)
        with torch.no_grad():
            for sequence in sequences:
                model(input_ids=torch.tensor([sequence]), use_cache=False)
        for hook in hooks:
            hook.remove()
        for site, group in SITES.items():
            module = layer.get_submodule(site)
            pruned, kept = prune(module.weight.detach().numpy(), np.concatenate(captured[group]), score, **share)
            # What is stored is what the next layer sees.
            module.weight.data = torch.tensor(pruned.astype(np.float32).astype(np.float64))
            result[f"model.layers.{index}.{site}.weight"] = (pruned, kept)
    return result


def mean_loss(model, sequences):
    logits = model(input_ids=torch.tensor(sequences), use_cache=False).logits[:, :-1]
    targets = torch.tensor(sequences)[:, 1:]
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def importances(model, sequences, kind, aggregation, grouping):
    """[(scores of key-value heads, scores of channels)] a layer. All sequences have one length."""
    parameters = {n: p for n, p in model.named_parameters() if n.endswith("proj.weight")}
    squares = {n: torch.zeros_like(p) for n, p in parameters.items()}
    for sequence in sequences:
        model.zero_grad()
        mean_loss(model, [sequence]).backward()
        for name, parameter in parameters.items():
            squares[name] += parameter.grad**2 / len(sequences)
    model.zero_grad()
    mean_loss(model, sequences).backward()

    def salience(name, axis):
        weight, gradient, square = parameters[name].detach(), parameters[name].grad, squares[name]
        first, second = weight * gradient, weight * weight * square
        if kind == "vectorize":
            return first.sum(axis).abs()
        terms = {"param_first": first, "param_second": second, "param_mix": first - 0.5 * second}[kind]
        return terms.abs().sum(axis)

    def combine(vectors):
        stacked = torch.stack(vectors)
        return {"sum": stacked.sum(0), "mean": stacked.mean(0), "max": stacked.max(0).values, "prod": stacked.prod(0)}[aggregation]

    config, result = model.config, []
    kv, head_dim = config.num_key_value_heads, config.head_dim
    for index in range(config.num_hidden_layers):
        prefix = f"model.layers.{index}."

        def fold(values):
            heads = values.reshape(-1, head_dim)
            shape = (kv, -1, head_dim) if grouping == "correct" else (-1, kv, head_dim)
            return heads.reshape(shape).sum(1 if grouping == "correct" else 0).reshape(-1)

        channels = combine([
            fold(salience(prefix + "self_attn.q_proj.weight", 1)), salience(prefix + "self_attn.k_proj.weight", 1),
            salience(prefix + "self_attn.v_proj.weight", 1), fold(salience(prefix + "self_attn.o_proj.weight", 0)),
        ])
        mlp = combine([
            salience(prefix + "mlp.gate_proj.weight", 1), salience(prefix + "mlp.up_proj.weight", 1), salience(prefix + "mlp.down_proj.weight", 0),
        ])
        result.append((channels.reshape(kv, head_dim).sum(1).detach().numpy(), mlp.detach().numpy()))
    return result
