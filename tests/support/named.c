/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/named.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/door.h"

int named_count(const struct world *w, const char *id)
{
        char line[128], begins[80];
        int r = door_ask(w->dir, id, line, sizeof(line));

        if (r)
                return r;
        (void)snprintf(begins, sizeof(begins), "%s ", id);
        if (strncmp(line, begins, strlen(begins)) != 0)
                fail_msg("%s answers '%s'", id, line);
        return (int)strtol(line + strlen(begins), NULL, 10);
}
