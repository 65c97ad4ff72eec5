#!/bin/sh
# What only a GPU can show: its checks, then its figures, with the date and the card, in FOLDER/infer-cuda.json.
#
#     tests/bench/gpu.sh [FOLDER]
#
# FOLDER is .cache/bench where none is named. Exit status: 0, all went well; 1, a check failed or a goal was missed;
# 2, there is no GPU, so nothing was measured.
set -eu

cd "$(dirname "$0")/../.."
folder=${1:-.cache/bench}
python=python3
[ -x .venv/bin/python ] && python=.venv/bin/python
export PYTHONPATH="$PWD"

if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "There is no GPU that torch can use here: nothing was checked, nothing was measured." >&2
    exit 2
fi
card=$("$python" -c 'import torch; print(torch.cuda.get_device_name())')
echo "$(date -u +%F), $card"
mkdir -p "$folder"
"$python" -m pytest -q tests/pipelines/bundles/test_gpu.py
status=0
"$python" tests/bench/infer.py --device cuda --json > "$folder/infer-cuda.json" || status=$?
[ "$status" -lt 2 ] || rm -f "$folder/infer-cuda.json"
[ "$status" -ge 2 ] || echo "The figures are in $folder/infer-cuda.json; tests/bench/results_page.py makes a page of them."
exit "$status"
