/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Being started ahead of need. A program that links the static library can be held before its first line without doing anything for it; one that links
 * the shared library writes, in one of its files and outside of functions,
 *
 *      #include <baton/hold.h>
 *      BATON_HOLDS
 *
 * which puts one entry into .preinit_array of the executable and a note into its headers, by which a hub knows what it has before it starts it. Only
 * in the executable itself: the linker refuses it in a library. docs/spares.md says what a hub does with it, and which programs must not carry it.
 */

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/**
 * baton_child_hold() - wait here until the hub lets this process begin
 * @argc, @argv: of the process
 * @envp:        its environment, NULL-terminated; borrowed
 *
 * Called by the entry that BATON_HOLDS makes, and by nobody else. Returns at once in a process that was not started to be held.
 *
 * Ownership: borrows everything.
 * Errors:    none; a process that is not to begin ends here.
 * Context:   before the first constructor: the one thread there is. Blocks for as long as the hub wants.
 * Since:     0.1
 */
void baton_child_hold(int argc, char **argv, char **envp);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BATON_HOLDS_FLAGS "1"
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define BATON_HOLDS_FLAGS "1"
#endif
#endif
#ifndef BATON_HOLDS_FLAGS
#define BATON_HOLDS_FLAGS "0"
#endif

#if defined(__ELF__) && __SIZEOF_POINTER__ == 8
/* clang-format off */
#define BATON_HOLDS                                                                                \
        __asm__(".pushsection .preinit_array,\"aw\",@preinit_array\n"                              \
                ".balign 8\n"                                                                      \
                "77001: .quad baton_child_hold\n"                                                  \
                ".popsection\n"                                                                    \
                ".pushsection .note.baton,\"a\",@note\n"                                           \
                ".balign 4\n"                                                                      \
                ".long 6, 16, 1\n"                                                                 \
                ".asciz \"baton\"\n"                                                               \
                ".balign 4\n"                                                                      \
                ".long 1, " BATON_HOLDS_FLAGS "\n"                                                 \
                ".long 77001b - .\n"                                                               \
                ".long __preinit_array_start - .\n"                                                \
                ".popsection\n");
/* clang-format on */
#else
#define BATON_HOLDS /* elsewhere processes are started when they are needed */
#endif
