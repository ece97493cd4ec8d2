#!/usr/bin/env bash
# What `plan` foretells beside what `train` measures: bubble and step time of two stages on this machine's first two processors.
#
# Random weights (width 768, 8 layers, vocabulary 8192) and random tokens; a rank a processor, one thread each. Processors are seldom equally
# fast (neighbours, clocks), which moves the balance of unequal stages, so half of a setting's runs have the ranks exchanged. On a shared machine
# the bubble of one update varies by a tenth of itself and more, as whatever delays one stage fills its wait or lengthens the other's. What is
# measured is the median over all runs' updates but their first: of all of them, and of the quiet half, in which both ranks together computed for
# the shortest time. Environment: COMPARISON_RUN, where results go (default runs/plan-comparison); COMPARISON_ROUNDS, times that a setting runs
# both ways (default 2); COMPARISON_UPDATES, updates of a run (default 6); COMPARISON_ONLY, part of the names of the settings that run (all).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

eval "$(cluster/openmpi-env.sh)"

program=$PWD/.build/release/loram-mpi
run=${COMPARISON_RUN:-runs/plan-comparison}
rounds=${COMPARISON_ROUNDS:-2}
count=${COMPARISON_UPDATES:-6}
rm -rf "$run"
mkdir -p "$run"
cat >"$run/config.json" <<JSON
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 8,
 "num_attention_heads": 12, "num_key_value_heads": 12, "vocab_size": 8192, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
 "rope_theta": 10000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2}
JSON
awk 'BEGIN { srand(1); for (i = 0; i < 64; i++) { line = "{\"input_ids\": ["; for (j = 0; j < 512; j++) line = line (j ? ", " : "") int(3 + rand() * 8189); print line "]}" } }' >"$run/512.jsonl"
awk 'BEGIN { srand(2); for (i = 0; i < 64; i++) { line = "{\"input_ids\": ["; for (j = 0; j < 256; j++) line = line (j ? ", " : "") int(3 + rand() * 8189); print line "]}" } }' >"$run/256.jsonl"
printf 'rank 0=localhost slot=0\nrank 1=localhost slot=1\n' >"$run/straight"
printf 'rank 0=localhost slot=1\nrank 1=localhost slot=0\n' >"$run/exchanged"

# updates NAME: "computing-time bubble step-time" of all updates of a setting's runs but their first, the least computing first
updates() {
    for file in "$run/$1"-straight*/metrics.jsonl "$run/$1"-exchanged*/metrics.jsonl; do
        tail -n +2 "$file" | sed 's/.*"step_seconds" *: *\([0-9.eE+-]*\).*"bubble" *: *\([0-9.eE+-]*\).*/\1 \2/'
    done | awk '{ print $1 * (1 - $2), $2, $1 }' | sort -g
}

# median COLUMN: of the lines that come
median() { awk -v column="$1" '{ print $column }' | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# quiet NAME: the first half of them
quiet() { updates "$1" | head -n $((($(updates "$1" | wc -l) + 1) / 2)); }

printf '| %-36s | %7s | %14s | %5s | %12s | %5s | %8s | %11s |\n' "2 stages" "bubble" "measured quiet" "ratio" "measured all" "ratio" "step" "measured"
echo "|---|---|---|---|---|---|---|---|"
# text, micro, length, global, recompute, compute type, quantization
while IFS=, read -r text micro length global recompute type quantization; do
    [[ $text == *"${COMPARISON_ONLY-}"* ]] || continue
    name=$(echo "$text" | tr -c 'a-z0-9\n' -)
    sed "s/^ *//" >"$run/$name.yaml" <<YAML
      model: $run/config.json
      synthetic_seed: 1
      pruning: {method: rand, ratio: 0}
      quantization: {type: $quantization}
      lora: {rank: 8, dropout: 0.0, targets: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]}
      data: {train: [{path: $run/$length.jsonl}], length: $length}
      batch: {global: $global, micro: $micro}
      schedule: {kind: constant, warmup_steps: 0, steps: $count}
      parallel: {stages: 2, replicas: 1, threads: 1}
      compute: {type: $type, recompute: $recompute}
      checkpoint: {every: 1000}
      recovery: {merge: false}
YAML
    "$program" plan --recipe "$run/$name.yaml" --json --set "output=$run/$name" </dev/null >"$run/$name.plan.json"
    for ((round = 1; round <= rounds; round++)); do
        for order in straight exchanged; do
            mpirun -np 2 --rankfile "$run/$order" "$program" train --recipe "$run/$name.yaml" --set "output=$run/$name-$order$round" </dev/null >"$run/$name-$order$round.log" 2>&1 ||
                { echo "plan-comparison.sh: training failed, see $run/$name-$order$round.log" >&2; exit 1; }
        done
    done
    planned() { tr -d '\n' <"$run/$name.plan.json" | sed "s/.*\"$1\" *: *\([0-9.eE+-]*\).*/\1/"; }
    echo "$text,$(planned bubble),$(quiet "$name" | median 2),$(updates "$name" | median 2),$(planned step_seconds),$(quiet "$name" | median 3)" |
        awk -F, '{ printf "| %-36s | %5.1f %% | %12.1f %% | %5.2f | %10.1f %% | %5.2f | %6.2f s | %9.2f s |\n", $1, 100 * $2, 100 * $3, $2 / $3, 100 * $4, $2 / $4, $5, $6 }' |
        tee -a "$run/table.md"
done <<SETTINGS
qlora 4 x 256 tokens recomputing,1,256,4,full,bf16,nf4
qlora 4 x 256 tokens,1,256,4,none,bf16,nf4
qlora 4 x 1024 tokens recomputing,2,512,8,full,bf16,nf4
f32 8 x 512 tokens,1,512,8,none,f32,none
f32 8 x 512 tokens recomputing,1,512,8,full,f32,none
SETTINGS
