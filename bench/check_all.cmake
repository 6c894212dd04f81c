# SPDX-License-Identifier: Apache-2.0
#
# cmake -DBENCH=<baton-bench> -DFOLDER=<where to write> -P check_all.cmake
#
# The short form of every question, so that none can rot: each comes to its end, writes JSON that can be read, and has a part in the table of targets, the
# comparison and the page. No test has an opinion on a time.

cmake_minimum_required(VERSION 3.25)
set(file ${FOLDER}/all-short.json)

function(run ret_out)
    execute_process(COMMAND ${BENCH} ${ARGN} OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "baton-bench ${ARGN}: exit status ${status}\n${out}${err}")
    endif()
    set(${ret_out} "${out}" PARENT_SCOPE)
endfunction()

function(expect text pattern)
    if(NOT "${text}" MATCHES "${pattern}")
        message(FATAL_ERROR "no '${pattern}' in\n${text}")
    endif()
endfunction()

run(table all --short --fresh --json ${file})
expect("${table}" "verdict\n")
string(REGEX MATCHALL "[^\n]+ (reached|MISSED|not measured)\n" rows "${table}")
list(LENGTH rows count)
if(count LESS 20)
    message(FATAL_ERROR "${count} rows with a verdict in\n${table}")
endif()

# Every question began with its machine and came to its end.
file(STRINGS ${file} lines)
set(begun)
set(ended)
foreach(line IN LISTS lines)
    string(JSON kind GET "${line}" kind)
    string(JSON question GET "${line}" question)
    if(kind STREQUAL "machine")
        list(APPEND begun ${question})
    elseif(kind STREQUAL "end")
        list(APPEND ended ${question})
    elseif(kind STREQUAL "value")
        string(JSON name GET "${line}" name)
        string(JSON value GET "${line}" value)
        if(name STREQUAL "failed" AND NOT value EQUAL 0)
            message(FATAL_ERROR "failed requests: ${line}")
        endif()
    endif()
endforeach()
if(NOT begun OR NOT begun STREQUAL ended)
    message(FATAL_ERROR "begun: ${begun}; ended: ${ended}")
endif()

# What is done is not asked again.
run(again all --short --json ${file})
string(REGEX MATCHALL "is done: " done "${again}")
list(LENGTH done done_count)
string(REGEX MATCHALL "---- [0-9]+ of " asked "${again}")
list(LENGTH asked asked_count)
if(NOT done_count EQUAL asked_count)
    message(FATAL_ERROR "${done_count} of ${asked_count} were taken as done:\n${again}")
endif()

run(compared --compare ${file} ${file})
expect("${compared}" "spawn to-main")
expect("${compared}" "1\\.00x")

run(reported report ${file} -o ${FOLDER}/all-short.html)
file(READ ${FOLDER}/all-short.html page)
foreach(part "<!doctype html>" "hot swap: blackout" "<polyline" "</html>")
    expect("${page}" "${part}")
endforeach()

run(drawn report ${file} -o ${FOLDER}/all-short.svg)
file(READ ${FOLDER}/all-short.svg picture)
foreach(part "xmlns='http://www.w3.org/2000/svg'" "nobody serves, median" "<polyline" "</svg>\n</svg>")
    expect("${picture}" "${part}")
endforeach()

foreach(wrong "compare;${file}" "report;${file}" "nothing" "spawn;--rounds;0")
    execute_process(COMMAND ${BENCH} ${wrong} OUTPUT_QUIET ERROR_VARIABLE err RESULT_VARIABLE status)
    if(NOT status EQUAL 2 OR err STREQUAL "")
        message(FATAL_ERROR "baton-bench ${wrong}: exit status ${status}, expected 2 and a complaint")
    endif()
endforeach()
