/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child's life: open, ready, dispatch. The callbacks' order is documented in <baton/child.h>; this file is where it is kept.
 *
 *      OPENED --ready()--> PARKED --passed--> HOLDING --HANDOVER--> LEAVING --> PASSED --RETIRE--> RETIRING --> ENDED
 *                             |                  ^                                  |
 *                             | TERMINATE        +------------- RESUME -------------+
 *                             v                  | CAPTURE
 *                           ENDED                +--> RELEASED --TERMINATE--> ENDED
 *
 * The moment of a swap, PARKED to HOLDING in one process and HOLDING to PASSED in the other, is in passage.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "child-api/child.h"
#include "child-api/post.h"

/* ---- open, close ---- */

static bool writable_valid(const struct baton_child_ops *ops)
{
        if (ops->size < offsetof(struct baton_child_ops, version_writable) + sizeof(ops->version_writable) || !ops->version_writable)
                return true;
        return ops->version_oldest <= ops->version_writable && ops->version_writable <= ops->version;
}

static bool ops_valid(const struct baton_child_ops *ops)
{
        return ops && ops->size >= offsetof(struct baton_child_ops, restore) &&
               (!ops->schema || (strlen(ops->schema) > 0 && strlen(ops->schema) <= BATON_NAME_BYTES_MAX)) &&
               ops->version_oldest <= ops->version && writable_valid(ops);
}

struct baton_child *baton_child_close(struct baton_child *child)
{
        if (!child)
                return NULL;
        bt_child_free_loop(child);
        bt_child_free_fds(child);
        bt_post_detach(child);
        /*
         * A supervised arena is left to the kernel: unmapping a gigabyte takes 100 ms, and in a cold swap the successor waits for our death,
         * which the kernel announces (the life mark) before it takes the address space down.
         */
        if (child->arena && !child->supervised)
                (void)munmap(child->arena, child->baton->state_bytes_max);
        bt_seg_detach(&child->baton_seg);
        /* The link page stays, too, once it holds the word that the kernel is to mark: the C library's robust list points into it. */
        if (!child->link || !atomic_load(&child->link->life_off))
                bt_seg_detach(&child->link_seg);
        (void)bt_close(child->bell);
        (void)bt_close(child->hub_bell);
        (void)bt_close(child->channel);
        (void)bt_close(child->handoff);
        (void)bt_close(child->baton_fd);
        (void)bt_close(child->link_fd);
        (void)bt_close(child->node_fd);
        for (int i = 0; i < 3; i++)
                (void)bt_close(child->for_hub[i]);
        (void)bt_double_free(child->twin);
        free(child);
        return NULL;
}

static void child_closep(struct baton_child **child)
{
        *child = baton_child_close(*child);
}

int baton_child_open(struct baton_child **ret_child, const struct baton_child_ops *ops, void *ctx)
{
        return baton_child_open_at(ret_child, ops, ctx, NULL);
}

int baton_child_open_at(struct baton_child **ret_child, const struct baton_child_ops *ops, void *ctx, const struct baton_child_place *place)
{
        BT_CLEANUP(child_closep) struct baton_child *child = NULL;
        int r;

        if (!ops_valid(ops) || (place && (place->size < sizeof(*place) || place->listen_count > BT_LISTEN_MAX)))
                return -EINVAL;
        bt_child_answer_describe(ops);
        child = calloc(1, sizeof(*child));
        if (!child)
                return -ENOMEM;
        child->ops = ops;
        child->ctx = ctx;
        child->link_fd = child->baton_fd = child->bell = child->pollable = child->hub_bell = -1;
        child->channel = child->handoff = child->node_fd = -1;
        child->for_hub[0] = child->for_hub[1] = child->for_hub[2] = -1;
        child->epoll = child->signals = -1;
        child->passing = calloc(1, sizeof(*child->passing));
        if (!child->passing)
                return -ENOMEM;
        child->passing->sock = -1;

        r = bt_child_attach(child, place);
        if (r == -ENOTCONN)
                r = bt_child_attach_alone(child);
        if (r)
                return r;
        bt_child_adopt_listeners(child, place);
        *ret_child = BT_STEAL(child);
        return 0;
}

/* ---- giving up what we hold ---- */

