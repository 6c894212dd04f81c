/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. Nothing here knows what a machine should do: the page says that, and the hub's own steps are compared with it. A step of a scenario waits for
 * what was seen, in the machines' steps or in what the children write, so its order is the scenario's and not the scheduler's.
 */
#include "tests/support/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/rows.h"
#include "tests/support/swap_table.h"
#include "tests/support/wait.h"

#define PLAYS_MAX 96
#define STEPS_BYTES 65536
#define TEXT_BYTES 512

static const char *machine;
static struct swap_table table; /* rows are marked as used when they are seen */
static bool may_hold = true;    /* the kernel lets us trace our own children's children */

/* One scenario. */
struct scene {
        const struct tables_play *play;
        struct world *w;
        char new_path[640];
        struct bt_ask ask;
        bool asked;
        bool stopped; /* the hub was told to end */
        pid_t old;
        pid_t held;
};

static struct scene scene;

/* ---- programs ---- */

/* "@/" becomes the directory; everything else stays. */
static void put_env(FILE *file, const char *env)
{
        if (!*env)
                return;
        (void)fprintf(file, "export ");
        for (; *env; env++) {
                if (!strncmp(env, "@/", 2))
                        (void)fprintf(file, "%s", scene.w->dir);
                else
                        (void)fputc(*env, file);
        }
        (void)fputc('\n', file);
}

static void put_exec(FILE *file, const char *env)
{
        put_env(file, env);
        (void)fprintf(file, "exec %s/child_%s\n", scene.w->bin, strncmp(env, "RAW=", 4) ? "rows" : "raw");
}

static void write_program(const char *name, const char *first, const char *later)
{
        bool always = first[0] == '=';
        char path[256];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", scene.w->dir, name);
        file = fopen(path, "we");
        assert_non_null(file);
        (void)fprintf(file, "#!/bin/sh\n");
        if (!always)
                (void)fprintf(file, "set -C\nif true 2>/dev/null >%s.once; then\n", path); /* no process of its own, which could be left behind */
        put_exec(file, first + always);
        if (!always) {
                (void)fprintf(file, "fi\n");
                put_exec(file, later);
        }
        assert_int_equal(fchmod(fileno(file), 0700), 0);
        assert_int_equal(fclose(file), 0);
}

/* It may be executed, and cannot be. */
static void write_garbage(void)
{
        FILE *file = fopen(scene.new_path, "we");

        assert_non_null(file);
        (void)fprintf(file, "no program\n");
        assert_int_equal(fchmod(fileno(file), 0700), 0);
        assert_int_equal(fclose(file), 0);
}

/* A copy of child_rows; with @lacks it needs a library that is nowhere. */
static void write_copy(bool lacks)
{
        static char bytes[16 << 20];
        char from[640];
        FILE *file;
        size_t n;

        world_program(scene.w, from, "child_rows");
        file = fopen(from, "re");
        assert_non_null(file);
        n = fread(bytes, 1, sizeof(bytes), file);
        assert_int_equal(fclose(file), 0);
        assert_true(n > 0 && n < sizeof(bytes));
        if (lacks) {
                char *at = memmem(bytes, n, "libc.so.6", sizeof("libc.so.6"));

                assert_non_null(at);
                memcpy(at, "libQ.so.6", sizeof("libQ.so.6"));
        }
        file = fopen(scene.new_path, "we");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, n, file), n);
        assert_int_equal(fchmod(fileno(file), 0700), 0);
        assert_int_equal(fclose(file), 0);
}

static void write_programs(void)
{
        const struct tables_play *play = scene.play;

        if (!play->old || strcmp(play->old, "-") != 0)
                write_program("old", play->old ? play->old : "", play->again ? play->again : "");
        if (!play->new_)
                return;
        (void)snprintf(scene.new_path, sizeof(scene.new_path), "%s/new", scene.w->dir);
        if (!strcmp(play->new_, "-"))
                world_program(scene.w, scene.new_path, "child_rows");
        else if (!strcmp(play->new_, "GARBAGE"))
                write_garbage();
        else if (!strcmp(play->new_, "COPY") || !strcmp(play->new_, "LACKS"))
                write_copy(!strcmp(play->new_, "LACKS"));
        else
                write_program("new", play->new_, "");
}

