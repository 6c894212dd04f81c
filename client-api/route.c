/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which member of a pool gets a message.
 *
 * The client decides, from words that it reads in the members' mailboxes: nobody has to be asked, and nobody keeps books about who is busy. A member
 * whose gate says SWAPPING is passed over as long as there is another one: what is sent to it would wait for its successor. It gets messages when it
 * is the only one, and those of BATON_PICK_HASH, whose point is that the same key finds the same member.
 *
 * Of a large pool LEAST_QUEUED looks at LOOK_MAX members, each time at others: the best of sixteen is nearly as short a queue as the best of all, and
 * each look is a cache line that another process writes.
 *
 * HASH is rendezvous hashing: the member with the largest mix of its own hash and the key's. When a member leaves only its own keys move.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "client-api/client.h"

#define LOOK_MAX 16

/* ---- choosing ---- */

/* Every bit of the result depends on every bit of @x. */
static uint64_t mix(uint64_t x)
{
        x ^= x >> 32;
        x *= UINT64_C(0xd6e8feb86659fd93);
        x ^= x >> 32;
        x *= UINT64_C(0xd6e8feb86659fd93);
        return x ^ x >> 32;
}

static uint64_t hash_text(const char *text)
{
        uint64_t hash = UINT64_C(0x9e3779b97f4a7c15);

        for (; *text; text++)
                hash = mix(hash ^ (uint8_t)*text);
        return hash;
}

static uint32_t gate_of(const struct bt_member *member)
{
        if (atomic_load_explicit(&member->gone, memory_order_relaxed))
                return BT_MAILBOX_CLOSED;
        return atomic_load_explicit(&member->view.mb->gate, memory_order_relaxed);
}

bool bt_member_closed(const struct bt_member *member)
{
        return gate_of(member) == BT_MAILBOX_CLOSED;
}

static struct bt_member *pick_hash(const struct bt_members *members, uint64_t key)
{
        struct bt_member *best = NULL;
        uint64_t best_weight = 0;

        for (uint32_t i = 0; i < members->count; i++) {
                uint64_t weight = mix(members->at[i]->hash ^ mix(key));

                if (bt_member_closed(members->at[i]) || (best && weight <= best_weight))
                        continue;
                best = members->at[i];
                best_weight = weight;
        }
        return best;
}

/* What speaks against @member: its queue, and before that a swap. UINT64_MAX: it is closed. */
static uint64_t burden(const struct bt_member *member, enum baton_pick pick)
{
        uint32_t gate = gate_of(member);
        uint32_t depth;

        if (gate == BT_MAILBOX_CLOSED)
                return UINT64_MAX;
        depth = bt_mailbox_depth(&member->view);
        if (pick == BATON_PICK_ROUND_ROBIN) /* the next one, unless it is full */
                depth = depth >= member->view.slot_count;
        return depth + (gate == BT_MAILBOX_SWAPPING ? UINT64_C(1) << 32 : 0);
}

static struct bt_member *pick_lightest(struct baton_target *target,
                                       const struct bt_members *members)
{
        uint32_t turn = atomic_fetch_add_explicit(&target->turn, 1, memory_order_relaxed);
        struct bt_member *best = NULL;
        uint64_t least = UINT64_MAX;

        /* The limit is on members that could be had: sixteen that are swapping must not hide the seventeenth. */
        for (uint32_t i = 0, looked = 0; i < members->count && looked < LOOK_MAX; i++) {
                struct bt_member *member = members->at[(turn + i) % members->count];
                uint64_t here = burden(member, target->pick);

                if (here < least) {
                        least = here;
                        best = member;
                }
                if (here == 0)
                        break;
                looked += here < UINT64_C(1) << 32;
        }
        return best;
}

struct bt_member *bt_route(struct baton_target *target, uint64_t key)
{
        const struct bt_members *members =
                atomic_load_explicit(&target->members, memory_order_acquire);

