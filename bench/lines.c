/* SPDX-License-Identifier: Apache-2.0 */
/* See lines.h. */
#include "bench/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench/process.h"

void bench_lines_freep(json_t **lines)
{
        json_decref(*lines);
}

static int lines_add(json_t *lines, const char *text, const char *path, int number)
{
        json_error_t error;
        json_t *line = json_loads(text, 0, &error);

        if (!line) {
                bench_complain("%s, line %d: %s", path, number, error.text);
                return -EBADMSG;
        }
        return json_array_append_new(lines, line) < 0 ? -ENOMEM : 0;
}

int bench_lines_read(json_t **ret_lines, const char *path)
{
        BT_CLEANUP(bench_lines_freep) json_t *lines = json_array();
        FILE *file = fopen(path, "re");
        char *text = NULL;
        size_t room = 0;
        int r = 0;

        if (!file) {
                r = -errno;
                bench_complain("cannot read %s: %s", path, strerrordesc_np(-r));
                return r;
        }
        for (int number = 1; !r && getline(&text, &room, file) > 0; number++)
                r = lines_add(lines, text, path, number);
        free(text);
        (void)fclose(file);
        if (!r)
                *ret_lines = BT_STEAL(lines);
        return r;
}

bool bench_lines_whole(const json_t *lines)
{
        size_t count = json_array_size(lines);

        return count && !strcmp(bench_line_text(json_array_get(lines, count - 1), "kind"), "end");
}

const char *bench_line_text(const json_t *line, const char *name)
{
        const char *text = json_string_value(json_object_get(line, name));

        return text ? text : "";
}
