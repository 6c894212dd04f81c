/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of this folder share. Nobody else includes it, except the unit test of the refusal sentences. */

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "supervisor/loop/loop.h"

/*
 * 256 submissions are queued before an extra system call is needed: more than a turn of a hub with 100 children makes. The completion queue is
 * larger, because 10 000 multishot polls can all fire between two turns; past it the kernel keeps completions in a list of its own (NODROP). Its size also
 * decides how many lists the kernel has to look for a poll in when it is cancelled: 256 from 8192 on, and never more.
 */
#define BT_LOOP_SQ_ENTRIES 256
#define BT_LOOP_CQ_ENTRIES 8192

/* FUTEX_WAIT is younger than liburing 2.3. */
#define BT_LOOP_OP_FUTEX_WAIT 51
#define BT_LOOP_FUTEX2_SIZE_U32 0x02 /* and no PRIVATE bit: the word is shared */
#define BT_LOOP_FUTEX_MATCH_ANY UINT32_MAX

/* user_data of submissions whose completions nobody waits for. Slot 0 is never given out. */
#define BT_LOOP_HANDLE_NONE UINT64_C(0)

/* ---- slots (watch.c): what a handle in user_data points to ---- */

#define BT_LOOP_BLOCK_SLOTS 256
#define BT_LOOP_BLOCKS_MAX 4096 /* 1 048 576 watches: the kernel's default limit of descriptors (fs.nr_open) */

struct bt_loop_slot {
        struct bt_list ready;        /* in loop->ready, or in the list that is being dispatched */
        struct bt_loop_watch *watch; /* NULL: free */
        const uint32_t *word;        /* NULL: a poll; else a futex wait */
        uint32_t generation;
        uint32_t slot_idx;
        uint32_t next_free;
        uint32_t events; /* gathered since the last call */
        bool ended;      /* the kernel will send no more for this handle */
        bool refused;    /* ... because it cannot */
};

/* ---- timers (timer.c) ---- */

struct bt_loop_heap_entry {
        uint64_t deadline_ns; /* a copy: comparing touches no timer's memory */
        struct bt_loop_timer *timer;
};

struct bt_loop {
        struct io_uring ring;
        uint64_t now_ns;
        bool polled; /* somebody polls the ring's descriptor: completions are not put off */
        bool ring_up;
        bool turning;
        bool has_futex;

        struct bt_loop_slot **blocks; /* never moved: slots have stable addresses */
        uint32_t block_count;
        uint32_t free_slot; /* head of a list through next_free; 0: none */
        struct bt_list ready;

        struct bt_loop_heap_entry *heap; /* [1..heap_count] */
        uint32_t heap_count;
        uint32_t heap_room;

        struct bt_list senders;
        struct bt_loop_post_target {
                bt_loop_post_fn fn;
                void *ctx;
        } on_post;
        struct bt_loop_sender *draining; /* whose item is being called back; NULL when that one was freed meanwhile */
};

/* loop.c */

/* Room for one submission, made by submitting when there is none. NULL only when the kernel is out of memory. */
struct io_uring_sqe *bt_loop_sqe(struct bt_loop *loop);
void bt_loop_reap(struct bt_loop *loop);

/* probe.c */

/* What the host says about io_uring; gathered apart from its use, so that each sentence can be tested on any host. */
struct bt_loop_host {
        char release[64];
        int disabled; /* kernel.io_uring_disabled; -1: the kernel has no such switch */
        int seccomp;  /* "Seccomp:" of /proc/self/status: 2 is a filter; -1: unknown */
};
void bt_loop_host_read(struct bt_loop_host *ret_host);
/* @call: the refused system call, @err: positive errno. Writes the sentence and returns -@err. */
int bt_loop_refusal(char reason[BT_LOOP_REASON_BYTES], const struct bt_loop_host *host, const char *call, int err);
int bt_loop_ring_up(struct bt_loop *loop, char reason[BT_LOOP_REASON_BYTES]);

/* watch.c */
void bt_loop_slot_complete(struct bt_loop *loop, uint64_t handle, int res, uint32_t flags);
int bt_loop_watch_dispatch(struct bt_loop *loop);
void bt_loop_watch_deinit(struct bt_loop *loop);

/* timer.c */
uint64_t bt_loop_timer_next(const struct bt_loop *loop); /* BT_NS_NEVER: none */
void bt_loop_timer_dispatch(struct bt_loop *loop);
void bt_loop_timer_deinit(struct bt_loop *loop);

/* post.c */
void bt_loop_post_dispatch(struct bt_loop *loop);
