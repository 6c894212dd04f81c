/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machines of supervisor/swap/ can order in a migration, and its deadlines. When a migration begins, what it is told, and how it ends: migrate.c.
 *
 * An action is one order to one of the two processes, to the holder word, or to the timer. It decides nothing, and it never frees the migration: what it
 * finds out at once (a process that cannot be started) is queued as an event and stepped after the list is done.
 */
#include "supervisor/migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "supervisor/events.h"
#include "supervisor/keeper.h"
#include "supervisor/rolling.h"
#include "supervisor/state.h"

/* Said while actions are performed, told after them: who listens wakes up, and would do so on a processor that the two processes want. */
struct later {
        struct bt_list node;
        const char *phase;
        uint64_t incarnation;
        char text[];
};

static void tell(struct bt_migration *m, const char *phase, uint64_t incarnation, const char *text);

void bt_migration_tell(struct bt_migration *m, const char *phase, uint64_t incarnation, const char *text)
{
        size_t bytes = strlen(text) + 1;
        struct later *later = m->stepping ? calloc(1, sizeof(*later) + bytes) : NULL;

        if (!later) {
                bt_migration_tell_later(m); /* in order */
                tell(m, phase, incarnation, text);
                return;
        }
        bt_list_init(&later->node);
        later->phase = phase;
        later->incarnation = incarnation;
        memcpy(later->text, text, bytes);
        bt_list_push(&m->later, &later->node);
}

void bt_migration_tell_later(struct bt_migration *m)
{
        bt_list_foreach_safe (it, &m->later) {
                struct later *later = bt_list_entry(it, struct later, node);

                bt_list_unlink(&later->node);
                tell(m, later->phase, later->incarnation, later->text);
                free(later);
        }
}

static void tell(struct bt_migration *m, const char *phase, uint64_t incarnation, const char *text)
{
        bt_event(m->child->hub, BT_EVENT_MIGRATION_STEP, m->child, incarnation, "%s%s%s", phase, *text ? ": " : "", text);
        bt_list_foreach_safe (it, &m->waiters) {
                struct bt_waiter *waiter = bt_list_entry(it, struct bt_waiter, node);

                waiter->event(waiter, m, phase, incarnation, text);
        }
}

static void queue(struct bt_migration *m, enum bt_swap_event event)
{
        bt_assert(m->queued < BT_ARRAY_LEN(m->queue));
        m->queue[m->queued++] = event;
}

/* ---- deadlines ---- */

static void on_timer(struct bt_loop_timer *timer)
{
        struct bt_migration *m = bt_container_of(timer, struct bt_migration, timer);
        struct bt_child *child = m->child;

        /* What was said in time counts, although it is read only now: a successor that has just confirmed must not be killed. */
        if (m->succ)
                bt_inc_listen(m->succ);
        if (child->migration == m && m->pred)
                bt_inc_listen(m->pred);
        if (child->migration != m || m->timer.heap_idx)
                return; /* over, or in a later state with a deadline of its own */
        child->limits_hit++;
        bt_migration_event(m, BT_SWAP_EV_TIMEOUT);
}

static void arm(struct bt_migration *m, uint64_t for_ns)
{
        uint64_t deadline = for_ns == BT_NS_INFINITE ? BT_NS_NEVER : bt_ns_add(bt_now_ns(), for_ns);

        if (bt_loop_timer_arm(m->child->hub->loop, &m->timer, deadline, on_timer))
                queue(m, BT_SWAP_EV_TIMEOUT);
}

/*
 * A limit inside child_migration_timeout: that one, counted from the beginning, wins where it is shorter (SHUT-9). It does not while the successor is all
 * there is, because then there is nobody to go back to; nor over `infinity`, which is a decision.
 */
static void arm_within(struct bt_migration *m, uint64_t for_ns)
{
        uint64_t outer = bt_ns_add(m->steps_ns, m->child->spec->child_migration_timeout_ns);
        uint64_t now = bt_now_ns();

        if (m->pred && for_ns != BT_NS_INFINITE && bt_ns_add(now, for_ns) > outer)
                for_ns = outer > now ? outer - now : 0;
        arm(m, for_ns);
}

/* ---- actions ---- */

