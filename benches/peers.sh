#!/usr/bin/env bash
# Step rates of merit and of the JAX reference, scenario by scenario in turn on this machine, in one raw file.
#
#   benches/peers.sh PYTHON BENCH_JAXMARL.PY OUT.jsonl [ENVS [ENV...]]
#
# PYTHON has jaxmarl installed. Each line of OUT is one measurement, as its program printed it, with `peer` added. Both
# count steps of whole environments with random actions, heuristic enemies and automatic resets, compilation apart. ENV are
# names of merit's: smax/SCENARIO, mpe/NAME, overcooked/LAYOUT, mabrax/SPLIT; four scenarios of SMAX if there are none.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
fi
python=$1 reference=$2 out=$3 envs=${4:-1024}
if [ $# -gt 4 ]; then names=("${@:5}"); else names=(smax/3m smax/2s3z smax/3s5z_vs_3s6z smax/27m_vs_30m); fi
merit=${CARGO_TARGET_DIR:-target}/release/merit
rows=$(mktemp -d)
trap 'rm -rf "$rows"' EXIT

: >"$out"
for name in "${names[@]}"; do
    family=${name%%/*} scenario=${name#*/}
    "$python" "$reference" --out "$rows/$scenario.json" --only "$family" --match "$scenario" --num-envs "$envs" >&2
    "$merit" bench "$name" --envs "$envs" --policy random --seconds 5 --json >"$rows/$scenario.merit"
    "$python" - "$rows/$scenario.json" "$rows/$scenario.merit" "$out" <<'PY'
import json, sys

reference, ours, out = sys.argv[1:]
with open(reference) as f:
    results = json.load(f)
rows = [{"peer": "jaxmarl", "versions": results["versions"], **r} for r in results["results"]]
with open(ours) as f:
    rows += [{"peer": "merit", **json.loads(line)} for line in f]
with open(out, "a") as f:
    f.writelines(json.dumps(r) + "\n" for r in rows)
theirs, ours = rows[0]["env_steps_per_s_median"], rows[-1]["env_steps_per_s"]
print(f"{rows[-1]['env']}: jaxmarl {theirs:.0f}, merit {ours:.0f} environment steps/s, ratio {ours / theirs:.1f}")
PY
done
