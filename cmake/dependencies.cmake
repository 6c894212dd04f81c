# SPDX-License-Identifier: Apache-2.0
#
# What lies outside this tree, each as dep_<name>. A missing package stops the configuration with the Debian package to install.
# Who may use which is checked by cmake/layers.cmake; what the linked programs really need by the tests needed_*.

find_package(PkgConfig REQUIRED)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# baton_dependency(<name> <pkg-config name> <least version> <Debian package>)
function(baton_dependency name module version package)
    pkg_check_modules(${name} IMPORTED_TARGET QUIET GLOBAL "${module}>=${version}")
    if(NOT ${name}_FOUND)
        message(FATAL_ERROR "${module} ${version} or newer is missing (pkg-config ${module}). "
            "On Debian: apt-get install ${package}; ./check installs everything that is needed.")
    endif()
    add_library(dep_${name} INTERFACE)
    target_link_libraries(dep_${name} INTERFACE PkgConfig::${name})
endfunction()

baton_dependency(liburing liburing 2.3 liburing-dev)
baton_dependency(lmdb lmdb 0.9.24 liblmdb-dev)
baton_dependency(yaml yaml-0.1 0.2.5 libyaml-dev)
baton_dependency(jansson jansson 2.14 libjansson-dev)
if(BATON_TESTS)
    baton_dependency(cmocka cmocka 1.1.5 libcmocka-dev)
endif()

# Header only: compiled in with XXH_INLINE_ALL, nothing is linked.
find_path(XXHASH_INCLUDE_DIR xxhash.h)
if(NOT XXHASH_INCLUDE_DIR)
    message(FATAL_ERROR "xxhash.h is missing. On Debian: apt-get install libxxhash-dev")
endif()

add_library(dep_threads INTERFACE)
target_link_libraries(dep_threads INTERFACE Threads::Threads)
add_library(dep_math INTERFACE)
target_link_libraries(dep_math INTERFACE m)
