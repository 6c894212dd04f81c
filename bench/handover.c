/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For how long does nobody serve?
 *
 * For each form and size of state one real hub runs one real child (probe.c), whose state is filled to that size. Then, for each strategy:
 *
 *      floor, swap, floor, swap, floor, swap, ...
 *
 * in turns, because a virtual machine is not the same machine a minute later: what drifts, drifts for both. The first rounds of each series are warm-up
 * and not counted. Between two rounds everything of the last one is gone (the predecessor's exit is waited for: taking down a gigabyte
 * of page tables keeps a processor busy for long after the swap) and everybody else sleeps.
 *
 * A cold swap comes in three forms: its successor is started first and held before its first line (cold), is started after the predecessor's end (unheld), or is a
 * spare. What a command waits for, with the start of the process in it wherever that lies, is the total.
 *
 * The floor of a hot swap is one futex word between two bare processes, with the same policy of waiting and the same surroundings: they map as much shared
 * memory as the arena has, populated just before, because what populating does to a machine's caches is not the hand-over's doing. Of a
 * cold swap, a bare process that ends, its exit seen by pidfd, and vfork and exec of another one up to its first line; it has no memory. A spare has nothing
 * left to execute, so its floor is that of a hot swap. No floor looks into
 * a state: that an arena costs the same at any size is what is to be shown. A blob is copied, so it gets the time of one memcpy of its size beside its floor.
 *
 * Dropped: stamps from outside, by a client over a socket. A client's round trip on two processors is 20 times the blackout, and mostly its own
 * wake-up; what a client sees is the question of another benchmark.
 */
#include "bench/handover.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench/floor.h"
#include "bench/hub.h"

static void series_add(struct bench_series *series, const struct bench_swap *swap, uint64_t floor_ns, const struct bench_handover *how)
{
        const struct bench_stamps *at = &swap->stamps;
        const uint64_t parts[_BENCH_PART_N] = {
                [BENCH_PART_NOTICE] = at->capture - at->last,
                [BENCH_PART_PASS] = at->restore - at->capture,
                [BENCH_PART_RESTORE] = at->serve - at->restore,
                [BENCH_PART_SERVE] = at->first - at->serve,
        };

        series->rounds++;
        bench_hist_add(&series->floor, floor_ns);
        bench_hist_add(&series->blackout, at->first - at->last);
        bench_hist_add(&series->pause, swap->pause_ns);
        bench_hist_add(&series->total, swap->total_ns);
        for (size_t i = 0; i < _BENCH_PART_N; i++)
                bench_hist_add(&series->parts[i], parts[i]);
        bench_report_round(how, series, floor_ns, at->first - at->last, parts);
}

/* The stamps of one swap follow each other, and the hub's pause lies inside them; else something other than a swap was measured. */
static int swap_plausible(const struct bench_swap *swap)
{
        const struct bench_stamps *at = &swap->stamps;

        if (at->last <= at->capture && at->capture <= at->restore && at->restore <= at->serve && at->serve <= at->first &&
            swap->pause_ns <= at->first - at->last && swap->total_ns <= swap->asked_ns)
                return 0;
        bench_complain("times that cannot be: last %" PRIu64 " capture %" PRIu64 " restore %" PRIu64 " serve %" PRIu64 " first %" PRIu64
                       ", pause %" PRIu64 " total %" PRIu64 " asked %" PRIu64,
                       at->last, at->capture, at->restore, at->serve, at->first, swap->pause_ns, swap->total_ns, swap->asked_ns);
        return -EPROTO;
}

/* The floor is a word that is handed over. */
static bool by_hand(const struct bench_series *series)
{
        return series->strategy == BENCH_HOT || series->strategy == BENCH_SPARE;
}

static int round_measure(struct bench_series *series, struct bench_floor *floor, struct bench_hub *hub, bool counts,
                         const struct bench_handover *how)
{
        struct bench_swap swap;
        uint64_t floor_ns = 0, copy_ns = 0;
        int r = by_hand(series) ? bench_floor_hand(floor, &floor_ns) : bench_floor_start(floor, &floor_ns);

        if (r)
                return r;
        if (floor->copy_bytes)
                copy_ns = bench_floor_copy(floor);
        r = bench_hub_swap(hub, series->strategy == BENCH_HOT, &swap);
        if (!r)
                r = swap_plausible(&swap);
        if (r || !counts)
                return r;
        if (floor->copy_bytes)
                bench_hist_add(&series->copy, copy_ns);
        series_add(series, &swap, floor_ns, how);
        return 0;
}

static int series_measure(struct bench_series *series, struct bench_hub *hub, const struct bench_handover *how)
{
        BT_CLEANUP(bench_floor_close) struct bench_floor floor = BENCH_FLOOR_NULL;
        uint32_t cpu = bench_handover_cpu(how);
        int r = by_hand(series) ? bench_floor_open_hand(&floor, series->form == BATON_STATE_ARENA ? series->bytes : 0, cpu) :
                              bench_floor_open_start(&floor, cpu);

        if (!r && series->form == BATON_STATE_BLOB)
                r = bench_floor_open_copy(&floor, series->bytes);
        for (uint32_t i = 0; !r && i < how->warmup + how->rounds; i++)
                r = bench_interrupted() ? -EINTR : round_measure(series, &floor, hub, i >= how->warmup, how);
        return r ? r : bench_hub_check(hub);
}

