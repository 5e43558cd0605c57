#!/bin/bash
# Train on the GPUs of this machine; a rank that dies is started again, from the last checkpoint.
#   deploy/torchrun.sh model=factorised_encoder data=folder data.root=/videos
# On each of several machines, all of which see one logs/:
#   NODES=2 RUN=mine ENDPOINT=first-machine:29400 deploy/torchrun.sh model=factorised_encoder ...
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" -m torch.distributed.run \
    --nnodes="${NODES:-1}" --nproc-per-node="${GPUS:-8}" --max-restarts="${RESTARTS:-3}" \
    --rdzv-backend=c10d --rdzv-endpoint="${ENDPOINT:-localhost:0}" --rdzv-id="${RUN:-none}" \
    src/train.py cluster=torchrun "$@"