/* Cold swap and shutdown: the baton is laid down, for the hub to give on. */
static void on_capture(struct baton_child *child, const struct bt_rec *rec)
{
        enum baton_capture_for purpose = rec->arg[0] == BATON_CAPTURE_SHUTDOWN ? BATON_CAPTURE_SHUTDOWN : BATON_CAPTURE_COLD;
        uint32_t version = bt_child_version_for(child, rec->arg[1]);
        int r;

        if (child->stage != BT_CHILD_HOLDING && child->stage != BT_CHILD_LEAVING)
                return;
        if (rec->flags & BT_REC_F_HANDOFF)
                bt_child_read_channel(child);
        r = bt_child_capture(child, purpose, version);
        /* There is no way back to serving. In our own version the state is kept, for our own program: the other will refuse it. */
        if (r && version != child->ops->version)
                r = bt_child_capture(child, purpose, child->ops->version);
        child->stage = BT_CHILD_RELEASED;
        if (!r && bt_baton_release(child->baton, child->incarnation))
                r = -BATON_E_STALE;
        BT_POINT("release.done");
        (void)bt_child_say(child, BT_MSG_CAPTURED, child->incarnation, (uint64_t)-r, child->baton->meta.bytes,
                           child->baton->fd_count);
        bt_passing_end(child);
        bt_post_end(child);
}

static void on_retire(struct baton_child *child)
{
        if (child->stage == BT_CHILD_OPENED || child->stage == BT_CHILD_RETIRING || child->stage == BT_CHILD_ENDED)
                return;
        bt_passing_end(child);
        child->stage = BT_CHILD_RETIRING;
        bt_post_end(child);
        BT_POINT("retire.begin");
        if (child->ops->retire)
                child->ops->retire(child, child->ctx);
        else
                (void)baton_child_retired(child);
}

static void on_terminate(struct baton_child *child)
{
        if (child->stage == BT_CHILD_ENDED)
                return;
        if (child->ops->terminate && child->stage != BT_CHILD_PARKED)
                child->ops->terminate(child, child->ctx);
        child->stage = BT_CHILD_ENDED;
}

int baton_child_retired(struct baton_child *child)
{
        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (child->stage != BT_CHILD_RETIRING)
                return -BATON_E_PROTOCOL;
        child->stage = BT_CHILD_ENDED;
        return bt_child_say(child, BT_MSG_RETIRED, child->incarnation, 0, 0, 0);
}

/* ---- listening to the hub ---- */

static void handle(struct baton_child *child, const struct bt_rec *rec)
{
        switch (rec->type) {
        case BT_MSG_HANDOVER:
                bt_child_on_handover(child, rec);
                break;
        case BT_MSG_CAPTURE:
                on_capture(child, rec);
                break;
        case BT_MSG_RESUME:
                bt_child_on_resume(child);
                break;
        case BT_MSG_RETIRE:
                on_retire(child);
                break;
        case BT_MSG_TERMINATE:
                on_terminate(child);
                break;
        case BT_MSG_ADOPTED:
                bt_child_resend_kept(child);
                bt_child_tell_consents(child);
                break;
        case BT_MSG_CHECKPOINT:
                bt_child_on_checkpoint(child);
                break;
        case BT_MSG_DURABLE:
                bt_child_on_durable(child);
                break;
        case BT_MSG_MAY_MIGRATE:
                bt_child_on_may_migrate(child);
                break;
        case BT_MSG_MODE:
                bt_child_on_mode(child, rec);
                break;
        default:
                break; /* a newer hub's word; what matters comes with a deadline */
        }
}

int baton_child_dispatch(struct baton_child *child)
{
        const uint64_t one = 1;
        struct bt_rec rec;
        uint64_t rung = 0;

        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (!child->supervised)
                return child->stage == BT_CHILD_ENDED ? BATON_CHILD_STOP : 0;
        if (child->post && child->post->handling)
                return -BATON_E_PROTOCOL; /* a message is in hand: nothing can be captured */

        /* First of all: between the last answer and the capture there is not even a read. */
        bt_child_leave_when_due(child);
        /* The bell before the ring: what is pushed after the ring was found empty rings again. */
        (void)!read(child->bell, &rung, sizeof(rung));
        child->channel_due = child->channel_due || rung >= BT_BELL_CHANNEL;
        bt_child_ring_when_due(child);
        while (child->stage != BT_CHILD_ENDED && bt_ring_pop(&child->inbox, &rec) == 0)
                handle(child, &rec);
        if (child->channel_due && child->stage == BT_CHILD_HOLDING)
                bt_child_read_channel(child);
        bt_post_serve(child);
        if (bt_child_wants_turn(child))
                (void)!write(child->bell, &one, sizeof(one));
        return child->stage == BT_CHILD_ENDED ? BATON_CHILD_STOP : 0;
}