static int strategy_measure(struct bench_series *series, uint32_t *ret_count, const struct bench_handover *how, struct bench_hub *hub,
                            const struct bench_subject *subject, enum bench_strategy strategy)
{
        int r;

        *series = (struct bench_series){.form = subject->form, .bytes = subject->bytes, .connections = subject->connections, .strategy = strategy};
        r = series_measure(series, hub, how);
        if (r)
                return r;
        bench_report_series(how, series);
        (*ret_count)++;
        return 0;
}

/* Those between @first and @last, over one hub. */
static int hub_measure(struct bench_series *series, uint32_t *ret_count, const struct bench_handover *how, struct bench_subject subject,
                       enum bench_strategy first, enum bench_strategy last)
{
        BT_CLEANUP(bench_hub_stop) struct bench_hub hub = BENCH_HUB_NULL;
        bool started = false;
        int r = 0;

        subject.unheld = first == BENCH_UNHELD;
        subject.spare = first == BENCH_SPARE;
        for (int strategy = (int)first; !r && strategy <= (int)last; strategy++) {
                if (!how->strategies[strategy])
                        continue;
                if (!started)
                        r = bench_hub_start(&hub, &subject);
                started = true;
                if (!r)
                        r = strategy_measure(series + *ret_count, ret_count, how, &hub, &subject, (enum bench_strategy)strategy);
        }
        return r;
}

/* @series: room for all strategies; @ret_count: how many are there now. */
static int state_measure(struct bench_series *series, uint32_t *ret_count, const struct bench_handover *how, const struct bench_subject *subject)
{
        int r;

        *ret_count = 0;
        r = hub_measure(series, ret_count, how, *subject, BENCH_HOT, BENCH_COLD);
        if (!r)
                r = hub_measure(series, ret_count, how, *subject, BENCH_UNHELD, BENCH_UNHELD);
        return r ? r : hub_measure(series, ret_count, how, *subject, BENCH_SPARE, BENCH_SPARE);
}

/* A blob is there twice in its segment, once in each process, and twice in the copy beside its floor; an arena once, and once beside its floor. */
static bool fits(const struct bench_host *host, enum baton_state_form form, uint64_t bytes)
{
        uint64_t need = (form == BATON_STATE_BLOB ? 6 * bytes : 2 * bytes) + (UINT64_C(128) << 20);
        char size[BENCH_SIZE_TEXT];

        if (need <= host->available)
                return true;
        bench_complain("%s as %s needs %" PRIu64 " MiB of memory, and %" PRIu64 " MiB are free: choose a smaller --sizes",
                       bench_size_text(size, bytes), form == BATON_STATE_BLOB ? "blob" : "arena", need >> 20, host->available >> 20);
        return false;
}

/* One form and size, with each number of connections. */
static int size_measure(struct bench_series *series, uint32_t *ret_count, const struct bench_handover *how, enum baton_state_form form,
                        uint64_t bytes)
{
        *ret_count = 0;
        for (uint32_t i = 0; i < how->connections_count; i++) {
                const struct bench_subject subject = {
                        .form = form, .bytes = bytes, .connections = how->connections[i], .cpu = bench_handover_cpu(how)};
                uint32_t count = 0;
                int r = state_measure(series + *ret_count, &count, how, &subject);

                *ret_count += count;
                if (r)
                        return r;
        }
        return 0;
}

static int all_measure(struct bench_series *series, uint32_t *ret_count, const struct bench_handover *how, const struct bench_host *host)
{
        *ret_count = 0;
        for (int form = BATON_STATE_BLOB; form < _BATON_STATE_N; form++) {
                for (uint32_t i = 0; how->forms[form] && i < how->size_count; i++) {
                        uint32_t count = 0;
                        int r = -ENOMEM;

                        if (fits(host, (enum baton_state_form)form, how->sizes[i]))
                                r = size_measure(series + *ret_count, &count, how, (enum baton_state_form)form, how->sizes[i]);
                        *ret_count += count;
                        if (r)
                                return r;
                }
        }
        return 0;
}

/* ---- placement ---- */

static int cpu_of(bool last)
{
        int found = 0;
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                return 0;
        for (int i = 0; i < CPU_SETSIZE; i++) {
                if (!CPU_ISSET((size_t)i, &set))
                        continue;
                found = i;
                if (!last)
                        break;
        }
        return found;
}

uint32_t bench_handover_cpu(const struct bench_handover *how)
{
        return how->placement == BENCH_PLACE_PINNED ? (uint32_t)cpu_of(true) + 1 : 0;
}

/* Everything that is started inherits it. */
static int placement_take(const struct bench_handover *how)
{
        cpu_set_t set;

        if (how->placement != BENCH_PLACE_FIXED)
                return 0;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu_of(false), &set);
        return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

int bench_handover_run(const struct bench_handover *how)
{
        struct bench_series *series = calloc((size_t)_BATON_STATE_N * how->size_count * how->connections_count * _BENCH_STRATEGY_N, sizeof(*series));
        struct bench_host host;
        uint32_t count = 0;
        int r;

        if (!series)
                return -ENOMEM;
        r = bench_process_guard();
        if (!r)
                r = placement_take(how);
        bench_host_read(&host);
        bench_report_begin(how);
        if (!r)
                r = all_measure(series, &count, how, &host);
        if (!r)
                bench_report_end(how, series, count);
        free(series);
        return r;
}
