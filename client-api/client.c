/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a client, its targets, its numbers. */
#include "client-api/client.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#define TIMEOUT_NS (5 * BT_NS_PER_S)

/* ---- forks: a copy has the descriptors and the mappings, and must use neither ---- */

static _Atomic uint32_t fork_count;

static void forked_in_child(void)
{
        atomic_fetch_add_explicit(&fork_count, 1, memory_order_relaxed);
}

static void watch_forks_once(void)
{
        (void)pthread_atfork(NULL, NULL, forked_in_child);
}

static void watch_forks(void)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void)pthread_once(&once, watch_forks_once);
}

bool bt_clients_forked(const struct baton_client *client)
{
        return atomic_load_explicit(&fork_count, memory_order_relaxed) != client->forks;
}

/* ---- open, close ---- */

static bool one_processor(void)
{
        cpu_set_t set;

        return sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 2;
}

/* The caller's options with the defaults filled in. 0 or -EINVAL. */
static int options_read(struct baton_client_options *ret_options,
                        const struct baton_client_options *options)
{
        struct baton_client_options o = {.size = sizeof(o)};

        if (options && options->size < sizeof(*options))
                return -EINVAL;
        if (options)
                o = *options;
        if (!o.calls)
                o.calls = BATON_CLIENT_CALLS_DEFAULT;
        if (!o.reply_bytes)
                o.reply_bytes = BATON_CLIENT_REPLY_DEFAULT;
        if (!o.timeout_ns)
                o.timeout_ns = TIMEOUT_NS;
        if (!o.spin_ns)
                o.spin_ns = BATON_CLIENT_SPIN_DEFAULT;
        if (o.spin_ns == BATON_CLIENT_SPIN_NONE || one_processor())
                o.spin_ns = 0; /* watching would keep who answers from running */
        if (o.calls > BATON_CLIENT_CALLS_MAX || o.reply_bytes > BATON_CLIENT_REPLY_MAX ||
            o.region_bytes > BT_MAILBOX_REGION_MAX)
                return -EINVAL;
        *ret_options = o;
        return 0;
}

/* The reply ring has a power of two of slots, two for each call. */
static uint32_t round_up(uint32_t calls)
{
        uint32_t count = 1;

        while (count < calls)
                count *= 2;
        return count;
}

