# SPDX-License-Identifier: Apache-2.0
#
# What tests are made of.
#
#   baton_testing        everything in this tree, once more, with -DBT_TESTING (fault points) and without any main()
#   baton_test_support   tests/support/*.c but child_*.c: shared between tests
#   child_*              one program for each tests/support/child_*.c: what tests exec instead of forking under cmocka
#   <program>-testing    a program of the tree with fault points
#
# In a test BATON_BIN_DIR (a string macro, and a variable in the environment) is the folder of all these programs, BATON_SOURCE_DIR
# the tree. A test skips by exit status 77. In a sanitizer build each report is a file, and the test "sanitizer_reports" fails
# when there is one: a report of a process whose output or exit status nobody looks at is not lost.

set(BATON_BIN_DIR ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
set(BATON_REPORT_DIR ${PROJECT_BINARY_DIR}/sanitizer)

set(BATON_TEST_ENVIRONMENT BATON_BIN_DIR=${BATON_BIN_DIR} BATON_SOURCE_DIR=${PROJECT_SOURCE_DIR})
set(BATON_TIMEOUT_FACTOR 1)
if(BATON_SANITIZE)
    set(BATON_TIMEOUT_FACTOR 4)
    list(APPEND BATON_TEST_ENVIRONMENT
        "ASAN_OPTIONS=exitcode=99:detect_leaks=1:strict_string_checks=1:log_path=${BATON_REPORT_DIR}/asan"
        "UBSAN_OPTIONS=exitcode=99:print_stacktrace=1:log_path=${BATON_REPORT_DIR}/ubsan"
        "TSAN_OPTIONS=exitcode=99:halt_on_error=1:log_path=${BATON_REPORT_DIR}/tsan")
endif()

# Where things are, for tests and the programs they exec.
add_library(baton_test_flags INTERFACE)
target_link_libraries(baton_test_flags INTERFACE baton_flags)
target_compile_definitions(baton_test_flags INTERFACE
    BT_TESTING
    BATON_VERSION="${PROJECT_VERSION}"
    BATON_LIBEXECDIR="${CMAKE_INSTALL_FULL_LIBEXECDIR}/baton"
    BATON_BIN_DIR="${BATON_BIN_DIR}"
    BATON_SOURCE_DIR="${PROJECT_SOURCE_DIR}")

# The files among @files that define main(), which a library must not.
function(baton_files_with_main ret)
    set(found)
    foreach(file IN LISTS ARGN)
        file(STRINGS ${file} main REGEX "^int main\\(" LIMIT_COUNT 1)
        if(main)
            list(APPEND found ${file})
        endif()
    endforeach()
    set(${ret} ${found} PARENT_SCOPE)
endfunction()

function(baton_testing_library)
    set(all)
    foreach(folder base shm child-api client-api supervisor supervisor/loop supervisor/store supervisor/proc
            supervisor/swap supervisor/placement supervisor/rollout supervisor/group supervisor/batond supervisor/baton)
        baton_glob(sources ${folder} *.c)
        list(APPEND all ${sources})
    endforeach()
    baton_files_with_main(mains ${all})
    if(mains)
        list(REMOVE_ITEM all ${mains})
    endif()

    add_library(baton_testing STATIC ${all})
    target_compile_definitions(baton_testing PRIVATE BT_HOLDS) # child_* can be held; a test that is not started by a hub does not notice
    target_link_libraries(baton_testing PUBLIC baton_test_flags
        dep_liburing dep_lmdb dep_yaml dep_jansson dep_threads)
    # One compile command a file, the real one: clang-tidy would look at each file twice.
    set_target_properties(baton_testing PROPERTIES EXPORT_COMPILE_COMMANDS OFF)

    baton_glob(support tests/support *.c)
    list(FILTER support EXCLUDE REGEX "/child_[^/]*$")
    if(support)
        add_library(baton_test_support STATIC ${support})
        target_link_libraries(baton_test_support PUBLIC baton_testing dep_cmocka)
    endif()
endfunction()

# baton_testing_program(<target> FOLDER <folder> [EXCLUDE <name>...] [DEFINE <definition>...])
#
# From a folder of the supervisor only the file with main() is compiled; the rest is in baton_testing.
function(baton_testing_program target)
    cmake_parse_arguments(arg "" "FOLDER" "EXCLUDE;DEFINE" ${ARGN})
    baton_glob(sources ${arg_FOLDER} *.c EXCLUDE ${arg_EXCLUDE})
    if(arg_FOLDER MATCHES "^supervisor/")
        baton_files_with_main(sources ${sources})
    endif()
    if(NOT sources OR NOT TARGET bt_child)
        return()
    endif()
    add_executable(${target} ${sources})
    target_link_libraries(${target} PRIVATE baton_testing)
    target_compile_definitions(${target} PRIVATE ${arg_DEFINE})
    set_target_properties(${target} PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
endfunction()

# kv-v2, with a library whose shared memory has another layout than the hub's: the child's side of the tree once more, so that no file of it is taken from
# baton_testing.
function(baton_testing_other_layout target)
    set(all)
    foreach(folder base shm child-api client-api examples/kv)
        baton_glob(sources ${folder} *.c EXCLUDE loadgen)
        list(APPEND all ${sources})
    endforeach()
    add_executable(${target} ${all})
    target_link_libraries(${target} PRIVATE baton_test_flags)
    target_compile_definitions(${target} PRIVATE BT_LAYOUT_VERSION=999 KV_VERSION="2.0")
    set_target_properties(${target} PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
endfunction()

function(baton_test_children)
    baton_glob(sources tests/support child_*.c)
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        add_executable(${name} ${source})
        target_link_libraries(${name} PRIVATE baton_testing)
    endforeach()
endfunction()

function(baton_test_properties name label timeout)
    math(EXPR timeout "${timeout} * ${BATON_TIMEOUT_FACTOR}")
    set_tests_properties(${name} PROPERTIES
        LABELS ${label}
        TIMEOUT ${timeout}
        SKIP_RETURN_CODE 77
        ENVIRONMENT "${BATON_TEST_ENVIRONMENT}"
        FIXTURES_REQUIRED sanitizer)
endfunction()

# baton_test_folder(<folder> TIMEOUT <seconds> [SERIAL])
#
# SERIAL: each of these has the machine for itself.
# A fuzz target is run over its corpus: tests/fuzz/corpus/<name without fuzz_>.
function(baton_test_folder folder)
    cmake_parse_arguments(arg "SERIAL" "TIMEOUT" "" ${ARGN})
    baton_glob(sources tests/${folder} *.c)
    list(FILTER sources INCLUDE REGEX "/(test|fuzz)_[^/]*$")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM stem)
        string(REGEX REPLACE "^(test|fuzz)_" "" short ${stem})
        set(target ${folder}_${short})
        set(name ${folder}/${short})
        set(corpus ${PROJECT_SOURCE_DIR}/tests/${folder}/corpus/${short})
        if(NOT stem MATCHES "^fuzz_" OR NOT EXISTS ${corpus})
            set(corpus)
        endif()

        add_executable(${target} ${source})
        target_link_libraries(${target} PRIVATE
            $<TARGET_NAME_IF_EXISTS:baton_test_support> baton_testing dep_cmocka dep_threads dep_math)
        set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${BATON_BIN_DIR}/tests)
        add_test(NAME ${name} COMMAND ${target} ${corpus})
        baton_test_properties(${name} ${folder} ${arg_TIMEOUT})
        set_tests_properties(${name} PROPERTIES RUN_SERIAL "${arg_SERIAL}")
    endforeach()
endfunction()

# baton_script_test(<name> <script> [-D...]): a test that is a CMake script.
function(baton_script_test name script)
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} ${ARGN} -P ${PROJECT_SOURCE_DIR}/${script})
    set_tests_properties(${name} PROPERTIES LABELS house TIMEOUT 120)
