/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One child on its way from one node to another.
 *
 *      PLANNED ──► (does it run? does it agree?) ──► MOVING ──► over
 *                     │ no process: it only changes its seat ───────►
 *                     │ it is being started, or swapped: WAITING, until bt_move_wake()
 *                     └ it takes part in consent: ASKED ── later, or no answer ──► DEFERRED ── again, ready, forced ──►
 *
 * Only MOVING counts against max_parallel: a child that puts its move off holds nobody up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "supervisor/events.h"
#include "supervisor/node_ask.h"
#include "supervisor/redistribute.h"

static void on_event(struct bt_waiter *waiter, const struct bt_migration *m, const char *phase,
                     uint64_t incarnation, const char *text)
{
        (void)m;
        bt_node_asks_event(bt_container_of(waiter, struct bt_move, waiter), phase, BT_CTL_OK,
                           incarnation, false, text);
}

static void on_over(struct bt_waiter *waiter, const struct bt_migration *m,
                    enum bt_ctl_outcome outcome, const char *phase, uint64_t incarnation,
                    const char *text)
{
        (void)m;
        bt_move_over(bt_container_of(waiter, struct bt_move, waiter), outcome, phase, incarnation,
                     text);
}

struct bt_move *bt_move_new(struct bt_child *child, struct bt_hub_node *to)
{
        struct bt_move *move = calloc(1, sizeof(*move));

        bt_assert(!child->move);
        if (!move)
                return NULL;
        move->child = child;
        move->from = child->seat.node;
        move->to = to;
        move->waiter.event = on_event;
        move->waiter.over = on_over;
        bt_list_init(&move->waiter.node);
        bt_list_push(&child->hub->redistribution->planned, &move->node);
        move->from->moves_from++;
        move->to->moves_to++;
        child->move = move;
        return move;
}

void bt_move_retarget(struct bt_move *move, struct bt_hub_node *to)
{
        move->to->moves_to--;
        move->to = to;
        move->to->moves_to++;
}

void bt_move_over(struct bt_move *move, enum bt_ctl_outcome outcome, const char *phase,
                  uint64_t incarnation, const char *text)
{
        struct bt_child *child = move->child;
        struct bt_hub *hub = child->hub;
        struct bt_redistribution *r = hub->redistribution;
        bool stale = move->stale;

        if (outcome == BT_CTL_OK) {
                bt_event(hub, BT_EVENT_CHILD_FORWARDED, child, incarnation, "from %s to %s%s",
                         move->from->name, move->to->name, move->forced ? ", forced" : "");
                r->moved++;
        } else {
                r->failed++;
        }
        child->misplaced = outcome != BT_CTL_OK;
        if (move->state == BT_MOVE_MOVING)
                r->moving--;
        bt_loop_timer_disarm(&move->timer);
        bt_list_unlink(&move->node);
        move->from->moves_from--;
        move->to->moves_to--;
        child->move = NULL;
        bt_node_asks_event(move, phase, outcome, incarnation, true, text);
        free(move);
        if (stale && !hub->stopping)
                bt_node_asks_replan(hub);
        bt_redistribution_pump(r);
        bt_node_asks_check(hub);
}

/* Not done, and not failed: the next plan knows better. */
static void move_drop(struct bt_move *move)
{
        struct bt_redistribution *r = move->child->hub->redistribution;

        bt_loop_timer_disarm(&move->timer);
        bt_list_unlink(&move->node);
        bt_list_unlink(&move->waiter.node);
        if (move->state == BT_MOVE_MOVING)
                r->moving--;
        move->from->moves_from--;
        move->to->moves_to--;
        move->child->move = NULL;
        free(move);
}

void bt_move_forget(struct bt_child *child)
{
        struct bt_hub *hub = child->hub;

        if (!child->move)
                return;
        move_drop(child->move);
        bt_redistribution_pump(hub->redistribution);
        bt_node_asks_check(hub);
}

/* ---- a child without a process ---- */

static void move_seat(struct bt_move *move)
{
        struct bt_child *child = move->child;
        bool restarts = child->phase == BT_PHASE_BACKOFF;
        const struct bt_hub_node *from = move->from;

        if (bt_child_reseat(child, move->to)) {
                bt_move_over(move, BT_CTL_FAILED, "refused", 0,
                             "the directory of the node is full");
                return;
        }
        if (from->state == BT_HUB_NODE_DOWN)
                bt_child_note(child, "node %s died: goes on on %s", from->name, move->to->name);
        bt_child_publish(child);
        bt_move_over(move, BT_CTL_OK, "placed", 0, "");
        if (restarts)
                bt_child_restart_now(child);
}

/* ---- a child that runs ---- */

