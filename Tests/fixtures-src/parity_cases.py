"""The shapes, adapters, documents and training settings of the parity fixtures. Data only; make_parity.py builds them."""

from dataclasses import dataclass, field

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Training:
    """Twenty AdamW updates; each one uses every micro-batch of input.json as one global batch."""

    learning_rate: float
    weight_decay: float = 0.0
    steps: int = 20
    warmup_steps: int = 4
    betas: tuple = (0.9, 0.999)
    eps: float = 1e-8
    clip_norm: float = 1.0


@dataclass(frozen=True)
class Case:
    name: str
    what: str
    seed: int
    vocab: int
    hidden: int
    layers: list  # one (heads, kv heads, intermediate size) a layer
    head_dim: int
    rope: dict
    rms_eps: float
    tied: bool
    targets: list
    rank: int
    alpha: int
    rslora: bool
    documents: list  # micro-batches of document lengths
    lora: Training
    dense: Training
    old_spelling: bool = False  # config.json as transformers 4 wrote it (rope_theta, rope_scaling, torch_dtype)
    pruned: dict = field(default_factory=dict)  # non-empty: written as model_type loram_llama


PLAIN_ROPE = {"rope_type": "default", "rope_theta": 10000.0}

CASES = [
    Case(
        name="llama2",
        what="Llama 2 shape: one key-value head a query head; LoRA on all eight sites; config.json in the older spelling",
        seed=11, vocab=97, hidden=48, layers=[(4, 4, 128)] * 3, head_dim=12, rope=PLAIN_ROPE, rms_eps=1e-5, tied=False,
        targets=SEVEN + ["lm_head"], rank=3, alpha=6, rslora=False,
        documents=[[17, 5], [9, 1, 2], [23], [6, 8]],
        lora=Training(learning_rate=5e-3, weight_decay=0.01), dense=Training(learning_rate=1e-3, weight_decay=0.01),
        old_spelling=True,
    ),
    Case(
        name="llama31",
        what="Llama 3.1 shape: grouped queries 8/2 and scaled RoPE (its frequencies fall into all three bands); rank-stabilized LoRA",
        seed=12, vocab=131, hidden=64, layers=[(8, 2, 80)] * 2, head_dim=16,
        rope={
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        rms_eps=1e-5, tied=False, targets=SEVEN, rank=4, alpha=2, rslora=True,
        documents=[[41], [12, 7], [53]],
        lora=Training(learning_rate=2e-3), dense=Training(learning_rate=1e-3),
    ),
    Case(
        name="odd_head_dim",
        what="head_dim 10 with 4/2 heads on hidden size 36: heads x head_dim is not the hidden size; LoRA on q, v, down only",
        seed=13, vocab=89, hidden=36, layers=[(4, 2, 56)] * 2, head_dim=10, rope=PLAIN_ROPE, rms_eps=1e-6, tied=False,
        targets=["q_proj", "v_proj", "down_proj"], rank=5, alpha=16, rslora=False,
        documents=[[13, 4], [21, 3], [10]],
        lora=Training(learning_rate=3e-3), dense=Training(learning_rate=1e-3),
    ),
    Case(
        name="tied",
        what="tied embedding and head: the gradient of model.embed_tokens.weight is the sum of both uses; scaled RoPE in the older spelling",
        seed=14, vocab=83, hidden=32, layers=[(4, 2, 72)] * 2, head_dim=8,
        rope={
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
        rms_eps=1e-5, tied=True, targets=SEVEN, rank=4, alpha=4, rslora=False,
        documents=[[19], [8, 11], [5, 2, 6]],
        lora=Training(learning_rate=3e-3), dense=Training(learning_rate=1e-3),
        old_spelling=True,
    ),
    Case(
        name="pruned",
        what="structurally pruned: every layer has its own heads and MLP width; head_dim 6",
        seed=15, vocab=101, hidden=48, layers=[(8, 4, 64), (4, 2, 40), (8, 4, 64)], head_dim=6, rope=PLAIN_ROPE,
        rms_eps=1e-5, tied=False, targets=SEVEN + ["lm_head"], rank=4, alpha=6, rslora=False,
        documents=[[15, 7], [18], [4, 12]],
        lora=Training(learning_rate=3e-3), dense=Training(learning_rate=1e-3),
        pruned={"method": "rand", "ratio": 0.5},
    ),
]
