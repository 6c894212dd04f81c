/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header, and docs/rollout.md.
 *
 * Each child has a machine of its own, which is the table below; what binds them is the phase, the seats, and that one failure turns
 * all of them around (go_back). A cell is entered with the phase as it is: the same event of the same child means another thing on the
 * way back.
 */
#include "supervisor/rollout/rollout.h"

#include <stddef.h>

#include "base/check.h"
#include "base/clock.h"

/* clang-format off */
#define ROLLOUT_CELLS(X)                                 \
        X(SWAPPING,  COMMITTED, swapping_on_committed)   \
        X(SWAPPING,  FAILED,    swapping_on_failed)      \
        X(SWAPPING,  DOWN,      swapping_on_failed)      \
        X(SWAPPING,  BUSY,      swapping_on_busy)        \
        X(SETTLING,  SETTLED,   settling_on_settled)     \
        X(SETTLING,  DIED,      unproved_on_died)        \
        X(CHECKING,  HEALTHY,   prove)                   \
        X(CHECKING,  UNHEALTHY, checking_on_unhealthy)   \
        X(CHECKING,  DIED,      unproved_on_died)        \
        X(PROVED,    DIED,      unproved_on_died)        \
        X(RETURNING, COMMITTED, returning_on_committed)  \
        X(RETURNING, FAILED,    returning_on_failed)     \
        X(RETURNING, DOWN,      leave)                   \
        X(RETURNING, BUSY,      returning_on_busy)
/* clang-format on */

typedef void (*cell)(struct bt_rollout *r, struct bt_rollout_item *item, uint64_t now_ns);

/* ---- turning around ---- */

/* Called once, at the first failure. */
static void go_back(struct bt_rollout *r, enum bt_rollout_why why, uint32_t culprit,
                    uint64_t now_ns)
{
        if (r->phase != BT_ROLLOUT_FORWARD)
                return;
        r->phase = BT_ROLLOUT_BACK;
        r->why = why;
        r->culprit = culprit;
        r->retry_ns = 0;
        r->deadline_ns = bt_ns_add(now_ns, r->config.deadline_ns);
        for (uint32_t i = 0; i < r->count; i++) {
                struct bt_rollout_item *item = &r->items[i];

                item->todo = BT_ROLLOUT_ACT_NONE;
                if (item->state == BT_ROLLOUT_S_WAITING)
                        item->state = BT_ROLLOUT_S_OLD;
                else if (item->state == BT_ROLLOUT_S_SWAPPING)
                        item->todo = BT_ROLLOUT_ACT_CANCEL;
                else if (item->state != BT_ROLLOUT_S_OLD)
                        item->state = BT_ROLLOUT_S_RETURN;
        }
}

static void fail(struct bt_rollout *r, const struct bt_rollout_item *item, enum bt_rollout_why why,
                 uint64_t now_ns)
{
        go_back(r, why, (uint32_t)(item - r->items), now_ns);
}

/* ---- the cells ---- */

static void prove(struct bt_rollout *r, struct bt_rollout_item *item, uint64_t now_ns)
{
        (void)r;
        (void)now_ns;
        item->state = BT_ROLLOUT_S_PROVED;
        item->todo = BT_ROLLOUT_ACT_TELL_PROVED;
}

static void swapping_on_committed(struct bt_rollout *r, struct bt_rollout_item *item,
                                  uint64_t now_ns)
{
        item->todo = BT_ROLLOUT_ACT_NONE; /* too late to be cancelled */
        item->state = r->phase == BT_ROLLOUT_FORWARD ? BT_ROLLOUT_S_SETTLING : BT_ROLLOUT_S_RETURN;
        item->due_ns = bt_ns_add(now_ns, r->config.min_ready_ns);
}

/* It is on its old program, which is where all the others go too. */
static void swapping_on_failed(struct bt_rollout *r, struct bt_rollout_item *item, uint64_t now_ns)
{
        item->todo = BT_ROLLOUT_ACT_NONE;
        item->state = BT_ROLLOUT_S_OLD;
        fail(r, item, BT_ROLLOUT_WHY_SWAP, now_ns);
}

static void swapping_on_busy(struct bt_rollout *r, struct bt_rollout_item *item, uint64_t now_ns)
{
        item->todo = BT_ROLLOUT_ACT_NONE;
        item->state = r->phase == BT_ROLLOUT_FORWARD ? BT_ROLLOUT_S_WAITING : BT_ROLLOUT_S_OLD;
        r->retry_ns = bt_ns_add(now_ns, BT_ROLLOUT_RETRY_NS);
}

