/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers: who reads them, who waits, who is woken.
 *
 * The reply ring has one consumer: the thread that has @pump. It delivers every answer that is there, its own and those of others. A thread that waits
 * tries for the pump. If it gets it, it is the leader: it sleeps in poll(), on the bell and on the hub. If not, it follows: it sleeps on a word of its own
 * call, and is woken when its answer was delivered, or when the leader leaves and somebody has to take its place.
 *
 *      leader:    pump ── read ring ── [own answer? give the pump back, nod to a follower] ── asleep ── read ring again ── poll ──┐
 *                   ▲                                                                                                            │
 *                   └────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
 *      follower:  into the list ── try for the pump once more ── sleep on @nod
 *
 * A thread that watches (spin_ns) has the pump meanwhile, and reads for everybody.
 *
 * A follower is in the list before it tries for the pump the last time, and a leader looks at the list after it gave the pump back: one of them sees
 * the other. dispatch() takes the pump if it can have it; if not, its leader does the work, and says so with @nudge when there is a done() to run.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "client-api/client.h"
#include "shm/futex.h"

#define TICK_NS          (100 * BT_NS_PER_MS)
#define SPIN_CLOCK_EVERY 32

/* ---- delivering ---- */

static void call_wake(struct bt_call *call)
{
        if (!atomic_load(&call->waited))
                return;
        atomic_fetch_add(&call->nod, 1);
        bt_futex_wake(&call->nod);
}

/* The entry is FILLING, and ours. A call with a done() is in the list before it is DONE: whoever sees DONE may take it out of there. */
static void call_finish(struct baton_client *client, struct bt_call *call, uint64_t id)
{
        const uint64_t one = 1;

        if (!call->done) {
                bt_call_filled(call, id);
                call_wake(call);
                return;
        }
        bt_list_push(&client->done, &call->node);
        bt_call_filled(call, id);
        (void)!write(client->nudge, &one, sizeof(one));
}

/* It is the reader's own: nobody else has to see it. */
static void deliver_own(struct baton_client *client, struct bt_call *call, struct bt_own *own)
{
        bt_call_copy(call, own->id, client->answer, own->reply);
        bt_call_count(&call->answered, 1);
        bt_call_keep(call, own->id);
        call_wake(call); /* a second one that waits for this call gets nothing, and is to know */
        bt_call_free(call, own->id);
        own->got = true;
}

/* @own: of the thread that reads; NULL: it waits for none. */
static void deliver(struct baton_client *client, const struct bt_letter *letter, struct bt_own *own)
{
        struct bt_call *call = letter->flags & BT_LETTER_ANSWER
                                       ? bt_call_fill(&client->calls, letter->call)
                                       : NULL;

        if (!call) {
                atomic_fetch_add_explicit(&client->late, 1, memory_order_relaxed);
                return;
        }
        call->status = letter->status;
        call->bytes = letter->bytes;
        if (own && own->id == letter->call && !call->done) {
                deliver_own(client, call, own);
                return;
        }
        memcpy(call->data, client->answer, letter->bytes);
        if (!call->done) {
                call_finish(client, call, letter->call);
                return;
        }
        pthread_mutex_lock(&client->lock);
        call_finish(client, call, letter->call);
        pthread_mutex_unlock(&client->lock);
}

/* All that is there, at most one ring full: more would be for another turn. */
static void ring_drain(struct baton_client *client, struct bt_own *own)
{
        uint64_t cursor = atomic_load_explicit(&client->cursor, memory_order_relaxed);

        for (uint32_t left = client->ring.slot_count; left; left--) {
                struct bt_taken taken;
                int r = bt_mailbox_read(&client->ring, cursor, &taken, client->answer);

                if (r == BT_MAILBOX_E_EMPTY || r == BT_MAILBOX_E_BUSY)
                        return;
                if (!r)
                        deliver(client, &taken.letter, own);
                atomic_store_explicit(&client->cursor, cursor + 1, memory_order_release);
                bt_mailbox_give_back(&client->ring, cursor++); /* children do not wait for room */
                if (!bt_mailbox_told(&client->ring, cursor))
                        return;
        }
}

