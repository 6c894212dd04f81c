# SPDX-License-Identifier: Apache-2.0
#
# cmake -DDIR=<folder> -DMODE=prepare|check -P reports.cmake
#
# Sanitizers write each report to a file in DIR. "prepare" empties the folder before the tests, "check" prints what is in it after
# them and fails when there is anything. So a report of a process that a test started and did not judge still fails the run.

cmake_minimum_required(VERSION 3.25)
if(MODE STREQUAL "prepare")
    file(REMOVE_RECURSE ${DIR})
    file(MAKE_DIRECTORY ${DIR})
    return()
endif()

file(GLOB reports ${DIR}/*)
foreach(report IN LISTS reports)
    file(READ ${report} text LIMIT 16384)
    message("${report}:\n${text}\n")
endforeach()
if(reports)
    list(LENGTH reports count)
    message(FATAL_ERROR "${count} sanitizer report(s), printed above")
endif()
