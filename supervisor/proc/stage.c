/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. A number on the stage names the same harmless file whenever nobody is being started, so that no pipe and no socket is kept open by it.
 *
 * One start at a time: a second thread that starts something meanwhile (two hubs in one program) does it the plain way.
 */
#include "supervisor/proc/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

#define STAGE_FDS (BT_SPAWN_FDS_MAX + 2) /* and the program, and one that stays idle */
#define STAGE_FROM                                                                                 \
        32 /* above the numbers that most processes are given: then nothing must be lifted out of the way of a target */

static struct {
        pthread_mutex_t lock;
        int fds[STAGE_FDS];
        int keep; /* highest number of ours that a process has a copy of until it executes its program */
        unsigned users; /* hubs */
        bool refused;
        char *stack_end;
} stage = {.lock = PTHREAD_MUTEX_INITIALIZER};

char *bt_stack_map(void)
{
        size_t guard = (size_t)sysconf(_SC_PAGESIZE);
        char *base = mmap(NULL, guard + BT_SPAWN_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

        if (base == MAP_FAILED)
                return NULL;
        if (mprotect(base, guard, PROT_NONE) < 0) {
                int saved = errno;

                (void)munmap(base, guard + BT_SPAWN_STACK_BYTES);
                errno = saved;
                return NULL;
        }
        return base + guard + BT_SPAWN_STACK_BYTES;
}

void bt_stack_unmap(char *end)
{
        size_t bytes = (size_t)sysconf(_SC_PAGESIZE) + BT_SPAWN_STACK_BYTES;

        if (end)
                (void)munmap(end - bytes, bytes);
}

/* Without one each start maps its own. */
static void stage_stack(void)
{
        stage.stack_end = bt_stack_map();
        if (stage.stack_end)
                stage.stack_end[-1] = 0;
}

static void stage_fill(void)
{
        int idle = open("/", O_PATH | O_CLOEXEC);
        int i = 0;

        for (; idle >= 0 && i < STAGE_FDS; i++) {
                stage.fds[i] = fcntl(idle, F_DUPFD_CLOEXEC, STAGE_FROM);
                if (stage.fds[i] < 0)
                        break;
        }
        (void)bt_close(idle);
        if (i == STAGE_FDS) {
                stage_stack();
                return;
        }
        while (i > 0)
                (void)bt_close(stage.fds[--i]);
        stage.refused = true; /* few descriptors: there is nothing to be gained */
}

static void stage_empty(void)
{
        bt_stack_unmap(stage.stack_end);
        stage.stack_end = NULL;
        for (int i = 0; i < STAGE_FDS; i++)
                (void)bt_close(stage.fds[i]);
}

void bt_spawn_stage_open(int keep_fd)
{
        (void)pthread_mutex_lock(&stage.lock);
        if (!stage.users++) {
                stage.keep = -1;
                stage.refused = false;
                stage_fill();
        }
        stage.keep = keep_fd > stage.keep ? keep_fd : stage.keep;
        (void)pthread_mutex_unlock(&stage.lock);
}

void bt_spawn_stage_close(void)
{
        (void)pthread_mutex_lock(&stage.lock);
        if (!--stage.users && !stage.refused)
                stage_empty();
        (void)pthread_mutex_unlock(&stage.lock);
}

void bt_stage_refused(void)
{
        (void)pthread_mutex_lock(&stage.lock);
        if (stage.users && !stage.refused)
                stage_empty();
        stage.refused = true;
        (void)pthread_mutex_unlock(&stage.lock);
}

static int stage_put(struct bt_staged *staged, int from)
{
        int to = stage.fds[staged->used];

        if (dup3(from, to, O_CLOEXEC) < 0)
                return -1;
        staged->used++;
        return to;
}

/* The last place is never used: it has the idle file. */
static void stage_clear(const struct bt_staged *staged)
{
        int idle = stage.fds[STAGE_FDS - 1];

        for (size_t i = 0; i < staged->used; i++)
                (void)dup3(idle, stage.fds[i], O_CLOEXEC);
}

static bool stage_all(struct bt_staged *staged, const struct bt_spawn *spawn)
{
        staged->exec_fd = spawn->exec_fd < 0 ? -1 : stage_put(staged, spawn->exec_fd);
        if (spawn->exec_fd >= 0 && staged->exec_fd < 0)
                return false;
        for (size_t i = 0; i < spawn->move_count; i++) {
                staged->moves[i] = (struct bt_spawn_move){
                        .from = stage_put(staged, spawn->moves[i].from), .to = spawn->moves[i].to};
                if (staged->moves[i].from < 0)
                        return false;
        }
        return true;
}

bool bt_stage_take(struct bt_staged *ret_staged, const struct bt_spawn *spawn)
{
        int last;

        ret_staged->close_from = 0;
        ret_staged->used = 0;
        if (pthread_mutex_trylock(&stage.lock))
                return false;
        if (!stage.users || stage.refused || spawn->run || !stage_all(ret_staged, spawn)) {
                stage_clear(ret_staged);
                (void)pthread_mutex_unlock(&stage.lock);
                return false;
        }
        ret_staged->stack_end = stage.stack_end;
        last = ret_staged->used ? stage.fds[ret_staged->used - 1] : STAGE_FROM;
        ret_staged->close_from = (unsigned)(last > stage.keep ? last : stage.keep) + 1;
        return true; /* locked until it is given back */
}

void bt_stage_give_back(const struct bt_staged *staged)
{
        stage_clear(staged);
        (void)pthread_mutex_unlock(&stage.lock);
}
