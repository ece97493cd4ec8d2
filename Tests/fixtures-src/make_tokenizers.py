#!/usr/bin/env python3
"""Trains small byte pair tokenizers on text made here and records what Hugging Face tokenizers and tiktoken encode with them.

    python3 make_tokenizers.py OUTPUT_DIR [SHARED_DATA_DIR]

With SHARED_DATA_DIR, also records hashes of the ids that tiktoken gives to the public texts with Llama 3's vocabulary there (no text
of theirs).
"""
import base64
import json
import os
import sys

import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizer_vectors import Generator, TEXTS, corpus, fnv, random_text

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])

EXTRA = ["'s 'S 'll 'LL don't DON'T we\u2019ve 'ſ", "1234567 12 ١٢٣ Ⅷ ²³", "a\r\nb\r\n\r\n  c\t\td \n ", "\x85 \u2028x\u2029 \u00a0\u00a0y", "CamelCaseHTTPServer's É́ ǅ ʰ",
         "<|begin|>x<|end|>", " <|end|> y <|mid|> z", "<|mid|>", "wordtok wordtoks  wordtok", "  lefttok  righttok  x", "no<|end|>", "e\u0301 \u00e9 \ufb01 \u1e9b\u0323 \uac00 \u1100\u1161",
         "____ a_b a__b", "!!!\n\n???", "a" * 300, "lanternlibrary" * 30, " " * 80 + "x", "<s>Hello</s> </s>world", "<unk>"]
IDS = [[], [0], [5, 6, 7], [260, 261], [1, 2, 3], [230, 140, 200], [263, 1, 264], [300, 301, 299, 10], [130, 131, 300]]


def byte_level(pattern=None, **options):
    t = Tokenizer(models.BPE(ignore_merges=options.get("ignore_merges", False)))
    if pattern:
        t.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    if "normalizer" in options:
        t.normalizer = options["normalizer"]
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=options.get("size", 420), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, special_tokens=["<|begin|>", "<|end|>"])
    t.train_from_iterator(corpus(), trainer)
    return t


def with_template(t, begin, end=None):
    special = [(x, t.token_to_id(x)) for x in (begin, end) if x]
    t.post_processor = processors.TemplateProcessing(single=f"{begin} $A" + (f" {end}" if end else ""), special_tokens=special)
    return t


def characters(size, **options):
    """As Llama 2: characters, byte tokens for those that have none."""
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = options.get("normalizer")
    t.pre_tokenizer = options.get("pre_tokenizer")
    t.decoder = options["decoder"]
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    spaced = [l if "pre_tokenizer" in options else "\u2581" + l for l in corpus()]
    if "pre_tokenizer" not in options:
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    t.train_from_iterator(spaced, trainer)
    if "pre_tokenizer" not in options:
        t.pre_tokenizer = None
    # Only the named ones are special; byte tokens are ordinary.
    state = json.loads(t.to_str())
    state["added_tokens"] = [a for a in state["added_tokens"] if not a["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(state))


def llama2(t):
    return with_template(t, "<s>")


def tokenizers():
    yield "llama3", with_template(byte_level(LLAMA3, ignore_merges=True), "<|begin|>")
    qwen = byte_level(QWEN, normalizer=normalizers.NFC(), size=400)
    qwen.add_tokens([AddedToken("<|mid|>", special=False, normalized=False)])
    yield "qwen", qwen
    particular = byte_level()
    particular.add_tokens([AddedToken("wordtok", single_word=True, normalized=True), AddedToken("lefttok", lstrip=True, normalized=True),
                           AddedToken("righttok", rstrip=True, normalized=False)])
    yield "gpt2", with_template(particular, "<|begin|>", "<|end|>")
    yield "o200k", byte_level(O200K, normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), size=360)
    legacy = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    yield "llama2", llama2(characters(460, normalizer=legacy, decoder=decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])))
    yield "metaspace", llama2(characters(460, pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoder=decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])))
    pieces = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Split(Regex(r"[.,!?]"), behavior="merged_with_previous", invert=False)])
    yield "pieces", llama2(characters(420, pre_tokenizer=pieces, decoder=decoders.Metaspace(prepend_scheme="always")))


