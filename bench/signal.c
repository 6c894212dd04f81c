/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does a message between hub and child cost, there and back?
 *
 *      link:    a record into the ring of a link page, the other's bell (an eventfd) rung; the other sleeps in poll(), reads its bell, takes the
 *               record, answers the same way. What hub and child do for READY, RESTORED, CHECKPOINT and the like
 *      eventfd: the bells alone, read() and write()
 *      futex:   one word in shared memory each way
 *
 * in turns, by batches, on one processor, on two, and wherever the kernel puts them. The hub's loop is not in it: the hub waits for its bells with
 * io_uring, which costs what poll() costs within the noise; what it does with a message is in the other questions.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "bench/options.h"
#include "bench/out.h"
#include "bench/process.h"
#include "bench/question.h"
#include "shm/futex.h"
#include "shm/link.h"

#define BATCH 20

enum way {
        WAY_LINK,
        WAY_EVENTFD,
        WAY_FUTEX,
        _WAY_N
};

struct line {
        struct bt_seg seg;
        struct bt_link *link;
        int bells[2];            /* to the hub's side, to the child's */
        _Atomic uint32_t *words; /* the same, 64 bytes from each other */
        pid_t child;
};

#define WORD(line, side) (&(line)->words[(size_t)(side) * 16])

/* ---- one message ---- */

static void wait_readable(int fd)
{
        struct pollfd fds = {.fd = fd, .events = POLLIN};

        (void)poll(&fds, 1, -1);
}

static void ring(int bell)
{
        const uint64_t one = 1;

        (void)!write(bell, &one, sizeof(one));
}

static void link_send(struct line *line, struct bt_ring_end *end, int side)
{
        const struct bt_rec rec = {.type = BT_MSG_CHECKPOINT};

        (void)bt_ring_push(end, &rec);
        ring(line->bells[side]);
}

/* False: the record is not what was sent. */
static bool link_receive(struct line *line, struct bt_ring_end *end, int side)
{
        struct bt_rec rec = {0};
        uint64_t count;

        while (bt_ring_pop(end, &rec) == BT_RING_E_EMPTY) {
                wait_readable(line->bells[side]);
                (void)!read(line->bells[side], &count, sizeof(count));
        }
        return rec.type == BT_MSG_CHECKPOINT;
}

static void futex_wait(const _Atomic uint32_t *word, uint32_t seen)
{
        const struct bt_futex_word wait = {.word = word, .expected = seen};

        while (atomic_load(word) == seen)
                (void)bt_futex_wait(&wait, 1, BT_NS_NEVER);
}

static void futex_post(_Atomic uint32_t *word)
{
        (void)atomic_fetch_add(word, 1);
        bt_futex_wake(word);
}

static void eventfd_wait(int bell)
{
        uint64_t count;

        wait_readable(bell);
        (void)!read(bell, &count, sizeof(count));
}

/* ---- the other side ---- */

__attribute__((noreturn)) static void echo(struct line *line, enum way way)
{
        struct bt_ring_end in, out;
        uint32_t seen = atomic_load(WORD(line, 1));

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        bt_ring_end_init_pop(&in, &line->link->to_child);
        bt_ring_end_init_push(&out, &line->link->to_hub);
        for (;;) {
                switch (way) {
                case WAY_LINK:
                        (void)link_receive(line, &in, 1);
                        link_send(line, &out, 0);
                        break;
                case WAY_EVENTFD:
                        eventfd_wait(line->bells[1]);
                        ring(line->bells[0]);
                        break;
                default:
                        futex_wait(WORD(line, 1), seen++);
                        futex_post(WORD(line, 0));
                }
        }
}

/* ---- our side ---- */

static int batch_measure(struct line *line, enum way way, struct bench_hist *hist)
{
        struct bt_ring_end in, out;
        uint32_t seen = atomic_load(WORD(line, 0));

        bt_ring_end_init_push(&out, &line->link->to_child);
        bt_ring_end_init_pop(&in, &line->link->to_hub);
        for (int i = 0; i < BATCH; i++) {
                uint64_t begun = bt_now_ns();

                switch (way) {
                case WAY_LINK:
                        link_send(line, &out, 1);
                        if (!link_receive(line, &in, 0))
                                return -EPROTO;
                        break;
                case WAY_EVENTFD:
                        ring(line->bells[1]);
                        eventfd_wait(line->bells[0]);
                        break;
                default:
                        futex_post(WORD(line, 1));
                        futex_wait(WORD(line, 0), seen++);
                }
                if (hist)
                        bench_hist_add(hist, bt_now_ns() - begun);
        }
        return 0;
}

