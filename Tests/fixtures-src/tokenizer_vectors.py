#!/usr/bin/env python3
"""Trains small SentencePiece models on text made here and records what the reference implementation encodes with them.

    python3 tokenizer_vectors.py OUTPUT_DIR [SHARED_DATA_DIR]

Versions the committed files were made with: sentencepiece 0.2.3, Python 3.11.
With SHARED_DATA_DIR, also records hashes of the ids of the public texts and tokenizers there (no text of theirs).
"""
import io
import json
import os
import random
import re
import sys

import sentencepiece

MASK = (1 << 64) - 1


class Generator:
    """A linear congruential generator that the Swift tests have too."""

    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, bound):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & MASK
        return (self.state >> 33) % bound


def random_text(g):
    """Up to 40 scalars of one of five mixtures."""
    kind = g.below(5)
    count = g.below(41)
    scalars = []
    for _ in range(count):
        if kind == 0:
            c = g.below(0x80)
        elif kind == 1:
            c = [0x20, 0x20, 0x2581, 0x61, 0x65, 0x0A, 0x74, 0x68, 0x3C, 0x73, 0x3E][g.below(11)]
        elif kind == 2:
            c = 0x20 + g.below(0x230)
        elif kind == 3:
            c = g.below(0x110000)
            if 0xD800 <= c < 0xE000:
                c = 0x20
        else:
            c = [0x3042, 0x4E00 + g.below(500), 0x1F600 + g.below(60), 0x200D, 0xFE0F, 0x20, 0x2581, 0xE9][g.below(8)]
        scalars.append(c)
    return "".join(map(chr, scalars))


def fnv(ids, value=0xCBF29CE484222325):
    """64-bit FNV-1a over the ids as little-endian 32-bit words; 0xFFFFFFFF closes a text."""
    for i in list(ids) + [0xFFFFFFFF]:
        for shift in (0, 8, 16, 24):
            value = ((value ^ (i >> shift & 0xFF)) * 0x100000001B3) & MASK
    return value


def corpus():
    r = random.Random(20240607)
    people = ["Ada", "Björn", "Chloé", "Dmitri", "Élodie", "Mei", "Noor", "Zoë"]
    verbs = ["finds", "paints", "repairs", "carries", "borrows", "counts", "hides", "sells"]
    things = ["a lantern", "the old kettle", "seven apples", "an umbrella", "the garden gate", "a paper boat", "two keys", "the piano"]
    places = ["by the river", "in the attic", "under the bridge", "at the market", "behind the library", "near the station"]
    words = ["Straße", "naïve", "café", "3.14", "42", "2019", "hello_world", "x = y + 1;", "привет", "мир", "日本", "foo(bar)", "don't", "well-known"]
    lines = []
    for i in range(3000):
        s = f"{r.choice(people)} {r.choice(verbs)} {r.choice(things)} {r.choice(places)}"
        if i % 3 == 0:
            s += f", and {r.choice(people)} {r.choice(verbs)} {r.choice(things)}"
        if i % 5 == 0:
            s += " " + r.choice(words) + " " * r.randint(1, 6) + r.choice(words)
        if i % 7 == 0:
            s = " " * r.randint(1, 8) + s
        lines.append(s + r.choice([".", "!", "?", " ...", ""]))
    return lines


MODELS = {
    # As Llama: identity normalization, every space kept, byte fallback.
    "llama_like": dict(byte_fallback=True, remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, vocab_size=480),
    # Removes spaces, has no byte fallback, symbols of the user's own and a control symbol.
    "symbols": dict(byte_fallback=False, remove_extra_whitespaces=True, vocab_size=200,
                    user_defined_symbols=["<sep>", " the ", "key", "keys"], control_symbols=["<ctl>", "q"]),
    # No leading space, pieces with spaces inside.
    "phrases": dict(byte_fallback=True, remove_extra_whitespaces=False, add_dummy_prefix=False, split_by_whitespace=False,
                    vocab_size=420),
    # Of a type that is refused.
    "unigram": dict(model_type="unigram", vocab_size=120),
}

TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "Hello", " Hello", "  Hello", "Hello ", "Hello  world", "Ada finds a lantern.",
    "Björn repairs the old kettle by the river.", "the keys, the key and the <sep> keyhole", "привет, мир!", "日本語 テキスト",
    "🦙 and 👩‍👩‍👧 emoji", "a\u2581b \u2581 c", "\u2581\u2581", "x = y + 1;\n    return x", "\x00\x01\x7f", "\ufeffBOM", "a\u00a0b", "\u3000",
    "\U0010ffff", "<0x41>", "<ctl> q Q", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "one two  three   four    five     six", " the  the ", "under the bridge" * 40,
]
SPECIAL_TEXTS = [
    "<s>", "</s>", "<s></s>", "<s>Hello</s>", "Hello</s>world", "Hello </s> world", "<s> Hello", "<unk>", "a<unk>b", "<<s>>", "</s", "<s>\n",
    "Ada <s> finds </s></s> a lantern",
]
IDS = [[1, 300, 2], [300, 301, 302], [0], [300, 0, 0], [5, 6, 7], [227, 228], [230, 163, 129], [1, 1, 270], [2, 262, 263], [229, 300, 230]]


def special_ids(sp, text):
    """Text between special strings is encoded as a text of its own."""
    ids = []
    for part in re.split("(<s>|</s>|<unk>)", text):
        if part in ("<s>", "</s>", "<unk>"):
            ids.append(sp.piece_to_id(part))
        elif part:
            ids += sp.encode(part)
    return ids


def random_hashes(sp, seed):
    g = Generator(seed)
    hashes = []
    for _ in range(50):
        value = 0xCBF29CE484222325
        for _ in range(100):
            value = fnv(sp.encode(random_text(g)), value)
        hashes.append(f"{value:016x}")
    return hashes


def text_hash(sp, path):
    """Of a text file line by line, line breaks left out."""
    value, count = 0xCBF29CE484222325, 0
    with open(path, "rb") as f:
        for line in f.read().split(b"\n"):
            ids = sp.encode(line.decode("utf-8"))
            count += len(ids)
            value = fnv(ids, value)
    return {"tokens": count, "hash": f"{value:016x}"}


def main():
    out = sys.argv[1]
    lines = corpus()
    for name, options in MODELS.items():
        settings = dict(model_type="bpe", normalization_rule_name="identity", character_coverage=0.9995, num_threads=1, minloglevel=2)
        settings.update(options)
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, **settings)
        with open(os.path.join(out, name + ".model"), "wb") as f:
            f.write(model.getvalue())
        if name == "unigram":
            continue
        sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        size = sp.get_piece_size()
        vectors = {
            "vocabulary": size,
            "texts": [{"text": t, "ids": sp.encode(t), "decoded": sp.decode(sp.encode(t))} for t in TEXTS],
            "special": [{"text": t, "ids": special_ids(sp, t)} for t in SPECIAL_TEXTS],
            "decodings": [{"ids": i, "text": sp.decode(i)} for i in IDS if max(i) < size],
            "random": {"seed": 11, "hashes": random_hashes(sp, 11)},
        }
        with open(os.path.join(out, name + ".json"), "w") as f:
            json.dump(vectors, f, indent=1)
            f.write("\n")

    if len(sys.argv) > 2:
        shared = sys.argv[2]
        result = {}
        for tokenizer in ["tokenizers/llama-2/tokenizer.model", "models/stories260K/tokenizer.model"]:
            sp = sentencepiece.SentencePieceProcessor(os.path.join(shared, tokenizer))
            result[tokenizer] = {
                "texts": {t: text_hash(sp, os.path.join(shared, "text", t))
                          for t in ["openwebtext.txt", "tinystories_sample_2MiB.txt", "wikitext2.valid.txt"]},
                "random": {"seed": 12, "hashes": random_hashes(sp, 12)},
            }
        with open(os.path.join(out, "shared_hashes.json"), "w") as f:
            json.dump(result, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