static void settling_on_settled(struct bt_rollout *r, struct bt_rollout_item *item, uint64_t now_ns)
{
        if (!r->config.health) {
                prove(r, item, now_ns);
                return;
        }
        item->state = BT_ROLLOUT_S_CHECKING;
        item->todo = BT_ROLLOUT_ACT_CHECK;
}

static void unproved_on_died(struct bt_rollout *r, struct bt_rollout_item *item, uint64_t now_ns)
{
        fail(r, item, BT_ROLLOUT_WHY_DIED, now_ns);
}

static void checking_on_unhealthy(struct bt_rollout *r, struct bt_rollout_item *item,
                                  uint64_t now_ns)
{
        fail(r, item, BT_ROLLOUT_WHY_UNHEALTHY, now_ns);
}

static void returning_on_committed(struct bt_rollout *r, struct bt_rollout_item *item,
                                   uint64_t now_ns)
{
        (void)r;
        (void)now_ns;
        item->state = BT_ROLLOUT_S_OLD;
}

static void leave(struct bt_rollout *r, struct bt_rollout_item *item, uint64_t now_ns)
{
        (void)r;
        (void)now_ns;
        item->state = BT_ROLLOUT_S_LEFT;
}

/* A process that hangs cannot hand over; a cold swap ends it. */
static void returning_on_failed(struct bt_rollout *r, struct bt_rollout_item *item, uint64_t now_ns)
{
        (void)r;
        (void)now_ns;
        item->state = item->seated_hot ? BT_ROLLOUT_S_RETURN : BT_ROLLOUT_S_LEFT;
        item->back_cold = true;
}

static void returning_on_busy(struct bt_rollout *r, struct bt_rollout_item *item, uint64_t now_ns)
{
        item->state = BT_ROLLOUT_S_RETURN;
        r->retry_ns = bt_ns_add(now_ns, BT_ROLLOUT_RETRY_NS);
}

static cell cell_of(enum bt_rollout_state state, enum bt_rollout_event event)
{
        static const cell cells[_BT_ROLLOUT_S_N][_BT_ROLLOUT_EV_N] = {
#define X(state, event, function) [BT_ROLLOUT_S_##state][BT_ROLLOUT_EV_##event] = function,
                ROLLOUT_CELLS(X)
#undef X
        };

        return cells[state][event];
}

void bt_rollout_event(struct bt_rollout *r, enum bt_rollout_event event, uint32_t idx,
                      uint64_t now_ns)
{
        struct bt_rollout_item *item = &r->items[idx];
        cell enter;

        bt_assert(idx < r->count && event < _BT_ROLLOUT_EV_N);
        enter = cell_of(item->state, event);
        if (event == BT_ROLLOUT_EV_SERVES || event == BT_ROLLOUT_EV_COMMITTED)
                item->serves = true;
        else if (event == BT_ROLLOUT_EV_DIED || event == BT_ROLLOUT_EV_DOWN)
                item->serves = false;
        if (enter && r->phase != BT_ROLLOUT_OVER)
                enter(r, item, now_ns);
}

/* ---- seats ---- */

static bool seated(const struct bt_rollout_item *item)
{
        return item->state == BT_ROLLOUT_S_SWAPPING || item->state == BT_ROLLOUT_S_SETTLING ||
               item->state == BT_ROLLOUT_S_CHECKING || item->state == BT_ROLLOUT_S_RETURNING;
}

struct seats {
        uint32_t hot;     /* taken */
        uint32_t cold;    /* taken */
        uint32_t lacking; /* children that do not serve, or are seated cold */
};

static struct seats seats_count(const struct bt_rollout *r)
{
        struct seats seats = {0};

        for (uint32_t i = 0; i < r->count; i++) {
                const struct bt_rollout_item *item = &r->items[i];
                bool cold = seated(item) && !item->seated_hot;

                seats.hot += seated(item) && item->seated_hot;
                seats.cold += cold;
                seats.lacking += cold || !item->serves;
        }
        return seats;
}

static bool is_hot(const struct bt_rollout_item *item)
{
        return item->hot && item->serves && !item->back_cold;
}

static uint32_t at_least_one(uint32_t seats)
{
        return seats ? seats : 1;
}

