#!/usr/bin/env python3
"""Writes small datasets and the samples that a straightforward implementation makes of them.

    python3 data_samples.py FIXTURE_DIR

FIXTURE_DIR holds llama_like.model (tokenizer_vectors.py). Made with sentencepiece 0.2.3, Python 3.11.
Labels are shifted: labels[t] is predicted from position t, -100 is ignored.
"""
import json
import os
import sys

import sentencepiece

BOS, EOS, IGNORED = 1, 2, -100

ALPACA = [
    {"instruction": "Name a thing that gives light.", "input": "", "output": "A lantern."},
    {"instruction": "Count the apples.", "input": "seven apples", "output": "7"},
    {"instruction": "Translate to French.", "input": "the old kettle\nby the river", "output": " la vieille bouilloire\n\nprès de la rivière "},
    {"instruction": "Say nothing.", "input": "", "output": ""},
    {"instruction": "Repeat. " * 60, "output": "Dmitri counts two keys."},
    {"instruction": "Who paints the piano?", "input": None, "output": "Zoë paints the piano behind the library, and Noor sells it at the market. " * 6},
    {"instruction": "Écris « café ».", "input": "☕", "output": "café 🦙", "category": "other keys do not matter"},
]
DOCUMENTS = [
    "Ada finds a lantern by the river.",
    "",
    "Björn repairs the old kettle. " * 12,
    "\n  Mei carries an umbrella.\n",
    "<s>already framed</s>",
    "x",
]
# Line breaks next to a separator belong to it; the empty document is none; spaces stay.
PLAIN = "First document,\nof two lines.\n<|endoftext|>\n Second one: " + "Noor hides seven apples under the bridge. " * 8 + \
    "<|endoftext|><|endoftext|>\r\n\nThird.\n\n<|endoftext|>\n"
PLAIN_DOCUMENTS = ["First document,\nof two lines.", " Second one: " + "Noor hides seven apples under the bridge. " * 8, "Third."]


def alpaca_prompt(record):
    if record.get("input"):
        return ("Below is an instruction that describes a task, paired with an input that provides further context. "
                "Write a response that appropriately completes the request.\n\n"
                f"### Instruction:\n{record['instruction']}\n\n### Input:\n{record['input']}\n\n### Response:\n")
    return ("Below is an instruction that describes a task. "
            "Write a response that appropriately completes the request.\n\n"
            f"### Instruction:\n{record['instruction']}\n\n### Response:\n")


def plain_prompt(record):
    return record["instruction"] + ("\n" + record["input"] if record.get("input") else "")


def shifted(ids, targets):
    """targets[t]: whether token t is predicted."""
    return [ids[t + 1] if t + 1 < len(ids) and targets[t + 1] else IGNORED for t in range(len(ids))]


def encode(sp, text):
    """With <s> and </s> as tokens."""
    import re
    ids = []
    for part in re.split("(<s>|</s>)", text):
        ids += [sp.piece_to_id(part)] if part in ("<s>", "</s>") else sp.encode(part)
    return ids


def framed(ids):
    return ([] if ids[:1] == [BOS] else [BOS]) + ids + ([] if ids[-1:] == [EOS] else [EOS])


def instruction_ids(sp, record, prompt):
    """Ids of prompt and answer, and how many belong to the prompt: what the prompt alone begins with in the same way."""
    alone, whole = encode(sp, prompt(record)), encode(sp, prompt(record) + record["output"])
    common = 0
    while common < min(len(alone), len(whole)) and alone[common] == whole[common]:
        common += 1
    return whole, common


def alpaca_samples(sp, prompt, answers_only, length):
    samples, truncated, dropped = [], 0, 0
    for record in ALPACA:
        whole, common = instruction_ids(sp, record, prompt)
        ids = [BOS] + whole + [EOS]
        targets = [not answers_only or t >= common + 1 for t in range(len(ids))]
        labels = shifted(ids[:length], targets)
        if all(l == IGNORED for l in labels):
            dropped += 1
            continue
        truncated += len(ids) > length
        samples.append({"segments": [ids[:length]], "labels": labels})
    return {"samples": samples, "truncated": truncated, "dropped": dropped}


def split(documents, length):
    """Each document over consecutive windows."""
    samples, dropped = [], 0
    for ids in documents:
        for i in range(0, len(ids), length):
            window = ids[i:i + length]
            if len(window) < 2:
                dropped += 1
            else:
                samples.append({"segments": [window], "labels": shifted(window, [True] * len(window))})
    return {"samples": samples, "truncated": 0, "dropped": dropped}