def encode(t, text):
    return t.encode(text, add_special_tokens=False).ids


def vectors(t):
    g, hashes = Generator(31), []
    for _ in range(100):
        value = 0xCBF29CE484222325
        for _ in range(100):
            value = fnv(encode(t, random_text(g)), value)
        hashes.append(f"{value:016x}")
    size = max(t.get_vocab().values()) + 1
    plain = Tokenizer.from_str(t.to_str())
    plain.encode_special_tokens = True
    texts = [x for x in TEXTS if len(x) < 400] + EXTRA
    return {
        "vocabulary": size,
        "texts": [{"text": x, "ids": encode(t, x), "plain": encode(plain, x), "framed": t.encode(x).ids, "decoded": t.decode(encode(t, x))} for x in texts],
        "decodings": [{"ids": i, "text": t.decode(i)} for i in IDS if max(i, default=0) < size],
        "random": {"seed": 31, "hashes": hashes},
    }


def llama3_reference(ranks):
    return tiktoken.Encoding("llama3", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})


def main():
    out = sys.argv[1]
    for name, t in tokenizers():
        folder = os.path.join(out, name)
        os.makedirs(folder, exist_ok=True)
        state = json.loads(t.to_str())
        with open(os.path.join(folder, "tokenizer.json"), "w") as f:
            json.dump(state, f, ensure_ascii=False, separators=(",", ":"))
            f.write("\n")
        with open(os.path.join(folder, "vectors.json"), "w") as f:
            json.dump(vectors(t), f, separators=(",", ":"))
            f.write("\n")

    # A small vocabulary in tiktoken's format: that of the first tokenizer, ranks in the order of its ids.
    state = json.load(open(os.path.join(out, "llama3", "tokenizer.json")))
    alphabet = {c: b for b, c in byte_alphabet().items()}
    words = sorted(state["model"]["vocab"].items(), key=lambda x: x[1])
    words = [bytes(alphabet[c] for c in w) for w, _ in words if all(c in alphabet for c in w) and not w.startswith("<|")]
    ranks = {w: i for i, w in enumerate(words)}
    folder = os.path.join(out, "tiktoken")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tokenizer.model"), "wb") as f:
        for w, i in ranks.items():
            f.write(base64.b64encode(w) + b" %d\n" % i)
    reference = llama3_reference(ranks)
    result = {"random": tiktoken_hashes(reference, 31), "texts": [{"text": x, "ids": reference.encode_ordinary(x)} for x in TEXTS + EXTRA]}
    if len(sys.argv) > 2:
        shared = sys.argv[2]
        with open(os.path.join(shared, "tokenizers/llama-3/tokenizer.model"), "rb") as f:
            real = llama3_reference({base64.b64decode(a): int(b) for a, b in (l.split() for l in f)})
        result["shared"] = {"random": tiktoken_hashes(real, 32), "texts": {}}
        for name in ["openwebtext.txt", "tinystories_sample_2MiB.txt", "wikitext2.valid.txt"]:
            value, count = 0xCBF29CE484222325, 0
            with open(os.path.join(shared, "text", name), "rb") as f:
                ids = real.encode_ordinary(f.read().decode("utf-8"))
            result["shared"]["texts"][name] = {"tokens": len(ids), "hash": f"{fnv(ids, value):016x}"}
    with open(os.path.join(folder, "vectors.json"), "w") as f:
        json.dump(result, f, separators=(",", ":"))
        f.write("\n")


def byte_alphabet():
    kept = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    table = {b: chr(b) for b in kept}
    for n, b in enumerate(b for b in range(256) if b not in kept):
        table[b] = chr(0x100 + n)
    return table


def tiktoken_hashes(reference, seed):
    g, hashes = Generator(seed), []
    for _ in range(100):
        value = 0xCBF29CE484222325
        for _ in range(100):
            value = fnv(reference.encode_ordinary(random_text(g)), value)
        hashes.append(f"{value:016x}")
    return {"seed": seed, "hashes": hashes}


if __name__ == "__main__":
    main()
