/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending: find a member, claim a slot in its mailbox, write, ring if it sleeps.
 *
 * A call's entry is in the table, with the member it is for, before its message can be in the mailbox: an answer finds it, and so does the news that the
 * member was removed. That order is why a call can be told that its child is gone although the push was still under way.
 *
 * A full mailbox is waited for in slices: another member may have room sooner, and a gate that closes wakes nobody.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/clock.h"
#include "client-api/client.h"
#include "shm/futex.h"

#define SLICE_NS      (50 * BT_NS_PER_MS) /* of a wait for room, when there is nobody else */
#define SLICE_POOL_NS (1 * BT_NS_PER_MS)

static bool send_valid(const struct baton_target *target, const struct baton_send *send)
{
        return target && send && send->size >= sizeof(*send) && (send->data || !send->bytes) &&
               (send->large || !send->large_bytes) && !(send->flags & ~BATON_SEND_QUIET) &&
               send->bytes <= UINT32_MAX;
}

static uint64_t deadline_of(uint64_t timeout_ns)
{
        if (!timeout_ns || timeout_ns == BATON_WAIT_FOREVER)
                return timeout_ns;
        return bt_ns_add(bt_now_ns(), timeout_ns);
}

static int letter_init(struct bt_letter *letter, const struct baton_client *client,
                       const struct baton_send *send, uint64_t deadline_ns, uint64_t id)
{
        *letter = (struct bt_letter){
                .call = id,
                .deadline_ns = deadline_ns == BT_NS_NEVER ? 0 : deadline_ns,
                .tag = send->key,
                .ref_bytes = send->large_bytes,
                .flags = id ? BT_LETTER_CALL : 0,
                .bytes = (uint32_t)send->bytes,
        };
        return send->large
                       ? bt_region_find(client, send->large, send->large_bytes, &letter->ref_off)
                       : 0;
}

/* One try. 0, -EAGAIN: full, another errno. */
static int push(struct bt_member *member, const struct baton_client *client,
                const struct bt_letter *letter, const struct baton_send *send, struct bt_call *call)
{
        uint64_t pos;
        int r = bt_mailbox_push(&member->view, client->number, letter, send->data, &pos);

        switch (r) {
        case 0:
                if (call)
                        atomic_store_explicit(&call->place, pos + 1, memory_order_release);
                if (send->flags & BATON_SEND_QUIET)
                        atomic_store(&member->owed, 1);
                else
                        bt_member_ring(member);
                return 0;
        case BT_MAILBOX_E_FULL:
                return -EAGAIN;
        case BT_MAILBOX_E_CLOSED:
                return -BATON_E_GONE;
        default: /* STALE: the hub took us for dead. BROKEN: somebody scribbled */
                return r < 0 ? r : -EPROTO;
        }
}

static int wait_room(const struct baton_target *target, const struct bt_member *member,
                     uint64_t deadline_ns)
{
        const struct bt_members *members =
                atomic_load_explicit(&target->members, memory_order_acquire);
        uint64_t now = bt_now_ns();
        uint64_t slice = now + (members && members->count > 1 ? SLICE_POOL_NS : SLICE_NS);

        if (now >= deadline_ns)
                return -ETIMEDOUT;
        (void)bt_mailbox_wait_room(&member->view, slice < deadline_ns ? slice : deadline_ns);
        return 0;
}

/*
 * Before the gate is looked at: whoever removes the member closes that, then looks for calls of its own, with a barrier for all threads between them
 * (bt_calls_gone()).
 */
static void member_note(const struct baton_client *client, struct bt_call *call,
                        const struct bt_member *member)
{
        if (client->fenced)
                atomic_store(&call->member, member);
        else
                atomic_store_explicit(&call->member, member, memory_order_release);
        bt_barrier_light();
}

/* @call: NULL: a cast. */
static int send_letter(struct baton_target *target, const struct baton_send *send,
                       struct bt_call *call, uint64_t id, uint64_t deadline_ns)
{
        struct baton_client *client = target->client;
        struct bt_letter letter;
        int r = letter_init(&letter, client, send, deadline_ns, id);

        while (!r) {
                struct bt_member *member = bt_route(target, send->key);

                if (!member)
                        return -BATON_E_GONE;
                if (call)
                        member_note(client, call, member);
                r = push(member, client, &letter, send, call);
                if (r == -BATON_E_GONE && bt_route(target, send->key)) {
                        r = 0; /* removed just now; there is another */
                        continue;
                }
                if (r != -EAGAIN)
                        return r;
                atomic_fetch_add_explicit(&client->full, 1, memory_order_relaxed);
                if (atomic_exchange(&member->owed, 0))
                        bt_member_ring(member); /* full of what nobody was told of */
                if (!deadline_ns)
                        return r;
                r = wait_room(target, member, deadline_ns);
        }
        return r;
}

int baton_client_cast(struct baton_target *target, const struct baton_send *send)
{
        if (!send_valid(target, send) || send->done)
                return -EINVAL;
        if (bt_clients_forked(target->client))
                return -BATON_E_FORKED;
        return send_letter(target, send, NULL, 0, deadline_of(send->timeout_ns));
}

/*
 * Nothing was sent: the entry is given back, whatever the news of the member's removal made of it meanwhile. False: another thread, in its dispatch(), tells the
 * program by done() that the member is gone.
 */