static int line_open(struct line *line, enum way way, int cpu)
{
        int fd = -1, r = bt_link_create(&line->seg, &fd, 1, 0);

        (void)bt_close(fd);
        if (r)
                return r;
        line->link = (struct bt_link *)line->seg.at;
        line->words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        for (int i = 0; i < 2; i++)
                line->bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (line->words == MAP_FAILED || line->bells[0] < 0 || line->bells[1] < 0)
                return -errno;
        line->child = fork();
        if (line->child == 0) {
                cpu_set_t set;

                CPU_ZERO(&set);
                CPU_SET((size_t)(cpu < 0 ? 0 : cpu), &set);
                if (cpu >= 0)
                        (void)sched_setaffinity(0, sizeof(set), &set);
                echo(line, way);
        }
        return line->child < 0 ? -errno : 0;
}

static void line_close(struct line *line)
{
        if (line->child > 0) {
                (void)kill(line->child, SIGKILL);
                (void)waitpid(line->child, NULL, 0);
        }
        for (int i = 0; i < 2; i++)
                line->bells[i] = bt_close(line->bells[i]);
        bt_seg_detach(&line->seg);
}

/* ---- placements ---- */

struct placement {
        const char *name;
        int cpus[2]; /* ours, the other's; -1: wherever */
};

static void pair_out(struct bench_out *out, const char *name, const struct bench_hist *measured,
                     const struct bench_hist *floor)
{
        static struct bench_pair pair;

        pair = (struct bench_pair){.name = name, .measured = *measured, .floor = *floor};
        bench_out_pair(out, &pair);
}

static int placement_measure(struct bench_out *out, const struct placement *place, uint32_t batches)
{
        static struct bench_hist hists[_WAY_N];
        struct line lines[_WAY_N] = {0};
        cpu_set_t before = {0}, set;
        char name[2][48];
        int r = sched_getaffinity(0, sizeof(before), &before) < 0 ? -errno : 0;

        memset(hists, 0, sizeof(hists));
        for (int way = 0; !r && way < _WAY_N; way++)
                r = line_open(&lines[way], (enum way)way, place->cpus[1]);
        CPU_ZERO(&set);
        CPU_SET((size_t)(place->cpus[0] < 0 ? 0 : place->cpus[0]), &set);
        if (!r && place->cpus[0] >= 0 && sched_setaffinity(0, sizeof(set), &set) < 0)
                r = -errno;
        for (uint32_t i = 0; !r && i < batches + 1; i++) {
                for (int way = 0; !r && way < _WAY_N; way++)
                        r = bench_interrupted() ? -EINTR
                                                : batch_measure(&lines[way], (enum way)way,
                                                                i ? &hists[way] : NULL);
        }
        for (int way = 0; way < _WAY_N; way++)
                line_close(&lines[way]);
        (void)sched_setaffinity(0, sizeof(before), &before);
        if (r)
                return r;
        (void)snprintf(name[0], sizeof(name[0]), "link-eventfd/%s", place->name);
        (void)snprintf(name[1], sizeof(name[1]), "link-futex/%s", place->name);
        pair_out(out, name[0], &hists[WAY_LINK], &hists[WAY_EVENTFD]);
        pair_out(out, name[1], &hists[WAY_LINK], &hists[WAY_FUTEX]);
        return 0;
}

/* The first and the last processor that we may use. */
static int placements_make(struct placement places[3])
{
        int first = -1, last = -1;
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                return -errno;
        for (int i = 0; i < CPU_SETSIZE; i++) {
                if (!CPU_ISSET((size_t)i, &set))
                        continue;
                first = first < 0 ? i : first;
                last = i;
        }
        places[0] = (struct placement){"one-cpu", {first, first}};
        places[1] = (struct placement){"two-cpus", {first, last}};
        places[2] = (struct placement){"free", {-1, -1}};
        return 0;
}

int bench_signal_main(int argc, char **argv)
{
        struct bench_options options = BENCH_OPTIONS_INIT;
        struct placement places[3] = {0};
        struct bench_out out;
        uint32_t batches;
        int r;

        bench_options_parse(&options,
                            "What does a message between hub and child cost, there and back?", argc,
                            argv);
        batches = (bench_options_rounds(&options, 10000, 200) + BATCH - 1) / BATCH;
        r = bench_out_open(&out, "signal", "a message between hub and child, there and back",
                           options.json);
        if (r)
                return 1;
        bench_out_pair_head(&out);
        r = bench_process_guard();
        if (!r)
                r = placements_make(places);
        for (size_t i = 0; !r && i < BT_ARRAY_LEN(places); i++)
                r = placement_measure(&out, &places[i], batches);
        if (r && !bench_interrupted())
                bench_complain("messages could not be measured: %s", strerrordesc_np(-r));
        return bench_out_close(&out, r);
}
