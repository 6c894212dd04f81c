/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All questions, one after the other, each as a process of its own: one that fails or hangs takes nothing from the others.
 *
 *      baton-bench all --json FILE       FILE.d/QUESTION.json, then FILE (all of them), FILE.html, and the table of targets
 *
 * A question whose file in FILE.d ends with its end line is not asked again: a run that was interrupted goes on where it was. --fresh begins anew.
 * Exit status 1 when a question failed; a target that was missed is a result.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/lines.h"
#include "bench/options.h"
#include "bench/process.h"
#include "bench/question.h"
#include "bench/report.h"
#include "bench/targets.h"

#define WORDS_MAX 16
#define WHOLE_NS  (600 * BT_NS_PER_S) /* for one of them */

/* What is asked, and with which options: together under a quarter of an hour on two processors. */
static const struct asked {
        const char *name; /* of its file */
        const char *words[WORDS_MAX];
} asked_all[] = {
        {"signal", {"signal"}},
        {"messages", {"messages"}},
        {"spawn", {"spawn"}},
        {"restart", {"restart"}},
        {"shutdown", {"shutdown"}},
        {"reboot", {"reboot"}},
        {"scale", {"scale"}},
        {"load", {"load"}},
        {"handover", {"handover", "--rounds", "100"}},
        {"handover-starts", {"handover", "--strategy", "unheld,spare", "--sizes", "1KiB,1GiB", "--rounds", "60"}},
        {"handover-blob", {"handover", "--form", "blob", "--sizes", "1KiB,1MiB,64MiB", "--rounds", "60"}},
        {"handover-connections", {"handover", "--sizes", "1KiB", "--connections", "0,100,10000", "--rounds", "40"}},
        {"handover-pinned", {"handover", "--sizes", "1KiB", "--placement", "pinned", "--rounds", "100"}},
        {"handover-fixed", {"handover", "--sizes", "1KiB", "--placement", "fixed", "--rounds", "100"}},
};

struct all {
        struct bench_options options;
        bool fresh;
        char folder[1024];
        uint32_t failed;
};

/* ---- options ---- */

enum {
        OPT_FRESH = 256
};

static const struct argp_option all_options[] = {
        {"fresh", OPT_FRESH, NULL, 0, "Ask everything again, also what is in FILE.d already", 0},
        {0},
};

