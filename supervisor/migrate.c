/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migration from its beginning to its end: events go into the machines of supervisor/swap/, actions come out and are performed (migrate_act.c).
 *
 * One at a time for each child (R3). Its two processes are m->pred and m->succ; each may be gone. Actions are performed in order, and what they
 * queue is stepped after them.
 *
 * A migration is freed at the end of the step that ends it, never inside an action.
 */
#include "supervisor/migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/huge.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"
#include "supervisor/live.h"
#include "supervisor/redistribute.h"
#include "supervisor/rolling.h"
#include "supervisor/steps.h"

#define HUGE_MATTERS_BYTES (UINT64_C(64) << 20)

/* @phase, @incarnation: the last event, which says how it ended. */
static void tell_over(struct bt_migration *m, enum bt_ctl_outcome outcome, const char *phase, uint64_t incarnation, const char *text)
{
        bt_list_foreach_safe (it, &m->waiters) {
                struct bt_waiter *waiter = bt_list_entry(it, struct bt_waiter, node);

                bt_list_unlink(&waiter->node);
                waiter->over(waiter, m, outcome, phase, incarnation, text);
        }
}

/* ---- the end ---- */

static void migration_free(struct bt_migration *m)
{
        bt_loop_timer_disarm(&m->timer);
        bt_describe_end(&m->describe);
        (void)bt_close(m->handoff_out);
        (void)bt_close(m->handoff_in);
        bt_parcel_free(&m->parcel);
        (void)bt_binary_unref(m->binary);
        (void)bt_holding_unref(m->holding);
        bt_seat_give_back(&m->seat);
        m->child->hub->migration_count--;
        free(m);
}

static void failure_text(const struct bt_migration *m, char *text, size_t bytes)
{
        size_t used = (size_t)snprintf(text, bytes, "%s", bt_swap_why_text(m->swap.why));

        if (m->swap.why == BT_SWAP_WHY_SPAWN)
                used += (size_t)snprintf(text + used, bytes - used, ": %s", m->spawn_why);
        if (m->detail[0] && used < bytes)
                used += (size_t)snprintf(text + used, bytes - used, ": %s", m->detail);
        if (m->tail[0] && used < bytes)
                (void)snprintf(text + used, bytes - used, "\nlast lines of its stderr:\n%s", m->tail);
}

/* Said when it has cost something, and once: most of the time of such a swap is the page tables. */
static void mention_huge_pages(const struct bt_child *child)
{
        struct bt_hub *hub = child->hub;

        if (hub->huge_said || child->spec->state_form != BATON_STATE_ARENA || child->state_bytes < HUGE_MATTERS_BYTES || bt_huge_given())
                return;
        hub->huge_said = true;
        bt_hub_say(hub, "%s: its arena of %" PRIu64 " MiB is entered into page tables of small pages; huge ones are off for shared memory (docs/state.md, \"Huge pages\")",
                   child->id, child->state_bytes >> 20);
}

static void finish(struct bt_migration *m, enum bt_swap_action how)
{
        struct bt_child *child = m->child;
        struct bt_hub *hub = child->hub;
        uint64_t number = child->current ? child->current->number : 0;
        char text[2048] = "", exit[96];

        child->migration = NULL;
        if (how == BT_SWAP_ACT_SUCCEED) {
                child->swaps++;
                bt_child_publish(child);
                bt_hub_say(hub, "%s: swapped to incarnation %llu, pause %llu us, total %llu us", child->id, (unsigned long long)number,
                           (unsigned long long)(child->pause_ns / BT_NS_PER_US), (unsigned long long)(child->total_ns / BT_NS_PER_US));
                bt_event(hub, BT_EVENT_MIGRATION_COMPLETED, child, number, "pause %" PRIu64 " us, total %" PRIu64 " us",
                         child->pause_ns / BT_NS_PER_US, child->total_ns / BT_NS_PER_US);
                mention_huge_pages(child);
                tell_over(m, BT_CTL_OK, "committed", number, "");
        } else {
                failure_text(m, text, sizeof(text));
                child->rollbacks++;
                child->total_ns = bt_now_ns() - m->begun_ns;
                bt_child_note(child, "rolled back: %.*s", (int)strcspn(text, "\n"), text);
                if (how == BT_SWAP_ACT_FAIL)
                        child->phase = BT_PHASE_RUNNING;
                bt_child_publish(child);
                bt_event(hub, BT_EVENT_MIGRATION_FAILED, child, number, "%s: %s", how == BT_SWAP_ACT_FAIL ? "rolled back" : "down", text);
                tell_over(m, m->swap.timed_out ? BT_CTL_TIMED_OUT : BT_CTL_FAILED, how == BT_SWAP_ACT_FAIL ? "rolled_back" : "down", number,
                          text);
                if (how == BT_SWAP_ACT_FAIL_DOWN && m->succ_exited)
                        bt_event(hub, BT_EVENT_CHILD_ENDED, child, m->succ_number, "%s", bt_proc_exit_text(&m->succ_how, exit, sizeof(exit)));
                if (how == BT_SWAP_ACT_FAIL_DOWN)
                        bt_child_down(child, m->succ_exited ? &m->succ_how : NULL);
        }
        migration_free(m);
        if (child->phase == BT_PHASE_RUNNING)
                bt_spare_wanted(child);
        bt_move_wake(child);
        bt_hub_migration_over(hub);
        bt_live_changed(child);
        bt_groups_changed(child);
}

