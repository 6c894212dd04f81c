/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a hub says while it works on a request, shown as it comes; what became of each child, kept for the end. */

#include <stdint.h>

#include "supervisor/baton/hubs.h"

/* What one child came to. */
struct bt_outcome {
        struct bt_outcome *next;
        const char *child;
        uint32_t outcome; /* enum bt_ctl_outcome */
        uint64_t pause_ns;
        uint64_t total_ns;
        const char *text; /* a reason; after its first line the last lines of the child's stderr */
};

struct bt_progress {
        struct bt_command *command;
        const struct bt_hub_place *place;
        struct bt_outcome *outcomes; /* in the order they came */
        struct bt_outcome **outcomes_end;
        struct bt_ctl_reply done;
        bool rollout;      /* it is about one: the hub has said so */
        bool bar;          /* there is a bar beneath the lines: bar.h */
        char bar_text[64]; /* "3 of 8" */
};

/* Reads and shows replies until DONE. Returns enum bt_exit of the conversation: OK means @progress.done is there. */
int bt_progress_follow(struct bt_progress *progress, struct bt_command *command, const struct bt_hub_place *place, struct bt_ask *ask);

/* The exit status that an outcome means. */
int bt_progress_exit(uint32_t outcome);

/* "ok", "failed", "no_such", ... */
const char *bt_progress_outcome_name(uint32_t outcome);

/* "baton: CHILD: first line", then the others as "  CHILD | line". */
void bt_progress_complain(const char *child, const char *text);

/* With --json: the object of DONE. */
void bt_progress_say_done(const struct bt_progress *progress);
