/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `baton-bench report`: results as one HTML page that needs nothing else. */

#include <jansson.h>

/* 0, or -errno with a complaint. */
int bench_page_write(const json_t *lines, const char *path);