endfunction()

# Tests of the tree itself: layers, linked libraries, exported symbols, the installed tree.
function(baton_test_house)
    baton_script_test(layers cmake/layers.cmake)
    baton_script_test(layers_finds_offences cmake/layers_test.cmake -DWORK=${PROJECT_BINARY_DIR}/layers_test)

    if(BATON_SANITIZE)
        baton_script_test(sanitizer_prepare cmake/reports.cmake -DDIR=${BATON_REPORT_DIR} -DMODE=prepare)
        baton_script_test(sanitizer_reports cmake/reports.cmake -DDIR=${BATON_REPORT_DIR} -DMODE=check)
        set_tests_properties(sanitizer_prepare PROPERTIES FIXTURES_SETUP sanitizer)
        set_tests_properties(sanitizer_reports PROPERTIES FIXTURES_CLEANUP sanitizer)
    endif()

    # Instrumented programs need the instrumentation's libraries too.
    if(BATON_SANITIZE OR BATON_COVERAGE)
        return()
    endif()
    baton_test_needed(batond liburing.so.2 liblmdb.so.0)
    baton_test_needed(baton libyaml-0.so.2 libjansson.so.4)
    baton_test_needed(kv-v1)
    baton_test_needed(hello)
    baton_test_needed(baton_shared)
    baton_test_needed(baton_hub_shared libbaton.so.0 liburing.so.2 liblmdb.so.0)
    if(TARGET baton_hub_shared)
        baton_script_test(symbols_hub cmake/symbols.cmake -DNM=${CMAKE_NM}
            -DLIBRARY=$<TARGET_FILE:baton_hub_shared> -DMAP=${PROJECT_SOURCE_DIR}/supervisor/baton-hub.map)
    endif()
    if(TARGET baton_shared)
        baton_script_test(symbols cmake/symbols.cmake -DNM=${CMAKE_NM}
            -DLIBRARY=$<TARGET_FILE:baton_shared> -DMAP=${PROJECT_SOURCE_DIR}/child-api/baton.map)
        baton_script_test(install tests/install/install.cmake -DBUILD=${PROJECT_BINARY_DIR}
            -DWORK=${PROJECT_BINARY_DIR}/install_test -DCC=${CMAKE_C_COMPILER}
            -DGENERATOR=${CMAKE_GENERATOR})
    endif()
endfunction()

# baton_test_needed(<target> [<soname>...]): the target links libc and these libraries, and no other.
function(baton_test_needed target)
    if(TARGET ${target})
        list(JOIN ARGN "," expected)
        baton_script_test(needed_${target} cmake/needed.cmake -DREADELF=${CMAKE_READELF}
            -DFILE=$<TARGET_FILE:${target}> -DEXPECT=${expected})
    endif()
endfunction()
