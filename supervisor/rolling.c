/* SPDX-License-Identifier: Apache-2.0 */
/* See rolling.h. Beginnings are in rolling_begin.c. */
#include "supervisor/rolling_internal.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"

static void rolling_on_timer(struct bt_loop_timer *timer);

/* What went wrong with it last. Without memory for it nothing is said. */
__attribute__((format(printf, 2, 3))) static void child_note(struct bt_rolling_child *c, const char *format, ...)
{
        va_list args;

        free(c->text);
        va_start(args, format);
        if (vasprintf(&c->text, format, args) < 0)
                c->text = NULL;
        va_end(args);
}

/* ---- telling ---- */

static void tell(struct bt_rolling *r, const struct bt_child *child, const char *phase, enum bt_ctl_outcome outcome, uint64_t incarnation,
                 const char *text)
{
        bt_list_foreach_safe (it, &r->watchers) {
                struct bt_rolling_watcher *watcher = bt_list_entry(it, struct bt_rolling_watcher, node);

                watcher->event(watcher, child, phase, outcome, incarnation, text);
        }
}

static uint32_t count_on(const struct bt_rolling *r)
{
        uint32_t on = 0;

        for (uint32_t i = 0; i < r->machine.count; i++)
                on += bt_binary_same(r->children[i].child->binary, r->children[i].to);
        return on;
}

static void tell_progress(struct bt_rolling *r)
{
        bool back = r->machine.phase == BT_ROLLOUT_BACK;
        char text[64];

        (void)snprintf(text, sizeof(text), "%u of %u%s", bt_rollout_count(&r->machine, back ? BT_ROLLOUT_S_OLD : BT_ROLLOUT_S_PROVED),
                       r->machine.count, back ? ", going back" : "");
        if (!strcmp(text, r->progress))
                return;
        memcpy(r->progress, text, sizeof(text));
        tell(r, NULL, "progress", BT_CTL_OK, 0, text);
}

/* The first line of what went wrong, and with whom. */
static void reason_text(const struct bt_rolling *r, char *text, size_t bytes)
{
        static const char *const reasons[] = {
                [BT_ROLLOUT_WHY_NONE] = "",
                [BT_ROLLOUT_WHY_SWAP] = "could not be swapped",
                [BT_ROLLOUT_WHY_DIED] = "ended on the new program",
                [BT_ROLLOUT_WHY_UNHEALTHY] = "is not healthy",
                [BT_ROLLOUT_WHY_DEADLINE] = "was not proved when --deadline was over",
                [BT_ROLLOUT_WHY_ABORTED] = "somebody asked to go back",
        };
        const struct bt_rolling_child *culprit = r->machine.culprit < r->machine.count ? &r->children[r->machine.culprit] : NULL;

        (void)snprintf(text, bytes, "%s%s%s%s%s", culprit ? culprit->child->id : "", culprit ? " " : "", reasons[r->machine.why],
                       culprit && culprit->text ? ": " : "", culprit && culprit->text ? culprit->text : "");
}

static void tell_turned(struct bt_rolling *r)
{
        char text[1200];

        if (r->turned || r->machine.phase != BT_ROLLOUT_BACK)
                return;
        r->turned = true;
        reason_text(r, text, sizeof(text));
        bt_hub_say(r->hub, "%s: the upgrade goes back: %.*s", r->target, (int)strcspn(text, "\n"), text);
        tell(r, NULL, "going_back", BT_CTL_OK, 0, text);
}

/* ---- the end ---- */

/* Where each child is that is not where it should be. */
static void left_text(const struct bt_rolling *r, char *text, size_t bytes)
{
        size_t used = strlen(text);

        for (uint32_t i = 0; i < r->machine.count && used < bytes; i++) {
                const struct bt_rolling_child *c = &r->children[i];

                if (r->items[i].state == BT_ROLLOUT_S_LEFT)
                        used += (size_t)snprintf(text + used, bytes - used, "\n%s is left on %s%s%.*s", c->child->id, c->child->binary->path,
                                                 c->text ? ": " : "", c->text ? (int)strcspn(c->text, "\n") : 0, c->text ? c->text : "");
        }
}

