/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Upgrading a pool, as the command sees it: its options, what is said while it goes on, `baton rollback`. docs/rollout.md. */

#include "supervisor/baton/progress.h"

/* Takes --canary, --max-surge, .. apart. NULL, or what is wrong with @arg, to be shown behind it. */
const char *bt_rollout_number(uint64_t *ret_number, const char *arg);
const char *bt_rollout_duration(uint64_t *ret_ns, const char *arg);

/* All values up to the hub. */
struct bt_ctl_rollout bt_rollout_defaults(void);

/* Of the options that were given. Returns enum bt_exit; complains unless OK. */
int bt_rollout_request(struct bt_ctl_rollout *ret_rollout, struct bt_command *command);

/* From here on Ctrl-C ends the waiting, and says that it ends nothing else. */
void bt_rollout_on_interrupt(struct bt_command *command);

/* Those that are under way: @text has a line for each, the hub's. */
void bt_rollout_status(const struct bt_command *command, const char *text);

void bt_rollout_report(const struct bt_progress *progress, const char *target);

/* ---- swap.c ---- */

/* Sends @request, shows what the hub says, and how it ended. Returns enum bt_exit. */
int bt_swap_follow(struct bt_command *command, struct bt_ctl_request *request, int binary_fd);
/* Fills in what all requests about children have. Returns enum bt_exit. */
int bt_swap_target(struct bt_ctl_request *request, const struct bt_command *command);
/* --exec PATH, opened; its path into @request. Returns enum bt_exit; complains unless OK. */
int bt_swap_binary(int *ret_fd, struct bt_ctl_request *request, struct bt_command *command);
