/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor/loop/post.c: items from other threads. Built with ThreadSanitizer too: the queue is the only memory two threads share here.
 *
 * links: pthread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "tests/support/bell.h"

/* ---- posts ---- */

#define POSTERS 4
#define POSTS 50000

struct poster {
        struct bt_loop_sender *sender;
        pthread_t thread;
        int idx;
        int posts;
        int failed; /* W thread; read after join */
        atomic_int done;
        int received;
};

static struct poster posters[POSTERS];

static void *item_make(int idx, int number)
{
        return (void *)(uintptr_t)((unsigned)number * POSTERS + (unsigned)idx + 1);
}

static void *poster_main(void *arg)
{
        struct poster *poster = arg;

        for (int i = 0; i < poster->posts; i++) {
                if (bt_loop_post(poster->sender, item_make(poster->idx, i)) != 0)
                        poster->failed++;
                atomic_fetch_add(&poster->done, 1);
        }
        return NULL;
}

/* Each sender's items come in their order, none twice and none missing. */
static void on_item(void *ctx, void *item)
{
        uintptr_t value = (uintptr_t)item - 1;
        struct poster *poster = &posters[value % POSTERS];

        assert_int_equal(value / POSTERS, poster->received);
        poster->received++;
        ++*(int *)ctx;
}

static void poster_start(struct poster *poster, struct bt_loop *loop, int idx, int posts)
{
        *poster = (struct poster){.idx = idx, .posts = posts};
        assert_int_equal(bt_loop_sender_new(&poster->sender, loop), 0);
        assert_int_equal(pthread_create(&poster->thread, NULL, poster_main, poster), 0);
}

static void poster_end(struct poster *poster)
{
        assert_int_equal(pthread_join(poster->thread, NULL), 0);
        assert_int_equal(poster->failed, 0);
        assert_int_equal(poster->received, poster->posts);
        poster->sender = bt_loop_sender_free(poster->sender);
}

static void items_of_many_threads_arrive_in_order_and_none_is_lost(void **state)
{
        struct bt_loop *loop = loop_new();
        int received = 0;

        (void)state;
        bt_loop_on_post(loop, on_item, &received);
        for (int i = 0; i < POSTERS; i++)
                poster_start(&posters[i], loop, i, POSTS);
        while (received < POSTERS * POSTS)
                assert_int_equal(bt_loop_turn(loop), 0);
        for (int i = 0; i < POSTERS; i++)
                poster_end(&posters[i]);
        loop = bt_loop_free(loop);
}

/* One at a time, each answered before the next: every post has to wake the loop by itself. */
static void each_single_post_wakes_a_sleeping_loop(void **state)
{
        struct bt_loop *loop = loop_new();
        int received = 0;

        (void)state;
        bt_loop_on_post(loop, on_item, &received);
        for (int i = 1; i <= 200; i++) {
                poster_start(&posters[0], loop, 0, 1);
                while (received < i)
                        assert_int_equal(bt_loop_turn(loop), 0);
                poster_end(&posters[0]);
        }
        loop = bt_loop_free(loop);
}

static void a_sender_waits_at_its_bound_and_goes_on_when_there_is_room(void **state)
{
        struct bt_loop *loop = loop_new();
        int received = 0;

        (void)state;
        bt_loop_on_post(loop, on_item, &received);
        poster_start(&posters[0], loop, 0, BT_LOOP_POST_MAX + 5000);
        while (atomic_load(&posters[0].done) < BT_LOOP_POST_MAX)
                (void)sched_yield();
        /* It can get no further before a turn. */
        assert_int_equal(atomic_load(&posters[0].done), BT_LOOP_POST_MAX);
        assert_int_equal(received, 0);
        while (received < BT_LOOP_POST_MAX + 5000)
                assert_int_equal(bt_loop_turn(loop), 0);
        poster_end(&posters[0]);
        loop = bt_loop_free(loop);
}

/* The completion queue is full and overflown when the post is made. */
static void an_item_posted_into_a_full_completion_queue_arrives(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bell *bells = calloc(BELLS_MANY, sizeof(*bells));
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        int received = 0;

        (void)state;
        assert_non_null(bells);
        bt_loop_on_post(loop, on_item, &received);
        for (int i = 0; i < BELLS_MANY; i++) {
                bells[i].fd = -1;
                assert_int_equal(bt_loop_watch_fd(loop, &bells[i].watch, fd, POLLIN, on_bell), 0);
        }
        turn_without_waiting(loop);
        ring_bell(fd);
        overflow_queue(loop);
        poster_start(&posters[0], loop, 0, 10);
        while (atomic_load(&posters[0].done) < 10)
                (void)sched_yield();
        while (received < 10)
                assert_int_equal(bt_loop_turn(loop), 0);
        poster_end(&posters[0]);
        for (int i = 0; i < BELLS_MANY; i++)
                bt_loop_forget(&bells[i].watch);
        (void)bt_close(fd);
        free(bells);
        loop = bt_loop_free(loop);
}

static void on_item_free_sender(void *ctx, void *item)
{
        struct bt_loop_sender **sender = ctx;

        (void)item;
        *sender = bt_loop_sender_free(*sender);
}

static void a_sender_may_be_freed_in_the_call_of_its_item_and_drops_the_rest(void **state)
{
        struct bt_loop *loop = loop_new();
        struct bt_loop_sender *sender = NULL, *other = NULL;
        int item;

        (void)state;
        assert_int_equal(bt_loop_sender_new(&sender, loop), 0);
        assert_int_equal(bt_loop_sender_new(&other, loop), 0);
        bt_loop_on_post(loop, on_item_free_sender, &sender);
        for (int i = 0; i < 5; i++)
                assert_int_equal(bt_loop_post(sender, &item), 0);
        assert_int_equal(bt_loop_turn(loop), 0); /* a second call would free twice */
        assert_null(sender);
        other = bt_loop_sender_free(other);
        turn_without_waiting(loop);
        loop = bt_loop_free(loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(items_of_many_threads_arrive_in_order_and_none_is_lost),
                cmocka_unit_test(each_single_post_wakes_a_sleeping_loop),
                cmocka_unit_test(a_sender_waits_at_its_bound_and_goes_on_when_there_is_room),
                cmocka_unit_test(an_item_posted_into_a_full_completion_queue_arrives),
                cmocka_unit_test(a_sender_may_be_freed_in_the_call_of_its_item_and_drops_the_rest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
