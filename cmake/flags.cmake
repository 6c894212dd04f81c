# SPDX-License-Identifier: Apache-2.0
#
# How everything here is compiled. Nothing in this file is installed: a user of the library gets none of it.
#
#   baton_flags         language, include root, warnings, sanitizers: every target of this tree links it
#   baton_flags_strict  -Wconversion, for shm/ only: there a silent narrowing is a wrong offset in another process

set(BATON_WARNINGS
    -Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wmissing-prototypes -Wstrict-prototypes
    -Wpointer-arith -Wwrite-strings -Wcast-align -Wnull-dereference -Wdate-time
    $<$<C_COMPILER_ID:GNU>:-Wlogical-op>
    $<$<C_COMPILER_ID:GNU>:-Wduplicated-cond>)

add_library(baton_flags INTERFACE)
target_compile_definitions(baton_flags INTERFACE _GNU_SOURCE)
target_include_directories(baton_flags INTERFACE
    ${PROJECT_SOURCE_DIR}
    ${PROJECT_SOURCE_DIR}/child-api/include
    ${PROJECT_SOURCE_DIR}/supervisor/include)
target_compile_options(baton_flags INTERFACE ${BATON_WARNINGS})
# A program's list of libraries is what it uses, not what a folder it shares code with might use.
target_link_options(baton_flags INTERFACE LINKER:--as-needed LINKER:-z,relro,-z,now)

if(BATON_WERROR)
    target_compile_options(baton_flags INTERFACE -Werror)
endif()

if(BATON_SANITIZE)
    target_compile_options(baton_flags INTERFACE
        -fsanitize=${BATON_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(baton_flags INTERFACE -fsanitize=${BATON_SANITIZE})
    # gcc's shared libubsan beside libasan ignores log_path, and its report is lost with the output of the process (gcc 12).
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND BATON_SANITIZE MATCHES "undefined")
        target_link_options(baton_flags INTERFACE -static-libubsan)
    endif()
    # Below 2^39 is the only range of ThreadSanitizer's that is free for an arena.
    if(BATON_SANITIZE MATCHES "thread")
        target_compile_definitions(baton_flags INTERFACE BT_ARENA_BASE=UINT64_C\(0x4000000000\))
    endif()
    # Instrumented code at -O1 and up makes gcc see null pointers where the instrumentation put the branch.
    target_compile_options(baton_flags INTERFACE -Wno-null-dereference)
endif()

if(BATON_COVERAGE)
    target_compile_options(baton_flags INTERFACE --coverage -fprofile-update=atomic)
    target_link_options(baton_flags INTERFACE --coverage)
    target_compile_definitions(baton_flags INTERFACE BT_COVERAGE)
endif()

add_library(baton_flags_strict INTERFACE)
target_compile_options(baton_flags_strict INTERFACE -Wconversion)
