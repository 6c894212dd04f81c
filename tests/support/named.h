/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Children that answer by their own id and count (child_named.c): "it runs" is a question that the child itself answers, and the count is its state.
 *
 *      world_start(w, "hub: w\nchildren:\n" NAMED("db", "") NAMED("pool", ", instances: 2"));
 *      assert_int_equal(named_count(w, "pool/1"), 1);
 */

#include "tests/support/world.h"

/* A line of a configuration. @more: of its members. While the file broken-ID is there (world_gate_open()) it does not start. */
#define NAMED(id, more)                                                                            \
        "  " id ": {exec: ['@bin@/child_named'], handover: true, state: {form: blob, max: 4KiB}, " \
        "backoff: {min: 1ms, max: 2ms}, env: {NAMED_PLACE: '@dir@', NAMED_BROKEN: "                \
        "'@dir@/broken-" id "'}" more "}\n"

/* What it answers: one more than it did before. -errno: nobody answers, -ECONNREFUSED when there is no such process. */
int named_count(const struct world *w, const char *id);
