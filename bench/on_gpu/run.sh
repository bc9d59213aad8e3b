#!/usr/bin/env bash
# A first run on a GPU. Its parts have limits of 500 seconds together; on an H200
# it took 290. It needs no network.
#
#   OUT=results bash bench/on_gpu/run.sh
#
# The machine needs Python 3.12, CuPy 14.2 for CUDA 13, PyTorch, JAX, NumPy, SciPy, scikit-learn,
# pytest, pytest-xdist, pytest-timeout and hypothesis; and of xpnet's own dependencies
# array-api-compat, narwhals, safetensors, tqdm and tabulate. Wheels in the folder WHEELS (.whl in the
# checkout by default) are installed first, for this run alone. To fill the folder on another machine
# with what is missing:
#
#   pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
#       --platform manylinux2014_x86_64 -d .whl array-api-compat narwhals safetensors tqdm tabulate
#
# Peers are timed on MNIST's images if XPNET_DATA names a folder with mnist/ in it, else on random
# images.
#
# Results are written to OUT (on-gpu-results in the checkout by default) at once, so that an
# interrupted run keeps them:
#   log.txt       all output
#   smoke.jsonl   each way to train, compared with the CPU, and other checks
#   steps.jsonl   microseconds of steps, of their products and of each call
#   junit.xml     the tests marked cuda
#   peers-cuda.*  xpnet's epochs beside PyTorch's and JAX's
# With SANITIZE=1 the smoke test runs under NVIDIA's compute-sanitizer as well (sanitizer.txt).
set -uo pipefail
unset CDPATH # which makes `cd` print
root=$(cd "$(dirname "$0")/../.." && pwd)
OUT=${OUT:-$root/on-gpu-results}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) || exit 2
WHEELS=$(realpath --canonicalize-missing "${WHEELS:-$root/.whl}")
wheels=("$WHEELS"/*.whl)
cd "$root"

exec > >(trap '' INT TERM; exec tee -a "$OUT/log.txt") 2>&1
echo "results go to $OUT"

scratch=$(mktemp -d)
running=
finish() {
    # `timeout` has put the part that runs into a process group of its own.
    [ -z "$running" ] || kill -TERM -- "-$running" 2>/dev/null
    rm -rf "$scratch"
}
trap finish EXIT
trap 'echo "interrupted"; exit 130' INT TERM

export PYTHONPATH="$scratch/site:$PWD" PYTHONUNBUFFERED=1 PYTHONHASHSEED=0 MPLBACKEND=Agg
export CUPY_CACHE_DIR="$scratch/cupy" XLA_PYTHON_CLIENT_PREALLOCATE=false

if [ -e "${wheels[0]}" ]; then
    timeout 60 python3 -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir \
        --target "$scratch/site" "${wheels[@]}" || exit 2
fi
python3 - <<'END' || exit 2
import sys
from importlib.util import find_spec

needed = {
    "array_api_compat", "cupy", "hypothesis", "jax", "narwhals", "numpy", "pytest", "pytest_timeout",
    "safetensors", "scipy", "sklearn", "tabulate", "torch", "tqdm", "xdist",
}
if missing := sorted(name for name in needed if find_spec(name) is None):
    # PyTorch and JAX are only measured beside xpnet: without them the rest is still worth a run.
    print(f"not installed: {', '.join(missing)}; the top of bench/on_gpu/run.sh says what is needed")
    sys.exit(not {"jax", "torch"}.issuperset(missing))
END

failed=()
# part NAME SECONDS COMMAND...: run COMMAND for at most SECONDS, and print its exit status.
part() {
    local name=$1 limit=$2 status=0
    printf '\n=== %s, at most %s s, from %s\n' "$name" "$limit" "$(date +%T)"
    timeout --kill-after=5 "$limit" "${@:3}" &
    running=$!
    wait "$running" || status=$?
    running=
    printf '=== %s ended with %s at %s\n' "$name" "$status" "$(date +%T)" # 124: over its limit
    [ "$status" -eq 0 ] || failed+=("$name")
}

about() {
    python3 --version
    python3 -m pip list 2>/dev/null |
        grep -iE '^(cupy|numpy|torch|jax|nvidia|scipy|scikit-learn|pytest|array|hypothesis|numba) ?' ||
        true
    ldconfig -p | grep -E 'libcublas|libnvrtc' || echo "no CUDA libraries but those of pip"
    nvidia-smi -L || return 0 # not every machine with a driver has it
    nvidia-smi --query-gpu=driver_version,clocks.sm,clocks.mem,power.limit --format=csv
}
export -f about

part about 20 bash -c about
if ! timeout 60 python3 -c 'import xpnet; print(xpnet.resolve("cuda"))'; then
    echo "failed: device=\"cuda\" cannot be used here, so nothing else was run"
    exit 1
fi
part smoke 60 python3 -m bench.on_gpu.smoke "$OUT/smoke.jsonl"
part steps 60 python3 -m bench.on_gpu.steps "$OUT/steps.jsonl"
# A GPU that is not found is a failure here, not a reason to skip. Warnings are not errors: other
# libraries' imports may warn.
part tests 150 env XPNET_REQUIRE_CUDA=1 python3 -m pytest -m cuda -v -n 12 --timeout=60 \
    --session-timeout=140 -p no:cacheprovider -p no:benchmark -o filterwarnings=default \
    --tb=short --durations=8 --junitxml="$OUT/junit.xml" tests
part peers 210 python3 -m bench.peers --device cuda --no-costs --cases mnist \
    --peers xpnet,torch,torch-fused,torch-graph,jax-scan --sizes 784,89,10 784,1000,100,10 \
    --batch-sizes 60,512 --optimizers adam --rounds 3 --minutes 2.6 --threads 4 --patience 40 \
    --out "$OUT" --save peers-cuda
if [ -n "${SANITIZE:-}" ]; then
    part sanitizer 60 compute-sanitizer --error-exitcode 9 --log-file "$OUT/sanitizer.txt" \
        python3 -m bench.on_gpu.smoke /dev/null
fi

printf '\n'
if [ "${#failed[@]}" -gt 0 ]; then
    echo "failed: ${failed[*]}; results are in $OUT"
    exit 1
fi
echo "all parts succeeded; results are in $OUT"
