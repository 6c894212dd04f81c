/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* From a configuration to the plan that the daemon is given (supervisor/plan.h). */

#include "supervisor/baton/config.h"

/**
 * bt_compile() - write the plan of @config into a sealed memfd
 * @ret_fd: O_CLOEXEC, the caller's
 * @runtime, @state: the directories that hold a folder for each hub; NULL for a fragment, which has none
 * @ret_error: why not, in @config's memory
 *
 * The result has passed bt_plan_open(). Returns 0, or 1 with @ret_error.
 */
int bt_compile(int *ret_fd, struct bt_config *config, const char *runtime, const char *state,
               const char **ret_error);
