#!/usr/bin/env bash
# What pruning costs, method by method: held-out perplexities of a small model that is trained here, pruned, and aligned for a few steps.
#
# For each of three seeds (of the initial weights, the calibration texts and the random choice): pre-train, prune, score, align, score.
# Environment: COMPARISON_RUN, where results go (default runs/pruning-comparison); COMPARISON_SEEDS (default "1 2 3");
# COMPARISON_ALIGNMENT, steps (default 20).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=.build/release/loram-mpi
run=${COMPARISON_RUN:-runs/pruning-comparison}
recipe=cluster/pruning-comparison.yaml
texts=cluster/demo/texts
steps=${COMPARISON_ALIGNMENT:-20}

# align OUTPUT SEED KEY=VALUE...
align() {
    local output=$1 seed=$2 settings=() setting
    shift 2
    for setting in "$@"; do settings+=(--set "$setting"); done
    "$program" align --recipe $recipe --set "output=$output" --set "seed=$seed" "${settings[@]}" </dev/null 2>>"$run/log.txt"
}

score() {
    "$program" evaluate --model "$1" --perplexity $texts/stories.heldout.jsonl --length 256 --json 2>>"$run/log.txt" |
        sed -n 's/.*"perplexity" *: *\([0-9.eE+-]*\).*/\1/p'
}

rm -rf "$run"
mkdir -p "$run"
for seed in ${COMPARISON_SEEDS:-1 2 3}; do
    base=$run/$seed/base/aligned
    align "$run/$seed/base" "$seed" "synthetic_seed=$seed"
    echo "base $seed $(score "$base") -" >>"$run/scores.txt"
    # name, then prune's arguments
    while read -r name arguments; do
        pruned=$run/$seed/$name
        # shellcheck disable=SC2086
        "$program" prune --model "$base" --output "$pruned" --seed "$seed" --calibration $texts/stories.jsonl $arguments </dev/null >/dev/null 2>>"$run/log.txt"
        before=$(score "$pruned")
        align "$run/$seed/$name-run" "$seed" "trained_on=$pruned" "alignment.schedule.steps=$steps" alignment.schedule.warmup_steps=2 \
            alignment.optimizer.learning_rate=5.0e-4
        echo "$name $seed $before $(score "$run/$seed/$name-run/aligned")" >>"$run/scores.txt"
        echo "seed $seed: $name done" >&2
    done <<METHODS
stru --method stru --ratio 0.5 --keep-first 1 --keep-last 1
rand --method rand --ratio 0.5 --keep-first 1 --keep-last 1
unst --method unst --ratio 0.5 --samples 64 --length 256
semi --method semi --pattern 4:8 --samples 64 --length 256
wanda --method semi --pattern 4:8 --score wanda --samples 64 --length 256
magnitude --method semi --pattern 4:8 --score magnitude
METHODS
done

awk -v steps="$steps" '
    { if (!($1 in count)) order[++names] = $1; count[$1]++; before[$1, count[$1]] = $3; after[$1, count[$1]] = $4; if (count[$1] > seeds) seeds = count[$1] }
    BEGIN {
        text["base"] = "whole model"; text["stru"] = "Stru 0.5"; text["rand"] = "Rand 0.5"; text["unst"] = "Unst 0.5 (SparseGPT)"
        text["semi"] = "Semi 4:8 (SparseGPT)"; text["wanda"] = "Wanda 4:8"; text["magnitude"] = "magnitude 4:8"
    }
    END {
        printf "held-out perplexity, %d seeds: pruned, and after %d steps of alignment\n\n", seeds, steps
        printf "| %-22s | %-28s | %8s | %-28s | %8s |\n", "", "pruned, by seed", "mean", "aligned, by seed", "mean"
        printf "|---|---|---|---|---|\n"
        for (i = 1; i <= names; i++) {
            name = order[i]; line = ""; aligned = ""; sum = 0; alignedSum = 0
            for (s = 1; s <= seeds; s++) {
                line = line sprintf("%8.3f", before[name, s]); sum += before[name, s]
                if (after[name, s] != "-") { aligned = aligned sprintf("%8.3f", after[name, s]); alignedSum += after[name, s] }
            }
            printf "| %-22s | %-28s | %8.3f | %-28s | %8s |\n", text[name], line, sum / seeds, aligned, aligned == "" ? "" : sprintf("%.3f", alignedSum / seeds)
        }
    }' "$run/scores.txt" | tee "$run/table.md"
