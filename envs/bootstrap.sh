#!/usr/bin/env bash
# Fills .venv from the hash-locked requirements and checks the system libraries. Does nothing when both are in order.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%-16s %s\n' "$1" "$2"; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

# --- system libraries ------------------------------------------------------------------------------------------------
. envs/libraries.sh
mapfile -t missing < <(missing_packages)
command -v git >/dev/null || missing+=(git)
if [ "${#missing[@]}" -gt 0 ]; then
  install="apt-get install -y --no-install-recommends ${missing[*]}"
  command -v apt-get >/dev/null || fail "missing system packages (Debian names): ${missing[*]}; install them and run this again"
  [ "$(id -u)" = 0 ] || fail "missing system libraries; run: sudo apt-get update && sudo $install"
  say "system libraries" "installing ${missing[*]}"
  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install) >/tmp/wm-apt.$$ 2>&1 ||
    { tail -5 /tmp/wm-apt.$$ >&2; fail "could not install system libraries; run: apt-get update && $install"; }
  rm -f /tmp/wm-apt.$$
fi

# --- the environment: stamped with what it was made from -------------------------------------------------------------
. envs/torch.sh
wanted=$(cat envs/requirements.txt envs/uv.txt pyproject.toml plugins/*/pyproject.toml | sha256sum | cut -d' ' -f1)" $PWD${WM_TORCH:+ $WM_TORCH}"
if [ "$(cat .venv/.ready 2>/dev/null || true)" = "$wanted" ]; then
  say "environment" "ready"
  exit 0
fi
[ -z "${WM_TORCH:-}" ] || [ -z "${WORLD_MODALITY_FETCHED:-}" ] ||
  fail "WM_TORCH=$WM_TORCH takes torch from PyTorch's own index, and with WORLD_MODALITY_FETCHED no network is asked: leave one of the two out"
started=$SECONDS
python=
for candidate in python3.12 python3 python; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' >/dev/null 2>&1; then python=$candidate; break; fi
done
[ -n "$python" ] || fail "Python 3.12 was not found; install it (Ubuntu 24.04: apt-get install python3.12 python3.12-venv) and run this again"
# Where `wm fetch --wheels` has filled a folder, packages come from it and no network is asked.
for_uv=() for_pip=()
if [ -n "${WORLD_MODALITY_FETCHED:-}" ]; then
  wheels=$(realpath "$WORLD_MODALITY_FETCHED")/wheels
  [ -d "$wheels" ] || fail "WORLD_MODALITY_FETCHED: there is no $wheels; run: wm fetch STUDY --wheels --to FOLDER where there is a network"
  for_uv=(--offline --no-index --find-links "$wheels") for_pip=(--no-index --find-links "$wheels")
fi
say "environment" "setting up with $($python --version) (a few minutes on a slow line)"
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' >/dev/null 2>&1; then
  rm -rf .venv
  if ! "$python" -m venv .venv >/dev/null 2>&1; then
    rm -rf .venv
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
      fail "Python's venv module is incomplete; run: sudo apt-get install -y python3.12-venv"
    (apt-get update -qq && apt-get install -y --no-install-recommends python3.12-venv || apt-get install -y --no-install-recommends python3-venv) >/dev/null 2>&1 ||
      fail "Python's venv module is incomplete; install python3.12-venv and run this again"
    "$python" -m venv .venv
  fi
fi
.venv/bin/python -m pip install -q --disable-pip-version-check "${for_pip[@]}" --require-hashes -r envs/uv.txt 2>/dev/null ||
  .venv/bin/python -m pip install --disable-pip-version-check "${for_pip[@]}" --require-hashes -r envs/uv.txt
# Compiled once: where Python may not write bytecode, every process would compile torch anew, for half a minute.
.venv/bin/uv pip sync -q "${for_uv[@]}" --compile-bytecode --python .venv/bin/python --require-hashes --no-config envs/requirements.txt envs/uv.txt
.venv/bin/uv pip install -q "${for_uv[@]}" --python .venv/bin/python --no-deps --no-build-isolation --no-config -e . -e plugins/lerobot_env_world_modality
other_torch .venv/bin/uv .venv/bin/python || exit 1
echo "$wanted" > .venv/.ready
packages=$(.venv/bin/uv pip list -q --python .venv/bin/python --format freeze 2>/dev/null | wc -l)
say "environment" "ready ($packages packages, $((SECONDS - started)) s)"
