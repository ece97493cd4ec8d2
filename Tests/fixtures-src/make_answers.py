#!/usr/bin/env python3
"""Awkward answers to GSM8K questions with what lm-evaluation-harness (PyPI lm-eval 0.4.13) extracts from them and whether it counts them as right, and
pass@k by the formula of Chen et al. 2021 in NumPy.

    python make_answers.py        # Tests/LoRAMEngineTests/Fixtures/tasks/answers.json
"""
import itertools
import json
import pathlib
import random

import numpy as np
import yaml
import lm_eval
from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters.extraction import RegexFilter

TASK = pathlib.Path(lm_eval.__file__).parent / "tasks/gsm8k/gsm8k-cot.yaml"

BY_HAND = [
    ("The answer is 42.", "42"), ("The answer is 42", "42"), ("The answer is 4", "4"), ("The answer is 42\n", "42"), ("The answer is 42\n\nQ", "42"),
    ("The answer is $42.", "42"), ("The answer is -42.", "-42"), ("The answer is - 42.", "-42"), ("The answer is --42.", "42"), ("The answer is 1,234.", "1234"),
    ("The answer is 1,234.50.", "1234.50"), ("The answer is 1,234.50", "1234.5"), ("The answer is 3.0.", "3"), ("The answer is 3..", "3"), ("The answer is ...", "3"),
    ("The answer is .", "0"), ("The answer is ,", "0"), ("The answer is -", "0"), ("The answer is -.", "0"), ("The answer is 5 apples.", "5"), ("The answer is 50%.", "50"),
    ("the answer is 7.", "7"), ("The answer is  7.", "7"), ("The answer is: 7.", "7"), ("The answer is 7, or 8.", "7"), ("The answer is 7. The answer is 8.", "7"),
    ("The answer is x. The answer is 8.", "8"), ("The answer is The answer is 9.", "9"), ("So 3 + 4 = 7", "7"), ("So 3 + 4 = $7.", "7"), ("It is $1,000.00!", "1000.00"),
    ("nothing", "0"), ("", "0"), ("-", "0"), ("$", "0"), ("$$", "0"), ("-$5", "5"), ("$-5", "-5"), ("5-3", "-3"), ("5 - 3", "3"), ("1e5", "5"), ("1/2", "2"), ("a1b", "1"),
    ("...", "0"), (",,", "0"), ("5.", "5"), ("5,", "5"), ("5.\n", "5"), ("x.\ny", "0"), ("The answer is\u00a05.", "5"), ("The answer is ٤٢.", "42"), ("The answer is 5\u3002", "5"),
    ("The answer is 5\r\n", "5"), ("The answer is 42\u2028", "42"), ("The answer is 12\u0301.", "12"), ("12\u0301", "12"), ("😀 12😀", "12"), ("#### 12", "12"),
    ("The answer is 12. #### 13", "13"), ("a #### b #### 14.", "14"), ("The answer is 12.", "#### 12"), ("The answer is 12.", "12."), ("The answer is 12.", "$12"),
    ("The answer is 1000.", "1,000"), ("12.", "12.."), ("The answer is 0012.", "12"), ("The answer is 12.0.", "12"), ("<|im_end|>The answer is 6.", "6"), ("6\n7", "7"),
    ("-6", "-6"), ("--6", "-6"), ("6-", "6"), ("The answer is 1.", "[invalid]"), ("no", "[INVALID]"), ("The answer is 18 dollars, that is $18.00.", "18.00"),
]


def at_random(count):
    rng = random.Random(7)
    pieces = ["The answer is ", "The answer is", "answer ", "#### ", "-", "$", ".", ",", " ", "\n", "0", "1", "23", "456", "x", "é", "=", "😀", "\r", "٣"]
    for _ in range(count):
        text = "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 12)))
        yield text, "".join(rng.choice(pieces[3:]) for _ in range(rng.randrange(1, 4)))


def main():
    task = yaml.load(TASK.read_text().replace("!function", ""), yaml.SafeLoader)
    filters = {}
    for entry in task["filter_list"]:
        settings = {k: v for k, v in entry["filter"][0].items() if k != "function"}
        filters["strict" if "strict" in entry["name"] else "flexible"] = RegexFilter(**settings)
    metric = {k: v for k, v in task["metric_list"][0].items() if k in ("regexes_to_ignore", "ignore_case", "ignore_punctuation")}
    answers = []
    for text, target in itertools.chain(BY_HAND, at_random(400)):
        row = {"text": text, "target": target}
        for name, extract in filters.items():
            row[name] = extract.apply([[text]], [{}])[0][0]
            row[name + "_matches"] = bool(exact_match_hf_evaluate([row[name]], [target], **metric)["exact_match"])
        answers.append(row)
    passes = []
    for n, c, k in [(1, 0, 1), (1, 1, 1), (10, 0, 10), (10, 1, 10), (10, 1, 1), (10, 3, 1), (10, 9, 2), (20, 3, 10), (200, 17, 100), (200, 1, 10), (5, 5, 5)]:
        passes.append([n, c, k, 1.0 if n - c < k else float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))])
    path = pathlib.Path(__file__).parent.parent / "LoRAMEngineTests/Fixtures/tasks/answers.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"answers": answers, "pass_at_k": passes}, ensure_ascii=True, indent=0) + "\n")
    print(len(answers), "answers,", sum(r["strict_matches"] for r in answers), "and", sum(r["flexible_matches"] for r in answers), "right")


main()
