/* SPDX-License-Identifier: Apache-2.0 */
#include "client-api/calls.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "shm/futex.h"

#define TRIES                                                                                      \
        4 /* rounds through the table before it counts as full: entries come free under our eyes */

static uint64_t word_of(uint64_t id, enum bt_call_state state)
{
        return id << BT_CALL_STATE_BITS | state;
}

static enum bt_call_state state_of(uint64_t word)
{
        return (enum bt_call_state)(word & ((1u << BT_CALL_STATE_BITS) - 1));
}

int bt_calls_init(struct bt_calls *calls, uint32_t count, size_t reply_bytes)
{
        calls->entries = aligned_alloc(alignof(struct bt_call), count * sizeof(*calls->entries));
        calls->room = calloc(count, reply_bytes);
        if (!calls->entries || !calls->room) {
                bt_calls_deinit(calls);
                return -ENOMEM;
        }
        memset(calls->entries, 0, count * sizeof(*calls->entries));
        calls->count = count;
        calls->reply_bytes = reply_bytes;
        for (uint32_t i = 0; i < count; i++) {
                calls->entries[i].data = calls->room + i * reply_bytes;
                bt_list_init(&calls->entries[i].node);
        }
        return 0;
}

void bt_calls_deinit(struct bt_calls *calls)
{
        free(calls->entries);
        free(calls->room);
        *calls = (struct bt_calls){0};
}

/* The table is larger than the nearest cache: the next entry is on its way before it is wanted. */
static void fetch_ahead(const struct bt_calls *calls, uint32_t idx)
{
        const char *call = (const char *)&calls->entries[idx < calls->count ? idx : 0];

        bt_cpu_fetch_to_write(call);
        bt_cpu_fetch_to_write(call + sizeof(struct bt_call) - 1);
}

struct bt_call *bt_call_begin(struct bt_calls *calls, uint64_t *ret_id, baton_done_fn done,
                              void *ctx, uint64_t deadline_ns)
{
        /* A place to begin looking, no more: of two threads that begin at the same one, the exchange below decides. */
        uint32_t idx = atomic_load_explicit(&calls->next, memory_order_relaxed);

        for (uint64_t left = (uint64_t)calls->count * TRIES; left; left--, idx++) {
                struct bt_call *call;
                uint64_t word, id;

                if (idx >= calls->count)
                        idx = 0;
                call = &calls->entries[idx];
                word = atomic_load_explicit(&call->word, memory_order_relaxed);
                id = ((word >> BT_CALL_STATE_BITS >> BT_CALL_IDX_BITS) + 1) << BT_CALL_IDX_BITS |
                     idx;
                if (state_of(word) != BT_CALL_FREE)
                        continue;
                /* Ours to fill in under FILLING, which no answer finds, because nobody knows the id. */
                if (!atomic_compare_exchange_strong(&call->word, &word,
                                                    word_of(id, BT_CALL_FILLING)))
                        continue;
                atomic_store_explicit(&call->done, done, memory_order_relaxed);
                call->ctx = ctx;
                atomic_store_explicit(&call->deadline_ns, deadline_ns, memory_order_relaxed);
                call->error = 0;
                atomic_store_explicit(&call->member, NULL, memory_order_relaxed);
                atomic_store_explicit(&call->place, 0, memory_order_relaxed);
                atomic_store_explicit(&call->waited, 0, memory_order_relaxed);
                bt_call_count(&call->begun, 1);
                atomic_store_explicit(&call->word, word_of(id, BT_CALL_PENDING),
                                      memory_order_release);
                atomic_store_explicit(&calls->next, idx + 1, memory_order_relaxed);
                fetch_ahead(calls, idx + 1);
                *ret_id = id;
                return call;
        }
        return NULL;
}

uint64_t bt_call_id(const struct bt_call *call, enum bt_call_state state)
{
        uint64_t word = atomic_load(&call->word);

        return state_of(word) == state ? word >> BT_CALL_STATE_BITS : 0;
}

static struct bt_call *entry_of(const struct bt_calls *calls, uint64_t id)
{
        uint64_t idx = id & ((1u << BT_CALL_IDX_BITS) - 1);

        return idx < calls->count ? &calls->entries[idx] : NULL;
}

struct bt_call *bt_call_find(const struct bt_calls *calls, uint64_t id)
{
        struct bt_call *call = entry_of(calls, id);
        uint64_t word = call ? atomic_load(&call->word) : 0;

        return call && word >> BT_CALL_STATE_BITS == id && state_of(word) != BT_CALL_FREE ? call
                                                                                          : NULL;
}

bool bt_call_drop(struct bt_call *call, uint64_t id)
{
        uint64_t word = word_of(id, BT_CALL_PENDING);

        return atomic_compare_exchange_strong(&call->word, &word, word_of(id, BT_CALL_FREE));
}

struct bt_call *bt_call_fill(const struct bt_calls *calls, uint64_t id)
{
        struct bt_call *call = entry_of(calls, id);
        uint64_t word = word_of(id, BT_CALL_PENDING);

        if (!call ||
            !atomic_compare_exchange_strong(&call->word, &word, word_of(id, BT_CALL_FILLING)))
                return NULL;
        return call;
}

void bt_call_filled(struct bt_call *call, uint64_t id)
{
        atomic_store(&call->word, word_of(id, BT_CALL_DONE));
}

void bt_call_keep(struct bt_call *call, uint64_t id)
{
        atomic_store_explicit(&call->word, word_of(id, BT_CALL_HELD), memory_order_release);
}

bool bt_call_is(const struct bt_call *call, uint64_t id, enum bt_call_state state)
{
        return atomic_load(&call->word) == word_of(id, state);
}

bool bt_call_hold(struct bt_call *call, uint64_t id)
{
        uint64_t word = word_of(id, BT_CALL_DONE);

        return atomic_compare_exchange_strong(&call->word, &word, word_of(id, BT_CALL_HELD));
}

void bt_call_free(struct bt_call *call, uint64_t id)
{
        atomic_store_explicit(&call->word, word_of(id, BT_CALL_FREE), memory_order_release);
}

void bt_call_count(_Atomic uint64_t *counter, int more)
{
        uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);

        atomic_store_explicit(counter, before + (uint64_t)more, memory_order_relaxed);
}

uint64_t bt_calls_sum(const struct bt_calls *calls, size_t counter_off)
{
        uint64_t sum = 0;

        for (uint32_t i = 0; i < calls->count; i++) {
                const char *call = (const char *)&calls->entries[i];

                sum += atomic_load_explicit(
                        (const _Atomic uint64_t *)(const void *)(call + counter_off),
                        memory_order_relaxed);
        }
        return sum;
}

void bt_call_copy(const struct bt_call *call, uint64_t id, const void *data,
                  struct baton_reply *reply)
{
        if (!reply)
                return;
        reply->bytes = call->bytes;
        reply->status = call->status;
        reply->call = id;
        if (reply->data)
                memcpy(reply->data, data, reply->room < call->bytes ? reply->room : call->bytes);
}
