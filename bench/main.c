/* SPDX-License-Identifier: Apache-2.0 */
/*
 * baton-bench: one program, one question a file.
 *
 *      baton-bench QUESTION [OPTION...]       under the name of a question (bench/handover) the program asks that one
 *
 * See question.h.
 */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench/process.h"
#include "bench/question.h"

#define EXIT_USAGE 2

static const struct question {
        const char *name;
        const char *doc;
        int (*run)(int argc, char **argv);
} questions[] = {
        {"handover", "For how long does nobody serve when one process hands its state to the next?",
         bench_handover_main},
        {"spawn", "What does the hub add to the start of a process?", bench_spawn_main},
        {"restart", "A process is killed: how long until the next one serves?", bench_restart_main},
        {"signal", "What does a message between hub and child cost, there and back?",
         bench_signal_main},
        {"messages", "What does a call to a child cost, there and back?", bench_messages_main},
        {"shutdown", "The hub stops: how long until the states of all children are on the disk?",
         bench_shutdown_main},
        {"reboot", "The hub starts with stored states: how long until all children serve?",
         bench_reboot_main},
        {"scale", "What does the number of children cost, 1 to 10 000 of them?", bench_scale_main},
        {"load", "What do the clients of a server see while it is replaced?", bench_load_main},
        {"drive", "The same load on a server of whoever, with a command in the middle",
         bench_drive_main},
        {"all", "All of them, one after the other; ends with the table of targets and a report",
         bench_all_main},
        {"compare", "Two files of results beside each other", bench_compare_main},
        {"report", "A file of results as one HTML page", bench_report_main},
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
        (void)fputs("\n'baton-bench QUESTION --help' lists the options of a question. '--compare A "
                    "B' is 'compare A B'.\n",
                    out);
}

int main(int argc, char **argv)
{
        const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
        const struct question *question =
                argc > 0 ? question_find(slash ? slash + 1 : argv[0]) : NULL;

        argp_err_exit_status = EXIT_USAGE;
        if (question)
                return question->run(argc, argv);
        if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
                help(argc < 2 ? stderr : stdout);
                return argc < 2 ? EXIT_USAGE : 0;
        }
        question = question_find(!strcmp(argv[1], "--compare") ? "compare" : argv[1]);
        if (!question) {
                bench_complain("there is no question '%s'; 'baton-bench help' lists them", argv[1]);
                return EXIT_USAGE;
        }
        return question->run(argc - 1, argv + 1);
}
