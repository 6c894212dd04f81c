/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header, and docs/groups.md.
 *
 * A failure is judged where it comes in (failing()), and becomes one of three things: one member that waits for its time; a rank from which on all are
 * stopped and started again; or the end of the group. What follows is decided one action at a time by next(), from the states alone, so that whatever
 * happens between two actions needs no case of its own.
 *
 * A step looks at each member: 10 us for 10000 of them. Counting along instead would be a second truth that can drift from the first.
 */
#include "supervisor/group/group.h"

#include "base/check.h"
#include "base/clock.h"

static bool member_alive(const struct bt_group_member *member)
{
        return member->state == BT_GROUP_M_STARTING || member->state == BT_GROUP_M_UP ||
               member->state == BT_GROUP_M_STOPPING;
}

bool bt_group_alive(const struct bt_group *g, uint32_t idx)
{
        return member_alive(&g->members[idx]);
}

static bool is_off(const struct bt_group *g)
{
        return g->state == BT_GROUP_S_OFF || g->state == BT_GROUP_S_FAILED ||
               g->state == BT_GROUP_S_SHUT;
}

static void tell(struct bt_group *g, enum bt_group_action action)
{
        g->telling = true;
        g->tell = action;
}

/* ---- how often ---- */

uint32_t bt_group_left(const struct bt_group *g, uint64_t now_ns)
{
        uint32_t limit = g->config.max_restarts, within = 0;

        if (limit == UINT32_MAX)
                return limit;

        for (uint32_t i = 0; i < g->restarted && i < BT_GROUP_HISTORY; i++) {
                uint64_t at = g->restarted_ns[(g->restarted - 1 - i) % BT_GROUP_HISTORY];

                if (now_ns - at > g->config.max_seconds_ns)
                        break;
                within++;
        }
        return within < limit ? limit - within : 0;
}

/* Notes one more restart. True: that is more than max_restarts within max_seconds. */
static bool too_many(struct bt_group *g, uint64_t now_ns)
{
        uint32_t left = bt_group_left(g, now_ns);

        g->restarted_ns[g->restarted++ % BT_GROUP_HISTORY] = now_ns;
        return !left;
}

/* ---- what a failure means ---- */

static void stop_from(struct bt_group *g, uint32_t rank, enum bt_group_state after)
{
        if (g->state != BT_GROUP_S_STOPPING || rank < g->from)
                g->from = rank;
        g->state = BT_GROUP_S_STOPPING;
        g->after = after;
}

/* It is on its way out, and who ends now would have been told to. */
static bool lets_go(const struct bt_group *g, const struct bt_group_member *member)
{
        return is_off(g) || (g->state == BT_GROUP_S_STOPPING &&
                             (g->after != BT_GROUP_S_WAITING || member->rank >= g->from));
}

static void failing(struct bt_group *g, struct bt_group_member *member, bool started,
                    uint64_t wait_ns, uint64_t now_ns)
{
        uint64_t due_ns = bt_ns_add(now_ns, wait_ns);

        member->state = BT_GROUP_M_DOWN;
        if (lets_go(g, member))
                return;
        g->culprit = (uint32_t)(member - g->members);
        if (too_many(g, now_ns)) {
                stop_from(g, 0, BT_GROUP_S_FAILED);
                return;
        }
        if (g->config.strategy == BT_GROUP_ONE_FOR_ONE && !(g->first && started)) {
                member->state = BT_GROUP_M_WAITING;
                member->due_ns = due_ns;
                return;
        }
        if ((g->state != BT_GROUP_S_STOPPING && g->state != BT_GROUP_S_WAITING) ||
            due_ns > g->due_ns)
                g->due_ns = due_ns;
        stop_from(g,
                  g->config.strategy == BT_GROUP_REST_FOR_ONE && !(g->first && started)
                          ? member->rank + 1
                          : 0,
                  BT_GROUP_S_WAITING);
}

