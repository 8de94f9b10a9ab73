/*
 * cli — what `caisson` prints and draws.
 *
 * Tables, ages, sizes, and the picture of a container's isolation (namespaces and cgroup
 * files, read from the kernel, not from anybody's word). No RPC in here: src/prog/caisson asks
 * a CRI socket and gives the answers to these functions.
 *
 * Output goes to a buf and then to stdout in one write, so a broken pipe is noticed once.
 * Strings that come from the daemon are printed with control characters replaced.
 *
 *	cli/table.h    columns that fit their content
 *	cli/explain.h  namespaces and limits of a process
 */
#pragma once

#include "cli/explain.h"
#include "cli/table.h"