static void outcome_text(const struct bt_rolling *r, char *text, size_t bytes)
{
        char reason[1200];

        reason_text(r, reason, sizeof(reason));
        switch (r->machine.outcome) {
        case BT_ROLLOUT_ALL_NEW:
                (void)snprintf(text, bytes, "%u of %u children run %s", r->machine.count, r->machine.count, r->children[0].to->path);
                break;
        case BT_ROLLOUT_ALL_OLD:
                (void)snprintf(text, bytes, "all %u children run what they ran before: %s", r->machine.count, reason);
                break;
        case BT_ROLLOUT_MIXED:
                (void)snprintf(text, bytes, "%u of %u children could not go back: %s", bt_rollout_count(&r->machine, BT_ROLLOUT_S_LEFT),
                               r->machine.count, reason);
                left_text(r, text, bytes);
                break;
        case BT_ROLLOUT_STOPPED:
                (void)snprintf(text, bytes, "the hub is stopping: the upgrade ends where it is, %u of %u children run %s", count_on(r),
                               r->machine.count, r->children[0].to->path);
                break;
        }
}

static enum bt_ctl_outcome outcome_for(const struct bt_rolling *r, const struct bt_rolling_watcher *watcher)
{
        if (r->machine.outcome == (watcher && watcher->wants_back ? BT_ROLLOUT_ALL_OLD : BT_ROLLOUT_ALL_NEW))
                return BT_CTL_OK;
        return r->machine.why == BT_ROLLOUT_WHY_DEADLINE ? BT_CTL_TIMED_OUT : BT_CTL_FAILED;
}

static void rolling_finish(struct bt_rolling *r)
{
        uint32_t on = count_on(r);
        char text[2048];

        outcome_text(r, text, sizeof(text));
        bt_hub_say(r->hub, "%s: %s", r->target, text);
        bt_event(r->hub, r->machine.outcome == BT_ROLLOUT_ALL_NEW ? BT_EVENT_ROLLOUT_COMPLETED : BT_EVENT_ROLLOUT_FAILED, NULL, 0, "%s: %s",
                 r->target, text);
        bt_list_foreach_safe (it, &r->watchers) {
                struct bt_rolling_watcher *watcher = bt_list_entry(it, struct bt_rolling_watcher, node);

                bt_list_unlink(&watcher->node);
                watcher->over(watcher, outcome_for(r, watcher), on, r->machine.count - on, text);
        }
        bt_rolling_free(r);
}

/* ---- health ---- */

#define ENV_COUNT 7
#define ENV_BYTES (BT_CTL_PATH_BYTES + 32)

static void unhealthy_text(struct bt_rolling_child *c, const struct bt_proc_exit *how)
{
        const char *tail = c->check.tail;
        uint32_t bytes = tail ? c->check.tail_bytes : 0;
        char exit[96];

        while (bytes && tail[bytes - 1] == '\n')
                bytes--;
        child_note(c, "%.300s: %s%s%.*s", c->rolling->health, bt_proc_exit_text(how, exit, sizeof(exit)),
                       bytes ? "\nlast lines of its output:\n" : "", (int)bytes, bytes ? tail : "");
}

static void check_over(struct bt_errand *errand, const struct bt_proc_exit *how)
{
        struct bt_rolling_child *c = bt_container_of(errand, struct bt_rolling_child, check);
        struct bt_rolling *r = c->rolling;
        bool healthy = !errand->timed_out && how->code == CLD_EXITED && how->status == 0;

        if (errand->timed_out)
                child_note(c, "%.300s took longer than --health-timeout", r->health);
        else if (!healthy)
                unhealthy_text(c, how);
        if (!healthy)
                tell(r, c->child, "unhealthy", BT_CTL_FAILED, c->child->current ? c->child->current->number : 0, c->text ? c->text : "");
        bt_rolling_feed(r, healthy ? BT_ROLLOUT_EV_HEALTHY : BT_ROLLOUT_EV_UNHEALTHY, c);
}

static int check_begin(struct bt_rolling_child *c, enum bt_spawn_step *ret_step)
{
        struct bt_rolling *r = c->rolling;
        const struct bt_child *child = c->child;
        const struct bt_inc *inc = child->current;
        const char *variables[ENV_COUNT + 1] = {NULL};
        char room[ENV_COUNT][ENV_BYTES], label[BATON_ID_BYTES_MAX + 1];
        struct bt_errand_start start = {
                .exec = r->health,
                .argv = r->health + strlen(r->health) + 1,
                .argv_count = r->health_argc,
                .variables = variables,
                .label = label,
                .timeout_ns = r->health_timeout_ns,
        };

        (void)snprintf(label, sizeof(label), "health %.40s", child->id);
        (void)snprintf(room[0], ENV_BYTES, "BATON_HUB=%s", bt_plan_string(&r->hub->plan, r->hub->plan.plan->hub));
        (void)snprintf(room[1], ENV_BYTES, "BATON_EVENT=health");
        (void)snprintf(room[2], ENV_BYTES, "BATON_CHILD=%s", child->id);
        (void)snprintf(room[3], ENV_BYTES, "BATON_POOL=%s", child->pool);
        (void)snprintf(room[4], ENV_BYTES, "BATON_INCARNATION=%" PRIu64, inc ? inc->number : 0);
        (void)snprintf(room[5], ENV_BYTES, "BATON_PID=%d", inc ? (int)inc->pid : 0);
        (void)snprintf(room[6], ENV_BYTES, "BATON_EXEC=%s", child->binary->path);
        for (size_t i = 0; i < ENV_COUNT; i++)
                variables[i] = room[i];
        return bt_errand_begin(&c->check, r->hub, &start, check_over, ret_step);
}

