#!/usr/bin/env bash
# Tokens per second and peak memory on one accelerator, beside TRL and a hand-written loop; evaluation beside lm-eval. At most 8 minutes.
#
#   tests/gpu/run.sh [FILE]              on a machine with a GPU: the table, also as FILE (JSON)
#   tests/gpu/run.sh --dry-run [FILE]    the same script with tiny models on the CPU, as CI runs it
#
# TRL's row needs the extra `bench` (pip install 'kdgov[bench]'); without it the row says so, and the rest is measured.
set -euo pipefail
cd "$(dirname "$0")/../.."
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-4}" TOKENIZERS_PARALLELISM=false TRL_EXPERIMENTAL_SILENCE=1
exec timeout 480 "${PYTHON:-python}" -m tests.gpu.measure "$@"
