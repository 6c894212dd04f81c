/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules for names are those of execvp(3) and of the XDG base directories, with one difference: what is not absolute where it must be is
 * an error and not skipped, because a hub whose sockets are in another place than thought looks like a hub that does not run.
 */
#include "supervisor/baton/find.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DIR_BYTES_MAX 2048 /* leaves room for the hub's name and the files under it */

/* ---- variables ---- */

const char *bt_find_variable(char *const *variables, const char *name)
{
        size_t bytes = strlen(name);

        for (; variables && *variables; variables++)
                if (!strncmp(*variables, name, bytes) && (*variables)[bytes] == '=')
                        return (*variables)[bytes + 1] ? *variables + bytes + 1 : NULL;
        return NULL;
}

struct variable {
        const char *text;
        size_t name_bytes;
        uint32_t order;
};

static int variable_compare(const void *a, const void *b)
{
        const struct variable *x = a, *y = b;
        size_t bytes = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
        int r = memcmp(x->text, y->text, bytes);

        if (r)
                return r;
        if (x->name_bytes != y->name_bytes)
                return x->name_bytes < y->name_bytes ? -1 : 1;
        return x->order < y->order ? -1 : 1;
}

struct bt_config_list bt_find_environment(struct bt_mem *mem, char *const *inherited,
                                          const struct bt_config_list *own)
{
        struct bt_config_list list = {0};
        struct variable *all;
        uint32_t count = 0, inherited_count = 0;

        while (inherited && inherited[inherited_count])
                inherited_count++;
        all = bt_mem_array(mem, (size_t)inherited_count + own->count, sizeof(*all));
        for (uint32_t i = 0; i < inherited_count + own->count; i++) {
                const char *text =
                        i < inherited_count ? inherited[i] : own->items[i - inherited_count];
                const char *equals = strchr(text, '=');

                if (equals && equals != text && !bt_plan_reserved_variable(text, (size_t)(equals - text)))
                        all[count++] = (struct variable){text, (size_t)(equals - text), i};
        }
        qsort(all, count, sizeof(*all), variable_compare);

        list.items = bt_mem_array(mem, count, sizeof(*list.items));
        for (uint32_t i = 0; i < count; i++) {
                bool last = i + 1 == count || all[i].name_bytes != all[i + 1].name_bytes ||
                            memcmp(all[i].text, all[i + 1].text, all[i].name_bytes) != 0;

                if (last) /* of its name: the one that wins */
                        list.items[list.count++] = all[i].text;
        }
        return list;
}

/* ---- programs ---- */

const char *bt_find_not_executable(const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return strerrordesc_np(errno);
        if (S_ISDIR(st.st_mode))
                return "it is a directory";
        if (!S_ISREG(st.st_mode))
                return "it is not a regular file";
        if (access(path, X_OK) < 0)
                return errno == EACCES ? "it is not executable (chmod +x)" : strerrordesc_np(errno);
        return NULL;
}

const char *bt_find_absolute(struct bt_mem *mem, const char *path)
{
        char *here;

        if (path[0] == '/')
                return path;
        here = get_current_dir_name();
        if (!here)
                return path;
        while (path[0] == '.' && path[1] == '/')
                path += 2;
        path = bt_mem_printf(mem, "%s/%s", strcmp(here, "/") != 0 ? here : "", path);
        free(here);
        return path;
}

const char *bt_find_in_path(struct bt_mem *mem, char *const *variables, const char *name)
{
        const char *at = bt_find_variable(variables, "PATH");

        if (!at)
                at = "/usr/local/bin:/usr/bin:/bin";
        for (;;) {
                size_t bytes = strcspn(at, ":");

                /* An empty or relative entry means the current folder, which nobody writes on purpose into a service's PATH. */
                if (at[0] == '/') {
                        const char *path = bt_mem_printf(mem, "%.*s/%s", (int)bytes, at, name);

                        if (!bt_find_not_executable(path))
                                return path;
                }
                if (!at[bytes])
                        return NULL;
                at += bytes + 1;
        }
}

/* ---- directories ---- */

/* @variable's value with @suffix; returns false when it is not set. @ret_wrong: it is set, but not absolute. */
static bool dir_from(const char **ret_dir, const char **ret_wrong, struct bt_mem *mem,
                     char *const *variables, const char *variable, const char *suffix)
{
        const char *value = bt_find_variable(variables, variable);
        size_t bytes = value ? strlen(value) : 0;

        if (!value)
                return false;
        while (bytes > 1 && value[bytes - 1] == '/')
                bytes--;
        if (value[0] != '/')
                *ret_wrong = bt_mem_printf(mem, "%s is '%s', which is not an absolute path",
                                           variable, value);
        else if (bytes > DIR_BYTES_MAX)
                *ret_wrong =
                        bt_mem_printf(mem, "%s is longer than %d bytes", variable, DIR_BYTES_MAX);
        else
                *ret_dir = bt_mem_printf(mem, "%.*s%s", (int)bytes, value, suffix);
        return true;
}

const char *bt_find_runtime(const char **ret_dir, struct bt_mem *mem, char *const *variables,
                            uint32_t uid)
{
        const char *wrong = NULL;

        if (dir_from(ret_dir, &wrong, mem, variables, "BATON_RUNTIME_DIR", ""))
                return wrong;
        if (!uid) {
                *ret_dir = "/run/baton";
                return NULL;
        }
        if (dir_from(ret_dir, &wrong, mem, variables, "XDG_RUNTIME_DIR", "/baton"))
                return wrong;
        return "no directory for sockets: set BATON_RUNTIME_DIR (XDG_RUNTIME_DIR is not set "
               "either)";
}

const char *bt_find_state(const char **ret_dir, struct bt_mem *mem, char *const *variables,
                          uint32_t uid)
{
        const char *wrong = NULL;

        if (dir_from(ret_dir, &wrong, mem, variables, "BATON_STATE_DIR", ""))
                return wrong;
        if (!uid) {
                *ret_dir = "/var/lib/baton";
                return NULL;
        }
        if (dir_from(ret_dir, &wrong, mem, variables, "XDG_STATE_HOME", "/baton") ||
            dir_from(ret_dir, &wrong, mem, variables, "HOME", "/.local/state/baton"))
                return wrong;
        return "no directory for states: set BATON_STATE_DIR (XDG_STATE_HOME and HOME are not set "
               "either)";
}

const char *bt_find_fits(struct bt_mem *mem, const char *runtime, const char *hub)
{
        size_t bytes = strlen(runtime) + strlen(hub) + strlen("//control.sock");
        size_t bytes_max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

        if (bytes <= bytes_max)
                return NULL;
        return bt_mem_printf(
                mem,
                "%s/%s/control.sock is %zu bytes long, and the address of a socket holds %zu: set "
                "BATON_RUNTIME_DIR to a shorter directory",
                runtime, hub, bytes, bytes_max);
}