static bool fail_one(struct baton_client *client, struct bt_call *call, uint64_t id, int error)
{
        if (!bt_call_fill(&client->calls, id))
                return false;
        call->error = error;
        call->status = error;
        call->bytes = 0;
        call_finish(client, call, id);
        return true;
}

static void fail_gone(struct baton_client *client)
{
        pthread_mutex_lock(&client->lock);
        for (uint32_t i = 0; i < client->calls.count; i++) {
                struct bt_call *call = &client->calls.entries[i];
                uint64_t id = bt_call_id(call, BT_CALL_PENDING);
                const struct bt_member *member = id ? atomic_load(&call->member) : NULL;

                if (member && atomic_load(&member->gone))
                        (void)fail_one(client, call, id, -BATON_E_GONE);
        }
        pthread_mutex_unlock(&client->lock);
}

/* Under @pump, without @lock. What a child answered before it was removed is in the ring when its removal is known: it is read before its calls are failed. */
static void ring_read(struct baton_client *client, struct bt_own *own)
{
        bool removed = atomic_load(&client->removed) && atomic_exchange(&client->removed, 0);

        ring_drain(client, own);
        if (removed)
                fail_gone(client);
}

void bt_calls_gone(struct baton_client *client)
{
        const uint64_t one = 1;

        if (!client->fenced)
                bt_barrier_heavy(); /* see member_note() */
        atomic_store(&client->removed, 1);
        (void)!write(client->bell, &one,
                     sizeof(one)); /* whoever reads answers, or polls, has work */
}

bool bt_call_discard(struct baton_client *client, struct bt_call *call, uint64_t id)
{
        bool held;

        pthread_mutex_lock(&client->lock);
        held = bt_call_hold(call, id);
        if (held)
                bt_list_unlink(&call->node);
        pthread_mutex_unlock(&client->lock);
        if (held)
                bt_call_free(call, id);
        return held;
}

/* ---- deadlines of calls with a done() ---- */

void bt_timer_tick(const struct baton_client *client, bool on)
{
        struct itimerspec spec = {0};

        if (on)
                spec.it_value.tv_nsec = spec.it_interval.tv_nsec = TICK_NS;
        (void)timerfd_settime(client->timer, 0, &spec, NULL);
}

void bt_watch_deadlines(struct baton_client *client)
{
        if (!atomic_exchange(&client->timed, 1))
                bt_timer_tick(client, true);
}

/* Under @lock. */
static void deadlines_check(struct baton_client *client)
{
        uint64_t now = bt_now_ns();

        if (!atomic_exchange(&client->timed, 0))
                return;
        for (uint32_t i = 0; i < client->calls.count; i++) {
                struct bt_call *call = &client->calls.entries[i];
                uint64_t id = bt_call_id(call, BT_CALL_PENDING);

                if (!id || !call->done || !call->deadline_ns ||
                    !bt_call_is(call, id, BT_CALL_PENDING))
                        continue;
                if (now < call->deadline_ns || !fail_one(client, call, id, -ETIMEDOUT))
                        atomic_store(&client->timed, 1);
        }
}

/* ---- the rest that can happen ---- */

/* Who needs the ticks: calls with deadlines, and a client without a hub. The second look is for a call that came between the first and the disarming. */
static void timer_settle(const struct baton_client *client)
{
        if (client->conn < 0 || atomic_load(&client->timed))
                return;
        bt_timer_tick(client, false);
        if (atomic_load(&client->timed))
                bt_timer_tick(client, true);
}

static void hub_read(struct baton_client *client)
{
        uint64_t ticks;
        bool ticked;

        pthread_mutex_lock(&client->lock);
        ticked = read(client->timer, &ticks, sizeof(ticks)) > 0;
        if (ticked)
                deadlines_check(client);
        bt_attach_read(client, ticked);
        if (ticked)
                timer_settle(client);
        pthread_mutex_unlock(&client->lock);
}

/* ---- waiting ---- */

/* A thread that sleeps until its answer comes or it is asked to lead. On its own stack. */
struct follower {
        struct bt_list node;
        _Atomic uint32_t nod;
};

static bool pump_take(struct baton_client *client)
{
        return !atomic_load(&client->pump) && !atomic_exchange(&client->pump, 1);
}

