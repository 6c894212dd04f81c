/* SPDX-License-Identifier: Apache-2.0 */
/* Counted things: loaded plans, pinned executables and baton segments. */
#include "supervisor/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/function.h"
#include "supervisor/proc/holds.h"

/* ---- plans ---- */

int bt_plan_load(struct bt_plan_ref **ret_plan, int fd, const char **ret_error)
{
        struct bt_plan_ref *plan = calloc(1, sizeof(*plan));
        int r;

        *ret_error = NULL;
        if (!plan)
                return -ENOMEM;
        r = bt_plan_open(&plan->view, fd, ret_error);
        if (r) {
                free(plan);
                return r;
        }
        plan->refs = 1;
        for (uint32_t i = 0; i < BT_PLAN_SOCKETS_MAX; i++)
                plan->sockets[i] = i;
        *ret_plan = plan;
        return 0;
}

int bt_plan_load_bytes(struct bt_plan_ref **ret_plan, const void *bytes, size_t count)
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        const char *error;
        int r;

        if (fd < 0)
                return -errno;
        r = bt_write_all(fd, bytes, count);
        if (!r && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                r = -errno;
        return r ? r : bt_plan_load(ret_plan, fd, &error);
}

struct bt_plan_ref *bt_plan_ref(struct bt_plan_ref *plan)
{
        plan->refs++;
        return plan;
}

struct bt_plan_ref *bt_plan_unref(struct bt_plan_ref *plan)
{
        if (!plan || --plan->refs)
                return NULL;
        bt_plan_close(&plan->view);
        free(plan);
        return NULL;
}

/* ---- executables ---- */

/* An O_PATH descriptor cannot be read: through our own descriptor table. */
static bool fd_holds(int fd)
{
        char self[64];
        BT_CLEANUP(bt_closep) int readable = -1;

        (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        readable = open(self, O_RDONLY | O_CLOEXEC);
        return readable >= 0 && bt_holds(readable);
}

int bt_binary_new(struct bt_binary **ret_binary, const char *path, int fd, int script)
{
        size_t bytes = strnlen(path, BT_CTL_PATH_BYTES - 1);
        struct bt_binary *binary = calloc(1, sizeof(*binary) + bytes + 1);

        if (!binary)
                return -ENOMEM;
        bt_list_init(&binary->shared);
        binary->refs = 1;
        binary->fd = fd;
        binary->script = script;
        binary->holds = !script && fd_holds(fd);
        memcpy(binary->path, path, bytes);
        *ret_binary = binary;
        return 0;
}

int bt_binary_open(struct bt_binary **ret_binary, const char *path)
{
        int fd = -1, script = 0;
        int r = bt_spawn_open_exec(&fd, &script, path);

        if (r)
                return r;
        r = bt_binary_new(ret_binary, path, fd, script);
        if (r)
                (void)bt_close(fd);
        return r;
}

/*
 * The client opened the file; we run what it opened, not what the path names by now. Only whether it is a script has to be read, through
 * our own descriptor table, because an O_PATH descriptor cannot be read.
 */
int bt_binary_adopt(struct bt_binary **ret_binary, const char *path, int fd)
{
        char self[64];
        char head[2] = {0};
        struct stat st;
        int r, readable;

        (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        readable = open(self, O_RDONLY | O_CLOEXEC);
        if (readable >= 0) {
                (void)!read(readable, head, sizeof(head));
                (void)bt_close(readable);
        }
        if (fstat(fd, &st) < 0)
                r = -errno;
        else if (!S_ISREG(st.st_mode))
                r = -EACCES;
        else
                r = bt_binary_new(ret_binary, path, fd, head[0] == '#' && head[1] == '!');
        if (r)
                (void)bt_close(fd);
        return r;
}

struct bt_binary *bt_binary_ref(struct bt_binary *binary)
{
        binary->refs++;
        return binary;
}

struct bt_binary *bt_binary_unref(struct bt_binary *binary)
{
        if (binary && --binary->refs == 0) {
                bt_list_unlink(&binary->shared);
                (void)bt_close(binary->fd);
                free(binary);
        }
        return NULL;
}

bool bt_binary_same(const struct bt_binary *a, const struct bt_binary *b)
{
        struct stat sa, sb;

        if (a == b)
                return true;
        if (a->function || b->function)
                return bt_function_same(a->function, b->function);
        return fstat(a->fd, &sa) == 0 && fstat(b->fd, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* So many are compared with, the last first: a search must not make the start of many children, each with a binary of its own, dear. */
#define SHARED_LOOKS_MAX 64

struct bt_binary *bt_binary_share(struct bt_hub *hub, struct bt_binary *binary)
{
        uint32_t looks = 0;

        for (struct bt_list *it = hub->binaries.prev; it != &hub->binaries && looks < SHARED_LOOKS_MAX; it = it->prev, looks++) {
                struct bt_binary *other = bt_list_entry(it, struct bt_binary, shared);

                if (other->script != binary->script || strcmp(other->path, binary->path) != 0 || !bt_binary_same(other, binary))
                        continue;
                (void)bt_binary_unref(binary);
                return bt_binary_ref(other);
        }
        bt_list_push(&hub->binaries, &binary->shared);
        return binary;
}

/* ---- segments ---- */

int bt_holding_new(struct bt_holding **ret_holding, const struct bt_plan_child *spec, const char *id)
{
        struct bt_holding *holding = calloc(1, sizeof(*holding));
        int r;

        if (!holding)
                return -ENOMEM;
        r = (spec->checkpoint ? bt_baton_create_checkpointed : bt_baton_create)(&holding->seg, &holding->fd, id, spec->state_form,
                                                                               spec->state_bytes_max);
        if (r) {
                free(holding);
                return r;
        }
        holding->refs = 1;
        holding->baton = holding->seg.at;
        *ret_holding = holding;
        return 0;
}

int bt_holding_adopt(struct bt_holding **ret_holding, int fd)
{
        struct bt_holding *holding = calloc(1, sizeof(*holding));
        int r = holding ? bt_seg_attach(&holding->seg, fd, BT_MAGIC_BATON, sizeof(struct bt_baton), 1) : -ENOMEM;

        if (!r && !bt_baton_valid(holding->seg.at))
                r = -EPROTO;
        if (r) {
                if (holding)
                        bt_seg_detach(&holding->seg);
                free(holding);
                (void)bt_close(fd);
                return r < 0 ? r : -EPROTO;
        }
        holding->refs = 1;
        holding->fd = fd;
        holding->baton = holding->seg.at;
        *ret_holding = holding;
        return 0;
}

struct bt_holding *bt_holding_ref(struct bt_holding *holding)
{
        holding->refs++;
        return holding;
}

struct bt_holding *bt_holding_unref(struct bt_holding *holding)
{
        if (holding && --holding->refs == 0) {
                bt_seg_detach(&holding->seg);
                (void)bt_close(holding->fd);
                free(holding);
        }
        return NULL;
}
