#!/usr/bin/env bash
# What `plan` foretells beside what `train` measures: bubble and step time of two stages on this machine's first two processors.
#
# Random weights (width 768, 8 layers, vocabulary 8192) and random tokens; a rank a processor, one thread each. Processors are seldom equally
# fast (neighbours, clocks), which moves the balance of unequal stages, so half of a setting's runs have the ranks exchanged. On a shared machine
# the bubble of one update varies by a tenth of itself and more: what is measured is the median over all runs' updates but their first, beside the
# middle half of them. Environment: COMPARISON_RUN, where results go (default runs/plan-comparison); COMPARISON_ROUNDS, times that a setting runs
# both ways (default 2); COMPARISON_UPDATES, updates of a run (default 6).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

eval "$(cluster/openmpi-env.sh)"

program=$PWD/.build/release/loram-mpi
run=${COMPARISON_RUN:-runs/plan-comparison}
rounds=${COMPARISON_ROUNDS:-2}
updates=${COMPARISON_UPDATES:-6}
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

# quartiles KEY NAME: lower quartile, median and upper quartile over all updates of a setting's runs but their first
quartiles() {
    for file in "$run/$2"-*[0-9]/metrics.jsonl; do sed -n "s/.*\"$1\" *: *\([0-9.eE+-]*\).*/\1/p" "$file" | tail -n +2; done | sort -g |
        awk 'function at(q, i) { i = 1 + q * (NR - 1); return v[int(i)] + (i - int(i)) * (v[int(i) + (int(i) < NR)] - v[int(i)]) } { v[NR] = $1 } END { print at(0.25) "," at(0.5) "," at(0.75) }'
}

printf '| %-44s | %8s | %26s | %6s | %9s | %25s |\n' "2 stages" "bubble" "measured (middle half)" "ratio" "step" "measured (middle half)"
echo "|---|---|---|---|---|---|"
# text, micro, length, global, recompute, compute type, quantization
while IFS=, read -r text micro length global recompute type quantization; do
    name=$(echo "$text" | tr -c 'a-z0-9\n' -)
    sed "s/^ *//" >"$run/$name.yaml" <<YAML
      model: $run/config.json
      synthetic_seed: 1
      pruning: {method: rand, ratio: 0}
      quantization: {type: $quantization}
      lora: {rank: 8, dropout: 0.0, targets: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]}
      data: {train: [{path: $run/$length.jsonl}], length: $length}
      batch: {global: $global, micro: $micro}
      schedule: {kind: constant, warmup_steps: 0, steps: $updates}
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
    echo "$text,$(planned bubble),$(quartiles bubble "$name"),$(planned step_seconds),$(quartiles step_seconds "$name")" |
        awk -F, '{ printf "| %-44s | %6.1f %% | %6.1f %% (%4.1f to %4.1f %%) | %6.2f | %7.2f s | %7.2f s (%5.2f to %5.2f s) |\n", $1, 100 * $2, 100 * $4, 100 * $3, 100 * $5, $2 / $4, $6, $8, $7, $9 }' |
        tee -a "$run/table.md"
done <<SETTINGS
qlora 4 x 256 tokens recomputing,1,256,4,full,bf16,nf4
qlora 4 x 256 tokens,1,256,4,none,bf16,nf4
qlora 4 x 1024 tokens recomputing,2,512,8,full,bf16,nf4
f32 8 x 512 tokens,1,512,8,none,f32,none
f32 8 x 512 tokens recomputing,1,512,8,full,f32,none
SETTINGS
