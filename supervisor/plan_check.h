/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between plan.c, which maps a plan, and plan_check.c, which looks at every offset in it before anybody follows one. */

#include <stdint.h>

struct bt_plan_view;

/* @view has only its head; the rest of it is set on the way. 0; -EINVAL with a sentence; -ENOMEM. */
int bt_plan_check(struct bt_plan_view *view, uint64_t bytes, const char **ret_error);