/* What the predecessor passed before it was told to end. */
static void take_parcel(struct bt_migration *m)
{
        int r;

        if (m->handoff_in < 0)
                return;
        r = bt_parcel_take(&m->parcel, m->handoff_in);
        m->handoff_in = bt_close(m->handoff_in);
        if (r)
                bt_child_note(m->child, "connections could not be carried over: %s", strerrordesc_np(-r));
}

/*
 * A state that grew too old on the way is given to nobody (COLD-5). Set aside, a process can be started without it; otherwise none is,
 * and the end of the migration is up to the restart policy.
 */
static int drop_stale(struct bt_migration *m)
{
        if (m->swap.kind != BT_SWAP_COLD || m->holding != m->child->holding || !bt_state_stale(m->child))
                return 0;
        if (m->child->spec->on_bad_state != BT_BAD_STATE_FRESH) {
                m->child->limits_hit++;
                return -ESTALE;
        }
        (void)bt_state_refuse(m->child, "is older than state_ttl");
        if (bt_state_set_aside(m->child))
                return -ENOMEM;
        (void)bt_holding_unref(m->holding);
        m->holding = bt_holding_ref(m->child->holding);
        bt_migration_tell(m, "state_stale", m->pred_number, "older than state_ttl: set aside");
        return 0;
}

static void on_described(struct bt_describe *describe, const struct bt_description *answer, const char *why)
{
        struct bt_migration *m = bt_container_of(describe, struct bt_migration, describe);
        char text[256];

        m->steps_ns = bt_now_ns();
        if (!answer) {
                (void)snprintf(text, sizeof(text), "whether the new program can read the state is unknown: %s", why);
                bt_migration_tell(m, "not_described", 0, text);
        } else if (!bt_describe_reads(m->child, answer, m->detail, sizeof(m->detail))) {
                bt_migration_event(m, BT_SWAP_EV_UNREADABLE);
                return;
        } else {
                m->version = answer->version;
        }
        bt_migration_event(m, BT_SWAP_EV_DESCRIBED);
}

static void do_describe(struct bt_migration *m)
{
        int r = bt_describe_begin(&m->describe, m->child, m->binary, on_described);

        bt_migration_tell(m, "describing", 0, m->binary->path);
        if (!r)
                return;
        bt_migration_tell(m, "not_described", 0, strerrordesc_np(-r));
        queue(m, BT_SWAP_EV_DESCRIBED);
}

/* Where the successor is started: where the child is, or where it is going. Going back is to where it was. */
static struct bt_seat seat_of_succ(const struct bt_migration *m, enum baton_reason reason)
{
        return m->seat.node && reason != BATON_REASON_ROLLBACK ? m->seat : m->child->seat;
}

/* What the successor gets when the predecessor could not pass it: in a hot swap with hand-over this is so whenever the hub grants, because it died (HOT-10). */
static void tell_recovered(struct bt_migration *m, enum bt_recovered recovered, const char *text)
{
        const char *living = m->child->spec->state_form == BATON_STATE_ARENA ? "in_place" : "captured";
        const char *const phases[] = {"no_state", living, "checkpoint"};

        if (m->swap.handover && (m->swap.kind == BT_SWAP_HOT || recovered == BT_RECOVERED_CHECKPOINT)) {
                bt_migration_tell(m, phases[recovered], m->succ_number, text);
                bt_hub_say(m->child->hub, "%s: the old process could not pass its state: %s", m->child->id, text);
        }
}

static void grant(struct bt_migration *m)
{
        char text[160];
        struct bt_baton *baton = m->holding->baton;

        tell_recovered(m, bt_child_recover(m->child, m->holding, text, sizeof(text)), text);
        baton->gone_count = 0;
        baton->fd_count = m->swap.kind == BT_SWAP_COLD ? m->parcel.fd_count : 0;
        if (bt_baton_grant(baton, m->succ_number))
                bt_child_note(m->child, "the holder word is not vacant");
        BT_POINT("hub.swap.granted");
}

/*
 * With the start of a cold swap's successor: nobody serves, so it need not be ready, and the way to us and back between READY and the grant is saved. Not
 * where the state's time could run out while it starts: then it is granted when it is ready, if there is still something to give (COLD-5).
 */
void bt_migration_begun(struct bt_migration *m)
{
        if (m->child->spec->protocol != BT_PROTOCOL_BATON || m->swap.kind != BT_SWAP_COLD)
                return;
        if (m->holding != m->child->holding || !bt_state_stale_in(m->child, m->child->spec->child_migration_timeout_ns))
                grant(m);
}

