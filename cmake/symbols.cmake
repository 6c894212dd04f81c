# SPDX-License-Identifier: Apache-2.0
#
# cmake -DNM=nm -DLIBRARY=libbaton.so -DMAP=baton.map -P symbols.cmake
#
# The library exports exactly the names of its symbol map: a name in the map without a function is a promise broken, a function without a
# name in the map is a private one that escaped.

cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${NM} --dynamic --defined-only ${LIBRARY}
    OUTPUT_VARIABLE out RESULT_VARIABLE status)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} ${LIBRARY} failed: ${status}")
endif()
# Lines are "address type name@@VERSION"; the versions themselves are listed with type A.
string(REGEX MATCHALL " [TDBRWVi] [A-Za-z0-9_]+" lines "${out}")
list(TRANSFORM lines REPLACE "^ . " "" OUTPUT_VARIABLE exported)
file(READ ${MAP} text)
string(REGEX MATCHALL "\n[ \t]+[a-z0-9_]+;" promised "${text}")
string(REGEX REPLACE "[ \t\n]" "" promised "${promised}")
list(REMOVE_ITEM promised "")

set(offences "")
foreach(name IN LISTS promised)
    if(NOT name IN_LIST exported)
        string(APPEND offences "\n  ${name}: in the map, not in the library")
    endif()
endforeach()
foreach(name IN LISTS exported)
    if(NOT name IN_LIST promised)
        string(APPEND offences "\n  ${name}: exported, not in the map")
    endif()
endforeach()
list(LENGTH exported count)
if(offences OR count EQUAL 0)
    message(FATAL_ERROR "${LIBRARY} and ${MAP} differ (${count} symbols exported):${offences}")
endif()
message(STATUS "${LIBRARY}: ${count} symbols, as in the map")