static void move_migrate(struct bt_move *move)
{
        struct bt_redistribution *r = move->child->hub->redistribution;
        enum bt_ctl_outcome outcome;
        char why[512] = "";

        move->state = BT_MOVE_MOVING;
        r->moving++;
        outcome = bt_migrate(move->child, NULL, move->to, BT_CTL_STRATEGY_SPEC, &move->waiter, why,
                             sizeof(why));
        if (outcome != BT_CTL_OK) /* else @move may be gone */
                bt_move_over(move, outcome, "refused", 0, why);
}

static void on_again(struct bt_loop_timer *timer);

static void move_defer(struct bt_move *move, const char *why)
{
        struct bt_child *child = move->child;
        uint64_t now = bt_now_ns();
        uint64_t at = bt_ns_add(now, child->spec->consent_retry_ns);

        move->state = BT_MOVE_DEFERRED;
        if (!move->deferred_ns) {
                move->deferred_ns = now;
                bt_hub_say(child->hub, "%s: is moved later (%s)", child->id, why);
        }
        if (at > bt_ns_add(move->deferred_ns, child->spec->consent_limit_ns))
                at = bt_ns_add(move->deferred_ns, child->spec->consent_limit_ns);
        bt_event(child->hub, BT_EVENT_MIGRATION_DEFERRED, child,
                 child->current ? child->current->number : 0, "%s", why);
        bt_node_asks_event(move, "deferred", BT_CTL_OK, 0, false, why);
        (void)bt_loop_timer_arm(child->hub->loop, &move->timer, at, on_again);
}

static void on_no_answer(struct bt_loop_timer *timer)
{
        struct bt_move *move = bt_container_of(timer, struct bt_move, timer);

        move->child->limits_hit++;
        move_defer(move, "no answer");
}

static void on_again(struct bt_loop_timer *timer)
{
        struct bt_move *move = bt_container_of(timer, struct bt_move, timer);

        if (bt_now_ns() - move->deferred_ns >= move->child->spec->consent_limit_ns) {
                move->child->limits_hit++;
                move->forced = true;
        }
        bt_move_begin(move);
}

static bool takes_part(const struct bt_inc *inc)
{
        return inc && inc->link && inc->consents && !inc->dead;
}

static void move_ask(struct bt_move *move)
{
        struct bt_child *child = move->child;

        move->state = BT_MOVE_ASKED;
        bt_inc_say(child->current, BT_MSG_MAY_MIGRATE, 0, 0, 0, 0);
        (void)bt_loop_timer_arm(child->hub->loop, &move->timer,
                                bt_ns_add(bt_now_ns(), child->spec->consent_timeout_ns),
                                on_no_answer);
}

void bt_move_begin(struct bt_move *move)
{
        struct bt_child *child = move->child;

        bt_loop_timer_disarm(&move->timer);
        if (!bt_hub_node_takes(move->to) || move->to == child->seat.node) {
                bool there = move->to == child->seat.node;
                struct bt_hub *hub = child->hub;

                move_drop(move);
                if (!there)
                        bt_node_asks_replan(hub);
        } else if (child->migration || child->phase == BT_PHASE_STARTING || child->importing || child->pause) {
                move->state = BT_MOVE_WAITING;
        } else if (!child->current) {
                move_seat(move);
        } else if (!move->forced && !move->agreed && takes_part(child->current)) {
                move_ask(move);
        } else {
                move_migrate(move);
        }
}

/* A place that became free is taken by the next one: begun from the queue, so that the limit holds. */
static void move_queue(struct bt_move *move)
{
        struct bt_redistribution *r = move->child->hub->redistribution;

        bt_loop_timer_disarm(&move->timer);
        move->state = BT_MOVE_PLANNED;
        bt_list_unlink(&move->node);
        bt_list_push(&r->planned, &move->node);
        bt_redistribution_pump(r);
}

void bt_move_wake(struct bt_child *child)
{
        struct bt_move *move = child->move;

        if (!move || child->hub->stopping)
                return;
        /* Whom we asked is gone: whoever is there now is asked again. */
        if (move->state == BT_MOVE_WAITING ||
            ((move->state == BT_MOVE_ASKED || move->state == BT_MOVE_DEFERRED) && !child->current))
                move_queue(move);
}

void bt_move_force(struct bt_move *move)
{
        if (move->state == BT_MOVE_MOVING)
                return;
        move->forced = true;
        if (move->state == BT_MOVE_ASKED || move->state == BT_MOVE_DEFERRED)
                move_queue(move);
}

void bt_move_consent(struct bt_child *child, const struct bt_inc *inc, bool ready)
{
        struct bt_move *move = child->move;

        if (!move || child->current != inc ||
            (move->state != BT_MOVE_ASKED && move->state != BT_MOVE_DEFERRED))
                return;
        if (!ready) {
                if (move->state == BT_MOVE_ASKED)
                        move_defer(move, "not now");
                return;
        }
        move->agreed = true;
        move_queue(move);
}