/* How the successor is started: what it is, where, and what is passed to it. */
static struct bt_inc_spawn succ_spawn(struct bt_migration *m, struct bt_binary *binary, enum baton_reason reason)
{
        struct bt_inc_spawn how = {.child = m->child, .binary = binary, .holding = m->holding, .reason = reason, .seat = seat_of_succ(m, reason)};

        if (m->swap.handover && m->swap.kind == BT_SWAP_COLD) {
                take_parcel(m); /* of a predecessor that died before it was told to end */
                how.parcel = &m->parcel;
        } else if (m->swap.handover) {
                how.ret_handoff = &m->handoff_out;
        }
        return how;
}

static void do_spawn(struct bt_migration *m, struct bt_binary *binary, enum baton_reason reason)
{
        int r = drop_stale(m); /* it may change the baton */
        struct bt_inc_spawn how = succ_spawn(m, binary, reason);

        BT_POINT("hub.swap.alone");
        bt_describe_end(&m->describe); /* the child died meanwhile: there is nothing to spare any more */
        m->succ = NULL;
        m->succ_number = m->child->number_next;
        if (r) {
                (void)snprintf(m->spawn_why, sizeof(m->spawn_why), "the state is older than state_ttl (on_bad_state)");
        } else {
                r = bt_inc_start(&m->succ, &how, m->spawn_why, sizeof(m->spawn_why));
        }
        if (r) {
                queue(m, BT_SWAP_EV_SPAWN_FAILED);
                return;
        }
        if (!m->succ->start)
                bt_child_begun(m->child, m->succ);
        BT_POINT("hub.swap.started");
        bt_migration_tell(m, reason == BATON_REASON_ROLLBACK ? "starting_back" : "starting", m->succ_number, binary->path);
        if (m->child->spec->protocol == BT_PROTOCOL_PLAIN) {
                queue(m, BT_SWAP_EV_READY);
                queue(m, BT_SWAP_EV_RESTORED);
        }
}

static void do_hold(struct bt_migration *m)
{
        struct bt_inc_spawn how = {.child = m->child, .binary = m->binary, .holding = m->holding, .reason = BATON_REASON_COLD,
                                   .seat = seat_of_succ(m, BATON_REASON_COLD), .hold = BT_HOLD_ASKED};

        m->succ_number = m->child->number_next;
        bt_migration_tell(m, "holding", m->succ_number, m->binary->path);
        if (bt_inc_start(&m->succ, &how, m->spawn_why, sizeof(m->spawn_why)))
                queue(m, BT_SWAP_EV_SPAWN_FAILED);
        else if (m->succ->held_seen)
                queue(m, BT_SWAP_EV_HELD); /* the child's spare */
        BT_POINT("hub.swap.holding");
}

/* A state that grew too old may be exchanged for a baton that the held process does not have: another one is started then. */
static void do_release(struct bt_migration *m)
{
        struct bt_inc_spawn how;

        if (m->holding == m->child->holding && bt_state_stale(m->child)) {
                if (m->succ)
                        bt_inc_discard(m->succ);
                do_spawn(m, m->binary, BATON_REASON_COLD);
                return;
        }
        how = succ_spawn(m, m->binary, BATON_REASON_COLD);
        BT_POINT("hub.swap.alone");
        m->succ_number = m->child->number_next;
        bt_migration_begun(m);
        bt_inc_release(m->succ, &how);
        BT_POINT("hub.swap.started");
        bt_migration_tell(m, "starting", m->succ_number, m->binary->path);
}