static void configure(void)
{
        const struct tables_play *play = scene.play;
        const char *each = play->each ? play->each : "";
        char yaml[4096];
        size_t used = (size_t)snprintf(yaml, sizeof(yaml), "hub: w\nchildren:\n");

        for (int i = 0; i < (play->children ? play->children : 1); i++)
                used += (size_t)snprintf(yaml + used, sizeof(yaml) - used,
                                         "  r%d: {exec: [\"%s\"], %sstate: {form: blob, max: 64KiB}, "
                                         "env: {ROW_TRACE: \"@dir@/trace\"%s%s}%s%s}\n",
                                         i, play->old && !strcmp(play->old, "-") ? "@bin@/child_rows" : "@dir@/old", strstr(each, "handover:") ? "" : "handover: true, ", play->env ? ", " : "", play->env ? play->env : "",
                                         *each ? ", " : "", each);
        assert_true(used < sizeof(yaml));
        world_configure(scene.w, yaml);
}

/* ---- processes ---- */

/* Not the hub's keeper, nor one that has not been executed yet: those run the hub's own program. */
static bool is_child(pid_t pid)
{
        char path[64], exe[512];
        ssize_t bytes;

        (void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
        bytes = readlink(path, exe, sizeof(exe) - 1);
        exe[bytes > 0 ? bytes : 0] = '\0';
        return bytes > 0 && !strstr(exe, "/batond_testing");
}

/* The process that the hub started last and that is not the old one. */
static pid_t newest(void)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);
        char path[64], list[1024];
        pid_t last = 0;

        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)scene.w->pid, (int)scene.w->pid);
        while (!last) {
                FILE *file = fopen(path, "re");
                char *rest = NULL;

                assert_non_null(file);
                list[fread(list, 1, sizeof(list) - 1, file)] = '\0';
                (void)fclose(file);
                for (const char *word = strtok_r(list, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
                        pid_t pid = (pid_t)strtol(word, NULL, 10);

                        if (pid != scene.old && is_child(pid))
                                last = pid;
                }
                if (!last && !wait_again(deadline))
                        fail_msg("the hub starts no process");
        }
        return last;
}

static pid_t process(const char *word)
{
        return !strcmp(word, "old") ? scene.old : newest();
}

static void hold(pid_t pid)
{
        if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT) < 0) {
                may_hold = errno != EPERM && errno != ENOSYS;
                if (!may_hold) {
                        print_message("ptrace is not permitted here: this scenario cannot be played\n");
                        skip();
                }
                fail_msg("ptrace: %s", strerrordesc_np(errno));
        }
        scene.held = pid;
}

/* It was killed, and stands where nothing of it but its death is left to do. */
static void let_go(void)
{
        int status = 0;

        while (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXIT << 8))
                assert_int_equal(waitpid(scene.held, &status, __WALL), scene.held);
        assert_int_equal(ptrace(PTRACE_DETACH, scene.held, NULL, NULL), 0);
        scene.held = 0;
}

/* ---- steps ---- */

static void ask(const char *child)
{
        uint32_t strategy = !strcmp(machine, "cold") ? BT_STRATEGY_COLD : BT_STRATEGY_HOT;

        if (scene.asked)
                bt_ask_close(&scene.ask);
        scene.ask = world_ask(scene.w, scene.play->new_ ? BT_CTL_UPGRADE : BT_CTL_SWAP, child, scene.play->new_ ? scene.new_path : NULL, strategy);
        scene.asked = true;
}

static void over(void)
{
        struct world_outcome outcome;

        world_follow(&scene.ask, &outcome);
        scene.asked = false;
}

static void make_fifo(const char *name)
{
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", scene.w->dir, name);
        assert_int_equal(mkfifo(path, 0600), 0);
}

