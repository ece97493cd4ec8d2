"""Writes Tests/LoRAMEngineTests/Fixtures/generation/expected.json: what transformers' `generate` writes greedily, in float32.

    make_generation.py [--stories MODEL_DIR]

Cases are the parity fixtures' models, with and without their adapters, and, with --stories, the public stories260K model (its own tokens are
kept, no text). `margin` is the least distance between the two largest logits of any step: far above float32's rounding, or the tokens would
say nothing.
"""

import argparse
import json
import random
from pathlib import Path

import sentencepiece
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from parity_cases import CASES
from parity_models import read_adapted_model, read_model

FIXTURES = Path(__file__).resolve().parent.parent / "LoRAMEngineTests" / "Fixtures"
NEW = 200
EOS = 2
LEAST_MARGIN = 1e-3
# Around the length of a stretch (128), and around the number of rows that products take as few (16).
LENGTHS = [1, 7, 16, 17, 128, 150]
STORIES = [
    "Once upon a time",
    "Tom and Mia went to the sea. They had a big bag and",
    "The cat was sad. " * 24 + "Then a bird came and said,",
]


@torch.no_grad()
def greedy(model, prompt):
    settings = GenerationConfig(
        max_new_tokens=NEW, do_sample=False, eos_token_id=EOS, pad_token_id=0, output_logits=True, return_dict_in_generate=True)
    ids = torch.tensor([prompt])
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    margin = min((top[0] - top[1]).item() for top in (logits[0].topk(2).values for logits in out.logits))
    return out.sequences[0, len(prompt):].tolist(), margin


def entry(model, name, adapted, prompt):
    tokens, margin = greedy(model, prompt)
    return {"model": name, "adapter": adapted, "prompt": prompt, "tokens": tokens, "margin": margin}


def parity(case):
    folder = FIXTURES / "parity" / case.name
    generator = random.Random(case.seed)
    for adapted in (False, True):
        if adapted:
            model = read_adapted_model(case, folder / "model", folder / "adapter", torch.float32)
        else:
            model = read_model(case, folder / "model", torch.float32)
        for length in LENGTHS:
            # Random models come near ties now and then: another prompt does not.
            while True:
                found = entry(model, case.name, adapted, [1] + [generator.randrange(3, case.vocab) for _ in range(length - 1)])
                if found["margin"] >= LEAST_MARGIN or length == 1:
                    break
            if found["margin"] >= LEAST_MARGIN:
                yield found


def stories(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    pieces = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/tokenizer.model")
    for text in STORIES:
        found = entry(model, "stories260K", False, [1] + pieces.encode(text))
        print(text[-30:], "->", pieces.decode(found["tokens"])[:60], found["margin"])
        yield found | {"text": text, "continuation": pieces.decode(found["prompt"] + found["tokens"])[len(text):]}


parser = argparse.ArgumentParser()
parser.add_argument("--stories")
arguments = parser.parse_args()
torch.set_num_threads(1)
entries = [found for case in CASES for found in parity(case)]
if arguments.stories:
    entries += stories(arguments.stories)
(FIXTURES / "generation").mkdir(exist_ok=True)
(FIXTURES / "generation" / "expected.json").write_text("[\n" + ",\n".join(json.dumps(found) for found in entries) + "\n]\n")
for found in entries:
    print(found["model"], found["adapter"], len(found["prompt"]), len(found["tokens"]), f"{found['margin']:.2e}")