/* @other would be stopped because @member failed, or comes before it in the start that follows. */
static bool goes_first(const struct bt_group *g, const struct bt_group_member *other, const struct bt_group_member *member)
{
        bool pays = g->config.strategy == BT_GROUP_ONE_FOR_ALL || other->rank > member->rank;

        if (other->rank >= member->rank)
                return pays && member_alive(other);
        if (other->state == BT_GROUP_M_ENDED)
                return pays && other->restart != BT_GROUP_TEMPORARY;
        return other->state == BT_GROUP_M_UP ? pays : other->state != BT_GROUP_M_HELD && other->state != BT_GROUP_M_GONE;
}

bool bt_group_restarts_alone(const struct bt_group *g, uint32_t idx, uint64_t now_ns)
{
        const struct bt_group_member *member = &g->members[idx];

        if ((g->state != BT_GROUP_S_UP && g->state != BT_GROUP_S_STARTING) || member->state != BT_GROUP_M_UP || !bt_group_left(g, now_ns))
                return false;
        if (g->config.strategy == BT_GROUP_ONE_FOR_ONE)
                return true;
        for (uint32_t i = 0; i < g->count; i++)
                if (i != idx && goes_first(g, &g->members[i], member))
                        return false;
        return true;
}

/* Is that the end of the group, as auto_shutdown has it? */
static bool enough(const struct bt_group *g)
{
        if (g->config.auto_shutdown != BT_GROUP_AUTO_ALL)
                return g->config.auto_shutdown == BT_GROUP_AUTO_ANY;
        for (uint32_t i = 0; i < g->count; i++) {
                const struct bt_group_member *member = &g->members[i];

                if (member->significant &&
                    (member_alive(member) || member->state == BT_GROUP_M_WAITING ||
                     member->state == BT_GROUP_M_DOWN))
                        return false;
        }
        return true;
}

static void ended(struct bt_group *g, struct bt_group_member *member)
{
        bool let_go = lets_go(g, member);

        member->state = BT_GROUP_M_ENDED;
        if (!let_go && member->significant && enough(g))
                stop_from(g, 0, BT_GROUP_S_SHUT);
}

static void exited(struct bt_group *g, struct bt_group_member *member, bool well, uint64_t wait_ns, uint64_t now_ns)
{
        bool started = member->state == BT_GROUP_M_STARTING;
        bool stays = member->restart == BT_GROUP_TEMPORARY || (member->restart == BT_GROUP_TRANSIENT && well);

        if (member->state == BT_GROUP_M_STOPPING)
                member->state = member->restart == BT_GROUP_TEMPORARY ? BT_GROUP_M_ENDED : BT_GROUP_M_DOWN;
        else if (!started && member->state != BT_GROUP_M_UP)
                return;
        else if (stays && (well || !started || !g->first)) /* else a first start has failed, whoever that is */
                ended(g, member);
        else
                failing(g, member, started, wait_ns, now_ns);
}

/* ---- the other events ---- */

static void running(struct bt_group *g, struct bt_group_member *member)
{
        if (member->state == BT_GROUP_M_STOPPING || member->state == BT_GROUP_M_GONE)
                return;
        member->state = BT_GROUP_M_UP;
        if (g->state == BT_GROUP_S_FAILED || g->state == BT_GROUP_S_SHUT)
                g->restarted = 0;
        else if (g->state != BT_GROUP_S_WAITING)
                return;
        g->state = BT_GROUP_S_STARTING; /* somebody has repaired it */
        g->first = false;
}

static void start(struct bt_group *g)
{
        if (!is_off(g)) {
                if (g->state == BT_GROUP_S_UP)
                        tell(g, BT_GROUP_ACT_TELL_UP);
                return;
        }
        g->state = BT_GROUP_S_STARTING;
        g->first = true;
        g->restarted = 0;
        g->culprit = g->count;
        for (uint32_t i = 0; i < g->count; i++) {
                struct bt_group_member *member = &g->members[i];

                if (member_alive(member))
                        g->first = false;
                if (member->state == BT_GROUP_M_ENDED || member->state == BT_GROUP_M_WAITING)
                        member->state = BT_GROUP_M_DOWN;
        }
}

