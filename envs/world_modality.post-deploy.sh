#!/usr/bin/env bash
# Snakemake calls this once in a new conda environment, which is active: the packages that `make` installs, by the lock.
# WM_TORCH chooses another build of torch, as for `make`; an environment that is there stays as it was made.
set -euo pipefail
: "${CONDA_PREFIX:?is not set: Snakemake calls this in a conda environment}"
: "${WORLD_MODALITY_REPOSITORY:?is not set: the Snakefile says where the clone is}"
cd "$WORLD_MODALITY_REPOSITORY"
python=$CONDA_PREFIX/bin/python
uv pip sync -q --python "$python" --require-hashes --no-config envs/requirements.txt envs/uv.txt
uv pip install -q --python "$python" --no-deps --no-build-isolation --no-config -e . -e plugins/lerobot_env_world_modality
. envs/torch.sh
other_torch uv "$python"