static void do_check(struct bt_rolling_child *c)
{
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        int e = check_begin(c, &step);

        tell(c->rolling, c->child, "checking", BT_CTL_OK, c->child->current ? c->child->current->number : 0, "");
        if (!e)
                return;
        child_note(c, "%.300s was not run: %s: %s", c->rolling->health, bt_spawn_step_name(step), strerrordesc_np(-e));
        bt_rolling_feed(c->rolling, BT_ROLLOUT_EV_UNHEALTHY, c);
}

/* ---- swaps ---- */

void bt_rolling_on_event(struct bt_waiter *waiter, const struct bt_migration *m, const char *phase, uint64_t incarnation, const char *text)
{
        tell(bt_container_of(waiter, struct bt_rolling_child, waiter)->rolling, m->child, phase, BT_CTL_OK, incarnation, text);
}

/* Went back by itself, as far as this child goes: what an earlier upgrade left behind for a rollback is there again. */
static void restore_previous(struct bt_rolling_child *c)
{
        if (c->child->binary != c->back)
                return;
        (void)bt_binary_unref(c->child->previous);
        c->child->previous = c->older ? bt_binary_ref(c->older) : NULL;
        (void)bt_binary_unref(c->child->own);
        c->child->own = bt_binary_ref(c->own);
}

void bt_rolling_on_over(struct bt_waiter *waiter, const struct bt_migration *m, enum bt_ctl_outcome outcome, const char *phase,
                        uint64_t incarnation, const char *text)
{
        struct bt_rolling_child *c = bt_container_of(waiter, struct bt_rolling_child, waiter);
        enum bt_rollout_event event = outcome == BT_CTL_OK ? BT_ROLLOUT_EV_COMMITTED : !strcmp(phase, "down") ? BT_ROLLOUT_EV_DOWN : BT_ROLLOUT_EV_FAILED;

        (void)m;
        if (outcome != BT_CTL_OK)
                child_note(c, "%s", text);
        else if (c->rolling->machine.phase == BT_ROLLOUT_BACK)
                restore_previous(c);
        tell(c->rolling, c->child, phase, outcome, incarnation, text);
        bt_rolling_feed(c->rolling, event, c);
}

static void do_swap(struct bt_rolling_child *c, struct bt_binary *binary, uint32_t strategy)
{
        struct bt_child *child = c->child;
        char why[512] = "";

        if (child->phase == BT_PHASE_STARTING || child->migration || bt_groups_busy(child)) {
                bt_rolling_feed(c->rolling, BT_ROLLOUT_EV_BUSY, c);
                return;
        }
        if (bt_migrate(child, binary, NULL, strategy, &c->waiter, why, sizeof(why)) == BT_CTL_OK)
                return;
        child_note(c, "%s", why);
        tell(c->rolling, child, "refused", BT_CTL_FAILED, 0, why);
        bt_rolling_feed(c->rolling, BT_ROLLOUT_EV_FAILED, c);
}

/* ---- performing ---- */

/* True when the rollout is over and gone. */
static bool perform(struct bt_rolling *r, const struct bt_rollout_act *act)
{
        struct bt_rolling_child *c = &r->children[act->idx];

        if (act->action == BT_ROLLOUT_ACT_FINISH) {
                rolling_finish(r);
                return true;
        }
        bt_assert(act->idx < r->machine.count);
        switch (act->action) {
        case BT_ROLLOUT_ACT_SWAP:
                do_swap(c, c->to, r->strategy);
                break;
        case BT_ROLLOUT_ACT_SWAP_BACK:
                do_swap(c, c->back, r->strategy);
                break;
        case BT_ROLLOUT_ACT_SWAP_BACK_COLD:
                do_swap(c, c->back, BT_STRATEGY_COLD);
                break;
        case BT_ROLLOUT_ACT_CHECK:
                do_check(c);
                break;
        case BT_ROLLOUT_ACT_CANCEL:
                if (c->child->migration)
                        bt_migration_cancel(c->child->migration);
                break;
        case BT_ROLLOUT_ACT_TELL_PROVED:
                tell(r, c->child, "healthy", BT_CTL_OK, c->child->current ? c->child->current->number : 0, "");
                break;
        case BT_ROLLOUT_ACT_FINISH:
        case BT_ROLLOUT_ACT_NONE:
                break;
        }
        return false;
}

