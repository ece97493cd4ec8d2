#!/usr/bin/env python3
"""Accuracies of lm-evaluation-harness (PyPI lm-eval) on local files, to set beside those of `loram-mpi evaluate --task`.

    python compare_lm_eval.py MODEL_DIR SHOTS LIMIT LENGTH NAME=FILE...

MODEL_DIR needs a tokenizer that transformers reads. Examples are drawn from the file itself: give `evaluate` each file as --fewshot, too.
"""
import json
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import lm_eval
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.api.task import ConfigurableTask

FIELDS = {
    "arc_easy": dict(doc_to_text="Question: {{question}}\nAnswer:", doc_to_target="{{choices.label.index(answerKey)}}", doc_to_choice="{{choices.text}}"),
    "piqa": dict(doc_to_text="Question: {{goal}}\nAnswer:", doc_to_target="label", doc_to_choice="{{[sol1, sol2]}}"),
    "openbookqa": dict(doc_to_text="question_stem", doc_to_target="{{choices.label.index(answerKey.lstrip())}}", doc_to_choice="{{choices.text}}"),
}
FIELDS["arc_challenge"] = FIELDS["arc_easy"]


def winogrande():
    def text(doc):
        return {"1": 0, "2": 1}[doc["answer"]]

    def target(doc):
        return doc["sentence"][doc["sentence"].index("_") + 1:].strip()

    def choice(doc):
        gap = doc["sentence"].index("_")
        return [doc["sentence"][:gap] + o for o in (doc["option1"], doc["option2"])]

    return dict(doc_to_text=text, doc_to_target=target, doc_to_choice=choice)


def main():
    model, shots, limit, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    lm = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=16, max_length=length)
    tasks = []
    for pair in sys.argv[5:]:
        name, path = pair.split("=", 1)
        fields = winogrande() if name == "winogrande" else FIELDS[name]
        tasks.append(ConfigurableTask(config=dict(
            task=name, dataset_path="json", dataset_kwargs={"data_files": {"validation": path}}, output_type="multiple_choice", validation_split="validation",
            fewshot_split="validation", num_fewshot=shots,
            metric_list=[{"metric": m} for m in (["acc"] if name == "winogrande" else ["acc", "acc_norm"])], **fields)))
    for task in tasks:
        task.set_fewshot_seed(1234)
    result = lm_eval.evaluate(lm=lm, task_dict={t.config.task: t for t in tasks}, limit=limit, bootstrap_iters=0, log_samples=True)
    out = {}
    for name, samples in result["samples"].items():
        out[name] = {k.split(",")[0]: v for k, v in result["results"][name].items() if k.startswith("acc")}
        out[name]["log_likelihoods"] = [[float(r[0][0]) for r in s["resps"]] for s in sorted(samples, key=lambda s: s["doc_id"])]
    print(json.dumps(out))


main()
