#!/usr/bin/env bash
# Which parts of LoRAM matter: the comparison of figure 6 of arXiv 2502.13533 on a small model that is trained here (`make study`).
#
# For each seed: pre-train a base on stories and on half of the instructions, which it sees without the template. Prune it in four ways: rand
# and stru (65 % of every layer but the first and the last), semi (4:8) and unst (55 %). Align each for a tenth of the pre-training, or not.
# Train an adapter for the other half of the instructions on each of the eight, and on the base itself (LoRA), once with every learning rate
# of the list. Then two arms of each of the eight: the adapter recovered, on the base (LoRAM), and without recovery, on the pruned model. An
# arm's learning rate is the best on validation texts; test texts are scored once, with that one. Also scored: the base, and the pruned
# models without an adapter.
#
# Results: study.jsonl, a row an arm and seed; study.md, the table; report.html, with the plot. What is done is not done again.
# Environment: STUDY_RUN, where results go (default runs/study); STUDY_SEEDS (default "1 2 3"); STUDY_RATES (default "5.0e-3 1.0e-2
# 2.0e-2 4.0e-2"); STUDY_JOBS, trainings side by side, a thread each (default: the processors); STUDY_TEXTS, a directory with
# stories.jsonl (`text`), instructions.jsonl and instructions.heldout.jsonl (Alpaca's fields) in place of the demo's texts; STUDY_PROGRAM.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

program=${STUDY_PROGRAM:-.build/release/loram-mpi}
export STUDY_RUN=${STUDY_RUN:-runs/study} STUDY_SEEDS=${STUDY_SEEDS:-1 2 3} STUDY_RATES=${STUDY_RATES:-5.0e-3 1.0e-2 2.0e-2 4.0e-2}
export STUDY_TEXTS=${STUDY_TEXTS:-cluster/demo/texts}
run=$STUDY_RUN texts=$STUDY_TEXTS
methods=(rand stru semi unst)

# quietly COMMAND...: its output goes to log.txt; nothing reads this script's input.
quietly() { "$@" </dev/null >>"$run/log.txt" 2>&1 || { echo "study: failed: $*; see $run/log.txt" >&2; return 1; }; }

# align SEED OUTPUT KEY=VALUE...
align() {
    local seed=$1 output=$2 settings=() setting
    shift 2
    for setting in "seed=$seed" "alignment.data.train.0.path=$texts/stories.jsonl" "alignment.data.train.1.path=$run/knowledge.jsonl" "$@"; do settings+=(--set "$setting"); done
    quietly "$program" align --recipe cluster/study/base.yaml --set "output=$output" "${settings[@]}" --resume=auto
}

base() {
    local seed=$1
    [ -e "$run/$seed/base/aligned" ] || align "$seed" "$run/$seed/base" "synthetic_seed=$seed" 'alignment.frozen=[]'
}

# prune SEED METHOD: the pruned model, plain and aligned.
prune() {
    local seed=$1 method=$2 pruned=$run/$1/$2/pruned arguments
    case $method in
        rand | stru) arguments=(--ratio 0.65 --keep-first 1 --keep-last 1) ;;
        semi) arguments=(--pattern 4:8 --samples 64 --length 256) ;;
        unst) arguments=(--ratio 0.55 --samples 64 --length 256) ;;
    esac
    mkdir -p "$run/$seed/$method"
    [ -e "$pruned" ] || quietly "$program" prune --model "$run/$seed/base/aligned" --output "$pruned" --method "$method" "${arguments[@]}" \
        --seed "$seed" --calibration "$texts/stories.jsonl" --set parallel.threads=1
    [ -e "$run/$seed/$method/aligned" ] || align "$seed" "$run/$seed/$method" "trained_on=$pruned" alignment.schedule.steps=20 \
        alignment.schedule.warmup_steps=2 alignment.optimizer.learning_rate=5.0e-4
}

# score FILE LABEL=MODEL[+ADAPTER]...: lines "label nll perplexity tokens".
score() {
    local file=$1
    shift
    "$program" evaluate --perplexity "$file" --length 256 --template alpaca --answers-only --set parallel.threads=1 --json --compare "$@" \
        </dev/null 2>>"$run/log.txt" | tr '{' '\n' |
        sed -n 's/^"label":"\([^"]*\)","perplexity":\([^,]*\),"nll":\([^,]*\),"tokens":\([0-9]*\).*/\1 \3 \2 \4/p'
}

