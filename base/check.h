/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Three words for three situations.
 *
 *   bt_assert(x)  we are wrong: print where and abort, in release builds too.
 *   bt_guard(x)   a peer wrote nonsense: note where, evaluate to false; the caller poisons that peer and carries on.
 *   return        the world said no: an error code.
 */

#include <stdbool.h>
#include <stddef.h>

__attribute__((noreturn, cold)) void bt_assert_failed(const char *expr, const char *file, int line);
__attribute__((cold)) bool bt_guard_failed(const char *expr, const char *file, int line);

#define bt_assert(x) (__builtin_expect(!!(x), 1) ? (void)0 : bt_assert_failed(#x, __FILE__, __LINE__))
#define bt_guard(x) (__builtin_expect(!!(x), 1) ? true : bt_guard_failed(#x, __FILE__, __LINE__))

/*
 * An error that nobody here expected: note file and line, pass the code on unchanged. The trace is a line on stderr, and only when
 * BATON_TRACE is set in the environment: a library does not log.
 */
__attribute__((cold)) int bt_fold_at(int r, const char *file, int line);
#define bt_fold(r) bt_fold_at((r), __FILE__, __LINE__)

/*
 * Named fault points. In the testing build BATON_KILL_AT=name kills the process with SIGKILL when it gets there (name:3 the third time),
 * BATON_STOP_AT=name stops it with SIGSTOP, and BATON_EXIT_AT=name makes it _exit(42). In a build for profiling it is a stamp: profile.c. Elsewhere it
 * is nothing.
 */
#ifdef BT_TESTING
void bt_point_hit(const char *name);
#define BT_POINT(name) bt_point_hit(name)
/* Appends @line, with its newline, to the file that BATON_STEPS names: one write, so the lines of all processes have one order. */
void bt_point_note(const char *line, size_t bytes);
#elif defined(BT_PROFILE)
void bt_point_stamp(const char *name);
#define BT_POINT(name) bt_point_stamp(name)
#else
#define BT_POINT(name) ((void)0)
#endif
