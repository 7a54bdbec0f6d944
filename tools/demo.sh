#!/bin/sh
# The demo: pirene does it itself (src/cli/demo.c), with the servers of the same build.
exec "${1:-build}/pirene" demo
