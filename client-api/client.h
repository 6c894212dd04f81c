/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The handle behind <baton/client.h>, shared by the files of this folder only.
 *
 *      push path (send.c, route.c)      any thread, no lock: a target's members are an array that is replaced, never changed; a member is never unmapped
 *                                       before the client is closed
 *      answers (wait.c)                 one thread at a time has @pump: it reads the reply ring and delivers to the table of calls
 *      between the two                  what a removal has to see of a call under way, and a second thread of a first one, is stored without a fence: the one
 *                                       that seldom comes has a barrier for all threads (base/barrier.h)
 *      the hub (attach.c), the rest     under @lock
 *
 * A member that was removed keeps its mapping, because another thread may be in it: the hub gives the memory behind it back (the mailbox is emptied when
 * its child is removed), what stays is address space and one page. Counting the threads that are inside would cost two shared writes a message.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/un.h>

#include <baton/client.h>

#include "base/list.h"
#include "client-api/calls.h"
#include "shm/attach.h"
#include "shm/mailbox.h"

/* A child's mailbox, mapped. */
struct bt_member {
        struct bt_list node; /* in the client's members; under @lock */
        char id[64];
        /* Of the segment: a child of that name that comes later is another member. */
        uint64_t epoch;
        uint64_t hash; /* of @id */
        struct bt_seg seg;
        struct bt_mailbox_view view;
        int bell;
        _Atomic uint32_t owed; /* 1: something was sent quietly */
        _Atomic uint32_t gone; /* 1: removed. Never 0 again */
        bool seen;             /* by the hub that we attached to last; under @lock */
};

struct bt_members {
        struct bt_members *before; /* the array that this one replaced: others may be reading it */
        uint32_t count;
        struct bt_member *at[];
};

enum bt_target_is {
        BT_TARGET_ASKED = 0,
        BT_TARGET_OPENED = 1,
        BT_TARGET_REFUSED = 2,
};

struct baton_target {
        struct baton_client *client;
        char name[64];
        uint64_t token;
        enum baton_pick pick;
        enum bt_target_is is; /* under @lock, as the next two */
        int error;
        char why[BATON_WHY_BYTES];
        _Atomic(struct bt_members *) members;
        _Atomic uint32_t turn; /* round robin */
};

struct baton_client {
        pthread_mutex_t lock;
        _Atomic uint32_t pump; /* 1: a thread has it. Only ever tried, so nobody sleeps for it */
        _Atomic uint32_t
                crowded; /* 1: more than one thread waits, or the program polls; never 0 again. See wait.c */
        bool fenced; /* there is no barrier for all threads (base/barrier.h): stores that others must see are fences, each time */
        uint32_t forks; /* of this process, at open */
        struct baton_client_options options;

        /* the hub */
        struct sockaddr_un hub;
        int conn;             /* -1: no hub */
        _Atomic bool welcome; /* this hub has let us in */
        bool refused;         /* for good */
        int refused_error;
        char why[BATON_WHY_BYTES];
        int timer; /* timerfd: ticks while there is no hub, and while calls with a done() have deadlines */
        _Atomic uint32_t timed; /* 1: it ticks */
        struct baton_target targets[BT_ATTACH_TARGETS_MAX];
        uint32_t target_count;
        struct bt_list members;

        /* ourselves */
        uint32_t number;
        int seg_fd;
        struct bt_seg seg;
        struct bt_mailbox_view ring; /* of answers */
        int bell;
        _Atomic uint64_t cursor; /* in @ring; moved under @pump */
        char *answer;            /* room for one; under @pump */
        void *region;            /* region.c; under @lock */

        /* calls */
        struct bt_calls calls;
        /* Threads that sleep while another has the pump; under @lock, as @done. */
        struct bt_list followers;
        _Atomic uint32_t follower_count;
        _Atomic uint32_t removed; /* 1: members were removed, and their calls are not failed yet */
        struct bt_list done;      /* answered, done() was not run yet */
        int nudge;                /* eventfd: something is in @done */
        /* 1: the program has asked for @epoll: answers must ring also while nobody waits */
        _Atomic uint32_t polled;
        int epoll; /* what the program polls: bell, conn, timer, nudge */

        _Atomic uint64_t late, full, attached;
};

/* client.c */
bool bt_clients_forked(const struct baton_client *client);
int bt_attach_watch(const struct baton_client *client); /* its connection, with what is polled */

/* attach.c */
int bt_attach_address(struct sockaddr_un *ret_addr, const char *hub);
int bt_attach_open(struct baton_client *client); /* connects, and waits to be let in */
/* What the hub said. @ticked: and if there is none, looks for one. Under @lock; never blocks. */
void bt_attach_read(struct baton_client *client, bool ticked);
/* Asks for it, and waits. Under @lock, released meanwhile. */
int bt_attach_target(struct baton_client *client, struct baton_target *target);

/* route.c */
/* Who gets the next message; NULL: nobody is left. */
struct bt_member *bt_route(struct baton_target *target, uint64_t key);
void bt_member_ring(struct bt_member *member);
bool bt_member_closed(const struct bt_member *member);
/* A member of that name that is not gone, and not @but. */
struct bt_member *bt_member_find(struct baton_client *client, const char *id,
                                 const struct bt_member *but);
/* Takes both descriptors. */
int bt_member_new(struct bt_member **ret_member, struct baton_client *client, const char *id,
                  int fd, int bell);
void bt_member_free(struct bt_member *member); /* one that nobody knows yet */
/* From all targets; what it owed is answered with GONE. */
void bt_member_remove(struct baton_client *client, struct bt_member *member);
bool bt_target_has(const struct baton_target *target, const struct bt_member *member);
int bt_target_add(struct baton_target *target, struct bt_member *member);
void bt_target_prune(struct baton_target *target); /* without those that are gone */
void bt_targets_free(struct baton_client *client);

/* wait.c */
/* The call that a thread waits for: when it reads the ring itself the answer goes straight to @reply, and the entry is free. */
struct bt_own {
        uint64_t id;
        struct baton_reply *reply; /* NULL: not wanted */
        bool got;
};

/* Waits for a call's answer. 0: own->got, or it is in the entry; -ETIMEDOUT; it is not dropped. */
int bt_wait(struct baton_client *client, struct bt_call *call, struct bt_own *own,
            uint64_t deadline_ns);
void bt_wait_begin_polled(struct baton_client *client);
/* Members were removed: their calls are failed by whoever reads answers next. */
void bt_calls_gone(struct baton_client *client);
/* DONE: the answer is not wanted. False: it is not done, or somebody has it. */
bool bt_call_discard(struct baton_client *client, struct bt_call *call, uint64_t id);
void bt_watch_deadlines(struct baton_client *client);
void bt_timer_tick(const struct baton_client *client, bool on);

/* region.c */
int bt_region_open(struct baton_client *client);
void bt_region_close(struct baton_client *client);
/* Where @large lies in the region. 0, or -EINVAL: not inside. */
int bt_region_find(const struct baton_client *client, const void *large, size_t bytes,
                   uint64_t *ret_off);
