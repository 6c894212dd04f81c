# SPDX-License-Identifier: Apache-2.0
#
# cmake [-DROOT=<tree>] -P cmake/layers.cmake
#
# Checks every #include of the tree against the table of layers, and prints each offence as "file:line: what, why". It is a test,
# so that a layer is something that holds and not something that was meant.
#
#   1. Includes of our own are spelled from the root ("shm/ring.h"), so the layer shows in the line; the file must exist.
#   2. A folder includes what its row allows; a folder without a row is an offence: a new folder begins with a row.
#   3. Libraries have one user each. Tests may use any: they break what a library wrote, or ask the kernel what a library asks.
#   4. Each file begins with its licence.
#
# The first row whose pattern matches a file's path is the file's row.

cmake_minimum_required(VERSION 3.25)
if(NOT ROOT)
    cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH ROOT)
endif()

set(ROWS)
# layer(<files> <our includes that are allowed> <system headers that are not> <why>); all three are regular expressions.
function(layer files allowed denied why)
    list(LENGTH ROWS idx)
    set(ROWS ${ROWS} ${idx} PARENT_SCOPE)
    set(ROW_${idx}_FILES "^(${files})" PARENT_SCOPE)
    set(ROW_${idx}_ALLOWED "^(${allowed})" PARENT_SCOPE)
    set(ROW_${idx}_DENIED "^(${denied})$" PARENT_SCOPE)
    set(ROW_${idx}_WHY "${why}" PARENT_SCOPE)
endfunction()

set(none "none")
set(types "<baton/(types|errors)\\.h>")
set(public "<baton/")
set(kernel "<(unistd|fcntl|signal|time|poll|spawn|pthread|sys/.*|linux/.*)\\.h>")

layer("base/"               "\"base/"                                            "${none}"   "base knows libc and nothing else of this tree")
layer("shm/"                "\"(base|shm)/|${types}"                             "${none}"   "shm knows base and the shared types, no supervisor, no policy")
layer("child-api/include/"  "${public}"                                          "${none}"   "a public header stands on public headers alone")
layer("child-api/"          "\"(base|shm|child-api)/|${public}"                  "${none}"   "any program can embed the child library: it knows shm and base")
layer("client-api/"         "\"(base|shm|client-api)/|\"supervisor/control\\.h|${public}"
                                                                                 "${none}"   "any program can embed the client library: it knows shm, base and the way in")
layer("supervisor/include/" "${public}"                                          "${none}"   "a public header stands on public headers alone")
layer("supervisor/loop/"    "\"(base|supervisor/loop)/"                          "${none}"   "the loop knows base; its users know it")
layer("supervisor/store/"   "\"(base|shm|supervisor/store)/|${types}"            "${none}"   "the store knows base and the record's layout, no hub")
layer("supervisor/proc/"    "\"(base|shm|supervisor/proc)/|${types}"             "${none}"   "process calls know base and shm, no hub")
layer("supervisor/swap/"    "\"(base/(check|cleanup|clock|list)\\.h|shm/|supervisor/swap/|supervisor/(store/store|proc/proc|loop/loop)\\.h)|${types}"
                                                                                 "${kernel}" "a machine is pure: time, events and results arrive as arguments")
layer("supervisor/placement/" "\"(base/(check|cleanup|clock)\\.h|supervisor/placement/)"
                                                                                 "${kernel}" "a placement is pure: nodes, loads and children arrive as arguments")
layer("supervisor/rollout/" "\"(base/(check|cleanup|clock)\\.h|supervisor/rollout/)"
                                                                                 "${kernel}" "a machine is pure: events, results and the time arrive as arguments")
layer("supervisor/group/" "\"(base/(check|cleanup|clock)\\.h|supervisor/group/)"
                                                                                 "${kernel}" "a machine is pure: events, results and the time arrive as arguments")
layer("supervisor/baton/"   "\"(base/|shm/(node|layout|record)\\.h|supervisor/(plan|control|group/group)\\.h|supervisor/baton/)|${public}"
                                                                                 "${none}"   "the command knows the plan, the control protocol, the node segment and the format of a record, no hub")
layer("supervisor/"         "\"(base|shm|supervisor/(loop|store|proc|swap|placement|rollout|group|batond))/|\"supervisor/[^/]*\\.h|${public}"
                                                                                 "${none}"   "the hub knows everything but the command")
layer("(examples|bindings)/" "\"(examples|bindings)/|${public}"                  "${none}"   "an example uses what a user can use: public headers")
layer("bench/"              "\"(base|shm|bench)/|\"supervisor/(plan|control)\\.h|${public}"
                                                                                 "${none}"   "a benchmark knows public headers, the shared memory and the formats of plan and control socket")
layer("tests/"              "[\"<]"                                              "${none}"   "tests may know everything")

# user_of(<system header> <files that may include it> <who that is>)
set(LIBRARIES)
function(user_of header files who)
    set(LIBRARIES ${LIBRARIES} ${header} PARENT_SCOPE)
    set(USER_${header} "^(${files}|tests/)" PARENT_SCOPE)
    set(WHO_${header} "${who}" PARENT_SCOPE)