static void stop(struct bt_group *g)
{
        stop_from(g, 0, BT_GROUP_S_OFF);
}

void bt_group_event(struct bt_group *g, enum bt_group_event event, uint32_t idx, uint64_t wait_ns,
                    uint64_t now_ns)
{
        struct bt_group_member *member = &g->members[idx];

        bt_assert(event <= BT_GROUP_EV_STOP || idx < g->count);
        switch (event) {
        case BT_GROUP_EV_START:
                start(g);
                break;
        case BT_GROUP_EV_STOP:
                stop(g);
                break;
        case BT_GROUP_EV_RUNNING:
                running(g, member);
                break;
        case BT_GROUP_EV_FAILED:
                exited(g, member, false, wait_ns, now_ns);
                break;
        case BT_GROUP_EV_ENDED:
                exited(g, member, true, wait_ns, now_ns);
                break;
        case BT_GROUP_EV_STOPPED:
                if (member->state == BT_GROUP_M_STOPPING)
                        exited(g, member, true, 0, now_ns);
                break;
        case BT_GROUP_EV_HOLD:
                if (member->state != BT_GROUP_M_GONE)
                        member->state = BT_GROUP_M_HELD;
                break;
        case BT_GROUP_EV_RELEASE:
                if ((member->state == BT_GROUP_M_HELD || member->state == BT_GROUP_M_ENDED) && g->state != BT_GROUP_S_UP)
                        member->state = BT_GROUP_M_DOWN;
                break;
        case BT_GROUP_EV_REMOVED:
                member->state = BT_GROUP_M_GONE;
                break;
        case _BT_GROUP_EV_N:
                break;
        }
}

void bt_group_found(struct bt_group *g, uint32_t idx, bool runs)
{
        if (g->state == BT_GROUP_S_OFF)
                g->members[idx].state = runs ? BT_GROUP_M_UP : BT_GROUP_M_STARTING;
}

/* ---- what is to be done ---- */

static bool act(struct bt_group *g, struct bt_group_act *ret_act, uint32_t idx,
                enum bt_group_action action, enum bt_group_member_state state)
{
        g->members[idx].state = state;
        *ret_act = (struct bt_group_act){action, idx};
        return true;
}

/* Members that wait by themselves. */
static bool next_due(struct bt_group *g, uint64_t now_ns, struct bt_group_act *ret_act)
{
        for (uint32_t i = 0; i < g->count; i++)
                if (g->members[i].state == BT_GROUP_M_WAITING && g->members[i].due_ns <= now_ns)
                        return act(g, ret_act, i, BT_GROUP_ACT_START, BT_GROUP_M_STARTING);
        return false;
}

/* Of the lowest rank that is not up yet. */
static bool next_start(struct bt_group *g, struct bt_group_act *ret_act)
{
        bool starting = false;
        uint32_t rank = 0;

        for (uint32_t i = 0; i < g->count; i++) {
                const struct bt_group_member *member = &g->members[i];

                if (starting && member->rank != rank)
                        return false;
                if (member->state == BT_GROUP_M_DOWN)
                        return act(g, ret_act, i, BT_GROUP_ACT_START, BT_GROUP_M_STARTING);
                if (member->state == BT_GROUP_M_STARTING) {
                        starting = true;
                        rank = member->rank;
                }
        }
        if (starting)
                return false;
        g->state = BT_GROUP_S_UP;
        g->first = false;
        tell(g, BT_GROUP_ACT_TELL_UP);
        return false;
}

