/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/control_group.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/control_state.h"
#include "supervisor/groups.h"

static void row_fill(struct bt_ctl_group *row, const struct bt_hub_group *group)
{
        const struct bt_group_count count = bt_group_count(group);

        *row = (struct bt_ctl_group){.state = group->machine.state,
                                     .strategy = group->spec->strategy,
                                     .auto_shutdown = group->spec->auto_shutdown,
                                     .restarts_left = bt_group_left(&group->machine, bt_now_ns()),
                                     .restarts = group->restarts,
                                     .specs = count.specs,
                                     .active = count.active,
                                     .supervisors = count.supervisors,
                                     .workers = count.workers};
        (void)snprintf(row->name, sizeof(row->name), "%s", group->name);
        (void)snprintf(row->around, sizeof(row->around), "%s",
                       group->around ? group->around->name : "");
        (void)snprintf(row->note, sizeof(row->note), "%s", group->note);
}

bool bt_group_tell(struct bt_client *client, const struct bt_hub *hub)
{
        BT_CLEANUP(bt_closep) int fd = -1;
        int r = 0;

        if (!hub->groups)
                return false;
        fd = memfd_create("baton-groups", MFD_CLOEXEC);
        r = fd < 0 ? -errno : 0;
        for (uint32_t i = 0; !r && i < hub->groups->count; i++) {
                struct bt_ctl_group row;

                row_fill(&row, &hub->groups->groups[i]);
                r = bt_write_all(fd, &row, sizeof(row));
        }
        if (!r)
                r = bt_client_send(client, BT_CTL_GROUPS, fd, hub->groups->count, 0);
        if (r)
                bt_client_answer(client, BT_CTL_FAILED, "the groups could not be made or sent");
        return r != 0;
}
