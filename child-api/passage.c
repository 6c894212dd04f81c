/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moment of a swap: how the baton goes from one process to the next, from the side of each.
 *
 *      predecessor n                                         heir m
 *      HANDOVER: prepare(), descriptors ahead                SPIN: awake, rehearses, watches
 *      announces: soon + 1  ──────────────────────────────►  arriving(): has what was passed ahead
 *      serves on, turn by turn, rehearsing, until            rehearses, watches the word; its beat answers
 *      the beat has answered
 *      capture(), OFFERED(n,m) → PASSED(m,n)  ────────────►  restore(), PASSED(m,n) → HELD(m)
 *      sleeps; says PASSED                                   serve(), a turn of work, then rings the hub: RESTORED
 *
 * Nobody serves between the last answer of n and the first one of m, so everything that can wait is kept out of there:
 *
 *      a wake-up    costs 30-50 us across processors. n serves while its heir wakes up, and passes to one that runs. An heir that was not seen to
 *                   run within a millisecond (no processor is free for it; it is stopped, or dead) gets the baton all the same: the hub deals with
 *                   one that does not restore, and n must not serve for ever under an offer.
 *      the hub      what is told to it in the passage is put into the ring at once and rung for a turn later, because the hub would wake up on one of the two
 *                   processors that are wanted just then. Whatever happens, the hub finds it: it reads a ring to the end at each bell, deadline and exit.
 *      first times  page faults, cold lines, cold code: rehearse.c.
 *      the clock    is read once on each side: 25 ns are a tenth of the passage. The state's date is that of the announcement.
 *      descriptors  that were passed ahead are taken, and given to the program, ahead. What is left for the passage is the difference.
 *
 * Between the predecessor's compare-and-swap and the successor's serve() there is no message to the hub, no allocation, no file.
 */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "child-api/child.h"
#include "child-api/post.h"

/*
 * How long a parked successor watches the word once it was told that a hand-over is under way. The predecessor needs one wake-up (20-50 us
 * across cores), a turn of its loop and its capture. Watching costs a core, so never where there is only one.
 */
#define WATCH_NS (200 * BT_NS_PER_US)

/* For how long a predecessor serves on while its heir wakes up: 30-50 us, and a time slice or two of other programs where processors are scarce. */
#define AWAKE_NS BT_NS_PER_MS

/* And for each descriptor that was passed ahead: an heir takes it and has it watched in 1-2 us, before it watches the word. */
#define TAKE_NS (10 * BT_NS_PER_US)

/* An heir without connections has confirmed after 1-5 us, and then there is nothing to tell the hub that the heir does not tell. */
#define QUIET_NS (20 * BT_NS_PER_US)

uint64_t bt_child_if_parallel(uint64_t ns)
{
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 2)
                return 0;
        return ns;
}

/*
 * Says it, and leaves it to a dispatch() at @at_ns or later to ring the hub. That there is one: a predecessor asks for it (bt_child_wants_turn()), and an
 * heir's own bell was rung by the hub's SPIN, or by itself, and is not emptied before its first dispatch().
 */
static void say_later(struct baton_child *child, uint64_t at_ns, uint32_t type, uint64_t token, uint64_t arg0, uint64_t arg1)
{
        if (!child->supervised || bt_child_say_quietly(child, type, token, arg0, arg1, 0))
                return;
        child->ring_due = true;
        child->ring_at_ns = at_ns;
}

void bt_child_ring_when_due(struct baton_child *child)
{
        struct bt_word w;
        bool under_way;

        if (!child->ring_due)
                return;
        w = bt_baton_word(child->baton);
        under_way = w.phase == BT_WORD_PASSED && w.heir == child->incarnation;
        if (child->stage == BT_CHILD_PASSED && under_way && bt_now_ns() < child->ring_at_ns)
                return;
        child->ring_due = false;
        if (child->stage != BT_CHILD_PASSED || under_way)
                (void)bt_child_ring_hub(child);
        /* else: the heir has confirmed or given back, and rings for that */
}

bool bt_child_wants_turn(const struct baton_child *child)
{
        return child->stage == BT_CHILD_LEAVING || child->ring_due;
}

/* ---- the heir ---- */

