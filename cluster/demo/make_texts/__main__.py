"""Writes the demo's texts and its tokenizer: what cluster/demo/texts and cluster/demo/model/tokenizer.model hold.

usage: python3 cluster/demo/make_texts          (needs sentencepiece==0.2.3; the demo itself does not run Python)
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from instructions import all_instructions
from stories import story
from world import Dice

DEMO = Path(__file__).resolve().parent.parent
STORY_CHARACTERS = 500_000
HELD_OUT_STORIES = 60
HELD_OUT_ONE_IN = 6

# The frame of the alpaca template, so that the tokenizer knows its words.
FRAME = [
    "Below is an instruction that describes a task, paired with an input that provides further context.",
    "Write a response that appropriately completes the request.",
    "### Instruction:", "### Input:", "### Response:",
]


def write_lines(path: Path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{path.relative_to(DEMO.parent.parent)}: {len(rows)} documents, {path.stat().st_size} bytes")


def make_stories():
    """Training and held-out stories; the held-out ones are no copies."""
    dice, training = Dice(1), []
    while sum(len(text) for text in training) < STORY_CHARACTERS:
        training.append(story(dice))
    known, held_out, dice = set(training), [], Dice(2)
    while len(held_out) < HELD_OUT_STORIES:
        text = story(dice)
        if text not in known:
            held_out.append(text)
    return training, held_out


def make_instructions():
    """Training and held-out samples; all phrasings of a held-out question are held out."""
    dice, training, held_out = Dice(3), [], []
    for question in all_instructions():
        (held_out if dice.below(HELD_OUT_ONE_IN) == 0 else training).extend(question)
    return dice.some(training, len(training)), dice.some(held_out, len(held_out))


def make_tokenizer(texts, path: Path):
    import sentencepiece

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, model_type="bpe", vocab_size=1024, byte_fallback=True,
            character_coverage=1.0, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, normalization_rule_name="identity",
            remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True, num_threads=1,
            minloglevel=2,
        )
    print(f"{path.relative_to(DEMO.parent.parent)}: {path.stat().st_size} bytes")


def main():
    stories, held_out_stories = make_stories()
    instructions, held_out_instructions = make_instructions()
    texts = DEMO / "texts"
    write_lines(texts / "stories.jsonl", [{"text": text} for text in stories])
    write_lines(texts / "stories.heldout.jsonl", [{"text": text} for text in held_out_stories])
    write_lines(texts / "instructions.jsonl", instructions)
    write_lines(texts / "instructions.heldout.jsonl", held_out_instructions)
    words = [line for text in stories for line in text.split("\n")]
    words += [line for row in instructions for value in row.values() for line in value.split("\n") if line]
    make_tokenizer(words + FRAME * 1000, DEMO / "model" / "tokenizer.model")


main()
