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

static void counts(struct bt_ctl_group *row, const struct bt_hub_group *group)
{
        for (uint32_t i = 0; i < group->machine.count; i++) {
                const struct bt_hub_member *member = &group->members[i];

                if (group->states[i].state == BT_GROUP_M_GONE)
                        continue;
                row->specs++;
                if (member->inner) {
                        row->supervisors++;
                        row->active += !bt_group_is_off(member->inner);
                } else {
                        row->workers++;
                        row->active += member->child && member->child->current;
                }
        }
}

static void row_fill(struct bt_ctl_group *row, const struct bt_hub_group *group)
{
        *row = (struct bt_ctl_group){.state = group->machine.state,
                                     .strategy = group->spec->strategy,
                                     .auto_shutdown = group->spec->auto_shutdown,
                                     .restarts_left = bt_group_left(&group->machine, bt_now_ns()),
                                     .restarts = group->restarts};
        (void)snprintf(row->name, sizeof(row->name), "%s", group->name);
        (void)snprintf(row->around, sizeof(row->around), "%s",
                       group->around ? group->around->name : "");
        (void)snprintf(row->note, sizeof(row->note), "%s", group->note);
        counts(row, group);
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