/* Who waits for it goes on; nobody waits after that. */
static void feed_fifo(const char *name)
{
        char path[256];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", scene.w->dir, name);
        fd = open(path, O_WRONLY | O_CLOEXEC); /* waits for the reader */
        assert_true(fd >= 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(close(fd), 0);
}

static void step(const char *verb, const char *what)
{
        struct bt_slot slot;

        if (!strcmp(verb, "swap")) {
                ask(*what ? what : "r0");
        } else if (!strcmp(verb, "over")) {
                over();
        } else if (!strcmp(verb, "to")) {
                world_follow_to(&scene.ask, what);
        } else if (!strcmp(verb, "see")) {
                world_file_wait(scene.w, "steps", what);
        } else if (!strcmp(verb, "trace")) {
                world_file_wait(scene.w, "trace", what);
        } else if (!strcmp(verb, "open")) {
                world_gate_open(scene.w, what);
        } else if (!strcmp(verb, "close") || !strcmp(verb, "unlink")) {
                world_gate_close(scene.w, what);
        } else if (!strcmp(verb, "forbid")) {
                assert_int_equal(chmod(scene.new_path, 0600), 0);
        } else if (!strcmp(verb, "fifo")) {
                make_fifo(what);
        } else if (!strcmp(verb, "feed")) {
                feed_fifo(what);
        } else if (!strcmp(verb, "stopped")) {
                world_until_stopped(process(what));
        } else if (!strcmp(verb, "cont")) {
                assert_int_equal(kill(process(what), SIGCONT), 0);
        } else if (!strcmp(verb, "kill")) {
                assert_int_equal(kill(process(what), SIGKILL), 0);
        } else if (!strcmp(verb, "hold")) {
                hold(process(what));
        } else if (!strcmp(verb, "free")) {
                let_go();
        } else if (!strcmp(verb, "down")) {
                world_until(scene.w, "r0", BT_PHASE_STOPPED, 0, &slot);
        } else if (!strcmp(verb, "stop")) {
                assert_int_equal(kill(scene.w->pid, SIGTERM), 0);
                scene.stopped = true;
        } else {
                fail_msg("no step is named '%s'", verb);
        }
}

static void all_steps(const char *steps)
{
        char text[TEXT_BYTES], *rest = NULL;

        (void)snprintf(text, sizeof(text), "%s", steps);
        for (char *one = strtok_r(text, ";", &rest); one; one = strtok_r(NULL, ";", &rest)) {
                char *verb = one + strspn(one, " "), *what = strchr(verb, ' ');

                if (what)
                        *what++ = '\0';
                scene.w->row = verb; /* named when it fails */
                step(verb, what ? what : "");
        }
        scene.w->row = NULL;
}

/* ---- what the machines did ---- */

/* One line of the steps against its row; @path gets what the machine of the group did in its first run. */
static void compare(char *line, char *path, bool *over_seen)
{
        char *field[6] = {NULL};
        const struct swap_row *row;
        size_t used = strlen(path);

        for (int i = 0; i < 6; i++) {
                field[i] = line;
                line = line + strcspn(line, "|");
                if (*line)
                        *line++ = '\0';
        }
        if (strcmp(field[0], machine) != 0)
                return;
        row = swap_row_find(&table, field[1], field[2], field[3]);
        if (!row) {
                /* The stop has no word for "out of place": what it does not wait for changes nothing. */
                if (strcmp(machine, "shutdown") != 0 || strcmp(field[1], field[4]) != 0 || *field[5])
                        fail_msg("docs/swap.md has no row for %s, %s, %s", field[1], field[2], field[3]);
                return;
        }
        if (strcmp(row->next, field[4]) != 0 || strcmp(row->actions, field[5]) != 0)
                fail_msg("docs/swap.md, %s, %s: the page says %s (%s), the hub did %s (%s)", row->state, row->event, row->next, row->actions, field[4],
                         field[5]);
        if (!*over_seen)
                (void)snprintf(path + used, TEXT_BYTES - used, "%s%s %s", used ? ", " : "", field[1], field[2]);
        *over_seen = *over_seen || !strcmp(field[4], "over");
}

static void compare_all(void)
{
        char *steps = calloc(1, STEPS_BYTES), *rest = NULL;
        char path[TEXT_BYTES] = "";
        bool over_seen = false;

        assert_non_null(steps);
        world_read(scene.w, "steps", steps, STEPS_BYTES);
        for (char *line = strtok_r(steps, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                compare(line, path, &over_seen);
        if (strcmp(path, scene.play->path) != 0) {
                world_read(scene.w, "trace", steps, STEPS_BYTES);
                print_message("---- the children's trace ----\n%s", steps);
                fail_msg("the hub went\n  %s\nand not\n  %s", path, scene.play->path);
        }
        free(steps);
}

/* ---- a scenario ---- */

static int scene_setup(void **state)
{
        scene = (struct scene){.play = *state};
        return world_setup(state);
}

static void played(void **state)
{
        char env[128];
        struct bt_slot slot;

        scene.w = *state;
        (void)snprintf(env, sizeof(env), "BATON_STEPS=%s/steps", scene.w->dir);
        scene.w->hub_env = env;
        write_programs();
        configure();
        world_start_again(scene.w);
        world_slot(scene.w, "r0", &slot);
        scene.old = (pid_t)slot.pid;
        all_steps(scene.play->steps);
        if (scene.asked)
                bt_ask_close(&scene.ask);
        if (scene.stopped)
                world_await_hub(scene.w, 0);
        else
                world_stop(scene.w);
        compare_all();
        world_end(scene.w);
}

/* ---- and all of them ---- */

static bool excused(const struct swap_table *fakes, const struct swap_row *row, bool say)
{
        for (uint32_t i = 0; i < fakes->count; i++) {
                const struct swap_row *excuse = &fakes->rows[i];

                if (strcmp(excuse->state, machine) != 0 || strcmp(excuse->event, row->state) != 0 || strcmp(excuse->next, row->event) != 0)
                        continue;
                if (!excuse->ids[0] || row->used)
                        fail_msg("docs/swap.md excuses %s, %s, %s", row->state, row->event, row->used ? "which was seen" : "without a reason");
                if (say)
                        print_message("         only on fakes: %s, %s: %s\n", row->state, row->event, excuse->ids);
                return true;
        }
        return false;
}

/* How many rows have neither been seen nor have an excuse. */
static uint32_t count_missing(const struct swap_table *rows, const struct swap_table *fakes, bool say, uint32_t *ret_seen)
{
        uint32_t missing = 0;

        *ret_seen = 0;
        for (uint32_t i = 0; i < rows->count; i++) {
                const struct swap_row *row = &rows->rows[i];

                *ret_seen += row->used;
                if (excused(fakes, row, say) || row->used)
                        continue;
                if (say)
                        print_message("         not seen: %s, %s %s\n", row->state, row->event, row->when);
                missing++;
        }
        return missing;
}

static void every_row_was_seen_or_the_page_says_why_not(void **state)
{
        struct swap_table fakes;
        uint32_t seen, missing;

        (void)state;
        swap_table_read(&fakes, "fakes");
        missing = count_missing(&table, &fakes, true, &seen);
        print_message("         %s: %u of %u rows on real processes\n", machine, seen, table.count);
        if (!may_hold)
                skip(); /* said before */
        assert_int_equal(missing, 0);
}

/* The count itself: of a table of which nothing was seen every row without an excuse is missing. */
static void a_row_that_nobody_saw_is_missing(void **state)
{
        static struct swap_table none, fakes;
        uint32_t seen, missing, of_ours = 0;

        (void)state;
        swap_table_read(&none, machine);
        swap_table_read(&fakes, "fakes");
        for (uint32_t i = 0; i < fakes.count; i++)
                of_ours += !strcmp(fakes.rows[i].state, machine);
        missing = count_missing(&none, &fakes, false, &seen);
        assert_int_equal(seen, 0);
        assert_int_equal(missing, none.count - of_ours); /* and each excuse is about a row that there is */
}

int tables_run(const char *name, const struct tables_play *plays, size_t count)
{
        struct CMUnitTest tests[PLAYS_MAX + 2];

        machine = name;
        assert_in_range(count, 1, PLAYS_MAX);
        swap_table_read(&table, name);
        tests[0] = (struct CMUnitTest)cmocka_unit_test(a_row_that_nobody_saw_is_missing);
        for (size_t i = 0; i < count; i++)
                tests[1 + i] = (struct CMUnitTest){.name = plays[i].name,
                                                   .test_func = played,
                                                   .setup_func = scene_setup,
                                                   .teardown_func = world_teardown,
                                                   .initial_state = (void *)(uintptr_t)&plays[i]};
        tests[1 + count] = (struct CMUnitTest)cmocka_unit_test(every_row_was_seen_or_the_page_says_why_not);
        return _cmocka_run_group_tests(name, tests, count + 2, NULL, NULL);
}