static void rolling_on_timer(struct bt_loop_timer *timer)
{
        struct bt_rolling *r = bt_container_of(timer, struct bt_rolling, timer);
        struct bt_rollout_act act;

        bt_rollout_time(&r->machine, bt_now_ns());
        tell_turned(r);
        while (bt_rollout_next(&r->machine, bt_now_ns(), &act)) {
                if (perform(r, &act))
                        return;
                tell_turned(r);
        }
        tell_progress(r);
        /* What the actions found out at once has armed it for the next turn, which comes sooner than anything that is due. */
        if (!r->timer.heap_idx)
                (void)bt_loop_timer_arm(r->hub->loop, &r->timer, bt_rollout_due(&r->machine), rolling_on_timer);
}

void bt_rolling_soon(struct bt_rolling *r)
{
        (void)bt_loop_timer_arm(r->hub->loop, &r->timer, 1, rolling_on_timer);
}

void bt_rolling_feed(struct bt_rolling *r, enum bt_rollout_event event, struct bt_rolling_child *c)
{
        bt_rollout_event(&r->machine, event, (uint32_t)(c - r->children), bt_now_ns());
        bt_rolling_soon(r);
}

void bt_rolling_describe(const struct bt_hub *hub, char *text, size_t bytes)
{
        size_t used = 0;

        text[0] = '\0';
        bt_list_foreach (it, &hub->rollings) {
                const struct bt_rolling *r = bt_list_entry(it, struct bt_rolling, node);

                if (used < bytes)
                        used += (size_t)snprintf(text + used, bytes - used, "%s: %s to %s under way, %s\n", r->target,
                                                 r->is_rollback ? "rollback" : "upgrade", r->children[0].to->path, r->progress);
        }
}

/* ---- called by the hub's other files ---- */

const char *bt_rolling_refusal(const struct bt_child *child, const struct bt_waiter *waiter)
{
        const struct bt_rolling *r = child->rolling;

        if (!r || ((uintptr_t)waiter >= (uintptr_t)r->children && (uintptr_t)waiter < (uintptr_t)(r->children + r->machine.count)))
                return NULL;
        return "an upgrade of its pool is under way: wait for its end, or take it back with 'baton rollback'";
}

static struct bt_rolling_child *child_of(const struct bt_child *child)
{
        struct bt_rolling *r = child->rolling;

        for (uint32_t i = 0; r && i < r->machine.count; i++) {
                if (r->children[i].child == child)
                        return &r->children[i];
        }
        return NULL;
}

void bt_rolling_serves(const struct bt_child *child)
{
        struct bt_rolling_child *c = child_of(child);

        if (c)
                bt_rolling_feed(c->rolling, BT_ROLLOUT_EV_SERVES, c);
}

void bt_rolling_ended(const struct bt_child *child, const struct bt_proc_exit *how)
{
        struct bt_rolling_child *c = child_of(child);
        char exit[96];

        if (!c)
                return;
        if (c->rolling->machine.phase == BT_ROLLOUT_FORWARD)
                child_note(c, "%s", how ? bt_proc_exit_text(how, exit, sizeof(exit)) : child->note);
        bt_rolling_feed(c->rolling, BT_ROLLOUT_EV_DIED, c);
}

void bt_rolling_committed(struct bt_child *child, struct bt_binary *binary)
{
        struct bt_binary *before = child->binary;

        child->binary = bt_binary_ref(binary);
        if (binary == child->previous)
                child->previous = bt_binary_unref(child->previous);
        else if (!bt_binary_same(binary, before)) {
                (void)bt_binary_unref(child->previous);
                child->previous = bt_binary_ref(before);
        }
        (void)bt_binary_unref(before);
}

void bt_rolling_stop_all(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->rollings) {
                struct bt_rolling *r = bt_list_entry(it, struct bt_rolling, node);

                bt_rollout_stop(&r->machine);
                rolling_finish(r);
        }
}