/* What the successor left behind, for the report. */
static void remember_succ(struct bt_migration *m)
{
        const struct bt_inc *succ = m->succ;
        char text[96];

        if (*bt_inc_why(succ))
                (void)snprintf(m->detail, sizeof(m->detail), "%s", bt_inc_why(succ));
        else if (succ->reaped && (succ->how.code == CLD_EXITED || m->swap.why == BT_SWAP_WHY_NONE)) /* else: killed by us */
                (void)snprintf(m->detail, sizeof(m->detail), "%s", bt_inc_exit_text(succ, text, sizeof(text)));
        if (succ->err.tail_bytes) {
                size_t bytes = succ->err.tail_bytes < sizeof(m->tail) - 1 ? succ->err.tail_bytes : sizeof(m->tail) - 1;

                memcpy(m->tail, succ->err.tail + succ->err.tail_bytes - bytes, bytes);
                m->tail[bytes] = '\0';
        }
        m->succ_exited = succ->reaped;
        m->succ_how = succ->how;
}

static const char *progress_of(enum bt_swap_event event)
{
        switch (event) {
        case BT_SWAP_EV_HELD:
                return "held";
        case BT_SWAP_EV_READY:
                return "ready";
        case BT_SWAP_EV_PASSED:
                return "passed";
        case BT_SWAP_EV_RESTORED:
                return "restored";
        case BT_SWAP_EV_REFUSED:
                return "successor_refused";
        case BT_SWAP_EV_NOT_PASSED:
                return "not_passed";
        case BT_SWAP_EV_TIMEOUT:
                return "too_late";
        case BT_SWAP_EV_SUCC_EXIT:
                return "successor_ended";
        case BT_SWAP_EV_PRED_DIED:
        case BT_SWAP_EV_PRED_GONE:
                return "stopped";
        case BT_SWAP_EV_UNREADABLE:
                return "unreadable";
        case BT_SWAP_EV_DESCRIBED:
        case BT_SWAP_EV_SPAWN_FAILED:
        case BT_SWAP_EV_CAPTURED:
        case BT_SWAP_EV_NOT_CAPTURED:
        case BT_SWAP_EV_CANCEL:
        case _BT_SWAP_EV_N:
                break;
        }
        return NULL;
}

static bool about_pred(enum bt_swap_event event)
{
        return event == BT_SWAP_EV_PASSED || event == BT_SWAP_EV_NOT_PASSED || event == BT_SWAP_EV_PRED_DIED || event == BT_SWAP_EV_PRED_GONE;
}

/* Steps what actions queued. True when the migration is over and gone. */
static bool run_queue(struct bt_migration *m, int ending)
{
        while (ending < 0 && m->queued) {
                struct bt_swap_actions actions;
                enum bt_swap_event event = m->queue[0];

                memmove(m->queue, m->queue + 1, --m->queued * sizeof(m->queue[0]));
                if (!bt_steps_swap(&m->swap, event, &actions))
                        ending = bt_migration_perform(m, &actions);
        }
        m->stepping = false;
        bt_migration_tell_later(m);
        if (ending < 0)
                return false;
        finish(m, (enum bt_swap_action)ending);
        return true;
}

