/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that says what it is told to say, in that order, whatever it means: a program with a broken library of its own, or a moment between two
 * processes that no honest one can be held in. RAW is a list of words with commas between:
 *
 *      ready restored refused          to the hub; with "~" behind it without ringing the bell, so that the hub finds it when it next looks
 *      passed not_passed captured not_captured
 *      granted offered                 waits until the holder word says so of this process
 *      confirm                         moves the word, as who was granted the baton may
 *      scribble                        writes a holder into the word that there never was
 *      gate:FILE                       waits until the file is there
 *      mark:NAME                       appends "mark NAME" to the file ROW_TRACE
 *      die                             SIGKILL to itself
 *
 * Behind the list it does as it is told by the hub, which is: it ends. Without RAW it is an honest child that keeps nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "child-api/child.h"
#include "tests/support/wait.h"

#define WAIT_MS 60000
#define EXIT_WAIT 41    /* waited for in vain */
#define EXIT_WORD 43    /* a word that is none */
#define NOBODY 1000000u /* an incarnation that there never was */

static uint64_t heir; /* of the last offer */

static void once_more(uint64_t deadline)
{
        if (!wait_again(deadline))
                _exit(EXIT_WAIT);
}

static void await_word(const struct baton_child *child, uint32_t phase)
{
        uint64_t deadline = wait_until(WAIT_MS);

        for (;;) {
                struct bt_word w = bt_baton_word(child->baton);

                if (w.phase == phase && w.holder == child->incarnation) {
                        heir = w.heir;
                        return;
                }
                once_more(deadline);
        }
}

static void mark(const char *name)
{
        const char *path = getenv("ROW_TRACE");
        int fd = open(path ? path : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        char line[128];

        if (fd < 0)
                _exit(EXIT_WORD);
        (void)!write(fd, line, (size_t)snprintf(line, sizeof(line), "mark %s\n", name));
        (void)close(fd);
}

static void confirm(struct baton_child *child)
{
        if (bt_baton_confirm(child->baton, child->incarnation))
                _exit(EXIT_WORD);
        bt_child_describe(child, child->ops->version); /* what it holds has a schema, as any honest child's has */
        child->baton->meta.present = 0;
}

static void say(struct baton_child *child, const char *word)
{
        static const struct {
                const char *name;
                uint32_t type;
                uint64_t error;
        } words[] = {
                {"ready", BT_MSG_READY, 0},       {"restored", BT_MSG_RESTORED, 0},   {"refused", BT_MSG_REFUSED, EIO},
                {"passed", BT_MSG_PASSED, 0},     {"not_passed", BT_MSG_NOT_PASSED, EIO},
                {"captured", BT_MSG_CAPTURED, 0}, {"not_captured", BT_MSG_CAPTURED, EIO},
        };
        size_t bytes = strcspn(word, "~");

        for (size_t i = 0; i < BT_ARRAY_LEN(words); i++) {
                if (strncmp(words[i].name, word, bytes) != 0 || words[i].name[bytes])
                        continue;
                /* Of a passage the token is the heir's number; the others are believed with any. */
                if (word[bytes])
                        (void)bt_child_say_quietly(child, words[i].type, heir, words[i].error, 0, 0);
                else
                        (void)bt_child_say(child, words[i].type, heir, words[i].error, 0, 0);
                return;
        }
        _exit(EXIT_WORD);
}

static void obey(struct baton_child *child, const char *word)
{
        if (!strcmp(word, "granted")) {
                await_word(child, BT_WORD_PASSED);
        } else if (!strcmp(word, "offered")) {
                await_word(child, BT_WORD_OFFERED);
        } else if (!strcmp(word, "confirm")) {
                confirm(child);
        } else if (!strcmp(word, "scribble")) {
                atomic_store(&child->baton->word, bt_word_pack(BT_WORD_HELD, NOBODY, 0));
        } else if (!strncmp(word, "gate:", 5)) {
                if (!wait_for_file(word + 5, true, wait_until(WAIT_MS)))
                        _exit(EXIT_WAIT);
        } else if (!strncmp(word, "mark:", 5)) {
                mark(word + 5);
        } else if (!strcmp(word, "die")) {
                (void)raise(SIGKILL);
        } else {
                say(child, word);
        }
}

/* The hub's words that end a process. The others pass by. */
static void until_told_to_end(struct baton_child *child)
{
        uint64_t deadline = wait_until(WAIT_MS);
        struct bt_rec rec = {0};

        while (rec.type != BT_MSG_TERMINATE && rec.type != BT_MSG_RETIRE) {
                if (bt_ring_pop(&child->inbox, &rec))
                        once_more(deadline);
        }
}

int main(void)
{
        static const struct baton_child_ops ops = {.size = sizeof(ops), .schema = "row", .version = 1, .version_oldest = 1};
        char *list = getenv("RAW"), *rest = NULL;
        struct baton_child *child = NULL;
        int r = baton_child_open(&child, &ops, NULL);

        if (!r && !list)
                r = baton_child_run(child);
        if (!r && list) {
                for (const char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
                        obey(child, word);
                until_told_to_end(child);
        }
        child = baton_child_close(child);
        return r ? 1 : 0;
}