/* To the heir first: it has the longer way, from its futex to spinning. */
static void do_offer(struct bt_migration *m)
{
        struct bt_chan msg = {.type = BT_CHAN_HANDOFF, .token = m->succ_number};
        struct bt_baton *baton = m->holding->baton;
        uint32_t flags = 0;

        if (!m->pred)
                return; /* its exit is on its way as an event */
        if (!bt_inc_send(m->pred, &msg, m->handoff_out))
                flags = BT_REC_F_HANDOFF;
        m->handoff_out = bt_close(m->handoff_out);
        baton->fd_count = baton->gone_count = 0;
        if (bt_baton_offer(baton, m->pred_number, m->succ_number))
                return; /* not the holder any more: it died, which will be an event */
        /* Watching would take a processor from those that have something to do: nobody does, and the heir sleeps until it is passed to. */
        if (bt_hub_crowded(m->child->hub)) {
                flags |= BT_REC_F_CROWDED;
                bt_inc_say_parked(m->succ, BT_MSG_SPIN, m->pred_number, BT_REC_F_CROWDED);
        } else {
                bt_inc_say(m->succ, BT_MSG_SPIN, m->pred_number, 0, 0, 0);
        }
        bt_inc_say(m->pred, BT_MSG_HANDOVER, m->succ_number, flags, m->succ->version, 0);
        bt_migration_tell(m, "offered", m->pred_number, "");
}

static void do_query(struct bt_migration *m)
{
        struct bt_chan msg = {.type = BT_CHAN_HANDOFF};
        uint32_t flags = 0;
        int ends[2];

        bt_keep_begin(m->child->hub); /* while the old process serves */
        if (!bt_scm_pair(ends)) {
                if (!bt_inc_send(m->pred, &msg, ends[0]))
                        flags = BT_REC_F_HANDOFF;
                (void)bt_close(ends[0]);
                m->handoff_in = ends[1];
        }
        m->holding->baton->fd_count = m->holding->baton->gone_count = 0;
        bt_inc_say(m->pred, BT_MSG_CAPTURE, 0, flags, BATON_CAPTURE_COLD, m->version);
        bt_migration_tell(m, "querying", m->pred_number, "");
}

static void do_stop_pred(struct bt_migration *m)
{
        if (m->swap.state_lost)
                bt_migration_tell(m, "no_state", m->pred_number, "the old process gave no state");
        else if (m->swap.handover)
                bt_migration_tell(m, "captured", m->pred_number, "");
        take_parcel(m);
        BT_POINT("hub.swap.captured");
        if (m->holding == m->child->holding)
                bt_keep_give(m->child, &m->parcel);
        if (!m->pred)
                return;
        BT_POINT("hub.swap.kept");
        m->pred->mark_ends = true;
        bt_inc_watch_life(m->pred);
        if (m->child->spec->shutdown_ns == 0)
                bt_inc_kill(m->pred);
        else
                bt_inc_stop(m->pred);
        bt_migration_tell(m, "stopping", m->pred_number, "");
        BT_POINT("hub.swap.stopping");
}

static void do_grant(struct bt_migration *m)
{
        struct bt_word w = bt_baton_word(m->holding->baton);

        if (!m->succ || !m->succ->link || (w.phase != BT_WORD_VACANT && w.holder == m->succ_number))
                return; /* granted ahead; it may even serve by now */
        if (m->swap.kind == BT_SWAP_COLD && m->holding == m->child->holding && bt_state_stale(m->child)) {
                /* Found when it is spawned the next time: drop_stale(). */
                bt_inc_set_why(m->succ, "its state became older than state_ttl while it started");
                bt_inc_kill(m->succ);
                return;
        }
        grant(m);
}

static void do_withdraw(struct bt_migration *m)
{
        if (m->swap.handover && !bt_baton_withdraw(m->holding->baton, m->pred_number, m->succ_number) && m->pred)
                bt_inc_say(m->pred, BT_MSG_RESUME, m->succ_number, 0, 0, 0);
}

/* The successor cannot move the word any more, or has moved it back itself. */
static void do_take_back(struct bt_migration *m)
{
        struct bt_baton *baton = m->holding->baton;

        if (!m->swap.handover)
                return;
        if (bt_baton_withdraw(baton, m->pred_number, m->succ_number))
                (void)bt_baton_give_back(baton, m->succ_number, m->pred_number);
        if (m->pred)
                bt_inc_say(m->pred, BT_MSG_RESUME, m->succ_number, 0, 0, 0);
}

static void do_retire(struct bt_migration *m)
{
        if (m->pred)
                bt_inc_retire(m->pred, m->succ_number, m->retention_ns);
}

