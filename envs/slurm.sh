#!/usr/bin/env bash
# SLURM's daemons and commands, for tests/slurm: installed if root, else the line that installs them is printed.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
missing=()
for program in slurmctld slurmd munged squeue; do command -v "$program" >/dev/null || missing+=("$program"); done
[ "${#missing[@]}" -gt 0 ] || exit 0
install="apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  printf 'error: SLURM is not here (%s); run: sudo apt-get update && sudo %s\n' "${missing[*]}" "$install" >&2
  exit 1
fi
printf '%-16s %s\n' "slurm" "installing"
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install; } >/tmp/wm-slurm.$$ 2>&1 ||
  { tail -5 /tmp/wm-slurm.$$ >&2; exit 1; }
rm -f /tmp/wm-slurm.$$
