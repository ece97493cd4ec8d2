"""Writes Tests/LoRAMEngineTests/Fixtures/qlora: 50 updates of QLoRA by PEFT and bitsandbytes, on a CPU.

model/          a small bf16 Llama in NF4 with double quantization, as transformers saves it
adapter/        the LoRA matrices before the first update (both of them random, so that all of them matter)
data.jsonl      input_ids, one sample a line; update s takes lines 4 (s - 1) ..< 4 s, wrapping
expected.json   losses: bf16 (bitsandbytes' Linear4bit computing in bf16) and f32 (f32 throughout on the dequantized weights, which are bf16)
"""
import json
import shutil
from pathlib import Path

import bitsandbytes as bnb
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

OUT = Path(__file__).resolve().parent.parent / "LoRAMEngineTests" / "Fixtures" / "qlora"
STEPS, BATCH, LENGTH, RATE, VOCABULARY = 50, 4, 24, 2e-3, 97
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def train(model, samples):
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        rows = torch.tensor([samples[(step * BATCH + i) % len(samples)] for i in range(BATCH)])
        loss = model(input_ids=rows, labels=rows).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def widen(model):
    """Every 4-bit layer as a plain one with its dequantized weight in f32."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, bnb.nn.Linear4bit):
                state = child.weight.quant_state
                plain = torch.nn.Linear(child.in_features, child.out_features, bias=False)
                plain.weight.data = bnb.functional.dequantize_4bit(child.weight.data, state).float().reshape(child.out_features, child.in_features)
                setattr(module, name, plain)
    return torch.nn.Module.float(model)


def main():
    torch.manual_seed(21)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    config = LlamaConfig(
        hidden_size=64, intermediate_size=100, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=VOCABULARY,
        max_position_embeddings=64, tie_word_embeddings=False, initializer_range=0.08, use_cache=False)
    source = OUT / "source"
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(source)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(source, quantization_config=quantization, device_map="cpu", dtype=torch.bfloat16)
    model.save_pretrained(OUT / "model")
    shutil.rmtree(source)

    samples = torch.randint(3, 30, (20, LENGTH)).tolist()
    (OUT / "data.jsonl").write_text("".join(json.dumps({"input_ids": s}) + "\n" for s in samples))
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=TARGETS))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.05)
    adapted.save_pretrained(OUT / "adapter")
    (OUT / "adapter" / "README.md").unlink(missing_ok=True)
    # PEFT keeps the path of the model.
    path = OUT / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "model"}, indent=2) + "\n")

    def again():
        return AutoModelForCausalLM.from_pretrained(OUT / "model", device_map="cpu", dtype=torch.bfloat16)

    def peft(base):
        return PeftModel.from_pretrained(base, OUT / "adapter", is_trainable=True)

    expected = {"learning_rate": RATE, "bf16": train(peft(again()), samples), "f32": train(peft(widen(again())), samples)}
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(expected["bf16"][0], expected["f32"][0], expected["bf16"][-1], expected["f32"][-1])


main()
