#!/usr/bin/env bash
# The whole method on a small model, from random weights to a table of held-out perplexities, on this machine alone (`make demo`).
#
# A small Llama learns stories. Half of it is pruned away at random. Two adapters learn to answer instructions in a manner that the
# stories never use: one on the pruned model over 2 pipeline stages x 2 replicas (LoRAM), one on the whole model (LoRA). The first is
# recovered to the whole model's shape. All are scored on instructions that neither has seen.
# Texts, tokenizer and their generator lie beside this file. Environment: DEMO_RUN, where results go (default runs/demo).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

program=.build/release/loram-mpi
run=${DEMO_RUN:-runs/demo}
texts=cluster/demo/texts
seed=42

ranks() {
    local count=$1
    shift
    mpirun --oversubscribe --bind-to none -np "$count" "$@" </dev/null
}

started=$SECONDS
phase() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }

# number KEY: the value of a number in the JSON on standard input.
number() { sed -n "s/.*\"$1\" *: *\([-+0-9.eE]*\).*/\1/p" | head -n 1; }

# score MODEL [ADAPTER]: "nll perplexity tokens" on the held-out instructions.
score() {
    local adapter=() json
    [ $# -lt 2 ] || adapter=(--adapter "$2")
    json=$("$program" evaluate --model "$1" "${adapter[@]}" --perplexity "$texts/instructions.heldout.jsonl" --length 256 --template alpaca --answers-only --json)
    printf '%s %s %s\n' "$(number nll <<<"$json")" "$(number perplexity <<<"$json")" "$(number tokens <<<"$json")"
}

bytes() { cat "$1"/*.safetensors | wc -c; }

rm -rf "$run"
mkdir -p "$run"
base=$run/base/aligned

phase "1. pre-train the base model on stories: 2 replicas"
ranks 2 "$program" align --recipe cluster/demo/base.yaml --set "output=$run/base" --set parallel.stages=1 --set parallel.replicas=2

phase "2. prune half of every layer but the first and the last"
"$program" prune --model "$base" --output "$run/pruned" --method rand --ratio 0.5 --keep-first 1 --keep-last 1 --seed $seed

phase "3. LoRAM: train an adapter on the pruned model: 2 stages x 2 replicas"
ranks 4 "$program" train --recipe cluster/demo/adapter.yaml --set "model=$base" --set "trained_on=$run/pruned" --set "output=$run/loram" \
    --set parallel.stages=2 --set parallel.replicas=2

phase "4. recover it to the whole model's shape"
"$program" recover --model "$base" --pruned "$run/pruned" --adapter "$run/loram/adapter-pruned" --output "$run/loram/recovered"

phase "5. LoRA, to compare: the same on the whole model"
ranks 4 "$program" train --recipe cluster/demo/adapter.yaml --set "model=$base" --set "trained_on=$base" --set "output=$run/lora" \
    --set parallel.stages=2 --set parallel.replicas=2

phase "6. score held-out texts"
stories=$("$program" evaluate --model "$base" --perplexity "$texts/stories.heldout.jsonl" --length 256 --json | number perplexity)
{
    echo "base $(score "$base")"
    echo "loram $(score "$base" "$run/loram/recovered")"
    echo "lora $(score "$base" "$run/lora/adapter")"
    echo "pruned $(score "$run/pruned")"
    echo "trained $(score "$run/pruned" "$run/loram/adapter-pruned")"
} >"$run/scores.txt"

phase "done"
awk -v stories="$stories" -v whole="$(bytes "$base")" -v pruned="$(bytes "$run/pruned")" '
    { nll[$1] = $2; perplexity[$1] = $3; tokens = $4 }
    function row(name, text) { printf "  %-52s %10.3f %10.4f\n", text, perplexity[name], nll[name] }
    END {
        printf "weights: base %.2f MB, pruned %.2f MB; base on held-out stories: perplexity %.3f\n\n", whole / 1e6, pruned / 1e6, stories
        printf "  %-52s %10s %10s\n", "held-out instructions, " tokens " answer tokens", "perplexity", "NLL"
        row("base", "base")
        row("loram", "base + adapter recovered from the pruned one (LoRAM)")
        row("lora", "base + adapter trained on the base (LoRA)")
        row("pruned", "pruned model")
        row("trained", "pruned model + its adapter")
        printf "\n(NLL base - NLL LoRAM) / (NLL base - NLL LoRA) = %.3f\n", (nll["base"] - nll["loram"]) / (nll["base"] - nll["lora"])
    }' "$run/scores.txt"