        if (!members || members->count == 0)
                return NULL;
        if (members->count == 1)
                return bt_member_closed(members->at[0]) ? NULL : members->at[0];
        if (target->pick == BATON_PICK_HASH)
                return pick_hash(members, key);
        return pick_lightest(target, members);
}

void bt_member_ring(struct bt_member *member)
{
        const uint64_t one = 1;

        if (bt_mailbox_must_ring(&member->view))
                (void)!write(member->bell, &one, sizeof(one));
}

/* ---- members ---- */

struct bt_member *bt_member_find(struct baton_client *client, const char *id,
                                 const struct bt_member *but)
{
        bt_list_foreach (it, &client->members) {
                struct bt_member *member = bt_list_entry(it, struct bt_member, node);

                if (member != but && !atomic_load(&member->gone) && !strcmp(member->id, id))
                        return member;
        }
        return NULL;
}

void bt_member_free(struct bt_member *member)
{
        bt_list_unlink(&member->node);
        bt_seg_detach(&member->seg);
        (void)bt_close(member->bell);
        free(member);
}

int bt_member_new(struct bt_member **ret_member, struct baton_client *client, const char *id,
                  int fd, int bell)
{
        struct bt_member *member = calloc(1, sizeof(*member));
        int r = member ? bt_mailbox_attach(&member->seg, &member->view, fd) : -ENOMEM;

        (void)bt_close(fd);
        if (r) {
                free(member);
                (void)bt_close(bell);
                return r < 0 ? r : -BATON_E_LAYOUT;
        }
        (void)snprintf(member->id, sizeof(member->id), "%s", id);
        member->epoch = member->view.mb->head.epoch;
        member->hash = hash_text(id);
        member->bell = bell;
        bt_list_init(&member->node);
        bt_list_push(&client->members, &member->node);
        *ret_member = member;
        return 0;
}

void bt_member_remove(struct baton_client *client, struct bt_member *member)
{
        atomic_store(&member->gone, 1);
        for (uint32_t i = 0; i < client->target_count; i++) {
                if (bt_target_has(&client->targets[i], member))
                        bt_target_prune(&client->targets[i]);
        }
        bt_calls_gone(client);
}

/* ---- a target's members ---- */

static const struct bt_members *members_of(const struct baton_target *target)
{
        return atomic_load_explicit(&target->members, memory_order_acquire);
}

bool bt_target_has(const struct baton_target *target, const struct bt_member *member)
{
        const struct bt_members *members = members_of(target);

        for (uint32_t i = 0; members && i < members->count; i++) {
                if (members->at[i] == member)
                        return true;
        }
        return false;
}

/* A new array of those that are there, and @more (NULL: nobody). */
static int target_replace(struct baton_target *target, struct bt_member *more)
{
        struct bt_members *before = atomic_load(&target->members);
        uint32_t count = before ? before->count : 0;
        struct bt_members *now = calloc(1, sizeof(*now) + (count + 1) * sizeof(struct bt_member *));

        if (!now)
                return -ENOMEM;
        now->before = before;
        for (uint32_t i = 0; i < count; i++) {
                if (!atomic_load(&before->at[i]->gone))
                        now->at[now->count++] = before->at[i];
        }
        if (more)
                now->at[now->count++] = more;
        atomic_store_explicit(&target->members, now, memory_order_release);
        return 0;
}

int bt_target_add(struct baton_target *target, struct bt_member *member)
{
        return bt_target_has(target, member) ? 0 : target_replace(target, member);
}

/* Without memory for a shorter array the long one stays: those that are gone are passed over. */
void bt_target_prune(struct baton_target *target)
{
        (void)target_replace(target, NULL);
}

void bt_targets_free(struct baton_client *client)
{
        for (uint32_t i = 0; i < client->target_count; i++) {
                for (struct bt_members *at = atomic_load(&client->targets[i].members), *before; at;
                     at = before) {
                        before = at->before;
                        free(at);
                }
        }
        bt_list_foreach_safe (it, &client->members)
                bt_member_free(bt_list_entry(it, struct bt_member, node));
}
