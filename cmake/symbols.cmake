# SPDX-License-Identifier: Apache-2.0
#
# cmake -DNM=nm -DLIBRARY=libbaton.so -DMAP=baton.map -P symbols.cmake
#
# The library exports exactly the names of its symbol map: a name in the map without a function is a promise broken, a function without a
# name in the map is a private one that escaped.

execute_process(COMMAND ${NM} --dynamic --defined-only ${LIBRARY}
    OUTPUT_VARIABLE out RESULT_VARIABLE status)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} ${LIBRARY} failed: ${status}")
endif()
# Lines are "address type name@@VERSION"; the versions themselves are listed with type A.
string(REGEX MATCHALL " [TDBRWVi] [A-Za-z0-9_]+" lines "${out}")
list(TRANSFORM lines REPLACE "^ . " "" OUTPUT_VARIABLE exported)
file(STRINGS ${MAP} promised REGEX "^[ \t]+[a-z0-9_]+;$")
list(TRANSFORM promised STRIP)
list(TRANSFORM promised REPLACE ";$" "")

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
