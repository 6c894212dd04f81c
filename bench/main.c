/* SPDX-License-Identifier: Apache-2.0 */
/*
 * baton-bench: one program, one question a file.
 *
 *      baton-bench QUESTION [OPTION...]       under the name of a question (bench/handover) the program asks that one
 *
 * A question is a row of the table below: its name, its options, and who answers. Exit status: 0 measured, 1 something failed, 2 usage. A target that
 * was missed is a result, not a failure.
 */
#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench/handover.h"
#include "bench/process.h"

#define EXIT_USAGE 2
#define ROUNDS_MAX 1000000

struct question {
        const char *name;
        const char *doc;
        int (*run)(const struct question *question, int argc, char **argv);
};

/* ---- handover ---- */

enum { OPT_SIZES = 256, OPT_FORM, OPT_STRATEGY, OPT_ROUNDS, OPT_WARMUP, OPT_JSON, OPT_EACH };

static const struct argp_option handover_options[] = {
        {"sizes", OPT_SIZES, "LIST", 0, "Sizes of the state (1KiB,1MiB,64MiB,1GiB)", 0},
        {"form", OPT_FORM, "FORM", 0, "arena (default), blob, or all", 0},
        {"strategy", OPT_STRATEGY, "STRATEGY", 0, "hot, cold, or all (default)", 0},
        {"rounds", OPT_ROUNDS, "N", 0, "Swaps counted in each series (200)", 0},
        {"warmup", OPT_WARMUP, "N", 0, "Swaps before that, not counted (5)", 0},
        {"json", OPT_JSON, NULL, 0, "One JSON object a line", 0},
        {"each", OPT_EACH, NULL, 0, "As --json, with a line for each swap too", 0},
        {0},
};

static void parse_sizes(struct bench_handover *how, const char *text, struct argp_state *state)
{
        how->size_count = 0;
        do {
                uint64_t bytes = 0;
                const char *end = bench_size_parse(&bytes, text);

                if (!end || (*end && *end != ',') || bytes < 64 || bytes > UINT64_C(64) << 30)
                        argp_error(state, "--sizes: '%s' does not begin with a size from 64B to 64GiB, such as 1KiB,64MiB", text);
                if (how->size_count == BENCH_SIZES_MAX)
                        argp_error(state, "--sizes: more than %d sizes", BENCH_SIZES_MAX);
                how->sizes[how->size_count++] = bytes;
                text = end && *end ? end + 1 : NULL;
        } while (text);
}

static void parse_form(struct bench_handover *how, const char *text, struct argp_state *state)
{
        how->forms[BATON_STATE_ARENA] = !strcmp(text, "arena") || !strcmp(text, "all");
        how->forms[BATON_STATE_BLOB] = !strcmp(text, "blob") || !strcmp(text, "all");
        if (!how->forms[BATON_STATE_ARENA] && !how->forms[BATON_STATE_BLOB])
                argp_error(state, "--form is '%s', expected arena, blob or all", text);
}

static void parse_strategy(struct bench_handover *how, const char *text, struct argp_state *state)
{
        how->hot = !strcmp(text, "hot") || !strcmp(text, "all");
        how->cold = !strcmp(text, "cold") || !strcmp(text, "all");
        if (!how->hot && !how->cold)
                argp_error(state, "--strategy is '%s', expected hot, cold or all", text);
}

static uint32_t parse_count(const char *option, const char *text, unsigned long least, struct argp_state *state)
{
        char *end;
        unsigned long count = strtoul(text, &end, 10);

        if (*text < '0' || *text > '9' || *end || count < least || count > ROUNDS_MAX)
                argp_error(state, "%s is '%s', expected a number from %lu to %d", option, text, least, ROUNDS_MAX);
        return (uint32_t)count;
}

static error_t handover_option(int key, char *arg, struct argp_state *state)
{
        struct bench_handover *how = state->input;

        switch (key) {
        case OPT_SIZES:
                parse_sizes(how, arg, state);
                return 0;
        case OPT_FORM:
                parse_form(how, arg, state);
                return 0;
        case OPT_STRATEGY:
                parse_strategy(how, arg, state);
                return 0;
        case OPT_ROUNDS:
                how->rounds = parse_count("--rounds", arg, 1, state);
                return 0;
        case OPT_WARMUP:
                how->warmup = parse_count("--warmup", arg, 0, state);
                return 0;
        case OPT_JSON:
                how->json = true;
                return 0;
        case OPT_EACH:
                how->json = how->each = true;
                return 0;
        case ARGP_KEY_ARG:
                argp_error(state, "unexpected argument '%s'", arg);
                return EINVAL;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static int handover(const struct question *question, int argc, char **argv)
{
        const struct argp argp = {.options = handover_options, .parser = handover_option, .doc = question->doc};
        struct bench_handover how = {
                .sizes = {UINT64_C(1) << 10, UINT64_C(1) << 20, UINT64_C(64) << 20, UINT64_C(1) << 30},
                .size_count = 4,
                .forms = {[BATON_STATE_ARENA] = true},
                .hot = true,
                .cold = true,
                .rounds = 200,
                .warmup = 5,
        };

        (void)argp_parse(&argp, argc, argv, 0, NULL, &how);
        return bench_handover_run(&how);
}

/* ---- the table ---- */

static const struct question questions[] = {
        {"handover", "For how long does nobody serve when one process hands its state to the next?", handover},
};

static const struct question *question_find(const char *name)
{
        for (size_t i = 0; i < BT_ARRAY_LEN(questions); i++)
                if (!strcmp(questions[i].name, name))
                        return &questions[i];
        return NULL;
}

static void help(FILE *out)
{
        (void)fputs("Usage: baton-bench QUESTION [OPTION...]\n\n", out);
        for (size_t i = 0; i < BT_ARRAY_LEN(questions); i++)
                (void)fprintf(out, "  %-12s %s\n", questions[i].name, questions[i].doc);
        (void)fputs("\n'baton-bench QUESTION --help' lists the options of a question.\n", out);
}

int main(int argc, char **argv)
{
        const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
        const struct question *question = argc > 0 ? question_find(slash ? slash + 1 : argv[0]) : NULL;

        argp_err_exit_status = EXIT_USAGE;
        if (question)
                return question->run(question, argc, argv);
        if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
                help(argc < 2 ? stderr : stdout);
                return argc < 2 ? EXIT_USAGE : 0;
        }
        question = question_find(argv[1]);
        if (!question) {
                bench_complain("there is no question '%s'; 'baton-bench help' lists them", argv[1]);
                return EXIT_USAGE;
        }
        return question->run(question, argc - 1, argv + 1);
}
