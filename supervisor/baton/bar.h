/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A bar in the last line of a terminal, beneath lines that go on. It is cleared before a line is printed, and drawn again after it. */

#include <stdbool.h>

bool bt_bar_possible(void); /* stdout is a terminal that can clear a line */
void bt_bar_clear(void);
/* @text: "3 of 8", and perhaps more behind it; what does not begin so is drawn without a bar. */
void bt_bar_draw(const char *text);
