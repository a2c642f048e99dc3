#!/usr/bin/env bash
# Measures everything and writes the tables that README.md shows, with a description of the machine, to target/figures.md.
#
#   benches/figures.sh                     all of it: about ten minutes on a machine with nothing else to do
#   benches/figures.sh lookup sync         only these benchmarks; the tables of the others are those of their last run
#   benches/figures.sh --no-run            only puts together what was measured before
#   benches/figures.sh --write [...]       also puts the tables into README.md
#
# FIGURES_NOTE is put under the machine's description, such as what else the machine did meanwhile.
# The heap is measured if libjemalloc.so.2 is there (Debian: libjemalloc2), or where KUBEDEX_JEMALLOC says.
set -euo pipefail
cd "$(dirname "$0")/.."

benches=() run=yes write=no
for argument in "$@"; do
  case $argument in
    --no-run) run=no ;;
    --write) write=yes ;;
    -*) echo "usage: benches/figures.sh [--no-run] [--write] [BENCH]..." >&2; exit 2 ;;
    *) benches+=("$argument") ;;
  esac
done
[ ${#benches[@]} -gt 0 ] || benches=(object ingest memory lookup sync)

if [ $run = yes ]; then
  cargo bench --no-run --all-features
  for bench in "${benches[@]}"; do
    cargo bench --all-features --bench "$bench"
  done
fi

out=target/figures.md
{
  processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
  memory=$(awk '/^MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo 2>/dev/null)
  virtual=$(grep -qw hypervisor /proc/cpuinfo 2>/dev/null && echo ", virtual" || true)
  echo "Machine: $(nproc) processors (${processor:-unknown}$virtual), ${memory:-unknown} of memory, $(uname -sr), $(rustc --version | cut -d ' ' -f 1,2)."
  [ -z "${FIGURES_NOTE:-}" ] || printf '\n%s\n' "$FIGURES_NOTE"
  for table in object ingest memory indexes lookup contention changes sync; do
    file=target/tmp/figures/$table.md
    if [ -f "$file" ]; then
      echo
      cat "$file"
    else
      echo "no figures of $table yet" >&2
    fi
  done
} >$out
echo "wrote $out"

if [ $write = yes ]; then
  awk -v tables="$out" '
    /^<!-- figures: / { print; print ""; while ((getline line < tables) > 0) print line; print ""; skip = 1; next }
    /^<!-- end of figures -->/ { skip = 0 }
    !skip { print }
  ' README.md >target/README.md
  cp target/README.md README.md
  echo "put into README.md"
fi