static int watch(const struct baton_client *client, int fd)
{
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        return epoll_ctl(client->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int bt_attach_watch(const struct baton_client *client)
{
        return watch(client, client->conn);
}

static int open_fds(struct baton_client *client)
{
        int r;

        client->epoll = epoll_create1(EPOLL_CLOEXEC);
        client->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        client->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (client->epoll < 0 || client->timer < 0 || client->nudge < 0)
                return -errno;
        r = watch(client, client->timer);
        return r ? r : watch(client, client->nudge);
}

/* What the hub gave us. */
static int open_self(struct baton_client *client)
{
        int r;

        client->answer = aligned_alloc(8, (client->ring.payload_bytes + 7u) & ~(size_t)7);
        if (!client->answer)
                return -ENOMEM;
        if (client->ring.payload_bytes > client->calls.reply_bytes)
                return -EPROTO;
        r = watch(client, client->bell);
        return r ? r : bt_region_open(client);
}

struct baton_client *baton_client_close(struct baton_client *client)
{
        if (!client)
                return NULL;
        client->conn = bt_close(client->conn);
        bt_targets_free(client);
        bt_region_close(client);
        bt_calls_deinit(&client->calls);
        bt_seg_detach(&client->seg);
        free(client->answer);
        (void)bt_close(client->seg_fd);
        (void)bt_close(client->bell);
        (void)bt_close(client->timer);
        (void)bt_close(client->nudge);
        (void)bt_close(client->epoll);
        (void)pthread_mutex_destroy(&client->lock);
        free(client);
        return NULL;
}

static void client_closep(struct baton_client **client)
{
        *client = baton_client_close(*client);
}

static struct baton_client *client_new(void)
{
        struct baton_client *client = calloc(1, sizeof(*client));

        if (!client)
                return NULL;
        client->conn = client->seg_fd = client->bell = client->timer = client->nudge =
                client->epoll = -1;
        (void)pthread_mutex_init(&client->lock, NULL);
        bt_list_init(&client->members);
        bt_list_init(&client->followers);
        bt_list_init(&client->done);
        client->fenced = !bt_barrier_init();
        atomic_store(&client->crowded, client->fenced);
        watch_forks();
        client->forks = atomic_load(&fork_count);
        return client;
}

static int client_open(struct baton_client *client, const char *hub,
                       const struct baton_client_options *options)
{
        int r = options_read(&client->options, options);

        if (!r)
                r = bt_attach_address(&client->hub, hub);
        if (!r)
                r = bt_calls_init(&client->calls, round_up(client->options.calls),
                                  client->options.reply_bytes);
        if (!r)
                r = open_fds(client);
        if (r)
                return r;
        pthread_mutex_lock(&client->lock);
        r = bt_attach_open(client);
        pthread_mutex_unlock(&client->lock);
        return r ? r : open_self(client);
}

static int tell_why(char why[BATON_WHY_BYTES], const char *text, int r)
{
        if (r && why)
                (void)snprintf(why, BATON_WHY_BYTES, "%s", *text ? text : baton_strerror(r));
        return r;
}

int baton_client_open(struct baton_client **ret_client, const char *hub,
                      const struct baton_client_options *options, char why[BATON_WHY_BYTES])
{
        BT_CLEANUP(client_closep) struct baton_client *client = client_new();
        int r;

        if (!client)
                return tell_why(why, "", -ENOMEM);
        r = ret_client ? client_open(client, hub, options) : -EINVAL;
        if (!r)
                *ret_client = BT_STEAL(client);
        return tell_why(why, r ? client->why : "", r);
}

/* ---- targets ---- */

static bool name_valid(const char *name)
{
        return name && *name && strlen(name) <= BATON_ID_BYTES_MAX;
}

/* That of the name, or a new one; NULL: there are too many. A name that was refused may be asked for again. Under @lock. */
static struct baton_target *target_get(struct baton_client *client, const char *name,
                                       enum baton_pick pick)
{
        struct baton_target *target;

        for (uint32_t i = 0; i < client->target_count; i++) {
                target = &client->targets[i];
                if (strcmp(target->name, name) != 0 ||
                    (target->pick != pick && target->is != BT_TARGET_REFUSED))
                        continue;
                if (target->is == BT_TARGET_REFUSED) {
                        target->is = BT_TARGET_ASKED;
                        target->pick = pick;
                }
                return target;
        }
        if (client->target_count == BT_ATTACH_TARGETS_MAX)
                return NULL;
        target = &client->targets[client->target_count++];
        target->client = client;
        target->pick = pick;
        target->token = client->target_count;
        (void)snprintf(target->name, sizeof(target->name), "%s", name);
        return target;
}

int baton_client_target(struct baton_target **ret_target, struct baton_client *client,
                        const char *name, const struct baton_target_options *options,
                        char why[BATON_WHY_BYTES])
{
        enum baton_pick pick = options ? (enum baton_pick)options->pick : BATON_PICK_LEAST_QUEUED;
        struct baton_target *target;
        char text[BATON_WHY_BYTES] = "";
        int r;

        if (!ret_target || !client || !name_valid(name) ||
            (options && options->size < sizeof(*options)) || pick >= _BATON_PICK_N)
                return tell_why(why, "", -EINVAL);
        if (bt_clients_forked(client))
                return tell_why(why, "", -BATON_E_FORKED);
        pthread_mutex_lock(&client->lock);
        target = target_get(client, name, pick);
        r = target ? bt_attach_target(client, target) : -ENOSPC;
        if (r && target)
                (void)snprintf(text, sizeof(text), "%s", target->why);
        pthread_mutex_unlock(&client->lock);
        if (!r)
                *ret_target = target;
        return tell_why(why, text, r);
}

size_t baton_target_bytes_max(const struct baton_target *target)
{
        const struct bt_members *members = target ? atomic_load(&target->members) : NULL;
        size_t least = SIZE_MAX;

        for (uint32_t i = 0; members && i < members->count; i++) {
                if (members->at[i]->view.payload_bytes < least)
                        least = members->at[i]->view.payload_bytes;
        }
        return least == SIZE_MAX ? 0 : least;
}

/* ---- an event loop, numbers ---- */

int baton_client_fd(struct baton_client *client)
{
        if (!client || bt_clients_forked(client))
                return -1;
        if (!atomic_exchange(&client->polled, 1))
                bt_wait_begin_polled(client);
        return client->epoll;
}

void baton_client_stats(const struct baton_client *client, struct baton_client_stats *ret_stats)
{
        *ret_stats = (struct baton_client_stats){
                .size = sizeof(*ret_stats),
                .calls = bt_calls_sum(&client->calls, offsetof(struct bt_call, begun)),
                .answered = bt_calls_sum(&client->calls, offsetof(struct bt_call, answered)),
                .late = atomic_load(&client->late),
                .full = atomic_load(&client->full),
                .attached = atomic_load(&client->attached),
                .hub = client->welcome,
                .number = client->number,
        };
}

void baton_target_stats(const struct baton_target *target, struct baton_target_stats *ret_stats)
{
        const struct bt_members *members = atomic_load(&target->members);

        *ret_stats = (struct baton_target_stats){.size = sizeof(*ret_stats)};
        for (uint32_t i = 0; members && i < members->count; i++) {
                const struct bt_member *member = members->at[i];

                if (bt_member_closed(member))
                        continue;
                ret_stats->members++;
                ret_stats->swapping += atomic_load(&member->view.mb->gate) == BT_MAILBOX_SWAPPING;
                ret_stats->queued += bt_mailbox_depth(&member->view);
                ret_stats->capacity += member->view.slot_count;
        }
}
