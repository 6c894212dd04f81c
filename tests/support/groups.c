/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/groups.h"

#include <string.h>

void until_status(const struct world *w, const char *text)
{
        struct events events;

        events_follow(&events, w);
        for (RUN(0, "", "status", "--json"); !strstr(said, text); RUN(0, "", "status", "--json"))
                events_next(&events);
        events_end(&events);
}

void until_down(struct world *w, const char *id, enum bt_phase phase)
{
        struct bt_slot slot;

        world_until(w, id, phase, 0, &slot);
        assert_int_equal(slot.pid, 0);
}

void until_again(struct world *w, const char *id, uint64_t above)
{
        struct bt_slot slot;

        world_until(w, id, BT_PHASE_RUNNING, above, &slot);
}
