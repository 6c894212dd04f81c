/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Huge pages in shared memory: what the administrator has chosen. docs/state.md */

#include <stdbool.h>

#define BT_HUGE_TEXT 16

/* The one of "always within_size advise [never] deny force" that is between brackets; "" when there is none. Returns @ret_text. */
const char *bt_huge_chosen(char ret_text[BT_HUGE_TEXT], const char *line);

/* What is chosen on this machine, now; "" where the kernel has no huge pages. */
const char *bt_huge_choice(char ret_text[BT_HUGE_TEXT]);

/* Memory is mapped by huge pages where a process asks for them. */
bool bt_huge_given(void);