/*
 * The two processes speak over two rings, and the heir may be heard first: it can have restored before the other had the time to say that it
 * passed. What the heir says proves the passage, so it is told in order.
 */
static void passage_first(struct bt_migration *m, enum bt_swap_event event)
{
        struct bt_swap_actions none;

        if ((event != BT_SWAP_EV_RESTORED && event != BT_SWAP_EV_REFUSED) || m->swap.kind != BT_SWAP_HOT ||
            strcmp(bt_swap_state_name(&m->swap), "OFFERED") != 0)
                return;
        if (bt_steps_swap(&m->swap, BT_SWAP_EV_PASSED, &none))
                return;
        m->passed_told = true;
        bt_migration_tell(m, progress_of(BT_SWAP_EV_PASSED), m->pred_number, "");
}

/* Nobody serves, or is about to: the two processes are told first, and whoever listens to the progress after them. */
static bool urgent(enum bt_swap_event event)
{
        return event == BT_SWAP_EV_HELD || event == BT_SWAP_EV_CAPTURED || event == BT_SWAP_EV_NOT_CAPTURED || event == BT_SWAP_EV_PRED_DIED ||
               event == BT_SWAP_EV_PRED_GONE;
}

void bt_migration_event(struct bt_migration *m, enum bt_swap_event event)
{
        struct bt_swap_actions actions;
        const char *progress = progress_of(event);

        passage_first(m, event);

        if (event == BT_SWAP_EV_SUCC_EXIT) {
                remember_succ(m);
                m->succ = NULL;
        } else if (event == BT_SWAP_EV_REFUSED || (event == BT_SWAP_EV_TIMEOUT && m->succ)) {
                if (m->succ)
                        remember_succ(m);
        } else if (event == BT_SWAP_EV_NOT_PASSED && m->pred) {
                (void)snprintf(m->detail, sizeof(m->detail), "%s", bt_inc_why(m->pred));
        }
        if (bt_steps_swap(&m->swap, event, &actions)) {
                if (event != BT_SWAP_EV_CANCEL)
                        m->child->limits_hit++; /* out of place: a process said what it may not say now */
                return;
        }
        m->stepping = urgent(event);
        if (progress)
                bt_migration_tell(m, progress, about_pred(event) ? m->pred_number : m->succ_number, "");
        (void)run_queue(m, bt_migration_perform(m, &actions));
}

void bt_migration_cancel(struct bt_migration *m)
{
        bt_migration_event(m, BT_SWAP_EV_CANCEL);
}

/* ---- the beginning ---- */

static int migration_new(struct bt_migration **ret_m, struct bt_child *child, struct bt_binary *binary, struct bt_hub_node *node, bool own_baton)
{
        struct bt_migration *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        r = node == child->seat.node ? 0 : bt_seat_take(&m->seat, node);
        if (r) {
                free(m);
                return r;
        }
        m->child = child;
        m->handoff_out = m->handoff_in = -1;
        m->begun_ns = m->steps_ns = bt_now_ns();
        m->retention_ns = child->spec->retention_ns;
        bt_list_init(&m->waiters);
        bt_list_init(&m->later);
        if (own_baton) {
                r = bt_holding_new(&m->holding, child->spec, child->id);
                if (r) {
                        bt_seat_give_back(&m->seat);
                        free(m);
                        return r;
                }
        } else {
                m->holding = bt_holding_ref(child->holding);
        }
        m->binary = bt_binary_ref(binary);
        child->hub->migration_count++;
        m->pred = child->current;
        m->pred_number = m->pred ? m->pred->number : 0;
        *ret_m = m;
        return 0;
}

int bt_migration_resume(struct bt_child *child, struct bt_inc *pred, uint64_t pred_number, struct bt_inc *succ, struct bt_hub_node *node)
{
        struct bt_swap_actions actions;
        struct bt_migration *m = NULL;
        int r = migration_new(&m, child, succ->binary, node ? node : child->seat.node, false);

        if (r)
                return r;
        m->pred = pred;
        m->pred_number = pred_number;
        m->succ = succ;
        m->succ_number = succ->number;
        m->passed_told = true; /* by the word */
        child->migration = m;
        child->phase = BT_PHASE_MIGRATING;
        bt_event(child->hub, BT_EVENT_MIGRATION_BEGUN, child, succ->number, "hot, taken over from the hub before: %s", succ->binary->path);
        bt_hot_resume(&m->swap, !pred, &actions);
        (void)run_queue(m, bt_migration_perform(m, &actions));
        return 0;
}

