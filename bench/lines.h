/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Files of results: a JSON object a line, as out.h writes them. */

#include <stdbool.h>
#include <jansson.h>

void bench_lines_freep(json_t **lines);

/* All lines of @path, in their order. 0, or -errno with a complaint; a line that is not JSON is -EBADMSG. */
int bench_lines_read(json_t **ret_lines, const char *path);

/* The lines say that every question in them came to its end: the last is an "end". */
bool bench_lines_whole(const json_t *lines);

const char *bench_line_text(const json_t *line, const char *name); /* "" when there is none */
