/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is in a text. */

#include <stdbool.h>

int text_times(const char *text, const char *part);
/* All @parts, the last of which is NULL, occur in this order, with whatever between them. */
bool text_in_order(const char *text, const char *const parts[]);
/* The same; fails the test, and names the first that is not in its place. */
void text_expect_in_order(const char *text, const char *const parts[]);
