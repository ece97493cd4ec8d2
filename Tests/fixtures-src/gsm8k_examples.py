#!/usr/bin/env python3
"""The worked examples of lm-evaluation-harness's gsm8k_cot (Wei et al. 2022), from the installed PyPI lm-eval, as a file for `evaluate --fewshot`.

    python gsm8k_examples.py > examples.jsonl
    loram-mpi evaluate --model MODEL --task gsm8k_cot=test.jsonl --fewshot gsm8k_cot=examples.jsonl --shots 8
"""
import json
import pathlib

import lm_eval
import yaml

text = (pathlib.Path(lm_eval.__file__).parent / "tasks/gsm8k/gsm8k-cot.yaml").read_text()
for sample in yaml.safe_load(text)["fewshot_config"]["samples"]:
    print(json.dumps(sample))