/* Handles what the hub says to a parked process. Returns 0, or BATON_CHILD_STOP. @ret_watch: a hand-over is under way; @ret_crowded: so are others. */
static int parked_dispatch(struct baton_child *child, bool *ret_watch, bool *ret_crowded)
{
        struct bt_rec rec;

        while (bt_ring_pop(&child->inbox, &rec) == 0) {
                if (rec.type == BT_MSG_SPIN) {
                        *ret_watch = true;
                        *ret_crowded = rec.flags & BT_REC_F_CROWDED;
                } else if (rec.type == BT_MSG_TERMINATE) {
                        return BATON_CHILD_STOP;
                }
        }
        return 0;
}

/* The predecessor serves on. */
static int refuse(struct baton_child *child, int error)
{
        (void)bt_child_say(child, BT_MSG_REFUSED, child->incarnation, (uint64_t)-error, 0, 0);
        return error;
}

int bt_child_park(struct baton_child *child)
{
        uint64_t watch_ns = bt_child_if_parallel(WATCH_NS);
        uint32_t soon = child->soon_seen;
        bool watch = false, crowded = false, late = false; /* @late: the capture is under way */

        for (;;) {
                uint32_t called = atomic_load(&child->link->wake); /* before the ring is read */
                int r = parked_dispatch(child, &watch, &crowded);

                if (r)
                        return r;
                if (watch && !late && !crowded) {
                        bt_child_rehearse_taking(child);
                        BT_POINT("watch.begin");
                }
                r = bt_baton_park(child->baton, child->incarnation, &child->link->wake, called, soon, watch && !crowded ? watch_ns : 0);
                watch = r == BT_BATON_E_SOON;
                if (watch) {
                        soon = atomic_load(&child->baton->soon); /* what was passed ahead was sent before it */
                        late = bt_child_follow_sum(child);       /* it bumps soon again when there is something to sum */
                        r = late ? 0 : bt_child_receive_ahead(child); /* what comes with the capture is for restore() */
                        if (r)
                                return refuse(child, r);
                } else if (r != BT_BATON_E_CALLED) {
                        return r;
                }
        }
}

/* From PASSED to HELD: the point of no return of a migration is bt_baton_confirm(). */
int bt_child_take_over(struct baton_child *child)
{
        struct bt_baton *baton = child->baton;
        uint64_t predecessor = bt_baton_word(baton).heir;
        const uint64_t one = 1;
        uint64_t bytes;
        int r;

        bt_child_zygote_known();
        r = bt_child_restore(child, predecessor);

        if (r) {
                if (predecessor)
                        (void)bt_baton_give_back(baton, child->incarnation, predecessor);
                return refuse(child, r);
        }
        if (bt_baton_confirm(baton, child->incarnation))
                return -BATON_E_STALE;
        BT_POINT_ON_STAGE(child, "confirm.done");

        /* No way back from here. */
        child->stage = BT_CHILD_HOLDING;
        bt_child_describe(child, child->ops->version);
        bytes = bt_child_state_bytes(child); /* of a blob that was delivered */
        if (!child->arena)
                baton->meta.present = 0; /* delivered: a crash from here on must not bring it back as if it were ours (I5) */
        if (child->ops->serve)
                child->ops->serve(child, child->ctx);
        baton->restored_ns = bt_now_ns();
        if (child->arena)
                bytes = bt_child_state_bytes(child);
        say_later(child, 0, BT_MSG_RESTORED, child->incarnation, bytes, 0);
        if (!predecessor && child->supervised)
                (void)!write(child->bell, &one, sizeof(one)); /* nobody sleeps on it: no wake-up */
        bt_post_begin(child);
        BT_POINT_ON_STAGE(child, "serve.done");
        return 0;
}

/* ---- the predecessor ---- */

/* It serves on. @told: prepare() or capture() were called, so the program hears that it was for nothing. */
static void go_on(struct baton_child *child, bool told)
{
        bt_passing_end(child);
        child->heir = 0;
        child->stage = BT_CHILD_HOLDING;
        bt_child_describe(child, child->ops->version); /* it may have been captured in an older version */
        if (!child->arena)
                child->baton->meta.present = 0; /* what was captured is the past from here on (I5); as a checkpoint it may stay */
        if (told && child->ops->resume)
                child->ops->resume(child, child->ctx);
        bt_post_begin(child);
}