def stream(documents, length):
    """All documents one after the other over windows; a document that goes on is a new segment."""
    tokens = [(d, i) for d, ids in enumerate(documents) for i in ids]
    samples, dropped = [], 0
    for start in range(0, len(tokens), length):
        window = tokens[start:start + length]
        if len(window) < 2:
            dropped += 1
            continue
        segments = []
        for d in sorted({d for d, _ in window}):
            segments.append([i for e, i in window if e == d])
        labels = [l for s in segments for l in shifted(s, [True] * len(s))]
        samples.append({"segments": segments, "labels": labels})
    return {"samples": samples, "truncated": 0, "dropped": dropped}


def bins(unpacked, length):
    """First fit in order."""
    packed = []
    for sample in unpacked["samples"]:
        count = len(sample["labels"])
        for bin in packed:
            if sum(map(len, bin["segments"])) + count <= length:
                break
        else:
            bin = {"segments": [], "labels": []}
            packed.append(bin)
        bin["segments"] += sample["segments"]
        bin["labels"] += sample["labels"]
    return {"samples": packed, "truncated": unpacked["truncated"], "dropped": unpacked["dropped"]}


def scoring(documents, length, bos):
    """documents: (ids, first scored position). Disjoint windows, each with BOS unless told otherwise."""
    windows = []
    step = length - 1 if bos else length
    for ids, first in documents:
        for i in range(0, len(ids), step):
            window = ([BOS] if bos else []) + ids[i:i + step]
            offset = i - (1 if bos else 0)
            targets = [t > 0 and t + offset >= first for t in range(len(window))]
            labels = shifted(window, targets)
            if any(l != IGNORED for l in labels):
                windows.append({"segments": [window], "labels": labels})
    return {"samples": windows}


def main():
    out = sys.argv[1]
    sp = sentencepiece.SentencePieceProcessor(os.path.join(out, "llama_like.model"))
    with open(os.path.join(out, "alpaca.json"), "w") as f:
        json.dump(ALPACA, f, indent=2, ensure_ascii=False)
    with open(os.path.join(out, "documents.jsonl"), "w") as f:
        for i, text in enumerate(DOCUMENTS):
            f.write(json.dumps({"text": text}, ensure_ascii=i % 2 == 0) + "\n" + "\n" * (i == 2))
    with open(os.path.join(out, "plain.txt"), "w", newline="") as f:
        f.write(PLAIN)

    documents = [framed(encode(sp, t)) for t in DOCUMENTS if t]
    plain = [framed(encode(sp, t)) for t in PLAIN_DOCUMENTS]
    truncated = [d[:64] for d in documents]
    cases = {
        "alpaca 512": alpaca_samples(sp, alpaca_prompt, True, 512),
        "alpaca 512 all": alpaca_samples(sp, alpaca_prompt, False, 512),
        "alpaca 256": alpaca_samples(sp, alpaca_prompt, True, 256),
        "alpaca 256 all": alpaca_samples(sp, alpaca_prompt, False, 256),
        "alpaca none 64": alpaca_samples(sp, plain_prompt, True, 64),
        "alpaca packed 600": bins(alpaca_samples(sp, alpaca_prompt, True, 600), 600),
        "text 64": {"samples": split(truncated, 64)["samples"], "truncated": sum(len(d) > 64 for d in documents), "dropped": 1},
        "text packed 48": {**stream(documents, 48), "dropped": stream(documents, 48)["dropped"] + 1},
        "plain 32": split(plain, 32),
        "plain packed 32": stream(plain, 32),
        "score text 32": scoring([(encode(sp, t.removeprefix("<s>")), 0) for t in DOCUMENTS], 32, True),
        "score text 32 no bos": scoring([(encode(sp, t), 0) for t in DOCUMENTS], 32, False),
        "score plain 50": scoring([(encode(sp, t), 0) for t in PLAIN_DOCUMENTS], 50, True),
        "score alpaca 96": scoring([instruction_ids(sp, r, alpaca_prompt) for r in ALPACA], 96, True),
        "score alpaca 96 all": scoring([(instruction_ids(sp, r, alpaca_prompt)[0], 0) for r in ALPACA], 96, True),
    }
    with open(os.path.join(out, "samples.json"), "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in cases.items()) + "\n}\n")
    for name, case in cases.items():
        print(name, len(case["samples"]), case.get("truncated"), case.get("dropped"))


main()
