/* SPDX-License-Identifier: Apache-2.0 */
/* One rule for both who ask it: the hub before it stops anything, and a successor for itself. */
#include "shm/describe.h"

#include <stdio.h>

bool bt_versions_meet(uint32_t version, uint32_t writable, uint32_t oldest, uint32_t newest)
{
        uint32_t newest_of_both = version < newest ? version : newest;

        if (newest_of_both < oldest)
                return false;
        return newest_of_both == version || (writable && newest_of_both >= writable);
}

void bt_versions_text(char *text, size_t bytes, const char *schema, uint32_t version, uint32_t writable, const char *own, uint32_t oldest, uint32_t newest)
{
        char older[64] = "";

        if (writable && writable < version)
                (void)snprintf(older, sizeof(older), ", at the oldest %u", writable);
        (void)snprintf(text, bytes, "state is '%s' version %u%s, this program reads '%s' versions %u to %u", schema, version, older, own, oldest, newest);
}