/* Captures and gives the baton to the heir. */
void bt_child_become_passed(struct baton_child *child)
{
        uint64_t heir = child->heir;
        int r = bt_child_capture(child, BATON_CAPTURE_HOT, child->heir_version);

        if (r) {
                go_on(child, true);
                (void)bt_child_say(child, BT_MSG_NOT_PASSED, heir, (uint64_t)-r, 0, 0);
                return;
        }
        child->stage = BT_CHILD_PASSED;
        if (bt_baton_pass(child->baton, child->incarnation, heir)) {
                go_on(child, true); /* withdrawn meanwhile: RESUME is on its way, and will find nothing to do */
                return;
        }
        BT_POINT_ON_STAGE(child, "pass.done");
        if (child->crowded) /* the heir's RESTORED tells it, or the deadline, or an end */
                (void)bt_child_say_quietly(child, BT_MSG_PASSED, heir, child->baton->fd_count, child->baton->meta.bytes, 0);
        else
                say_later(child, bt_now_ns() + child->quiet_ns, BT_MSG_PASSED, heir, child->baton->fd_count, child->baton->meta.bytes);
        bt_post_end(child);
}

/* Does that offer stand? The hub may have withdrawn it while we were busy, and be at the next one already. */
static bool offered_to(const struct baton_child *child, uint64_t heir)
{
        struct bt_word w = bt_baton_word(child->baton);

        return w.phase == BT_WORD_OFFERED && w.holder == child->incarnation && w.heir == heir;
}

void bt_child_on_handover(struct baton_child *child, const struct bt_rec *rec)
{
        bool crowded = rec->flags & BT_REC_F_CROWDED; /* nobody is waited for by watching: the others want the processor */
        int r = 0;

        /* An offer that is over gets no answer, and its hand-off socket stays in the channel: the last one there is the standing offer's. */
        if (child->stage != BT_CHILD_HOLDING || !offered_to(child, rec->token))
                return;
        if (rec->flags & BT_REC_F_HANDOFF)
                bt_child_read_channel(child);
        child->heir = rec->token;
        child->heir_version = bt_child_version_for(child, rec->arg[0]);
        BT_POINT("handover.begin");
        child->stage = BT_CHILD_LEAVING;
        if (child->ops->prepare) {
                child->ops->prepare(child, child->ctx);
                r = bt_passing_flush(child);
        }
        if (r) {
                /* The numbers in the batch are good only as long as the program keeps them open: not until capture(). */
                bt_child_say_why(child, "descriptors could not be passed ahead", r);
                go_on(child, true);
                (void)bt_child_say(child, BT_MSG_NOT_PASSED, rec->token, (uint64_t)-r, 0, 0);
                return;
        }
        /* One more turn of the program's loop before the moment, and as many as the heir needs to wake up: answer what comes in meanwhile. */
        bt_child_describe(child, child->ops->version); /* until it is captured, whatever the heir needs */
        bt_child_date(child);
        child->baton->fd_count = child->passing->sent;
        atomic_store_explicit(&child->baton->summed, 0, memory_order_relaxed);
        child->crowded = crowded;
        if (!crowded)
                bt_child_rehearse_leaving(child);
        /* In a crowd an heir is not woken only to be told: there must be something that it can take ahead. */
        child->leave_soon = crowded && !child->passing->sent ? atomic_load(&child->baton->soon) : bt_baton_announce(child->baton);
        child->leave_by_ns = bt_now_ns() + (crowded ? 0 : bt_child_if_parallel(AWAKE_NS)) + child->passing->sent * TAKE_NS;
        child->quiet_ns = crowded ? 0 : bt_child_if_parallel(QUIET_NS);
        BT_POINT("handover.announced");
}

void bt_child_leave_when_due(struct baton_child *child)
{
        if (child->stage != BT_CHILD_LEAVING)
                return;
        BT_POINT("handover.due");
        if (!offered_to(child, child->heir))
                go_on(child, child->ops->prepare); /* as in become_passed() */
        else if (bt_baton_watched(child->baton, child->leave_soon) || bt_now_ns() >= child->leave_by_ns)
                bt_child_become_passed(child);
        else
                bt_child_rehearse_leaving(child); /* what a turn of the program's loop has pushed out of the caches */
}

void bt_child_on_resume(struct baton_child *child)
{
        if (child->stage == BT_CHILD_PASSED)
                go_on(child, true);
        else if (child->stage == BT_CHILD_LEAVING)
                go_on(child, child->ops->prepare);
}