/* NOLINTNEXTLINE(readability-non-const-parameter): argp's type */
static error_t all_option(int key, char *arg, struct argp_state *state)
{
        struct all *all = state->input;

        (void)arg;
        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = &all->options;
                return 0;
        case OPT_FRESH:
                all->fresh = true;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

/* ---- one question ---- */

static void path_of(char *ret_path, size_t bytes, const struct all *all, const struct asked *asked)
{
        (void)snprintf(ret_path, bytes, "%s/%s.json", all->folder, asked->name);
}

static bool is_done(const char *path)
{
        json_t *lines = NULL;
        bool whole = access(path, R_OK) == 0 && !bench_lines_read(&lines, path) &&
                     bench_lines_whole(lines);

        json_decref(lines);
        return whole;
}

/* The exit status; -1: it did not end, or not by itself. */
static int run(char *const argv[])
{
        uint64_t deadline = bt_now_ns() + WHOLE_NS;
        struct bench_process process = BENCH_PROCESS_NULL;
        siginfo_t info = {0};

        if (bench_process_start(&process, argv, environ, -1))
                return -1;
        while (bench_pidfd_wait(process.pidfd, BT_NS_PER_S / 5)) {
                if (bench_interrupted() || bt_now_ns() >= deadline) {
                        (void)kill(process.pid, SIGTERM); /* it ends what it started */
                        (void)bench_pidfd_wait(process.pidfd, 20 * BT_NS_PER_S);
                        bench_process_end(&process);
                        return -1;
                }
        }
        (void)waitid(P_PIDFD, (id_t)process.pidfd, &info, WEXITED);
        process.pid = 0;
        bench_process_end(&process);
        return info.si_code == CLD_EXITED ? info.si_status : -1;
}

static void ask(struct all *all, const struct asked *asked)
{
        char program[4096], path[1100];
        char *argv[WORDS_MAX + 8] = {program};
        size_t count = 1;
        int status;

        path_of(path, sizeof(path), all, asked);
        if (!all->fresh && is_done(path)) {
                (void)printf("is done: %s\n", path);
                return;
        }
        if (bench_program_find(program, sizeof(program), "baton-bench")) {
                all->failed++;
                return;
        }
        for (size_t i = 0; i < WORDS_MAX && asked->words[i]; i++)
                argv[count++] = (char *)asked->words[i];
        if (all->options.brief)
                argv[count++] = (char *)"--short";
        argv[count++] = (char *)"--json";
        argv[count++] = path;
        argv[count] = NULL;
        status = run(argv);
        if (status && !bench_interrupted())
                bench_complain("'%s' failed (%d); what it knew is in %s", asked->name, status,
                               path);
        all->failed += status != 0;
}

/* ---- all of them ---- */

static int append(FILE *out, const char *path)
{
        FILE *in = fopen(path, "re");
        char block[65536];
        size_t n;
        int r = 0;

        if (!in)
                return errno == ENOENT ? 0 : -errno;
        while (!r && (n = fread(block, 1, sizeof(block), in)) > 0)
                r = fwrite(block, 1, n, out) == n ? 0 : -EIO;
        (void)fclose(in);
        return r;
}

static int gather(const struct all *all)
{
        FILE *out = fopen(all->options.json, "we");
        char path[1100];
        int r = out ? 0 : -errno;

        for (size_t i = 0; !r && i < BT_ARRAY_LEN(asked_all); i++) {
                path_of(path, sizeof(path), all, &asked_all[i]);
                r = append(out, path);
        }
        if (out && fclose(out) && !r)
                r = -EIO;
        if (r)
                bench_complain("cannot write %s: %s", all->options.json, strerrordesc_np(-r));
        return r;
}

static int conclude(const struct all *all)
{
        BT_CLEANUP(bench_lines_freep) json_t *lines = NULL;
        char page[1100];
        int r = gather(all);

        if (!r)
                r = bench_lines_read(&lines, all->options.json);
        if (r)
                return r;
        (void)printf("\n");
        bench_targets_print(lines);
        (void)snprintf(page, sizeof(page), "%s.html", all->options.json);
        r = bench_page_write(lines, page);
        if (!r)
                (void)printf("\nall results: %s\nreport:      %s\n", all->options.json, page);
        return r;
}

int bench_all_main(int argc, char **argv)
{
        static const struct argp_child children[] = {{&bench_options_argp, 0, NULL, 0}, {0}};
        const struct argp argp = {
                .options = all_options,
                .parser = all_option,
                .children = children,
                .doc = "All questions, one after the other. An interrupted run goes on where it "
                       "was.\vFILE is baton-bench.json by default.",
        };
        struct all all = {.options = BENCH_OPTIONS_INIT};
        uint64_t begun = bt_now_ns();

        (void)argp_parse(&argp, argc, argv, 0, NULL, &all);
        if (!all.options.json)
                all.options.json = "baton-bench.json";
        (void)snprintf(all.folder, sizeof(all.folder), "%s.d", all.options.json);
        if (bench_process_guard() || (mkdir(all.folder, 0777) < 0 && errno != EEXIST)) {
                bench_complain("cannot make %s: %s", all.folder, strerrordesc_np(errno));
                return 1;
        }
        for (size_t i = 0; i < BT_ARRAY_LEN(asked_all) && !bench_interrupted(); i++) {
                (void)printf("---- %zu of %zu: %s, after %.0f s\n", i + 1, BT_ARRAY_LEN(asked_all),
                             asked_all[i].name, (double)(bt_now_ns() - begun) / 1e9);
                (void)fflush(stdout);
                ask(&all, &asked_all[i]);
                (void)printf("\n");
                (void)fflush(stdout);
        }
        if (bench_interrupted()) {
                bench_complain("interrupted; the same command goes on where this one ended");
                return 1;
        }
        return conclude(&all) || all.failed ? 1 : 0;
}