static void nod_to_one(struct baton_client *client)
{
        if (!atomic_load(&client->follower_count))
                return;
        pthread_mutex_lock(&client->lock);
        if (!bt_list_empty(&client->followers)) {
                struct follower *follower =
                        bt_list_entry(client->followers.next, struct follower, node);

                bt_list_unlink(&follower->node);
                atomic_fetch_add(&follower->nod, 1);
                bt_futex_wake(
                        &follower->nod); /* under the lock: without it the thread cannot leave its stack */
        }
        pthread_mutex_unlock(&client->lock);
}

/* The program polls: from here on the bell has to ring for whatever comes, and for what has come. Under @pump. */
static void leave_asleep(struct baton_client *client)
{
        const uint64_t one = 1;

        if (!bt_mailbox_sleep(&client->ring, client->cursor))
                (void)!write(client->bell, &one, sizeof(one));
}

/* Under @pump. A program that begins to poll just now found the pump taken, and leaves the bell to us: so that is looked at once more behind the store. */
static void pump_hand_on(struct baton_client *client)
{
        uint32_t polled;

        do {
                polled = atomic_load(&client->polled);
                if (polled)
                        leave_asleep(client);
                atomic_store(&client->pump,
                             0); /* before we look for followers: one order for all */
        } while (!polled && atomic_load(&client->polled) && pump_take(client));
        nod_to_one(client);
}

/*
 * While there is one thread that waits, it gives the pump back by a store, and nobody is looked for. The first other one says that there are others, with a
 * barrier for all threads: either that is seen here behind the store, or the store is seen there.
 */
static void pump_release(struct baton_client *client)
{
        if (!atomic_load_explicit(&client->crowded, memory_order_relaxed)) {
                atomic_store_explicit(&client->pump, 0, memory_order_release);
                bt_barrier_light();
                if (!atomic_load_explicit(&client->crowded, memory_order_relaxed) ||
                    !pump_take(client))
                        return;
        }
        pump_hand_on(client);
}

static void say_crowded(struct baton_client *client)
{
        if (!atomic_exchange(&client->crowded, 1))
                bt_barrier_heavy();
}

void bt_wait_begin_polled(struct baton_client *client)
{
        say_crowded(client);
        if (pump_take(client)) /* otherwise its leader does it when it leaves */
                pump_hand_on(client);
}

static bool is_over(const struct bt_call *call, uint64_t id)
{
        return !bt_call_is_open(call, id);
}

