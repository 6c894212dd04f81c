/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child over its processes: starting, restarting, what its processes say, how they end.
 *
 * Outside a migration there is at most one process of a child that may serve, child->current. It is started on the child's baton, says READY, is
 * granted the baton, restores, says RESTORED. During a migration events of the two processes belong to its machine (migrate.c).
 *
 * Restarts follow OTP: permanent, transient, temporary; more than max_restarts within max_seconds and the child is given up, visibly. What
 * OTP lacks: the first restart is immediate, further ones wait twice as long each time up to a cap, and a healthy time starts over.
 */
#include "supervisor/hub.h"

#include <inttypes.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/alter.h"
#include "supervisor/carry.h"
#include "supervisor/embed.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"
#include "supervisor/live.h"
#include "supervisor/keeper.h"
#include "supervisor/mailbox.h"
#include "supervisor/rolling.h"
#include "supervisor/redistribute.h"
#include "supervisor/replicas.h"
#include "supervisor/state.h"

static void child_on_restart_timer(struct bt_loop_timer *timer);
static void child_on_slow_start(struct bt_loop_timer *timer);

/* ---- what others see ---- */

void bt_child_note(struct bt_child *child, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(child->note, sizeof(child->note), format, args);
        va_end(args);
        bt_hub_say(child->hub, "%s: %s", child->id, child->note);
}

const char *bt_child_reason_name(enum baton_reason reason)
{
        switch (reason) {
        case BATON_REASON_FRESH:
                return "fresh";
        case BATON_REASON_HOT:
                return "hot";
        case BATON_REASON_COLD:
                return "cold";
        case BATON_REASON_CRASH:
                return "crash";
        case BATON_REASON_REBOOT:
                return "reboot";
        case BATON_REASON_ROLLBACK:
                return "rollback";
        case BATON_REASON_RESTART:
                return "restart";
        default:
                return "other";
        }
}