# best: of lines "rate nll ..." the first with the least nll, as "rate nll".
best() { awk 'best == "" || $2 < best { rate = $1; best = $2 } END { print rate, best }'; }

# row SEED METHOD ALIGNED ARM RATE VALIDATION: one JSON object from a line of `score`.
row() {
    local label nll perplexity tokens
    read -r label nll perplexity tokens
    printf '{"seed":%s,"method":"%s","aligned":%s,"arm":"%s","rate":%s,"validation_nll":%s,"nll":%s,"perplexity":%s,"tokens":%s}\n' \
        "$1" "$2" "$3" "$4" "$5" "$6" "$nll" "$perplexity" "$tokens"
}

# adapters SEED METHOD pruned|aligned: trains with every rate, scores all arms of this model. METHOD base: LoRA.
adapters() {
    local seed=$1 method=$2 model=$run/$1/$2/$3 base=$run/$1/base/aligned aligned=false folder=$run/$1/$2/on-$3 rate rates=($STUDY_RATES)
    [ "$3" = pruned ] || aligned=true
    [ ! -e "$folder/rows.jsonl" ] || return 0
    mkdir -p "$folder"
    local full=() own=()
    for rate in "${rates[@]}"; do
        local output=$folder/$rate
        [ -e "$output/adapter" ] || quietly "$program" train --recipe cluster/study/adapter.yaml --set "model=$base" --set "trained_on=$model" \
            --set "output=$output" --set "seed=$seed" --set "optimizer.learning_rate=$rate" --set "data.train.0.path=$run/train.jsonl" --resume=auto
        full+=("$rate=$base+$output/adapter")
        if [ -e "$output/adapter-pruned" ]; then own+=("$rate=$model+$output/adapter-pruned"); else own+=("$rate=$model+$output/adapter"); fi
    done
    # arm NAME SUBJECT...: validation picks one of the subjects, which is then scored on test texts.
    arm() {
        local name=$1 rate validation subject
        shift
        read -r rate validation < <(score "$run/validation.jsonl" "$@" | best)
        for subject; do [ "${subject%%=*}" = "$rate" ] && break; done
        score "$texts/instructions.heldout.jsonl" "$subject" | row "$seed" "$method" "$aligned" "$name" "$rate" "$validation"
    }
    {
        if [ "$method" = base ]; then
            score "$texts/instructions.heldout.jsonl" "base=$base" | row "$seed" base false base null null
            aligned=false arm lora "${full[@]}"
        else
            score "$texts/instructions.heldout.jsonl" "naive=$model" | row "$seed" "$method" "$aligned" naive null null
            arm recovered "${full[@]}"
            arm unrecovered "${own[@]}"
        fi
    } >"$folder/rows.partial"
    mv "$folder/rows.partial" "$folder/rows.jsonl"
    echo "seed $seed: adapters on $method, $3: done after $(($(date +%s) - STUDY_STARTED)) s" >&2
}

if [ "${1-}" = task ]; then
    shift
    "$@"
    exit
fi

mkdir -p "$run"
STUDY_STARTED=$(date +%s)
export STUDY_STARTED
# Every second instruction is for pre-training; of the others every eighth chooses the learning rates and is never trained on.
awk -v folder="$run" '{ print > (folder (NR % 2 == 0 ? "/knowledge.jsonl" : NR % 16 == 15 ? "/validation.jsonl" : "/train.jsonl")) }' "$texts/instructions.jsonl"

# in_parallel: runs the tasks on standard input, a line each.
in_parallel() { xargs -P "${STUDY_JOBS:-$(nproc)}" -L 1 cluster/study/run.sh task; }

for seed in $STUDY_SEEDS; do echo "base $seed"; done | in_parallel
echo "base models trained after $(($(date +%s) - STUDY_STARTED)) s" >&2
for seed in $STUDY_SEEDS; do for method in "${methods[@]}"; do echo "prune $seed $method"; done; done | in_parallel
echo "pruned and aligned after $(($(date +%s) - STUDY_STARTED)) s" >&2
for seed in $STUDY_SEEDS; do
    echo "adapters $seed base aligned"
    for method in "${methods[@]}"; do for model in pruned aligned; do echo "adapters $seed $method $model"; done; done
done | in_parallel

for seed in $STUDY_SEEDS; do cat "$run/$seed"/*/on-*/rows.jsonl; done >"$run/study.jsonl"
"$program" report "$run"
cat "$run/study.md"
echo "study: $(($(date +%s) - STUDY_STARTED)) s" >&2