static int poll_ms(uint64_t deadline_ns)
{
        uint64_t now = bt_now_ns();
        uint64_t ms = deadline_ns > now ? (deadline_ns - now + BT_NS_PER_MS - 1) / BT_NS_PER_MS : 0;

        return deadline_ns == BT_NS_NEVER ? -1 : ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Sleeps until an answer, the hub, or the deadline. Under @pump. */
static void leader_sleep(struct baton_client *client, uint64_t deadline_ns)
{
        struct pollfd fds[3] = {{.fd = client->bell, .events = POLLIN},
                                {.fd = client->timer, .events = POLLIN},
                                {.events = POLLIN}};
        uint64_t rung;

        if (!bt_mailbox_sleep(&client->ring, client->cursor))
                return;
        pthread_mutex_lock(&client->lock);
        fds[2].fd = client->conn;
        pthread_mutex_unlock(&client->lock);
        (void)poll(fds, BT_ARRAY_LEN(fds), poll_ms(deadline_ns));
        bt_mailbox_awake(&client->ring);
        if (fds[0].revents)
                (void)!read(client->bell, &rung, sizeof(rung));
        if (fds[1].revents || fds[2].revents)
                hub_read(client);
}

static void lead(struct baton_client *client, const struct bt_call *call, struct bt_own *own,
                 uint64_t deadline_ns)
{
        for (;;) {
                ring_read(client, own);
                if (is_over(call, own->id) || bt_now_ns() >= deadline_ns)
                        break;
                leader_sleep(client, deadline_ns);
        }
        pump_release(client);
}

/* Sleeps once. True when this thread has become the leader. */
static bool follow(struct baton_client *client, struct bt_call *call, uint64_t id,
                   uint64_t deadline_ns)
{
        struct follower self = {.nod = 0};
        struct bt_futex_word words[2] = {{.word = &call->nod, .expected = atomic_load(&call->nod)},
                                         {.word = &self.nod, .expected = 0}};
        bool leads;

        say_crowded(client);
        atomic_store(&call->waited, 1);
        pthread_mutex_lock(&client->lock);
        bt_list_push(&client->followers, &self.node);
        atomic_fetch_add(&client->follower_count, 1);
        pthread_mutex_unlock(&client->lock);
        leads = pump_take(client);
        if (!leads && !is_over(call, id))
                (void)bt_futex_wait(words, BT_ARRAY_LEN(words), deadline_ns);
        pthread_mutex_lock(&client->lock);
        bt_list_unlink(&self.node);
        atomic_fetch_sub(&client->follower_count, 1);
        pthread_mutex_unlock(&client->lock);
        return leads;
}

/* One look, and what is there is read. */
static void spin_look(struct baton_client *client, struct bt_own *own, bool closely, bool *leads)
{
        bool there = closely ? bt_mailbox_ready(&client->ring, client->cursor)
                             : bt_mailbox_told(&client->ring, client->cursor);

        if (!there && !atomic_load(&client->removed))
                return;
        if (!*leads)
                *leads = pump_take(client);
        if (*leads)
                ring_read(client, own);
}

/* Watches for a moment, and reads for everybody. True: this thread has the pump. */
static bool spin(struct baton_client *client, const struct bt_call *call, struct bt_own *own,
                 uint64_t deadline_ns)
{
        uint64_t until = 0, now = 0;
        bool leads = pump_take(client);

        for (uint32_t looks = 1; !is_over(call, own->id); looks++) {
                spin_look(client, own, looks % BT_MAILBOX_CLOSELY_EVERY == 0, &leads);
                if (looks % SPIN_CLOCK_EVERY == 0) {
                        now = bt_now_ns();
                        until = until ? until : bt_ns_add(now, client->options.spin_ns);
                        if (now > until || now > deadline_ns)
                                break;
                }
                bt_cpu_relax();
        }
        return leads;
}

int bt_wait(struct baton_client *client, struct bt_call *call, struct bt_own *own,
            uint64_t deadline_ns)
{
        bool leads = client->options.spin_ns && deadline_ns && spin(client, call, own, deadline_ns);

        while (!is_over(call, own->id)) {
                if (leads || pump_take(client) || follow(client, call, own->id, deadline_ns))
                        lead(client, call, own, deadline_ns);
                leads = false;
                if (!is_over(call, own->id) && bt_now_ns() >= deadline_ns)
                        return -ETIMEDOUT;
        }
        if (leads)
                pump_release(client);
        return 0;
}

/* ---- with an event loop ---- */

/* What is done, one after the other: done() may begin and cancel calls. */
static void run_done(struct baton_client *client)
{
        const uint64_t one = 1;

        for (uint32_t left = client->calls.count; left; left--) {
                struct baton_reply reply = {0};
                struct bt_call *call = NULL;
                uint64_t id = 0;

                pthread_mutex_lock(&client->lock);
                if (!bt_list_empty(&client->done)) {
                        call = bt_list_entry(client->done.next, struct bt_call, node);
                        bt_list_unlink(&call->node);
                        id = bt_call_id(call, BT_CALL_DONE);
                        bt_assert(
                                id &&
                                bt_call_hold(call, id)); /* in the list: nobody else may take it */
                }
                pthread_mutex_unlock(&client->lock);
                if (!call)
                        return;
                reply = (struct baton_reply){.data = call->data, .room = call->bytes};
                bt_call_copy(call, id, call->data, &reply);
                if (!call->error)
                        bt_call_count(&call->answered, 1);
                call->done(client, &reply, call->ctx);
                bt_call_free(call, id);
        }
        (void)!write(client->nudge, &one,
                     sizeof(one)); /* perhaps there are more: after the program's other work */
}

int baton_client_dispatch(struct baton_client *client)
{
        uint64_t rung;

        if (!client)
                return -EINVAL;
        if (bt_clients_forked(client))
                return -BATON_E_FORKED;
        (void)!read(client->nudge, &rung, sizeof(rung));
        hub_read(client);
        if (pump_take(client)) {
                (void)!read(
                        client->bell, &rung,
                        sizeof(rung)); /* before the ring: what comes after it was read rings again */
                ring_read(client, NULL);
                pump_release(client);
        }
        run_done(client);
        return 0;
}
