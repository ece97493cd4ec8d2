"""Builds the fixtures' models and adapters, and reads them back from their files with transformers and PEFT."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama

from parity_cases import Case


def use_double_precision_inside():
    """transformers computes RMSNorm and softmax in float32 whatever the model's type is; a float64 model keeps float64 instead.

    Models of any other type run the same operations as before.
    """

    def norm(self, x):
        wide = x if x.dtype == torch.float64 else x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * wide.to(x.dtype)

    def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
        groups = module.num_key_value_groups
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        scores = query @ key.transpose(2, 3) * scaling
        positions = torch.arange(scores.shape[-1])
        scores = scores.masked_fill(positions[None, :] > positions[:, None], float("-inf"))
        wide = scores if scores.dtype == torch.float64 else scores.float()
        weights = torch.softmax(wide, dim=-1).to(query.dtype)
        return (weights @ value).transpose(1, 2).contiguous(), weights

    modeling_llama.LlamaRMSNorm.forward = norm
    modeling_llama.eager_attention_forward = attention


def new_model(case: Case) -> LlamaForCausalLM:
    """A float32 model of the case's shape with transformers' own initial weights; `randomize` gives it the fixture's."""
    heads, kv_heads, inter = case.layers[0]
    config = LlamaConfig(
        vocab_size=case.vocab, hidden_size=case.hidden, intermediate_size=inter, num_hidden_layers=len(case.layers),
        num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=case.head_dim, rms_norm_eps=case.rms_eps,
        rope_parameters=dict(case.rope), tie_word_embeddings=case.tied, max_position_embeddings=512,
        bos_token_id=1, eos_token_id=2, attn_implementation="eager",
    )
    model = LlamaForCausalLM(config)
    for layer, (heads, kv_heads, inter) in zip(model.model.layers, case.layers):
        attention, mlp = layer.self_attn, layer.mlp
        query, kv = heads * case.head_dim, kv_heads * case.head_dim
        linear = lambda inputs, outputs: torch.nn.Linear(inputs, outputs, bias=False)
        attention.q_proj, attention.o_proj = linear(case.hidden, query), linear(query, case.hidden)
        attention.k_proj, attention.v_proj = linear(case.hidden, kv), linear(case.hidden, kv)
        attention.num_key_value_groups = heads // kv_heads
        mlp.gate_proj, mlp.up_proj = linear(case.hidden, inter), linear(case.hidden, inter)
        mlp.down_proj = linear(inter, case.hidden)
    return model.eval()


@torch.no_grad()
def randomize(model, generator):
    """Weights large enough that no gradient is trivial: norms around 1, everything else of standard deviation 0.2."""
    for name, weight in sorted(model.named_parameters()):
        weight.normal_(0.0, 0.2, generator=generator)
        if "norm" in name:
            weight.add_(1.0)


def config_json(case: Case) -> dict:
    heads, kv_heads, inter = case.layers[0]
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False,
        "mlp_bias": False, "attention_dropout": 0.0, "initializer_range": 0.02, "use_cache": True,
        "bos_token_id": 1, "eos_token_id": 2, "vocab_size": case.vocab, "hidden_size": case.hidden,
        "num_hidden_layers": len(case.layers), "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "intermediate_size": inter, "head_dim": case.head_dim, "max_position_embeddings": 512,
        "rms_norm_eps": case.rms_eps, "tie_word_embeddings": case.tied,
    }
    if case.old_spelling:
        scaling = {key: value for key, value in case.rope.items() if key != "rope_theta"}
        config["rope_theta"] = case.rope["rope_theta"]
        config["rope_scaling"] = None if case.rope["rope_type"] == "default" else scaling
        config["torch_dtype"] = "float32"
        if case.head_dim * heads == case.hidden:
            del config["head_dim"]  # Llama 2's config.json has none
    else:
        config["rope_parameters"] = dict(case.rope)
        config["dtype"] = "float32"
    if case.pruned:
        config["model_type"] = "loram_llama"
        config["architectures"] = ["LoramLlamaForCausalLM"]
        config["num_attention_heads"] = [layer[0] for layer in case.layers]
        config["num_key_value_heads"] = [layer[1] for layer in case.layers]
        config["intermediate_size"] = [layer[2] for layer in case.layers]
        config.update(case.pruned)
    return config


def write_model(case: Case, folder: Path, generator):
    model = new_model(case)
    randomize(model, generator)
    folder.mkdir(parents=True)
    tensors = {name: weight.detach().contiguous() for name, weight in model.named_parameters()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config_json(case), indent=2) + "\n")


def read_model(case: Case, folder: Path, dtype: torch.dtype):
    """The model as its files say it, so that a mistake in what was written shows in the references."""
    if not case.pruned:
        return LlamaForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    model = new_model(case)
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    return model.to(dtype)


def write_adapter(case: Case, model_folder: Path, folder: Path, generator):
    """A PEFT adapter as save_pretrained writes it, B not zero, without the copy of lm_head that PEFT adds."""
    config = LoraConfig(
        r=case.rank, lora_alpha=case.alpha, use_rslora=case.rslora, lora_dropout=0.0, bias="none",
        task_type="CAUSAL_LM", target_modules=case.targets,
    )
    model = get_peft_model(read_model(case, model_folder, torch.float32), config)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "lora_" in name:
                weight.normal_(0.0, 0.2, generator=generator)
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(path).items() if "lora_" in name}
    save_file(tensors, path, metadata={"format": "pt"})
    path = folder / "adapter_config.json"
    saved = json.loads(path.read_text())
    saved["base_model_name_or_path"] = "model"
    saved["target_modules"] = sorted(saved["target_modules"])
    path.write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")


def read_adapted_model(case: Case, model_folder: Path, folder: Path, dtype: torch.dtype):
    model = read_model(case, model_folder, dtype)
    return PeftModel.from_pretrained(model, folder, is_trainable=True, autocast_adapter_dtype=False).to(dtype).eval()