endfunction()

user_of(liburing.h "supervisor/loop/" "supervisor/loop")
user_of(lmdb.h "supervisor/store/store_lmdb\\.c$|bench/floor_lmdb\\.c$" "supervisor/store/store_lmdb.c and, as its floor, bench/floor_lmdb.c")
user_of(yaml.h "supervisor/baton/" "supervisor/baton")
user_of(jansson.h "supervisor/baton/|bench/" "supervisor/baton and bench")
user_of(xxhash.h "shm/|supervisor/(store|placement)/" "shm, supervisor/store and supervisor/placement")

# ---- the check ----

# Line numbers cost a second look at the file, so they are found for offences only.
function(offence file line_text what)
    set(number 1)
    if(NOT line_text STREQUAL "")
        file(READ "${ROOT}/${file}" text)
        string(FIND "\n${text}" "\n${line_text}" at)
        string(SUBSTRING "${text}" 0 ${at} before)
        string(REGEX REPLACE "[^\n]" "" newlines "${before}")
        string(LENGTH "${newlines}" number)
        math(EXPR number "${number} + 1")
    endif()
    message("${file}:${number}: ${what}")
    set_property(GLOBAL APPEND PROPERTY OFFENCES ${file})
endfunction()

function(find_row ret file)
    foreach(idx IN LISTS ROWS)
        if(file MATCHES "${ROW_${idx}_FILES}")
            set(${ret} ${idx} PARENT_SCOPE)
            return()
        endif()
    endforeach()
    set(${ret} "" PARENT_SCOPE)
endfunction()

function(check_own file line include path row)
    if(include MATCHES "^\"" AND NOT path MATCHES "/")
        offence("${file}" "${line}" "includes ${include}: spell it from the root, as in \"shm/ring.h\"")
    elseif(include MATCHES "^\"" AND NOT EXISTS "${ROOT}/${path}")
        offence("${file}" "${line}" "includes ${include}: there is no such file; paths begin at the root")
    elseif(NOT include MATCHES "${ROW_${row}_ALLOWED}")
        offence("${file}" "${line}" "includes ${include}: ${ROW_${row}_WHY}")
    endif()
endfunction()

function(check_system file line include path row)
    if(include MATCHES "${ROW_${row}_DENIED}")
        offence("${file}" "${line}" "includes ${include}: ${ROW_${row}_WHY}")
    elseif(path IN_LIST LIBRARIES AND NOT file MATCHES "${USER_${path}}")
        offence("${file}" "${line}" "includes ${include}: only ${WHO_${path}} may")
    endif()
endfunction()

function(check_include file line row)
    if("${line}" MATCHES "include[ \t]*([\"<]([^\">]+)[\">])")
        set(include "${CMAKE_MATCH_1}")
        set(path "${CMAKE_MATCH_2}")
        if(include MATCHES "^(\"|<baton/)")
            check_own("${file}" "${line}" "${include}" "${path}" "${row}")
        else()
            check_system("${file}" "${line}" "${include}" "${path}" "${row}")
        endif()
    else()
        offence("${file}" "${line}" "an include whose file is not named in the line cannot be checked")
    endif()
endfunction()

set(files)
file(GLOB folders LIST_DIRECTORIES true RELATIVE ${ROOT} ${ROOT}/*)
list(FILTER folders EXCLUDE REGEX "^(build.*|\\..*)$")
foreach(folder IN LISTS folders)
    if(IS_DIRECTORY ${ROOT}/${folder})
        file(GLOB_RECURSE found RELATIVE ${ROOT} ${ROOT}/${folder}/*.c ${ROOT}/${folder}/*.h)
        list(APPEND files ${found})
    endif()
endforeach()
set(include_count 0)

foreach(file IN LISTS files)
    file(STRINGS "${ROOT}/${file}" first LIMIT_COUNT 1)
    if(NOT first STREQUAL "/* SPDX-License-Identifier: Apache-2.0 */")
        offence("${file}" "" "the first line is not /* SPDX-License-Identifier: Apache-2.0 */")
    endif()
    find_row(row "${file}")
    if(row STREQUAL "")
        offence("${file}" "" "no layer for this folder: give it a row in cmake/layers.cmake")
        continue()
    endif()
    file(STRINGS "${ROOT}/${file}" lines REGEX "^[ \t]*#[ \t]*include")
    foreach(line IN LISTS lines)
        math(EXPR include_count "${include_count} + 1")
        check_include("${file}" "${line}" "${row}")
    endforeach()
endforeach()

list(LENGTH files file_count)
get_property(offences GLOBAL PROPERTY OFFENCES)
list(LENGTH offences offence_count)
if(offence_count GREATER 0)
    message(FATAL_ERROR "layers: ${offence_count} offence(s) in ${file_count} files")
endif()
if(file_count EQUAL 0)
    message(FATAL_ERROR "layers: no source file under ${ROOT}")
endif()
message(STATUS "layers: ${include_count} includes in ${file_count} files, all in their layer")