/* ---- ready ---- */

/* Who was granted the baton before it was ready does not wait for the hub: RESTORED, which follows, rings for both. */
static void say_ready(struct baton_child *child)
{
        struct bt_word w = bt_baton_word(child->baton);

        (void)bt_child_say_quietly(child, BT_MSG_READY, child->incarnation, !child->ops->retire, bt_child_consents(child), child->ops->version);
        if (w.phase != BT_WORD_PASSED || w.holder != child->incarnation)
                (void)bt_child_ring_hub(child);
}

int baton_child_ready(struct baton_child *child)
{
        int r;

        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (child->stage != BT_CHILD_OPENED)
                return -BATON_E_PROTOCOL;
        child->stage = BT_CHILD_PARKED;
        if (child->supervised) {
                r = child->reason == BATON_REASON_HOT ? bt_child_could_read(child) : 0;
                if (!r)
                        r = bt_post_refusal(child);
                if (r) {
                        (void)bt_child_say(child, BT_MSG_REFUSED, child->incarnation, (uint64_t)-r, 0, 0);
                        return r;
                }
                if (child->reason == BATON_REASON_HOT)
                        bt_child_prefault(child);
                child->soon_seen = atomic_load(&child->baton->soon);
                BT_POINT("ready.before");
                say_ready(child);
                BT_POINT("ready.done");
                r = bt_child_park(child);
                if (r == BATON_CHILD_STOP)
                        on_terminate(child);
                if (r)
                        return r;
        }
        BT_POINT("passed.seen");
        return bt_child_take_over(child);
}

/* ---- who am I ---- */

int baton_child_fd(const struct baton_child *child)
{
        return child->pollable;
}

bool baton_child_serving(const struct baton_child *child)
{
        return (child->stage == BT_CHILD_HOLDING || child->stage == BT_CHILD_LEAVING) &&
               bt_baton_serves(child->baton, child->incarnation) && !bt_child_forked();
}

bool baton_child_supervised(const struct baton_child *child)
{
        return child->supervised;
}

const char *baton_child_id(const struct baton_child *child)
{
        return child->baton->id;
}

uint64_t baton_child_incarnation(const struct baton_child *child)
{
        return child->incarnation;
}

enum baton_reason baton_child_reason(const struct baton_child *child)
{
        return child->reason;
}

/* ---- arena ---- */

void *baton_arena_root(const struct baton_child *child)
{
        return child->arena && child->arena->magic ? bt_arena_root(child->arena) : NULL;
}

void baton_arena_set_root(struct baton_child *child, void *root)
{
        bt_assert(child->arena && child->bracket_depth);
        bt_arena_set_root(child->arena, root);
}

/*
 * A killed process leaves behind exactly what it had stored up to one instruction, in program order: to keep the bracket around the update it is
 * enough that the compiler keeps the order.
 */
void baton_arena_begin(struct baton_child *child)
{
        if (child->bracket_depth++ == 0)
                atomic_store_explicit(&child->baton->bracket, 1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
}

void baton_arena_end(struct baton_child *child)
{
        bt_assert(child->bracket_depth > 0);
        atomic_signal_fence(memory_order_seq_cst);
        if (--child->bracket_depth == 0)
                atomic_store_explicit(&child->baton->bracket, 0, memory_order_relaxed);
}

void *baton_arena_alloc(struct baton_child *child, size_t bytes)
{
        if (!child->arena)
                return NULL;
        bt_assert(child->bracket_depth);
        if (bt_once_alloc(child, bytes))
                return NULL; /* it could not be undone */
        return bt_arena_alloc(child->arena, bytes);
}

void baton_arena_free(struct baton_child *child, void *ptr)
{
        if (!ptr)
                return;
        bt_assert(child->arena && child->bracket_depth);
        if (!bt_once_free(child, ptr))
                bt_arena_free(child->arena, ptr);
}

size_t baton_arena_used(const struct baton_child *child)
{
        return child->arena && child->arena->magic ? child->arena->top : 0;
}

size_t baton_arena_max(const struct baton_child *child)
{
        return child->arena ? child->baton->state_bytes_max : 0;
}