/* On the way back only its own swaps count: children that do not serve are what is being repaired. */
static bool seat_free(const struct bt_rollout *r, const struct seats *seats,
                      const struct bt_rollout_item *item)
{
        bool back = r->phase == BT_ROLLOUT_BACK;

        if (is_hot(item))
                return seats->hot < at_least_one(r->config.max_surge) &&
                       (back || seats->lacking <= r->config.max_unavailable);
        if (back || !item->serves)
                return seats->cold < at_least_one(r->config.max_unavailable);
        return seats->lacking < r->config.max_unavailable;
}

/* The next child in @state that may begin, those that do not serve first; @count: none. */
static uint32_t candidate(const struct bt_rollout *r, enum bt_rollout_state state)
{
        struct seats seats = seats_count(r);
        uint32_t first = r->count;

        for (uint32_t i = 0; i < r->count; i++) {
                const struct bt_rollout_item *item = &r->items[i];

                if (item->state != state || (item->serves && first < r->count) ||
                    !seat_free(r, &seats, item))
                        continue;
                if (!item->serves)
                        return i;
                first = i;
        }
        return first;
}

/* ---- what to do next ---- */

static bool canaries_allow(const struct bt_rollout *r)
{
        uint32_t canary = r->config.canary < r->count ? r->config.canary : r->count;
        uint32_t begun = r->count - bt_rollout_count(r, BT_ROLLOUT_S_WAITING);

        return begun < canary || bt_rollout_count(r, BT_ROLLOUT_S_PROVED) >= canary;
}

static bool next_todo(struct bt_rollout *r, struct bt_rollout_act *ret_act)
{
        for (uint32_t i = 0; i < r->count; i++) {
                if (r->items[i].todo == BT_ROLLOUT_ACT_NONE)
                        continue;
                *ret_act = (struct bt_rollout_act){r->items[i].todo, i};
                r->items[i].todo = BT_ROLLOUT_ACT_NONE;
                return true;
        }
        return false;
}

static bool next_swap(struct bt_rollout *r, struct bt_rollout_act *ret_act)
{
        uint32_t idx = canaries_allow(r) ? candidate(r, BT_ROLLOUT_S_WAITING) : r->count;

        if (idx == r->count)
                return false;
        r->items[idx].seated_hot = is_hot(&r->items[idx]);
        r->items[idx].state = BT_ROLLOUT_S_SWAPPING;
        *ret_act = (struct bt_rollout_act){BT_ROLLOUT_ACT_SWAP, idx};
        return true;
}

static bool next_return(struct bt_rollout *r, struct bt_rollout_act *ret_act)
{
        uint32_t idx = candidate(r, BT_ROLLOUT_S_RETURN);

        if (idx == r->count)
                return false;
        r->items[idx].seated_hot = is_hot(&r->items[idx]);
        r->items[idx].state = BT_ROLLOUT_S_RETURNING;
        *ret_act = (struct bt_rollout_act){r->items[idx].back_cold ? BT_ROLLOUT_ACT_SWAP_BACK_COLD
                                                                   : BT_ROLLOUT_ACT_SWAP_BACK,
                                           idx};
        return true;
}

static bool finished(const struct bt_rollout *r)
{
        if (r->phase == BT_ROLLOUT_FORWARD)
                return bt_rollout_count(r, BT_ROLLOUT_S_PROVED) == r->count;
        return bt_rollout_count(r, BT_ROLLOUT_S_OLD) + bt_rollout_count(r, BT_ROLLOUT_S_LEFT) ==
               r->count;
}

bool bt_rollout_next(struct bt_rollout *r, uint64_t now_ns, struct bt_rollout_act *ret_act)
{
        if (r->phase == BT_ROLLOUT_OVER)
                return false;
        if (next_todo(r, ret_act))
                return true;
        if (finished(r)) {
                r->outcome = r->phase == BT_ROLLOUT_FORWARD           ? BT_ROLLOUT_ALL_NEW
                             : bt_rollout_count(r, BT_ROLLOUT_S_LEFT) ? BT_ROLLOUT_MIXED
                                                                      : BT_ROLLOUT_ALL_OLD;
                r->phase = BT_ROLLOUT_OVER;
                *ret_act = (struct bt_rollout_act){BT_ROLLOUT_ACT_FINISH, r->culprit};
                return true;
        }
        if (now_ns < r->retry_ns)
                return false;
        r->retry_ns = 0;
        return r->phase == BT_ROLLOUT_FORWARD ? next_swap(r, ret_act) : next_return(r, ret_act);
}