static void do_commit(struct bt_migration *m)
{
        struct bt_child *child = m->child;
        const struct bt_baton *baton = m->holding->baton;

        if (m->holding != child->holding) {
                (void)bt_holding_unref(child->holding);
                child->holding = bt_holding_ref(m->holding);
        }
        bt_rolling_committed(child, m->succ->binary);
        if (m->own && m->succ->reason != BATON_REASON_ROLLBACK) {
                (void)bt_binary_unref(child->own);
                child->own = bt_binary_ref(m->succ->binary);
        }
        if (m->seat.node && m->succ->reason != BATON_REASON_ROLLBACK) {
                bt_seat_give_back(&child->seat);
                child->seat = m->seat;
                m->seat.node = NULL;
                bt_child_seated(child);
        }
        child->total_ns = bt_now_ns() - m->begun_ns;
        child->pause_ns = m->succ->link && baton->restored_ns > baton->capture_ns && baton->capture_ns >= m->begun_ns
                                  ? baton->restored_ns - baton->capture_ns
                                  : 0;
        if (m->swap.kind == BT_SWAP_HOT && !m->swap.handover)
                child->pause_ns = 0;
        if (m->swap.handover && !m->swap.state_lost)
                bt_event(child->hub, BT_EVENT_HANDOVER_DELIVERED, child, m->succ_number, "%" PRIu64 " bytes", child->state_bytes);
        BT_POINT("hub.swap.commit");
        bt_child_running(child, m->succ);
}

static void perform(struct bt_migration *m, enum bt_swap_action action)
{
        const struct bt_plan_child *spec = m->child->spec;

        switch (action) {
        case BT_SWAP_ACT_DESCRIBE:
                do_describe(m);
                break;
        case BT_SWAP_ACT_HOLD_SUCC:
                do_hold(m);
                break;
        case BT_SWAP_ACT_RELEASE_SUCC:
                do_release(m);
                break;
        case BT_SWAP_ACT_SPAWN_SUCC:
                do_spawn(m, m->binary, m->swap.kind == BT_SWAP_HOT ? BATON_REASON_HOT : BATON_REASON_COLD);
                break;
        case BT_SWAP_ACT_SPAWN_BACK:
                do_spawn(m, m->child->binary, BATON_REASON_ROLLBACK);
                break;
        case BT_SWAP_ACT_ARM_MIGRATION:
                arm(m, spec->child_migration_timeout_ns);
                break;
        case BT_SWAP_ACT_ARM_DATA_WAIT:
                arm_within(m, spec->handover_data_wait_ns);
                break;
        case BT_SWAP_ACT_ARM_QUERY:
                arm_within(m, spec->state_query_timeout_ns);
                break;
        case BT_SWAP_ACT_ARM_SHUTDOWN:
                arm_within(m, spec->shutdown_ns);
                break;
        case BT_SWAP_ACT_OFFER:
                do_offer(m);
                break;
        case BT_SWAP_ACT_QUERY:
                do_query(m);
                break;
        case BT_SWAP_ACT_STOP_PRED:
                do_stop_pred(m);
                break;
        case BT_SWAP_ACT_GRANT:
                do_grant(m);
                break;
        case BT_SWAP_ACT_WITHDRAW:
                do_withdraw(m);
                break;
        case BT_SWAP_ACT_TAKE_BACK:
                do_take_back(m);
                break;
        case BT_SWAP_ACT_KILL_SUCC:
                if (m->succ)
                        bt_inc_kill(m->succ);
                break;
        case BT_SWAP_ACT_KILL_PRED:
                if (m->pred)
                        bt_inc_kill(m->pred);
                break;
        case BT_SWAP_ACT_RETIRE_PRED:
                do_retire(m);
                break;
        case BT_SWAP_ACT_COMMIT:
                do_commit(m);
                break;
        case BT_SWAP_ACT_SUCCEED:
        case BT_SWAP_ACT_FAIL:
        case BT_SWAP_ACT_FAIL_DOWN:
        case _BT_SWAP_ACT_N:
                break; /* the end: see finish() */
        }
}

int bt_migration_perform(struct bt_migration *m, const struct bt_swap_actions *actions)
{
        int ending = -1;

        for (uint32_t i = 0; i < actions->count; i++) {
                perform(m, actions->list[i]);
                if (actions->list[i] == BT_SWAP_ACT_SUCCEED || actions->list[i] == BT_SWAP_ACT_FAIL ||
                    actions->list[i] == BT_SWAP_ACT_FAIL_DOWN)
                        ending = (int)actions->list[i];
        }
        return ending;
}
