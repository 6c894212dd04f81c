# SPDX-License-Identifier: Apache-2.0
#
# cmake -DWORK=<scratch folder> -P cmake/layers_test.cmake
#
# A check that finds nothing may be a check that looks nowhere. This plants one file for each kind of offence in a small tree,
# runs layers.cmake on it, and requires each offence by file and line; then it removes them and requires silence.

cmake_minimum_required(VERSION 3.25)
set(spdx "/* SPDX-License-Identifier: Apache-2.0 */\n")

function(plant file text)
    file(WRITE ${WORK}/${file} "${spdx}${text}")
endfunction()

function(run_layers ret_status ret_output)
    execute_process(COMMAND ${CMAKE_COMMAND} -DROOT=${WORK} -P ${CMAKE_CURRENT_LIST_DIR}/layers.cmake
        RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err)
    set(${ret_status} ${status} PARENT_SCOPE)
    set(${ret_output} "${out}${err}" PARENT_SCOPE)
endfunction()

# offends(<file> <line> <part of the message> <text>): plants it and remembers what must be said.
set(EXPECTED)
function(offends file line what text)
    plant(${file} "${text}")
    set(EXPECTED ${EXPECTED} "${file}:${line}: ${what}" PARENT_SCOPE)
    set(PLANTED ${PLANTED} ${file} PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
plant(base/list.h "#include <stddef.h>\n")
plant(base/fd.h "")
plant(shm/ring.h "#include <baton/types.h>\n#include \"base/list.h\"\n")
plant(supervisor/hub.h "#include \"shm/ring.h\"\n")
plant(supervisor/loop/ring.c "#include <liburing.h>\n")
plant(supervisor/swap/cold.c "#include <stdint.h>\n#include \"base/list.h\"\n")
plant(child-api/child.c "#include <baton/child.h>\n#include <unistd.h>\n\n#include \"shm/ring.h\"\n")
plant(tests/unit/test_ring.c "#include <lmdb.h>\n#include \"shm/ring.h\"\n")

run_layers(status output)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "a tree without an offence was refused:\n${output}")
endif()

offends(base/up.c 3 "includes \"shm/ring.h\"" "#include <stdio.h>\n#include \"shm/ring.h\"\n")
offends(shm/sup.c 2 "includes \"supervisor/hub.h\"" "#include \"supervisor/hub.h\"\n")
offends(shm/api.c 2 "includes <baton/child.h>" "#include <baton/child.h>\n")
offends(shm/short.c 4 "includes \"ring.h\": spell it from the root" "\n  /* text */\n# include \"ring.h\"\n")
offends(shm/gone.c 2 "includes \"shm/nowhere.h\": there is no such file" "#include \"shm/nowhere.h\"\n")
offends(child-api/hub.c 2 "includes \"supervisor/hub.h\"" "#include \"supervisor/hub.h\"\n")
offends(supervisor/hub.c 2 "includes <liburing.h>: only supervisor/loop may" "#include <liburing.h>\n")
offends(supervisor/store/store_mem.c 2 "includes <lmdb.h>" "#include <lmdb.h>\n")
offends(supervisor/batond/main.c 3 "includes <yaml.h>" "#include <stdio.h>\n#include <yaml.h>\n")
offends(supervisor/swap/hot.c 2 "includes <unistd.h>: a machine is pure" "#include <unistd.h>\n")
offends(supervisor/swap/fds.c 2 "includes \"base/fd.h\"" "#include \"base/fd.h\"\n")
offends(supervisor/baton/verb.c 2 "includes \"supervisor/hub.h\"" "#include \"supervisor/hub.h\"\n")
offends(examples/kv/kv.c 2 "includes \"shm/ring.h\"" "#include \"shm/ring.h\"\n")
offends(bench/hub.c 2 "includes \"supervisor/hub.h\"" "#include \"supervisor/hub.h\"\n")
offends(base/macro.c 3 "an include whose file is not named" "#define WHERE <stdio.h>\n#include WHERE\n")
offends(attic/old.c 1 "no layer for this folder" "")
file(WRITE ${WORK}/base/bare.c "#include <stdio.h>\n")
list(APPEND EXPECTED "base/bare.c:1: the first line is not")
list(APPEND PLANTED base/bare.c)

run_layers(status output)
list(LENGTH EXPECTED count)
if(status EQUAL 0 OR NOT output MATCHES "${count} offence\\(s\\)")
    message(FATAL_ERROR "expected ${count} offences, got:\n${output}")
endif()
foreach(expected IN LISTS EXPECTED)
    string(FIND "${output}" "${expected}" at)
    if(at LESS 0)
        message(FATAL_ERROR "not said: ${expected}\nbut:\n${output}")
    endif()
endforeach()

foreach(file IN LISTS PLANTED)
    file(REMOVE ${WORK}/${file})
endforeach()
run_layers(status output)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "the offences are gone, the complaints are not:\n${output}")
endif()
message(STATUS "layers: ${count} planted offences, each found at its line")
