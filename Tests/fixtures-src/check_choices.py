#!/usr/bin/env python3
"""Scores the questions of a log of `loram-mpi evaluate --task ... --log LOG --bos auto` with transformers.

    python check_choices.py MODEL_DIR LOG

MODEL_DIR holds a SentencePiece tokenizer.model. Prints the largest difference of a log-likelihood; fails beyond 1e-3.
"""
import json
import sys

import sentencepiece
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
sp = sentencepiece.SentencePieceProcessor(sys.argv[1] + "/tokenizer.model")
worst = 0.0
count = 0
with torch.no_grad():
    for line in open(sys.argv[2]):
        record = json.loads(line)
        if record["task"] == "winogrande":
            continue
        for option, ours in zip(record["options"], record["log_likelihoods"]):
            head = record["context"].rstrip()
            whole = sp.encode(record["context"] + " " + option)
            scored = len(whole) - len(sp.encode(head))
            ids = [sp.bos_id()] + whole
            logits = model(torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
            theirs = sum(logits[i - 1, ids[i]].item() for i in range(len(ids) - scored, len(ids)))
            worst = max(worst, abs(theirs - ours))
            count += 1
print(f"{count} choices, largest difference {worst:.2e}")
sys.exit(0 if worst < 1e-3 and count > 0 else 1)
