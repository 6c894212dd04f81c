/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton-bench drive`: the driver (drive.h) on a server that somebody else has started, with a shell command in the middle. bench/peers/run measures
 * what users would pick instead by it.
 *
 * Here a failed request is a result and no failure: it is what is asked for.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/drive.h"
#include "bench/options.h"
#include "bench/out.h"
#include "bench/process.h"
#include "bench/question.h"

struct asked {
        struct bench_options options;
        struct bench_drive_spec spec;
        const char *name;
        const char *command;
        struct bench_process process;
};

enum {
        OPT_NAME = 256,
        OPT_PORT,
        OPT_PROTOCOL,
        OPT_OLD,
        OPT_NEW,
        OPT_RATE,
        OPT_KEEP,
        OPT_SECONDS,
        OPT_COMMAND
};

static const struct argp_option drive_options[] = {
        {"name", OPT_NAME, "TEXT", 0, "Name of the case in the results", 0},
        {"port", OPT_PORT, "N", 0, "Of the server, on 127.0.0.1", 0},
        {"protocol", OPT_PROTOCOL, "WORD", 0, "http (default), resp, memcached", 0},
        {"old", OPT_OLD, "TEXT", 0, "What answers of the old version contain", 0},
        {"new", OPT_NEW, "TEXT", 0, "What answers of the new version contain", 0},
        {"rate", OPT_RATE, "N", 0, "New connections a second (1000)", 0},
        {"keep", OPT_KEEP, "N", 0, "Connections that stay open (32)", 0},
        {"seconds", OPT_SECONDS, "N", 0, "How long (4); the command is given after a second", 0},
        {"command", OPT_COMMAND, "TEXT", 0, "A shell command that replaces the server", 0},
        {0},
};

static error_t drive_option(int key, char *arg, struct argp_state *state)
{
        static const char *const protocols[_BENCH_PROTOCOL_N] = {"http", "resp", "memcached"};
        struct asked *asked = state->input;

        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = &asked->options;
                return 0;
        case OPT_NAME:
                asked->name = arg;
                return 0;
        case OPT_PORT:
                asked->spec.port = (uint16_t)bench_options_count("--port", arg, 1, state);
                return 0;
        case OPT_PROTOCOL:
                for (size_t i = 0; i < BT_ARRAY_LEN(protocols); i++) {
                        if (!strcmp(arg, protocols[i])) {
                                asked->spec.protocol = (enum bench_protocol)i;
                                return 0;
                        }
                }
                argp_error(state, "--protocol is '%s', expected http, resp or memcached", arg);
                return EINVAL;
        case OPT_OLD:
                asked->spec.version_old = arg;
                return 0;
        case OPT_NEW:
                asked->spec.version_new = arg;
                return 0;
        case OPT_RATE:
                asked->spec.rate = bench_options_count("--rate", arg, 0, state);
                return 0;
        case OPT_KEEP:
                asked->spec.keep = bench_options_count("--keep", arg, 0, state);
                return 0;
        case OPT_SECONDS:
                asked->spec.duration_ns =
                        bench_options_count("--seconds", arg, 2, state) * BT_NS_PER_S;
                return 0;
        case OPT_COMMAND:
                asked->command = arg;
                return 0;
        case ARGP_KEY_END:
                if (!asked->spec.port)
                        argp_error(state, "--port is missing");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static int command_start(void *ctx)
{
        struct asked *asked = ctx;
        char shell[] = "/bin/sh", option[] = "-c";
        char *const argv[] = {shell, option, (char *)asked->command, NULL};

        return bench_process_start(&asked->process, argv, environ, STDERR_FILENO);
}

static void say(struct bench_out *out, const struct asked *asked,
                const struct bench_drive_result *result)
{
        const char *name = asked->name;

        bench_out_value(out, name, "requests", (double)result->requests, "");
        bench_out_value(out, name, "requests_failed", (double)result->failed,
                        result->first_failure);
        bench_out_value(out, name, "closed", (double)result->closed, "connections");
        bench_out_value(out, name, "longest_wait", (double)result->longest_ns / 1e6, "ms");
        bench_out_value(out, name, "longest_gap", (double)result->gap_ns / 1e6, "ms");
        bench_out_value(out, name, "p99", (double)bench_hist_at(&result->waits[0], 990) / 1e6,
                        "ms");
        if (result->first_new_ns)
                bench_out_value(out, name, "new_version",
                                (double)(result->first_new_ns - result->command_ns) / 1e6, "ms");
        if (result->last_old_ns > result->command_ns)
                bench_out_value(out, name, "last_old",
                                (double)(result->last_old_ns - result->command_ns) / 1e6, "ms");
}

int bench_drive_main(int argc, char **argv)
{
        static const struct argp_child children[] = {{&bench_options_argp, 0, NULL, 0}, {0}};
        const struct argp argp = {
                .options = drive_options,
                .parser = drive_option,
                .children = children,
                .doc = "Drives load on a server and gives a command in the middle."};
        static struct bench_drive_result result;
        struct asked asked = {
                .options = BENCH_OPTIONS_INIT,
                .name = "server",
                .process = BENCH_PROCESS_NULL,
                .spec = {.rate = 1000,
                         .keep = 32,
                         .keep_every_ns = 100 * BT_NS_PER_MS,
                         .duration_ns = 4 * BT_NS_PER_S,
                         .timeout_ns = 3 * BT_NS_PER_S},
        };
        struct bench_out out;
        int r;

        (void)argp_parse(&argp, argc, argv, 0, NULL, &asked);
        asked.spec.command_at_ns = BT_NS_PER_S;
        asked.spec.command = asked.command ? command_start : NULL;
        asked.spec.ctx = &asked;
        if (bench_out_open(&out, "drive", "load on a server", asked.options.json))
                return 1;
        r = bench_process_guard();
        if (!r)
                r = bench_drive(&asked.spec, &result);
        if (!r && asked.process.pid > 0) {
                /* It may go on for longer than the load: supervisors wait for a process to stay up. */
                r = bench_process_wait(&asked.process, 30 * BT_NS_PER_S);
                if (r)
                        bench_complain("the command does not end");
        }
        bench_process_end(&asked.process);
        if (!r)
                say(&out, &asked, &result);
        return bench_out_close(&out, r);
}
