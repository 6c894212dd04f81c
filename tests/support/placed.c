/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/placed.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support/door.h"

const char *placed_id(int i)
{
        static char id[64];

        (void)snprintf(id, sizeof(id), "web/%d", i);
        return id;
}

void placed_ask(const struct world *w, const char *id, struct placed *ret)
{
        char line[256], who[64];
        int r = door_ask(w->dir, id, line, sizeof(line));

        if (r)
                fail_msg("%s refuses: %s", id, strerrordesc_np(-r));
        /* The child's own numbers: they fit. NOLINTNEXTLINE(cert-err34-c) */
        if (sscanf(line, "%63s %d %d %31s %31s", who, &ret->count, &ret->pid, ret->node,
                   ret->version) != 5 ||
            strcmp(who, id) != 0)
                fail_msg("%s answers '%s'", id, line);
}

bool world_has_ended(pid_t pid)
{
        siginfo_t info = {0};

        return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               info.si_pid == pid;
}