static bool call_undo(struct baton_client *client, struct bt_call *call, uint64_t id)
{
        bt_call_count(&call->begun, -1);
        while (!bt_call_drop(call, id) && !bt_call_discard(client, call, id)) {
                if (!bt_call_find(&client->calls, id) || bt_call_is(call, id, BT_CALL_HELD))
                        return false;
                bt_cpu_relax(); /* its end is being written */
        }
        return true;
}

static int begin(struct baton_target *target, const struct baton_send *send,
                 struct bt_call **ret_call, uint64_t *ret_id, uint64_t deadline_ns)
{
        struct baton_client *client = target->client;
        struct bt_call *call =
                bt_call_begin(&client->calls, ret_id, send->done, send->ctx, deadline_ns);
        int r;

        if (!call)
                return -EBUSY;
        r = send_letter(target, send, call, *ret_id, deadline_ns);
        if (r && call_undo(client, call, *ret_id))
                return r;
        if (!r && send->done && deadline_ns)
                bt_watch_deadlines(client);
        *ret_call = call;
        return 0;
}

int baton_client_begin(struct baton_target *target, const struct baton_send *send,
                       uint64_t *ret_call)
{
        struct bt_call *call;

        if (!send_valid(target, send) || !ret_call)
                return -EINVAL;
        if (bt_clients_forked(target->client))
                return -BATON_E_FORKED;
        return begin(target, send, &call, ret_call, deadline_of(send->timeout_ns));
}

static int take(struct bt_call *call, uint64_t id, struct baton_reply *reply)
{
        int error;

        if (!bt_call_hold(call, id))
                return -ENOENT;
        error = call->error;
        if (!error) {
                bt_call_copy(call, id, call->data, reply);
                bt_call_count(&call->answered, 1);
        }
        bt_call_free(call, id);
        return error;
}

int baton_client_call(struct baton_target *target, const struct baton_send *send,
                      struct baton_reply *reply)
{
        struct baton_client *client;
        struct bt_call *call;
        struct bt_own own;
        uint64_t id, deadline_ns;
        int r;

        if (!send_valid(target, send) || send->done)
                return -EINVAL;
        client = target->client;
        if (bt_clients_forked(client))
                return -BATON_E_FORKED;
        deadline_ns = deadline_of(send->timeout_ns);
        r = begin(target, send, &call, &id, deadline_ns);
        if (r)
                return r;
        if (send->flags & BATON_SEND_QUIET)
                baton_client_flush(client); /* it waits itself: its message must be seen */
        own = (struct bt_own){.id = id, .reply = reply};
        r = bt_wait(client, call, &own, deadline_ns ? deadline_ns : BT_NS_NEVER);
        if (own.got || (r && bt_call_drop(call, id)))
                return r;
        while (bt_call_is(call, id, BT_CALL_FILLING))
                bt_cpu_relax(); /* it came in that very moment: another thread copies it */
        return take(call, id, reply);
}

int baton_client_collect(struct baton_client *client, uint64_t call, struct baton_reply *reply,
                         uint64_t timeout_ns)
{
        struct bt_own own = {.id = call, .reply = reply};
        struct bt_call *entry;
        int r;

        if (!client)
                return -EINVAL;
        if (bt_clients_forked(client))
                return -BATON_E_FORKED;
        entry = bt_call_find(&client->calls, call);
        if (!entry || entry->done)
                return -ENOENT;
        r = bt_wait(client, entry, &own, deadline_of(timeout_ns));
        if (r)
                return timeout_ns ? r : -EAGAIN;
        return own.got ? 0 : take(entry, call, reply);
}

/*
 * Its message is where it was put, and nobody has begun it: now nobody will. Member and place may be of two calls, so the letter says whose it is; when
 * that slot is another one's a moment later, its word is of another lap.
 */
static bool take_back(const struct baton_client *client, const struct bt_call *entry, uint64_t call)
{
        const struct bt_member *member = atomic_load(&entry->member);
        uint64_t place = atomic_load(&entry->place);
        struct bt_mail_slot *slot;

        if (!member || !place)
                return false;
        slot = bt_mailbox_slot(&member->view, place - 1);
        return __atomic_load_n(&slot->letter.call, __ATOMIC_RELAXED) == call &&
               bt_mailbox_withdraw(&member->view, client->number, place - 1) == 0;
}

int baton_client_cancel(struct baton_client *client, uint64_t call)
{
        struct bt_call *entry;
        int taken_back;

        if (!client)
                return -EINVAL;
        if (bt_clients_forked(client))
                return -BATON_E_FORKED;
        entry = bt_call_find(&client->calls, call);
        if (!entry)
                return -ENOENT;
        taken_back = take_back(client, entry, call);
        while (bt_call_find(&client->calls, call) && !bt_call_is(entry, call, BT_CALL_HELD)) {
                if (bt_call_drop(entry, call) || bt_call_discard(client, entry, call))
                        return taken_back;
                bt_cpu_relax(); /* its answer is being copied */
        }
        return -ENOENT;
}

void baton_client_flush(struct baton_client *client)
{
        if (!client || bt_clients_forked(client))
                return;
        pthread_mutex_lock(&client->lock);
        bt_list_foreach (it, &client->members) {
                struct bt_member *member = bt_list_entry(it, struct bt_member, node);

                if (atomic_exchange(&member->owed, 0))
                        bt_member_ring(member);
        }
        pthread_mutex_unlock(&client->lock);
}