/* None of those that were to be stopped runs any more. */
static void all_stopped(struct bt_group *g)
{
        for (uint32_t i = 0; i < g->count; i++) {
                struct bt_group_member *member = &g->members[i];

                if (member->rank < g->from)
                        continue;
                if (member->state == BT_GROUP_M_WAITING ||
                    (member->state == BT_GROUP_M_ENDED && member->restart != BT_GROUP_TEMPORARY))
                        member->state = BT_GROUP_M_DOWN;
        }
        g->state = g->after;
        if (g->state == BT_GROUP_S_OFF)
                tell(g, BT_GROUP_ACT_TELL_DOWN);
        else if (g->state == BT_GROUP_S_FAILED)
                tell(g, BT_GROUP_ACT_TELL_FAILED);
        else if (g->state == BT_GROUP_S_SHUT)
                tell(g, BT_GROUP_ACT_TELL_SHUT);
}

/* Of the highest rank that is not down yet. */
static bool next_stop(struct bt_group *g, struct bt_group_act *ret_act)
{
        bool stopping = false;
        uint32_t rank = 0;

        for (uint32_t i = g->count; i-- && g->members[i].rank >= g->from;) {
                const struct bt_group_member *member = &g->members[i];

                if (stopping && member->rank != rank)
                        return false;
                if (member->state == BT_GROUP_M_STOPPING) {
                        stopping = true;
                        rank = member->rank;
                } else if (member_alive(member)) {
                        return act(g, ret_act, i, BT_GROUP_ACT_STOP, BT_GROUP_M_STOPPING);
                }
        }
        if (!stopping)
                all_stopped(g);
        return false;
}

static bool next_tell(struct bt_group *g, struct bt_group_act *ret_act)
{
        if (!g->telling)
                return false;
        g->telling = false;
        *ret_act = (struct bt_group_act){g->tell, g->count};
        return true;
}

bool bt_group_next(struct bt_group *g, uint64_t now_ns, struct bt_group_act *ret_act)
{
        if (next_tell(g, ret_act))
                return true;
        if (g->state == BT_GROUP_S_STOPPING && next_stop(g, ret_act))
                return true;
        if (g->state == BT_GROUP_S_WAITING && g->due_ns <= now_ns)
                g->state = BT_GROUP_S_STARTING;
        if ((g->state == BT_GROUP_S_STARTING || g->state == BT_GROUP_S_UP) &&
            next_due(g, now_ns, ret_act))
                return true;
        if (g->state == BT_GROUP_S_STARTING && next_start(g, ret_act))
                return true;
        return next_tell(g, ret_act);
}

uint64_t bt_group_due(const struct bt_group *g)
{
        uint64_t due_ns = BT_NS_NEVER;

        if (g->state == BT_GROUP_S_WAITING)
                return g->due_ns;
        for (uint32_t i = 0;
             i < g->count && (g->state == BT_GROUP_S_STARTING || g->state == BT_GROUP_S_UP); i++)
                if (g->members[i].state == BT_GROUP_M_WAITING && g->members[i].due_ns < due_ns)
                        due_ns = g->members[i].due_ns;
        return due_ns;
}

/* ---- before the first event, and to look at ---- */

void bt_group_init(struct bt_group *g, const struct bt_group_config *config,
                   struct bt_group_member *members, uint32_t count)
{
        *g = (struct bt_group){
                .config = *config, .members = members, .count = count, .culprit = count};
        for (uint32_t i = 0; i < count; i++) {
                bt_assert(!i || members[i].rank >= members[i - 1].rank);
                members[i].state = BT_GROUP_M_DOWN;
        }
}

const char *bt_group_state_name(enum bt_group_state state)
{
        static const char *const names[] = {"off",     "starting", "up",  "stopping",
                                            "waiting", "failed",   "shut"};

        return state < _BT_GROUP_S_N ? names[state] : "?";
}

const char *bt_group_member_name(enum bt_group_member_state state)
{
        static const char *const names[] = {"down",     "waiting", "starting", "up",
                                            "stopping", "ended",   "held",     "gone"};

        return state < _BT_GROUP_M_N ? names[state] : "?";
}