/* Why this child cannot be migrated now; NULL: it can. */
static const char *refusal(const struct bt_child *child, uint32_t strategy)
{
        if (child->hub->stopping)
                return "the hub is stopping";
        if (child->leaving)
                return "it is being removed";
        if (child->phase == BT_PHASE_STARTING)
                return "it is still starting";
        if (bt_groups_refusal(child))
                return bt_groups_refusal(child);
        if (child->spec->protocol == BT_PROTOCOL_PLAIN && strategy == BT_STRATEGY_HOT && child->current)
                return "a hot swap needs a program that uses libbaton (protocol: plain): use --strategy cold";
        return NULL;
}

static enum bt_ctl_outcome join(struct bt_migration *m, const struct bt_binary *binary, const struct bt_hub_node *node, struct bt_waiter *waiter,
                                char *ret_why, size_t why_bytes)
{
        const struct bt_hub_node *to = m->seat.node ? m->seat.node : m->child->seat.node;

        if (!bt_binary_same(m->binary, binary) || to != node) {
                (void)snprintf(ret_why, why_bytes, "a migration to %s on node %s is under way: try again when it is over", m->binary->path, to->name);
                return BT_CTL_FAILED;
        }
        bt_list_push(&m->waiters, &waiter->node);
        return BT_CTL_OK;
}

/* STATE-2: another binary is asked, before anything is stopped, whether it can read what is there. */
static bool should_ask(const struct bt_child *child, const struct bt_binary *binary)
{
        return child->spec->state_form != BATON_STATE_NONE && child->holding->baton->meta.incarnation && !bt_binary_same(child->binary, binary) &&
               bt_describe_possible(binary);
}

enum bt_ctl_outcome bt_migrate(struct bt_child *child, struct bt_binary *binary, struct bt_hub_node *node, uint32_t strategy,
                               struct bt_waiter *waiter, char *ret_why, size_t why_bytes)
{
        bool handover = child->spec->handover && child->spec->protocol == BT_PROTOCOL_BATON;
        struct bt_swap_actions actions;
        struct bt_migration *m = NULL;
        const char *why;
        bool own = binary != NULL;
        int r;

        if (strategy == BT_CTL_STRATEGY_SPEC)
                strategy = child->spec->strategy;
        if (!node)
                node = child->seat.node;
        if (!binary)
                binary = node == child->seat.node ? child->binary : bt_hub_node_binary(node, child);
        why = bt_rolling_refusal(child, waiter);
        if (why) {
                (void)snprintf(ret_why, why_bytes, "%s", why);
                return BT_CTL_FAILED;
        }
        if (child->migration)
                return join(child->migration, binary, node, waiter, ret_why, why_bytes);
        why = refusal(child, strategy);
        if (why) {
                (void)snprintf(ret_why, why_bytes, "%s", why);
                return BT_CTL_FAILED;
        }
        r = migration_new(&m, child, binary, node, !handover && child->current);
        if (r) {
                (void)snprintf(ret_why, why_bytes, "%s", strerrordesc_np(-r));
                return BT_CTL_FAILED;
        }
        m->own = own;
        bt_list_push(&m->waiters, &waiter->node);
        bt_loop_timer_disarm(&child->restart_timer);
        child->migration = m;
        child->phase = BT_PHASE_MIGRATING;
        bt_child_publish(child);
        bt_event(child->hub, BT_EVENT_MIGRATION_BEGUN, child, child->number_next, "%s: %s",
                 strategy == BT_STRATEGY_HOT && child->current ? "hot" : "cold", binary->path);
        if (!child->current)
                bt_cold_begin_down(&m->swap, &actions);
        else if (strategy == BT_STRATEGY_HOT)
                bt_hot_begin(&m->swap, handover, &actions);
        else if (handover && should_ask(child, binary))
                bt_cold_begin_asking(&m->swap, bt_held_possible(child, binary), &actions);
        else
                bt_cold_begin(&m->swap, handover, bt_held_possible(child, binary), &actions);
        (void)run_queue(m, bt_migration_perform(m, &actions));
        return BT_CTL_OK;
}