/* ---- time, and what comes from outside ---- */

static uint32_t first_unproved(const struct bt_rollout *r)
{
        uint32_t i = 0;

        while (i < r->count && r->items[i].state == BT_ROLLOUT_S_PROVED)
                i++;
        return i;
}

/* On the way back: what has not begun by now does not begin any more. What is under way has deadlines of its own. */
static void give_up(struct bt_rollout *r)
{
        for (uint32_t i = 0; i < r->count; i++) {
                if (r->items[i].state == BT_ROLLOUT_S_RETURN)
                        r->items[i].state = BT_ROLLOUT_S_LEFT;
        }
        r->deadline_ns = BT_NS_NEVER;
}

void bt_rollout_time(struct bt_rollout *r, uint64_t now_ns)
{
        for (uint32_t i = 0; i < r->count; i++) {
                if (r->items[i].state == BT_ROLLOUT_S_SETTLING && now_ns >= r->items[i].due_ns)
                        bt_rollout_event(r, BT_ROLLOUT_EV_SETTLED, i, now_ns);
        }
        if (now_ns < r->deadline_ns || finished(r))
                return;
        if (r->phase == BT_ROLLOUT_FORWARD)
                go_back(r, BT_ROLLOUT_WHY_DEADLINE, first_unproved(r), now_ns);
        else if (r->phase == BT_ROLLOUT_BACK)
                give_up(r);
}

void bt_rollout_abort(struct bt_rollout *r, uint64_t now_ns)
{
        go_back(r, BT_ROLLOUT_WHY_ABORTED, r->count, now_ns);
}

void bt_rollout_stop(struct bt_rollout *r)
{
        r->outcome = BT_ROLLOUT_STOPPED;
        r->phase = BT_ROLLOUT_OVER;
}

uint64_t bt_rollout_due(const struct bt_rollout *r)
{
        uint64_t due = r->deadline_ns;

        if (r->phase == BT_ROLLOUT_OVER)
                return BT_NS_NEVER;
        for (uint32_t i = 0; i < r->count; i++) {
                const struct bt_rollout_item *item = &r->items[i];
                bool begins =
                        item->state == BT_ROLLOUT_S_WAITING || item->state == BT_ROLLOUT_S_RETURN;

                if (item->state == BT_ROLLOUT_S_SETTLING && item->due_ns < due)
                        due = item->due_ns;
                else if (begins && r->retry_ns && r->retry_ns < due)
                        due = r->retry_ns;
        }
        return due;
}

/* ---- the beginning ---- */

const char *bt_rollout_refusal(const struct bt_rollout_config *config,
                               const struct bt_rollout_item *items, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                if (items[i].hot && !config->max_surge)
                        return "a hot swap needs --max-surge of 1 or more: its successor is "
                               "started beside it";
                if (!items[i].hot && !config->max_unavailable)
                        return "a cold swap needs --max-unavailable of 1 or more: the child does "
                               "not serve while it is swapped";
        }
        return NULL;
}

void bt_rollout_init(struct bt_rollout *r, const struct bt_rollout_config *config,
                     struct bt_rollout_item *items, uint32_t count, uint64_t now_ns)
{
        *r = (struct bt_rollout){
                .config = *config, .items = items, .count = count, .culprit = count};
        r->deadline_ns = bt_ns_add(now_ns, config->deadline_ns);
        for (uint32_t i = 0; i < count; i++)
                items[i] = (struct bt_rollout_item){.hot = items[i].hot, .serves = items[i].serves};
}

/* ---- looking at it ---- */

uint32_t bt_rollout_count(const struct bt_rollout *r, enum bt_rollout_state state)
{
        uint32_t count = 0;

        for (uint32_t i = 0; i < r->count; i++)
                count += r->items[i].state == state;
        return count;
}

const char *bt_rollout_state_name(enum bt_rollout_state state)
{
        static const char *const names[] = {
#define X(name) #name,
                BT_ROLLOUT_STATES(X)
#undef X
        };

        return state < _BT_ROLLOUT_S_N ? names[state] : "?";
}

const char *bt_rollout_event_name(enum bt_rollout_event event)
{
        static const char *const names[] = {
#define X(name) #name,
                BT_ROLLOUT_EVENTS(X)
#undef X
        };

        return event < _BT_ROLLOUT_EV_N ? names[event] : "?";
}
