/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where things are: variables, programs, directories. The environment is always an argument: nothing here reads the process's own.
 */

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/baton/config.h"
#include "supervisor/baton/mem.h"

/* The value of @name, NULL: not set, or empty. */
const char *bt_find_variable(char *const *variables, const char *name);

/* @inherited (may be NULL) without the reserved ones, then @own over it. Lists of KEY=VALUE; each name once. */
struct bt_config_list bt_find_environment(struct bt_mem *mem, char *const *inherited, const struct bt_config_list *own);

/* ---- programs ---- */

/* NULL when @path is a regular file we may execute, otherwise what it is instead. */
const char *bt_find_not_executable(const char *path);

/* The absolute path of @path, links not followed: a name for people. */
const char *bt_find_absolute(struct bt_mem *mem, const char *path);

/* Absolute path of the first executable @name in PATH; NULL: none. */
const char *bt_find_in_path(struct bt_mem *mem, char *const *variables, const char *name);

/* ---- directories ---- */


/**
 * bt_find_runtime() - the runtime directory: BATON_RUNTIME_DIR, root's, or XDG_RUNTIME_DIR's
 * @uid: whose
 *
 * Returns NULL and the directory, or a sentence that says which variable to set.
 */
const char *bt_find_runtime(const char **ret_dir, struct bt_mem *mem, char *const *variables, uint32_t uid);
const char *bt_find_state(const char **ret_dir, struct bt_mem *mem, char *const *variables, uint32_t uid);

/* NULL when the control socket of @hub fits into a socket's address, otherwise a sentence. */
const char *bt_find_fits(struct bt_mem *mem, const char *runtime, const char *hub);
