# SPDX-License-Identifier: Apache-2.0
#
# cmake -DREADELF=readelf -DFILE=<elf> -DEXPECT=<soname>,<soname> -P needed.cmake
#
# Every library costs a process about 0.2 ms at each start and adds to what must be patched. So the list is a decision, not a
# by-product: this fails when FILE needs a library that is not expected, or no longer needs one that is. libc (with the loader) is always allowed.

cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${READELF} -d ${FILE} OUTPUT_VARIABLE out RESULT_VARIABLE status)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "${READELF} -d ${FILE} failed: ${status}")
endif()
string(REGEX REPLACE "[][]" "" out "${out}") # a bracket would keep a list's elements together
string(REGEX MATCHALL "\\(NEEDED\\) +Shared library: [^\n]+" needed "${out}")
list(TRANSFORM needed REPLACE ".*: " "")
if(NOT "libc.so.6" IN_LIST needed)
    message(FATAL_ERROR "${FILE}: does not need libc.so.6; is it an ELF file with a dynamic section?")
endif()
list(REMOVE_ITEM needed libc.so.6)
list(FILTER needed EXCLUDE REGEX "^ld-linux")

string(REPLACE "," ";" expect "${EXPECT}")
list(SORT needed)
list(SORT expect)
if(NOT "${needed}" STREQUAL "${expect}")
    message(FATAL_ERROR "${FILE}: needs [${needed}] beyond libc, expected [${expect}]. "
        "Drop the library, or change the expectation in cmake/tests.cmake and the table of dependencies.")
endif()
message(STATUS "${FILE}: libc [${needed}]")
