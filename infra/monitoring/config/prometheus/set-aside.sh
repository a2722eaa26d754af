#!/bin/sh
# Moves a history aside that Prometheus could not open, so that it starts: alerts matter more than graphs. One such history is kept.
set -eu
data=$1
if [ -d "$data/wal" ] && ! promtool tsdb dump --match='{__name__="none"}' "$data"; then
  echo "The history in $data cannot be read; it is now in $data/unreadable" >&2
  rm -rf "$data/unreadable"
  mkdir "$data/unreadable"
  for entry in "$data"/*; do
    [ "$entry" = "$data/unreadable" ] || mv "$entry" "$data/unreadable/"
  done
fi
