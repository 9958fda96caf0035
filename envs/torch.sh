# Another build of torch than the lock's, which is CUDA's: WM_TORCH=rocm7.2, cpu, cu126 or auto, as uv's --torch-backend.
# Sourced at the repository's top. `other_torch UV PYTHON` puts the lock's versions so built into that Python's
# environment, where WM_TORCH is set.
other_torch() {
  [ -n "${WM_TORCH:-}" ] || return 0
  local torch
  mapfile -t torch < <(sed -nE 's/^(torch(vision)?==[^ ]+).*/\1/p' envs/requirements.txt)
  if ! "$1" pip install -q --python "$2" --no-config --torch-backend "$WM_TORCH" \
    --reinstall-package torch --reinstall-package torchvision "${torch[@]}"; then
    printf 'error: %s\n' "no build of ${torch[*]} for WM_TORCH=$WM_TORCH could be installed; choose another, or leave it out for CUDA's" >&2
    return 1
  fi
  printf '%-16s %s\n' "torch" "${torch[*]} for $WM_TORCH"
}
