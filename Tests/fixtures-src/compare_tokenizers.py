#!/usr/bin/env python3
"""Compares `loram-mpi tokenize` with sentencepiece, tiktoken and Hugging Face tokenizers on public texts, and times both on one thread.

    python compare_tokenizers.py LORAM_MPI SHARED_DATA_DIR [--time]

Texts: every line of text/, every string in sft/ and eval/, and 10,000 random Unicode strings. Tokenizers: the real ones, in the
format they came in and as a tokenizer.json made from it here, and the small ones of the fixtures.
"""
import base64
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import sentencepiece
import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from make_tokenizers import LLAMA3, byte_alphabet
from tokenizer_vectors import Generator, random_text

OURS, SHARED = sys.argv[1], sys.argv[2]


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from strings(v)
    elif isinstance(value, list):
        for v in value:
            yield from strings(v)


def corpus():
    for name in ["openwebtext.txt", "tinystories_sample_2MiB.txt", "wikitext2.valid.txt"]:
        with open(f"{SHARED}/text/{name}", encoding="utf-8", newline="") as f:
            yield name, f.read().split("\n")
    for folder in ["text", "sft", "eval"]:
        for name in sorted(os.listdir(f"{SHARED}/{folder}")):
            if ".json" not in name:
                continue
            opener = gzip.open if name.endswith(".gz") else open
            with opener(f"{SHARED}/{folder}/{name}", "rt", encoding="utf-8") as f:
                text = f.read()
            records = [json.loads(l) for l in text.splitlines() if l.strip()] if ".jsonl" in name else json.loads(text)
            yield name, list(strings(records))
    g = Generator(77)
    yield "10,000 random strings", [random_text(g) for _ in range(10_000)]


def ours(tokenizer, texts, folder):
    path = f"{folder}/texts.jsonl"
    with open(path, "w", encoding="utf-8") as f:
        for t in texts:
            f.write(json.dumps({"text": t}) + "\n")
    start = time.perf_counter()
    out = subprocess.run([OURS, "tokenize", "--tokenizer", tokenizer, "--no-special", path], check=True, capture_output=True).stdout
    seconds = time.perf_counter() - start
    return [json.loads(l)["ids"] for l in out.splitlines()], seconds


def llama3_json(model, folder):
    alphabet = byte_alphabet()
    with open(model, "rb") as f:
        ranks = {base64.b64decode(a): int(b) for a, b in (l.split() for l in f)}
    spell = lambda word: "".join(alphabet[b] for b in word)
    merges = []
    for word, rank in ranks.items():
        local = []
        for cut in range(1, len(word)):
            a, b = word[:cut], word[cut:]
            if a in ranks and b in ranks:
                local.append((ranks[a], ranks[b], a, b))
        merges += [(spell(a), spell(b)) for _, _, a, b in sorted(local)]
    t = Tokenizer(models.BPE({spell(w): r for w, r in ranks.items()}, merges, fuse_unk=False, ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated", invert=False), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    path = f"{folder}/llama3-tokenizer.json"
    t.save(path)
    return path, t, tiktoken.Encoding("llama3", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})


def llama2_json(model, folder):
    from sentencepiece import sentencepiece_model_pb2 as pb
    proto = pb.ModelProto.FromString(open(model, "rb").read())
    scores = {p.piece: p.score for p in proto.pieces}
    vocab = {p.piece: i for i, p in enumerate(proto.pieces)}
    merges = []
    for piece in vocab:
        for cut in range(1, len(piece)):
            a, b = piece[:cut], piece[cut:]
            if a in vocab and b in vocab:
                merges.append((scores[piece], vocab[a], vocab[b], a, b))
    merges.sort(key=lambda m: (-m[0], m[1], m[2]))
    t = Tokenizer(models.BPE(vocab, [(a, b) for _, _, _, a, b in merges], byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in ("<unk>", "<s>", "</s>")])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    path = f"{folder}/llama2-tokenizer.json"
    t.save(path)
    return path, t


def main():
    with tempfile.TemporaryDirectory() as folder:
        l2, l3 = f"{SHARED}/tokenizers/llama-2/tokenizer.model", f"{SHARED}/tokenizers/llama-3/tokenizer.model"
        sp = sentencepiece.SentencePieceProcessor(l2)
        l2json, l2hf = llama2_json(l2, folder)
        l3json, l3hf, l3tt = llama3_json(l3, folder)
        hf = lambda t: lambda x: t.encode(x, add_special_tokens=False).ids
        cases = [("llama-3 tiktoken", l3, l3tt.encode_ordinary), ("llama-3 tokenizer.json", l3json, hf(l3hf)), ("llama-2 sentencepiece", l2, sp.encode),
                 ("llama-2 tokenizer.json", l2json, hf(l2hf))]
        if "--time" in sys.argv:
            with open(f"{SHARED}/text/openwebtext.txt", encoding="utf-8", newline="") as f:
                text = f.read()
            texts = [p for p in text.split("\n") if p]
            size = sum(len(t.encode()) for t in texts)
            for name, path, reference in cases:
                start = time.perf_counter()
                for t in texts:
                    reference(t)
                theirs = time.perf_counter() - start
                empty = min(ours(path, [""], folder)[1] for _ in range(3))
                mine = min(ours(path, texts, folder)[1] for _ in range(3)) - empty
                print(f"{name}: reference {size / theirs / 1e6:.1f} MB/s, ours {size / mine / 1e6:.1f} MB/s with reading and writing JSON, start {empty:.2f} s")
            return
        here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../LoRAMEngineTests/Fixtures/tokenizers")
        for small in sorted(os.listdir(here)):
            path = f"{here}/{small}/tokenizer.json"
            if os.path.exists(path):
                cases.append((small, path, hf(Tokenizer.from_file(path))))
        failed = 0
        special = ("<s>", "</s>", "<unk>", "<|")
        for corpus_name, texts in corpus():
            # Special strings are recognised here and spelt out by some of the references.
            texts = [t for t in texts if not any(s in t for s in special)]
            for name, path, reference in cases:
                results, _ = ours(path, texts, folder)
                bad = [(t, a, b) for t, a, b in zip(texts, results, map(reference, texts)) if list(a) != list(b)]
                failed += len(bad)
                print(f"{name}, {corpus_name}: {len(texts)} texts, {len(bad)} differ" + (f", first {bad[0]!r}"[:600] if bad else ""), flush=True)
        sys.exit(1 if failed else 0)


main()
