/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which instance of an active_passive child is active (docs/redundancy.md has the picture). One word decides: bt_replicas.active, a process that was told to
 * be, or that is not proved to have stopped. It becomes NULL in two places only: the process has said that it took PASSIVE, or its exit
 * was seen. Only when it is NULL is somebody told to begin, so two can never be.
 *
 * The proof of an exit is the pidfd, not the life mark (inc.c): at the mark no code of it runs any more, but its locks and sockets are still held, and the next one
 * would find them.
 */
#include "base/check.h"
#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/hub.h"
#include "supervisor/replicas.h"

const char *bt_mode_name(uint32_t mode)
{
        return mode == BATON_MODE_ACTIVE ? "active" : mode == BATON_MODE_PASSIVE ? "passive" : "";
}

static bool decides(const struct bt_replicas *replicas)
{
        return replicas && replicas->spec->replication == BT_REPLICATION_ACTIVE_PASSIVE;
}

enum baton_mode bt_mode_first(const struct bt_child *child)
{
        if (!child->replicas)
                return BATON_MODE_SINGLE;
        return decides(child->replicas) ? BATON_MODE_PASSIVE : BATON_MODE_ACTIVE;
}

/* ---- telling ---- */

static void on_not_taken(struct bt_loop_timer *timer)
{
        struct bt_replicas *replicas = bt_container_of(timer, struct bt_replicas, timer);
        struct bt_inc *inc = replicas->active;
        struct bt_child *child = inc->child;

        child->limits_hit++;
        bt_child_note(child, "incarnation %llu did not become %s within handover_data_wait and was killed", (unsigned long long)inc->number,
                      bt_mode_name(inc->told));
        bt_inc_kill(inc);
}

/* The word before the message: a hub after this one reads it. */
static void tell(struct bt_replicas *replicas, struct bt_inc *inc, enum baton_mode mode)
{
        inc->told = mode;
        atomic_store(&inc->link->mode_told, mode);
        BT_POINT("hub.mode.told");
        bt_inc_say(inc, BT_MSG_MODE, 0, 0, mode, 0);
        if (bt_loop_timer_arm(replicas->hub->loop, &replicas->timer, bt_ns_add(bt_now_ns(), inc->child->spec->handover_data_wait_ns), on_not_taken))
                bt_inc_kill(inc); /* nobody would notice that it does not answer */
}

static bool can_be_active(const struct bt_child *child)
{
        const struct bt_inc *inc = child->current;

        return inc && inc->link && !inc->yields && !inc->dead && !inc->killed && !inc->poisoned && !child->leaving &&
               (child->phase == BT_PHASE_RUNNING || child->phase == BT_PHASE_MIGRATING);
}

void bt_mode_elect(struct bt_replicas *replicas)
{
        if (!decides(replicas) || replicas->active || replicas->leaving || replicas->hub->stopping)
                return;
        bt_list_foreach (it, &replicas->instances) {
                struct bt_child *child = bt_list_entry(it, struct bt_child, instance);

                if (!can_be_active(child))
                        continue;
                replicas->active = child->current;
                tell(replicas, child->current, BATON_MODE_ACTIVE);
                return;
        }
}

/* All together end together: then nobody is to take over. */
void bt_mode_release(struct bt_inc *inc)
{
        struct bt_replicas *replicas = inc->child->replicas;

        if (!decides(replicas) || inc->yields)
                return;
        inc->yields = true;
        if (replicas->active == inc && !replicas->leaving && !replicas->hub->stopping)
                tell(replicas, inc, BATON_MODE_PASSIVE);
}

/* ---- hearing ---- */

static void nobody(struct bt_replicas *replicas)
{
        bt_loop_timer_disarm(&replicas->timer);
        replicas->active = NULL;
        bt_mode_elect(replicas);
}

void bt_mode_taken(struct bt_inc *inc, uint64_t mode)
{
        struct bt_replicas *replicas = inc->child->replicas;
        bool changed = mode != inc->mode;

        if (!replicas || mode != inc->told)
                return; /* of an order that is not the last one */
        inc->mode = (enum baton_mode)mode;
        if (changed) {
                bt_event(replicas->hub, BT_EVENT_MODE_CHANGED, inc->child, inc->number, "%s", bt_mode_name(inc->mode));
                bt_child_publish(inc->child);
        }
        if (replicas->active != inc)
                return;
        bt_loop_timer_disarm(&replicas->timer);
        if (mode == BATON_MODE_PASSIVE)
                nobody(replicas);
}

void bt_mode_gone(struct bt_inc *inc)
{
        struct bt_replicas *replicas = inc->child->replicas;

        if (replicas && replicas->active == inc)
                nobody(replicas);
}

/* ---- of a hub that was killed ---- */

/*
 * Who was told ACTIVE, or has not taken PASSIVE, may be active. The order above leaves one such process; several there are when the file said
 * active_active before, and then all but one begin anew.
 */
void bt_mode_adopted(struct bt_inc *inc)
{
        struct bt_replicas *replicas = inc->child->replicas;

        if (!replicas)
                return;
        inc->told = (enum baton_mode)atomic_load(&inc->link->mode_told);
        inc->mode = (enum baton_mode)atomic_load(&inc->link->mode_taken);
        if (!decides(replicas)) {
                inc->told = BATON_MODE_ACTIVE;
                atomic_store(&inc->link->mode_told, BATON_MODE_ACTIVE);
                bt_inc_say(inc, BT_MSG_MODE, 0, 0, BATON_MODE_ACTIVE, 0);
                return;
        }
        if (inc->told == BATON_MODE_PASSIVE && inc->mode == BATON_MODE_PASSIVE)
                return;
        if (replicas->active) {
                bt_inc_kill(inc);
                return;
        }
        inc->yields = inc->told == BATON_MODE_PASSIVE;
        replicas->active = inc;
        tell(replicas, inc, inc->yields ? BATON_MODE_PASSIVE : BATON_MODE_ACTIVE);
}