static uint32_t child_draining(const struct bt_child *child)
{
        uint32_t count = 0;

        /* The analyzer takes "not the current one" for "may be NULL". NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        bt_list_foreach (it, &child->incs) {
                const struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                if (inc != child->current && !inc->held && !(child->migration && child->migration->succ == inc))
                        count++;
        }
        return count;
}

void bt_child_publish(struct bt_child *child)
{
        const struct bt_inc *inc = child->current;
        const struct bt_binary *binary = inc ? inc->binary : child->binary;
        struct bt_slot *slot = bt_node_begin(&child->seat.node->dir, child->seat.slot_idx);
        size_t path = strlen(binary->path);
        char room[128];

        bt_mail_show(child);
        slot->phase = child->phase;
        (void)snprintf(slot->id, sizeof(slot->id), "%s", child->id);
        slot->incarnation = inc ? inc->number : 0;
        if (inc && inc->pid != slot->pid)
                slot->started_wall_ns = bt_wall_ns();
        slot->pid = inc ? inc->pid : 0;
        slot->strategy = child->spec->strategy;
        slot->restarts = child->restarts;
        slot->swaps = child->swaps;
        slot->rollbacks = child->rollbacks;
        slot->swap_pause_ns = child->pause_ns;
        slot->swap_total_ns = child->total_ns;
        slot->state_bytes = child->state_bytes;
        slot->state_form = child->spec->state_form;
        slot->draining = child_draining(child);
        slot->exit_kind = (uint32_t)child->last_exit.code;
        slot->exit_code = child->last_exit.status;
        slot->limits_hit = child->limits_hit;
        slot->spare_pid = child->spare && child->spare->held_seen ? child->spare->pid : 0;
        slot->mode = inc ? inc->mode : BATON_MODE_SINGLE;
        (void)snprintf(slot->exec, sizeof(slot->exec), "%s",
                       binary->path + (path >= sizeof(slot->exec) ? path - sizeof(slot->exec) + 1 : 0));
        (void)snprintf(slot->note, sizeof(slot->note), "%s", child->note[0] ? child->note : bt_replicas_note(child, room, sizeof(room)));
        bt_mail_describe(child, slot);
        bt_node_end(slot);
}

/* ---- starting ---- */

int bt_child_fresh_baton(struct bt_child *child)
{
        struct bt_holding *fresh = NULL;
        int r = bt_holding_new(&fresh, child->spec, child->id);

        if (r)
                return r;
        bt_keep_forget(child);
        (void)bt_holding_unref(child->holding);
        child->holding = fresh;
        child->restore_failures = 0;
        child->stored_sequence = 0;
        child->in_transit = false;
        return 0;
}

int bt_child_init(struct bt_child *child)
{
        struct bt_hub *hub = child->hub;
        const struct bt_plan_view *plan = &child->plan->view;
        const struct bt_plan_child *spec = &plan->children[child->plan_idx];
        int r;

        child->id = child->own_id ? child->own_id : bt_plan_string(plan, spec->id);
        child->pool = bt_plan_string(plan, spec->pool);
        bt_child_seated(child);
        child->number_next = 1;
        child->phase = BT_PHASE_STARTING;
        bt_list_init(&child->incs);
        child->own = bt_carry_binary_of(hub, child);
        r = child->own ? 0 : bt_replicas_binary(child);
        if (r > 0 && child->plan == hub->plan_ref)
                r = bt_embed_binary(&child->own, hub, child->plan_idx);
        if (r > 0)
                r = bt_binary_open(&child->own, bt_plan_string(plan, spec->exec));
        if (!r && bt_list_empty(&child->own->shared) && !child->own->upgrade)
                child->own = bt_binary_share(hub, child->own);
        if (r) {
                bt_hub_say(hub, "%s: cannot run %s: %s", child->id, bt_plan_string(plan, spec->exec), strerrordesc_np(-r));
                return r;
        }
        child->binary = bt_binary_ref(bt_hub_node_binary(child->seat.node, child));
        r = bt_holding_new(&child->holding, spec, child->id);
        if (r) {
                bt_hub_say(hub, "%s: no shared memory for its baton: %s", child->id, strerrordesc_np(-r));
                return r;
        }
        r = bt_mail_open(child);
        if (r) {
                bt_hub_say(hub, "%s: no shared memory for its mailbox: %s", child->id, strerrordesc_np(-r));
                return r;
        }
        bt_child_publish(child);
        bt_event(hub, BT_EVENT_CHILD_REGISTERED, child, 0, "%s", child->binary->path);
        return 0;
}

void bt_child_deinit(struct bt_child *child)
{
        bt_loop_timer_disarm(&child->restart_timer);
        bt_loop_timer_disarm(&child->pause_timer);
        bt_spare_deinit(child);
        bt_alter_free(child);
        bt_keep_forget(child);
        bt_parcel_free(&child->parcel);
        bt_child_free_kept(child);
        free(child->restarted_ns);
        bt_child_checkpoints_end(child);
        bt_mail_close(child);
        child->binary = bt_binary_unref(child->binary);
        child->previous = bt_binary_unref(child->previous);
        child->own = bt_binary_unref(child->own);
        child->holding = bt_holding_unref(child->holding);
}

void bt_child_start(struct bt_child *child, enum baton_reason reason)
{
        bt_assert(!child->current && !child->migration);
        child->phase = BT_PHASE_STARTING;
        if (!bt_alter_before(child, reason))
                bt_child_start_altered(child, reason);
}

/*
 * Nobody serves, so nobody's readiness matters; but a state whose time runs out is looked at again when it can be given (COLD-5). Not before it is there: one that a
 * zygote forks may be faster than its hello, and whoever has the baton must be in the register, or a hub that dies now leaves it to serve beside the next one's (I8).
 */
void bt_child_begun(struct bt_child *child, struct bt_inc *inc)
{
        if (inc->killed || inc->told_to_end)
                return;
        if (child->migration && child->migration->succ == inc)
                bt_migration_begun(child->migration);
        else if (child->current == inc && child->phase == BT_PHASE_STARTING && child->spec->protocol == BT_PROTOCOL_BATON && !child->in_transit)
                (void)bt_baton_grant(inc->holding->baton, inc->number);
}

void bt_child_start_altered(struct bt_child *child, enum baton_reason reason)
{
        struct bt_inc_spawn how = {.child = child, .binary = child->binary, .reason = reason, .seat = child->seat};
        char why[256] = "";
        int r;

        bt_child_recover_and_say(child, reason);
        if (!bt_state_usable(child))
                return;
        how.holding = child->holding;
        how.holding->baton->gone_count = 0;
        how.holding->baton->fd_count = child->parcel.fd_count;
        if (child->parcel.count)
                how.parcel = &child->parcel;
        child->phase = BT_PHASE_STARTING;
        r = bt_inc_start(&child->current, &how, why, sizeof(why));
        if (r) {
                bt_child_note(child, "could not be started: %s", why);
                bt_child_down(child, NULL);
                return;
        }
        if (!child->current->start)
                bt_child_begun(child, child->current);
        bt_child_publish(child);
        bt_event(child->hub, BT_EVENT_CHILD_STARTING, child, child->current->number, "%s", bt_child_reason_name(reason));
        if (child->spec->protocol == BT_PROTOCOL_PLAIN)
                bt_child_running(child, child->current);
        else
                (void)bt_loop_timer_arm(child->hub->loop, &child->restart_timer,
                                        bt_ns_add(bt_now_ns(), child->spec->child_migration_timeout_ns), child_on_slow_start);
}

void bt_child_running(struct bt_child *child, struct bt_inc *inc)
{
        child->current = inc;
        bt_loop_timer_disarm(&child->restart_timer);
        bt_loop_timer_disarm(&inc->deadline); /* of an adopted start */
        child->phase = BT_PHASE_RUNNING;
        child->running_since_ns = bt_now_ns();
        child->restore_failures = 0;
        child->in_transit = child->reload = child->paused = child->captured = false;
        bt_keep_forget(child);
        bt_parcel_free(&child->parcel);
        child->note[0] = '\0';
        if (child->stored_sequence)
                bt_event(child->hub, BT_EVENT_HANDOVER_DELIVERED, child, inc->number, "%" PRIu64 " bytes", child->state_bytes);
        bt_child_forget_stored(child);
        if (child->kept_record)
                bt_state_move_aside(child, 0);
        child->kept_record = false;
        bt_child_checkpoints_begin(child);
        bt_child_publish(child);
        bt_event(child->hub, BT_EVENT_CHILD_RUNNING, child, inc->number, "%s", bt_child_reason_name(inc->reason));
        if (child->served_pid && child->served_pid != inc->pid)
                bt_event(child->hub, BT_EVENT_CHILD_PID_CHANGED, child, inc->number, "%d", (int)inc->pid);
        child->served_pid = inc->pid;
        bt_rolling_serves(child);
        bt_spare_wanted(child);
        if (child->spec->restart == BT_RESTART_PERMANENT && bt_held_possible(child, child->binary))
                bt_inc_watch_life(inc); /* of a crash: bt_spare_ahead() */
        child->killed = false;
        bt_move_wake(child);
        bt_replicas_started(child, true);
        bt_child_settled(child);
        bt_live_running(child);
        bt_groups_running(child);
}

/* Nothing is done to it: a first start may take long. But it is said, with the usual cause. */
static void child_on_slow_start(struct bt_loop_timer *timer)
{
        struct bt_child *child = bt_container_of(timer, struct bt_child, restart_timer);

        if (child->phase != BT_PHASE_STARTING || !child->current)
                return;
        child->limits_hit++;
        bt_replicas_started(child, false);
        bt_child_note(child, child->spec->protocol == BT_PROTOCOL_NOTIFY ? "has not said READY=1 to NOTIFY_SOCKET"
                                                                         : "has not said that it is ready (if it does not use libbaton, it needs protocol: plain)");
        bt_child_publish(child);
}

/* ---- restarting ---- */

/* True when one more restart now would be more than max_restarts within max_seconds. */
static bool too_many_restarts(const struct bt_child *child, uint64_t now_ns)
{
        uint32_t limit = child->spec->max_restarts;
        uint32_t within = 0;

        if (limit == UINT32_MAX)
                return false;
        if (limit > BT_RESTART_HISTORY)
                limit = BT_RESTART_HISTORY;
        for (uint32_t i = 0; i < child->restart_count && i < BT_RESTART_HISTORY; i++) {
                uint64_t at = child->restarted_ns[(child->restart_count - 1 - i) % BT_RESTART_HISTORY];

                if (now_ns - at > child->spec->max_seconds_ns)
                        break;
                within++;
        }
        return within >= limit;
}

void bt_child_settled(struct bt_child *child)
{
        bt_list_unlink(&child->unsettled);
        bt_hub_settled(child->hub);
}

void bt_child_give_up_as(struct bt_child *child, enum bt_phase phase)
{
        child->phase = phase;
        bt_spare_unwanted(child);
        bt_child_publish(child);
        bt_event(child->hub, phase == BT_PHASE_FAILED ? BT_EVENT_CHILD_GIVEN_UP : BT_EVENT_CHILD_STOPPED, child, 0, "%s", child->note);
        bt_move_wake(child);
        bt_child_settled(child);
        bt_live_gave_up(child);
}

void bt_child_give_up(struct bt_child *child)
{
        if (!bt_groups_down(child, false))
                bt_child_give_up_as(child, BT_PHASE_FAILED);
}

/* How long its next restart would wait, were it now. */
static uint64_t restart_wait(const struct bt_child *child, uint64_t now_ns)
{
        bool healthy = child->running_since_ns && now_ns - child->running_since_ns >= child->spec->healthy_ns;

        return healthy ? 0 : child->backoff_ns;
}

bool bt_child_restarts_at_once(const struct bt_child *child)
{
        uint64_t now = bt_now_ns();

        if (child->spec->restart != BT_RESTART_PERMANENT || restart_wait(child, now))
                return false;
        return child->group ? bt_groups_restarts_alone(child) : !too_many_restarts(child, now);
}

uint64_t bt_child_backoff(struct bt_child *child)
{
        uint64_t wait = restart_wait(child, bt_now_ns());

        child->backoff_ns = wait ? wait * 2 : child->spec->backoff_min_ns;
        if (child->backoff_ns > child->spec->backoff_max_ns)
                child->backoff_ns = child->spec->backoff_max_ns;
        child->running_since_ns = 0;
        if (child->killed && wait < BT_HUB_NODE_DEATH_NS)
                wait = BT_HUB_NODE_DEATH_NS; /* until it is known whether its node died */
        return wait;
}

void bt_child_waits(struct bt_child *child, uint64_t wait_ns)
{
        child->restarts++;
        child->phase = BT_PHASE_BACKOFF;
        if (wait_ns)
                bt_spare_unwanted(child);
        bt_child_publish(child);
        bt_event(child->hub, BT_EVENT_CHILD_RESTARTING, child, 0, "in %" PRIu64 " ms", wait_ns / BT_NS_PER_MS);
        BT_POINT("hub.child.down");
}

static void child_restart_later(struct bt_child *child)
{
        uint64_t now = bt_now_ns();
        uint64_t wait = bt_child_backoff(child);

        if (!child->restarted_ns)
                child->restarted_ns = calloc(BT_RESTART_HISTORY, sizeof(*child->restarted_ns));
        if (child->restarted_ns) /* else it is as if it was the first one */
                child->restarted_ns[child->restart_count++ % BT_RESTART_HISTORY] = now;
        bt_child_waits(child, wait);
        if (bt_loop_timer_arm(child->hub->loop, &child->restart_timer, bt_ns_add(now, wait), child_on_restart_timer))
                bt_child_give_up_as(child, BT_PHASE_FAILED);
        bt_move_wake(child);
}

static void child_on_restart_timer(struct bt_loop_timer *timer)
{
        struct bt_child *child = bt_container_of(timer, struct bt_child, restart_timer);

        if (child->current || child->migration || child->hub->stopping)
                return;
        if (child->reload)
                bt_child_load(child);
        else
                bt_child_start(child, BATON_REASON_CRASH);
}

/* Without a turn of the loop before it, and before what is left of the last process is cleared away. */
static void child_restart_if_due(struct bt_child *child)
{
        struct bt_loop_timer *timer = &child->restart_timer;

        if (child->phase != BT_PHASE_BACKOFF || !timer->heap_idx || timer->deadline_ns > bt_now_ns())
                return;
        bt_loop_timer_disarm(timer);
        child_on_restart_timer(timer);
}

void bt_child_restart_now(struct bt_child *child)
{
        if (child->group)
                return; /* which has its own time for that */
        (void)bt_loop_timer_arm(child->hub->loop, &child->restart_timer, bt_now_ns(), child_on_restart_timer);
}

void bt_child_restart_at(struct bt_child *child, uint64_t due_ns)
{
        (void)bt_loop_timer_arm(child->hub->loop, &child->restart_timer, due_ns, child_on_restart_timer);
}

void bt_child_resume(struct bt_child *child)
{
        bool never = child->number_next == 1 && !child->paused;

        if (child->reload || (child->stored_sequence && !child->captured) || never)
                bt_child_load(child);
        else
                bt_child_start(child, child->paused ? BATON_REASON_RESTART : BATON_REASON_CRASH);
}

void bt_child_down(struct bt_child *child, const struct bt_proc_exit *how)
{
        bool normal = how && how->code == CLD_EXITED && how->status == 0;
        char text[96];

        child->current = NULL;
        if (!how)
                bt_event(child->hub, BT_EVENT_CHILD_ENDED, child, 0, "%s", child->note);
        bt_rolling_ended(child, how);
        bt_replicas_started(child, false);
        if (child->hub->stopping || child->leaving || child->pause) {
                child->phase = BT_PHASE_STOPPED;
                bt_spare_unwanted(child);
                bt_child_publish(child);
                return;
        }
        if (how && !child->note[0])
                (void)snprintf(child->note, sizeof(child->note), "ended: %s", bt_proc_exit_text(how, text, sizeof(text)));
        if (bt_groups_down(child, normal))
                return;
        if (child->spec->restart == BT_RESTART_TEMPORARY || (child->spec->restart == BT_RESTART_TRANSIENT && normal)) {
                bt_child_give_up_as(child, BT_PHASE_STOPPED);
                return;
        }
        if (too_many_restarts(child, bt_now_ns())) {
                child->limits_hit++;
                bt_child_note(child, "given up: more than %u restarts within %llu ms", child->spec->max_restarts,
                              (unsigned long long)(child->spec->max_seconds_ns / BT_NS_PER_MS));
                bt_child_give_up_as(child, BT_PHASE_FAILED);
                return;
        }
        child_restart_later(child);
}

/* ---- what its processes say ---- */

/* What a child claims about the holder word is compared with the word. */
static bool word_holds(const struct bt_inc *inc)
{
        uint64_t word = atomic_load(&inc->holding->baton->word);

        return bt_word_valid(word) && bt_baton_serves(inc->holding->baton, inc->number);
}

/* Asked by a stop of the hub, or because it is being removed. */
static void child_captured(struct bt_child *child, bool whole)
{
        if (child->leaving)
                bt_live_captured(child, whole);
        else if (child->pause)
                bt_pause_captured(child, whole);
        else
                bt_hub_captured(child->hub, child, whole);
}

/*
 * A hub that was killed had asked, and the answer came after this one had adopted what served. The process has laid the baton down and waits to be told to
 * end: it is ended, and its state is given to the next one, as if that had been found at the adoption.
 */
static void captured_for_nobody(struct bt_inc *inc)
{
        struct bt_word w = bt_baton_word(inc->holding->baton);

        if (w.phase == BT_WORD_VACANT && w.holder == inc->number)
                bt_inc_kill(inc);
}

static void current_on_message(struct bt_child *child, struct bt_inc *inc, const struct bt_rec *rec)
{
        switch (rec->type) {
        case BT_MSG_READY:
                if (bt_baton_word(inc->holding->baton).holder == inc->number)
                        break; /* granted when it was adopted, before this was read */
                if (bt_state_stale(child)) {
                        bt_child_note(child, "its state became older than state_ttl while it was being started");
                        bt_inc_kill(inc); /* the next start finds it too old, and the policy decides */
                } else if (bt_baton_grant(inc->holding->baton, inc->number)) {
                        bt_child_note(child, "the holder word is not vacant: starting over with a fresh baton");
                        (void)bt_child_fresh_baton(child);
                        bt_inc_kill(inc);
                }
                break;
        case BT_MSG_RESTORED:
                if (word_holds(inc)) {
                        child->state_bytes = rec->arg[0];
                        bt_child_running(child, inc);
                }
                break;
        case BT_MSG_REFUSED:
                inc->refused_error = rec->arg[0];
                bt_child_note(child, "%s", bt_inc_why(inc));
                bt_inc_kill(inc); /* it ends by itself; this is for one that does not */
                break;
        case BT_MSG_CAPTURED:
                if (child->asked) {
                        child->state_bytes = rec->arg[1];
                        child_captured(child, rec->arg[0] == 0 && rec->arg[1] <= inc->holding->baton->state_bytes_max);
                } else {
                        captured_for_nobody(inc);
                }
                break;
        default:
                break;
        }
}

static void migrating_on_message(struct bt_migration *m, struct bt_inc *inc, const struct bt_rec *rec)
{
        bool pred = m->pred == inc;

        switch (rec->type) {
        case BT_MSG_READY:
                if (!pred)
                        bt_migration_event(m, BT_SWAP_EV_READY);
                break;
        case BT_MSG_RESTORED:
                if (!pred && word_holds(inc)) {
                        m->child->state_bytes = rec->arg[0];
                        bt_migration_event(m, BT_SWAP_EV_RESTORED);
                }
                break;
        case BT_MSG_REFUSED:
                inc->refused_error = rec->arg[0];
                if (!pred)
                        bt_migration_event(m, BT_SWAP_EV_REFUSED);
                break;
        case BT_MSG_PASSED:
                if (pred && rec->token == m->succ_number && !m->passed_told)
                        bt_migration_event(m, BT_SWAP_EV_PASSED);
                break;
        case BT_MSG_NOT_PASSED:
                /* Nobody was there to take the descriptors: the successor is dead, and its exit, which follows, is the reason to tell. */
                if (rec->arg[0] == EPIPE || rec->arg[0] == ECONNRESET)
                        break;
                if (pred && rec->token == m->succ_number)
                        bt_migration_event(m, BT_SWAP_EV_NOT_PASSED);
                break;
        case BT_MSG_CAPTURED:
                if (pred && m->swap.kind == BT_SWAP_HOT)
                        captured_for_nobody(inc);
                if (pred && !rec->arg[0] && inc->holding->baton->meta.present)
                        m->child->in_transit = true;
                if (pred)
                        bt_migration_event(m, rec->arg[0] ? BT_SWAP_EV_NOT_CAPTURED : BT_SWAP_EV_CAPTURED);
                break;
        default:
                break;
        }
}

void bt_child_on_message(struct bt_child *child, struct bt_inc *inc, const struct bt_rec *rec)
{
        struct bt_migration *m = child->migration;

        if (rec->type == BT_MSG_READY) {
                inc->ready = true;
                inc->drains_nothing = rec->arg[0] == 1;
                inc->consents = rec->arg[1] == 1;
                inc->version = (uint32_t)rec->arg[2];
        }
        if (rec->type == BT_MSG_CONSENT) {
                inc->consents = rec->arg[1] == 1;
                bt_move_consent(child, inc, rec->arg[0] == 1);
                return;
        }
        if (rec->type == BT_MSG_MODE_TAKEN)
                bt_mode_taken(inc, rec->arg[0]);
        else if (rec->type == BT_MSG_CHECKPOINTED)
                bt_child_on_checkpointed(child, inc, rec);
        else if (m && (m->succ == inc || m->pred == inc))
                migrating_on_message(m, inc, rec);
        else if (child->current == inc)
                current_on_message(child, inc, rec);
        /* else: a predecessor that drains; RETIRED needs no answer, its exit follows */
}

/* As READY and RESTORED of one that speaks with us: there is nothing to restore. */
void bt_child_on_notified(struct bt_child *child, struct bt_inc *inc)
{
        struct bt_migration *m = child->migration;

        if (m && m->succ == inc) {
                bt_migration_event(m, BT_SWAP_EV_READY);
                if (child->migration == m)
                        bt_migration_event(m, BT_SWAP_EV_RESTORED);
        } else if (child->current == inc && child->phase == BT_PHASE_STARTING) {
                bt_child_running(child, inc);
        }
}

/* ---- how they end ---- */

static void succ_exited(struct bt_child *child, struct bt_inc *inc)
{
        struct bt_migration *m = child->migration;
        struct bt_word w = bt_baton_word(inc->holding->baton);

        /* It confirmed, and died before it could say so: the migration is through, and what follows is a crash of the new holder. */
        if (word_holds(inc)) {
                bt_migration_event(m, BT_SWAP_EV_RESTORED);
                if (child->migration != m)
                        return;
                /* Out of place: it wrote itself into the word without being passed it. Nobody can serve with that word: start over. */
                (void)bt_baton_reclaim(inc->holding->baton, inc->number);
                if (m->pred)
                        bt_inc_kill(m->pred);
        }
        /*
         * While the predecessor lives the word goes back to it (TAKE_BACK), and the state is its own: a binary that cannot restore it is not a reason
         * to set it aside, however often it is tried. Without it nobody is left who could move the word, and that is ours to do.
         */
        if (w.phase == BT_WORD_PASSED && w.holder == inc->number && !(w.heir && m->pred)) {
                /* It may have been granted before it was ready, and then it has not seen the state. */
                if (inc->ready && bt_binary_same(inc->binary, child->binary)) /* another binary's failure says nothing about the state */
                        bt_state_restore_failed(child, inc);
                (void)bt_baton_reclaim(inc->holding->baton, inc->number);
        } else if (!m->pred && m->pred_number) {
                (void)bt_baton_reclaim(inc->holding->baton, m->pred_number); /* given back to one that is dead */
        }
        bt_migration_event(m, BT_SWAP_EV_SUCC_EXIT);
}

static void current_exited(struct bt_child *child, struct bt_inc *inc)
{
        struct bt_word w = bt_baton_word(inc->holding->baton);
        struct bt_proc_exit how = inc->how;
        char text[96];

        bt_event(child->hub, BT_EVENT_CHILD_ENDED, child, inc->number, "%s", bt_inc_exit_text(inc, text, sizeof(text)));
        if (w.phase == BT_WORD_PASSED && w.holder == inc->number && inc->ready)
                bt_state_restore_failed(child, inc);
        (void)bt_baton_reclaim(inc->holding->baton, inc->number);
        child->current = NULL;
        if (how.code == CLD_KILLED && how.status == SIGKILL && !inc->killed)
                bt_hub_node_killed(child);
        if (child->asked)
                child_captured(child, false);
        bt_child_down(child, &how);
}

void bt_child_on_exit(struct bt_child *child, struct bt_inc *inc)
{
        struct bt_hub *hub = child->hub;
        struct bt_migration *m = child->migration;
        bool reaped = inc->reaped;
        char text[96];

        if (child->spare == inc)
                bt_spare_exited(child);
        else if (reaped && !inc->held)
                child->last_exit = inc->how;
        bt_keep_if_alone(child);
        if (m && m->succ == inc) {
                succ_exited(child, inc);
        } else if (m && m->pred == inc) {
                bool held = bt_baton_word(inc->holding->baton).holder == inc->number;

                if (held)
                        (void)bt_baton_reclaim(inc->holding->baton, inc->number);
                m->pred = NULL;
                /* It may have died between its compare-and-swap and its wake: the heir sleeps on a word that is already its own. */
                if (!held && m->succ)
                        bt_inc_say(m->succ, BT_MSG_SPIN, inc->number, 0, 0, 0);
                if (child->current == inc)
                        child->current = NULL;
                bt_migration_event(m, held ? BT_SWAP_EV_PRED_DIED : BT_SWAP_EV_PRED_GONE);
        } else if (child->current != inc && reaped && !inc->held) {
                bt_event(hub, BT_EVENT_PREDECESSOR_ENDED, child, inc->number, "%s", bt_inc_exit_text(inc, text, sizeof(text)));
        }
        if (child->current == inc)
                current_exited(child, inc);
        bt_mail_return(child);
        child_restart_if_due(child);

        if (reaped) {
                (void)bt_inc_free(inc);
                bt_child_publish(child);
                bt_hub_exited(hub);
                bt_live_changed(child);
                bt_groups_changed(child);
        }
}
