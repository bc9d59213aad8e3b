#!/usr/bin/env bash
# Everything that is to be seen on a GPU, in about 430 seconds, on a machine without a network.
#
#   OUT=results bash bench/on_gpu/run.sh          in the root of a checkout
#
# The machine has Python 3.12, CuPy 14.2 for CUDA 13, PyTorch, JAX, NumPy, scikit-learn, pytest,
# pytest-xdist, pytest-timeout and hypothesis. What it lacks is installed from the wheels in the
# folder WHEELS (.whl by default): array-api-compat, and whatever else of xpnet's needs is not there.
# To fill it on another machine:
#
#   pip download --no-deps --only-binary=:all: --python-version 3.12 -d .whl array-api-compat
#
# Peers are timed on MNIST's images where XPNET_DATA names a folder with mnist/ in it, else on random
# ones.
#
# Results go to OUT as they are made, so that an end at any time leaves what was found before:
#   log.txt       all that was printed
#   smoke.jsonl   every way to train, beside the CPU
#   steps.jsonl   microseconds of steps, of their products and of each call
#   junit.xml     the tests marked cuda
#   peers-cuda.*  epochs beside PyTorch's and JAX's
# With SANITIZE=1 the smoke test runs under NVIDIA's compute-sanitizer as well (sanitizer.txt).
set -uo pipefail
cd "$(dirname "$0")/../.."

OUT=$(mkdir -p "${OUT:-on-gpu-results}" && cd "${OUT:-on-gpu-results}" && pwd)
exec > >(tee -a "$OUT/log.txt") 2>&1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
wheels=("${WHEELS:-.whl}"/*.whl)
if [ -e "${wheels[0]}" ]; then
    python3 -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir \
        --target "$scratch/site" "${wheels[@]}"
fi
export PYTHONPATH="$scratch/site:$PWD" PYTHONUNBUFFERED=1 PYTHONHASHSEED=0 MPLBACKEND=Agg
export CUPY_CACHE_DIR="$scratch/cupy" XLA_PYTHON_CLIENT_PREALLOCATE=false
export XPNET_KERNELS=numpy # what is compared with on the CPU needs no minutes to be compiled first

failed=()
# part NAME SECONDS COMMAND...: run a command, for so long and no longer, and say how it ended.
part() {
    local name=$1 limit=$2 status=0
    printf '\n=== %s, at most %s s, from %s\n' "$name" "$limit" "$(date +%T)"
    timeout --kill-after=5 "$limit" "${@:3}" || status=$?
    printf '=== %s ended with %s at %s\n' "$name" "$status" "$(date +%T)"
    [ "$status" -eq 0 ] || failed+=("$name")
}

about() {
    python3 --version
    python3 -m pip list 2>/dev/null |
        grep -iE '^(cupy|numpy|torch|jax|nvidia|scipy|scikit-learn|pytest|array|hypothesis|numba) ?' ||
        true
    ldconfig -p | grep -E 'libcublas|libnvrtc' || echo "no CUDA libraries where the loader looks"
    nvidia-smi -L &&
        nvidia-smi --query-gpu=driver_version,clocks.sm,clocks.mem,power.limit --format=csv
}
export -f about

part about 20 bash -c about
part smoke 70 python3 -m bench.on_gpu.smoke "$OUT/smoke.jsonl"
part steps 110 python3 -m bench.on_gpu.steps "$OUT/steps.jsonl"
# A GPU that is not found is a failure here, not a reason to skip. The default filter of warnings,
# since those of other libraries' imports are not what is tested.
part tests 100 env XPNET_REQUIRE_CUDA=1 python3 -m pytest -m cuda -q -n 8 -p no:cacheprovider -p no:benchmark \
    -o filterwarnings=default --timeout=60 --durations=8 --junitxml="$OUT/junit.xml" tests
part peers 130 python3 -m bench.peers --device cuda --no-costs --cases mnist \
    --peers xpnet,torch,torch-fused,torch-graph,jax-scan --sizes 784,89,10 784,1000,100,10 \
    --batch-sizes 60,512 --optimizers adam --rounds 3 --minutes 1.8 --threads 4 --patience 40 \
    --out "$OUT" --save peers-cuda
if [ -n "${SANITIZE:-}" ]; then
    part sanitizer 90 compute-sanitizer --error-exitcode 9 --log-file "$OUT/sanitizer.txt" \
        python3 -m bench.on_gpu.smoke /dev/null
fi

printf '\n'
if [ "${#failed[@]}" -gt 0 ]; then
    echo "failed: ${failed[*]}"
    exit 1
fi
echo "all parts ended well"
